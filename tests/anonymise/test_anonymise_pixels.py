"""What is done with the pixels of an object: what decides, the policy, and the rules of devices."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace

import pytest

from qa_fetch.anonymise.blanking import Region
from qa_fetch.anonymise.pixels import Header, PixelPolicy, Verdict, header
from qa_fetch.errors import ConfigError
from qa_fetch.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

CT, SC, US, PDF = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "7", "6.1", "104.1"))
RT_IMAGE, DICOMDIR = "1.2.840.10008.5.1.4.1.1.481.1", "1.2.840.10008.1.3.10"
JPEG, MPEG4 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102"

CAPTURE = Header(
    SOPClassUID=SC,
    Manufacturer="ACME",
    ManufacturerModelName="SCANNER 9X",
    Modality="OT",
    PhotometricInterpretation="MONOCHROME2",
    SamplesPerPixel=1,
    Rows=6,
    Columns=8,
    BitsAllocated=8,
    BitsStored=8,
    HighBit=7,
    pixels=0x7FE00010,
)
RULE = {"manufacturer": "acme*", "model": "scanner ?x", "regions": [[0, 0, 8, 2]]}
POLICY = PixelPolicy.of({})


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT_LITTLE) -> bytes:
    order = ">" if syntax == EXPLICIT_BIG else "<"
    value += b"\0" * (len(value) % 2)
    if syntax == IMPLICIT_LITTLE:
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value
    if vr in ("OB", "OW", "UN", "SQ"):
        return struct.pack(order + "HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def short(number: int, syntax: str) -> bytes:
    return struct.pack(">H" if syntax == EXPLICIT_BIG else "<H", number)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_header_is_read_in_every_byte_order(syntax):
    """What decides is read from the top level, in each of the uncompressed transfer syntaxes."""
    data = b"".join(
        element(tag, vr, value, syntax)
        for tag, vr, value in (
            (0x00080008, "CS", b"DERIVED\\ SECONDARY \\Screen Save"),
            (0x00080016, "UI", CT.encode()),
            (0x00080060, "CS", b"CT"),
            (0x00080070, "LO", b"Acme "),
            (0x00280002, "US", short(1, syntax)),
            (0x00280008, "IS", b"12 "),
            (0x00280010, "US", short(512, syntax)),
            (0x00280011, "US", short(300, syntax)),
            (0x00280301, "CS", b"NO"),
            (0x7FE00010, "OW", b"\1\2"),
            (0x7FE10010, "LO", b"what comes after is not read"),
        )
    )
    read = header(data, syntax)
    assert (read.ImageType, read.SOPClassUID) == (("DERIVED", "SECONDARY", "SCREEN SAVE"), CT)
    assert (read.Modality, read.Manufacturer, read.BurnedInAnnotation) == ("CT", "ACME", "NO")
    assert (read.SamplesPerPixel, read.NumberOfFrames, read.Rows, read.Columns) == (1, 12, 512, 300)
    assert read.has_integer_pixels and read.native


@pytest.mark.parametrize(
    ("tag", "vr", "value", "field", "number"),
    [
        (0x00280008, "IS", b"-5", "NumberOfFrames", 0),
        (0x00280008, "IS", b"", "NumberOfFrames", 1),
        (0x00280008, "IS", b"1e400", "NumberOfFrames", 0),
        (0x00280008, "IS", b"9" * 5000, "NumberOfFrames", 0),
        (0x00280010, "UL", struct.pack("<L", 70000), "Rows", 70000),
        (0x00280010, "UL", b"\7\0", "Rows", 7),
        (0x00280010, "US", b"", "Rows", 0),
        (0x00280010, "DS", b"", "Rows", 0),
        (0x00280010, "US", b"\7\0\xff\xff", "Rows", 7),
    ],
)
def test_strange_counts_are_not_believed(tag, vr, value, field, number):
    """A count that is missing, negative, of the wrong size or far too long is 0, or what can be made of it."""
    assert getattr(header(element(tag, vr, value), EXPLICIT_LITTLE), field) == number


def test_empty_and_deflated_data_sets_have_a_header():
    """Nothing at all has a header of nothing; a deflated data set is unpacked first."""
    import zlib

    assert header(b"", EXPLICIT_LITTLE) == Header(ImageType=("",))
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(element(0x00080060, "CS", b"US")) + packer.flush()
    assert header(packed, DEFLATED).Modality == "US"


def test_pixels_that_are_floating_point_cannot_be_blanked_by_a_rule():
    """Floating-point pixels are pixels, but no rule is for them."""
    assert not header(element(0x7FE00008, "OB", b"\0" * 4), EXPLICIT_LITTLE).has_integer_pixels


LOOK = 'Look at it, and say pixels.classes.{} = "keep"'
IN_A_PROFILE = "in a profile to pass such objects on."
OR_A_RULE = f", or write a rule for its device (pixels.devices), {IN_A_PROFILE}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, f"a secondary capture may show the patient's name in its pixels. {LOOK}{OR_A_RULE}|secondary-captures"),
        (
            {"SOPClassUID": US},
            f"an ultrasound image usually shows the patient's name in its pixels. {LOOK}{OR_A_RULE}|ultrasound",
        ),
        (
            {"SOPClassUID": PDF},
            f"an encapsulated document is not looked into and may name the patient. {LOOK} {IN_A_PROFILE}|documents",
        ),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"},
            f"raw data is in a form of its maker and may name the patient. {LOOK} {IN_A_PROFILE}|raw-data",
        ),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4"},
            f"a photograph may show the patient or a label with the name. {LOOK}{OR_A_RULE}|photographs",
        ),
        (
            {"SOPClassUID": CT, "transfer_syntax": MPEG4},
            f"a video may show the patient or the name. {LOOK} {IN_A_PROFILE}|video",
        ),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.9.4.1"},
            f"a recording may say the patient's name. {LOOK} {IN_A_PROFILE}|audio",
        ),
        (
            {"SOPClassUID": CT, "BurnedInAnnotation": "YES"},
            f"an image says that text is burned into its pixels (BurnedInAnnotation). {LOOK}{OR_A_RULE}|burned-in",
        ),
        (
            {"SOPClassUID": CT, "ImageType": ("DERIVED", "SECONDARY", "SCREEN SAVE")},
            "a screen save or dose page (by its ImageType) may show the patient's name in its pixels. "
            f"{LOOK}{OR_A_RULE}|screens",
        ),
        (
            {"SOPClassUID": CT, "ConversionType": "DF"},
            "an image that was scanned or digitised (by its ConversionType) may show the patient's name in its pixels. "
            f"{LOOK}{OR_A_RULE}|captured",
        ),
        (
            {"SOPClassUID": CT, "PhotometricInterpretation": "RGB"},
            "a colour image of a class that is greyscale is a capture of a screen and may show the patient's name. "
            f"{LOOK}{OR_A_RULE}|colour",
        ),
        (
            {"SOPClassUID": CT, "RecognizableVisualFeatures": "YES"},
            "an image says that the patient can be recognised in it (RecognizableVisualFeatures). "
            f"{LOOK} {IN_A_PROFILE}|visual-features",
        ),
        (
            {"SOPClassUID": "1.3.12.2.1107.5.9.1"},
            "an object is of a SOP class of its maker's own and may name the patient where nobody knows. "
            f"{LOOK} {IN_A_PROFILE}|private-classes",
        ),
        (
            {"SOPClassUID": ""},
            f"an object does not say its SOP class, so nobody knows what it holds. {LOOK} {IN_A_PROFILE}|no-class",
        ),
    ],
)
def test_what_may_identify_is_held_back_and_passed_on_when_the_profile_says_so(changes, reason):
    """Each group is held back with its sentence, and its name in the profile is what passes it on."""
    reason, group = reason.split("|")
    verdict = POLICY.decide(replace(CAPTURE, **changes))
    assert verdict == Verdict(False, reason.format(group))
    says = {"classes": {group: "keep"}}
    allowed = PixelPolicy.of(says).decide(replace(CAPTURE, **{"BurnedInAnnotation": "NO", **changes}))
    assert allowed == Verdict(True)


def test_a_dicomdir_is_made_anew():
    """A DICOMDIR, whose data set says no class, names every patient; the sentence says how a new one is made."""
    assert header(element(0x00041130, "CS", b"DOE"), EXPLICIT_LITTLE).SOPClassUID == DICOMDIR
    assert POLICY.decide(Header(SOPClassUID=DICOMDIR)).reason == (
        "a DICOMDIR names every patient and file of its medium. It is made anew from the result: qa-fetch dicomdir."
    )


@pytest.mark.parametrize(
    ("image_type", "held"),
    [
        (("DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"), True),
        (("DERIVED", "SECONDARY", "SCREEN_SAVE"), True),
        (("ORIGINAL", "SECONDARY", "DOSE_INFO"), True),
        (("DERIVED", "SECONDARY", "DRR"), False),
        (("ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"), False),
        (("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 SPI"), False),
        (("DERIVED", "SECONDARY", "MPR"), False),
    ],
)
def test_pages_drawn_for_a_screen_are_told_from_computed_images(image_type, held):
    """Screen saves and dose pages are held back; DRRs, portal dose and reformatted images are not."""
    assert POLICY.decide(replace(CAPTURE, SOPClassUID=CT, ImageType=image_type)).keep is not held


def test_a_portal_image_stored_as_a_secondary_capture_is_an_image():
    """Old imagers store portal images as secondary captures of modality RTIMAGE; their screen saves stay held back."""
    portal = replace(CAPTURE, Modality="RTIMAGE", ConversionType="DI")
    assert POLICY.decide(portal).keep
    assert not POLICY.decide(replace(portal, ImageType=("DERIVED", "SECONDARY", "SCREEN SAVE"))).keep


@pytest.mark.parametrize("end", ["481.1", "481.2", "481.3", "481.5", "2", "4", "128", "88.11", "11.1", "9.1.1", "66.1"])
def test_radiotherapy_objects_images_reports_and_waveforms_are_passed_on(end):
    """What a course consists of is passed on as it is."""
    assert POLICY.decide(replace(CAPTURE, SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{end}")) == Verdict(True)


def test_a_site_may_name_classes_by_keyword_and_by_uid_and_drop_what_is_kept():
    """Classes are named by keyword or UID; quarantine is another word for holding back."""
    says = {"SecondaryCaptureImageStorage": "keep", PDF: "keep", "RTPlanStorage": "quarantine", "1.3.12.2": "keep"}
    policy = pickle.loads(pickle.dumps(PixelPolicy.of({"classes": says})))
    assert policy.decide(CAPTURE).keep and policy.decide(replace(CAPTURE, SOPClassUID=PDF)).keep
    assert policy.decide(Header(SOPClassUID="1.3.12.2")).keep
    assert policy.decide(Header(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5")).reason == (
        "the profile holds objects of this SOP class back. Change its pixels.classes to pass them on."
    )
    assert not policy.decide(replace(CAPTURE, BurnedInAnnotation="YES")).keep  # another reason, not answered yet


def test_a_class_may_be_dropped_out_of_a_group_that_is_kept():
    """What is said of a class goes before what is said of its group."""
    policy = PixelPolicy.of({"classes": {"secondary-captures": "keep", "SecondaryCaptureImageStorage": "drop"}})
    assert not policy.decide(CAPTURE).keep
    assert policy.decide(replace(CAPTURE, SOPClassUID=SC + ".4")).keep


def test_ultrasound_that_is_kept_has_to_say_that_nothing_is_burned_in():
    """A site's keep passes ultrasound that says NO; the rest needs a device rule, which may be one without regions."""
    image = replace(CAPTURE, SOPClassUID=US)
    policy = PixelPolicy.of({"classes": {"ultrasound": "keep"}})
    assert policy.decide(replace(image, BurnedInAnnotation="NO")).keep
    assert policy.decide(image).reason == (
        "an ultrasound image usually shows the patient's name in its pixels, and this one does not say "
        "BurnedInAnnotation NO. Look at it, and write a rule for its device (pixels.devices) in a profile to pass such "
        "objects on."
    )
    assert PixelPolicy.of({"devices": [{**RULE, "regions": []}]}).decide(image) == Verdict(True)


def test_a_device_rule_turns_a_held_object_into_one_with_regions_blanked():
    """The rule of a device answers for its text, not for a recognisable face nor for documents."""
    policy = PixelPolicy.of({"devices": [RULE]})
    assert policy.decide(CAPTURE) == Verdict(True, "", (Region(0, 0, 8, 2),))
    assert policy.decide(replace(CAPTURE, BurnedInAnnotation="YES")).regions
    assert not policy.decide(replace(CAPTURE, RecognizableVisualFeatures="YES")).keep
    assert not policy.decide(replace(CAPTURE, SOPClassUID=PDF)).keep
    assert not policy.decide(replace(CAPTURE, Manufacturer="OTHER")).keep
    assert not policy.decide(replace(CAPTURE, pixels=0)).keep


def test_a_device_rule_is_only_for_its_modality_and_size():
    """Modality, rows and columns narrow a rule; the first rule that fits decides."""
    wide = {**RULE, "modality": "OT", "columns": 9, "regions": [[0, 0, 9, 1]]}
    policy = PixelPolicy.of({"devices": [wide, RULE]})
    assert policy.decide(replace(CAPTURE, Columns=9)).regions == (Region(0, 0, 9, 1),)
    assert policy.decide(CAPTURE).regions == (Region(0, 0, 8, 2),)
    assert not PixelPolicy.of({"devices": [{**RULE, "modality": "US"}]}).decide(CAPTURE).keep


HAND = "Leave it out, or blank it by hand."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"transfer_syntax": JPEG},
            "the text in an image's pixels cannot be blanked while they are compressed. "
            "Decompress it first (dcmdjpeg, dcmdjpls or dcmdrle), then anonymise it again.",
        ),
        ({"BitsAllocated": 1}, f"the text in an image's pixels cannot be blanked with BitsAllocated 1. {HAND}"),
        ({"BitsAllocated": 12}, f"the text in an image's pixels cannot be blanked with BitsAllocated 12. {HAND}"),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"},
            "the text in an image's pixels cannot be blanked with 3 samples and the PhotometricInterpretation "
            f"YBR_FULL_422. {HAND}",
        ),
        (
            {"PhotometricInterpretation": ""},
            "the text in an image's pixels cannot be blanked with 1 samples and the PhotometricInterpretation missing. "
            f"{HAND}",
        ),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "transfer_syntax": EXPLICIT_BIG},
            f"the text in an image's pixels cannot be blanked with YBR_FULL in big-endian words. {HAND}",
        ),
        (
            {"Rows": 0},
            "a region of a device rule lies outside of an image. "
            "Give rows and columns in the rule, and write another one for images of this size.",
        ),
    ],
)
def test_pixels_that_cannot_be_blanked_are_held_back(changes, reason):
    """Where a rule asks for blanking that is not possible, the object is held back and the sentence says why."""
    assert PixelPolicy.of({"devices": [RULE]}).decide(replace(CAPTURE, **changes)) == Verdict(False, reason)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"class": {}}, "pixels: 'class' is not a setting. Use [pixels.classes] and [[pixels.devices]]."),
        (
            {"classes": ["ultrasound"]},
            'pixels.classes: it is not a table. Write lines such as ultrasound = "keep" below it.',
        ),
        (
            {"classes": {"ultrasound": "pass"}},
            "pixels.classes.ultrasound: 'pass' is not an action. Use keep, drop or quarantine.",
        ),
        (
            {"classes": {"ultrasound": True}},
            "pixels.classes.ultrasound: True is not an action. Use keep, drop or quarantine.",
        ),
        (
            {"classes": {"CTImage": "keep"}},
            "pixels.classes.CTImage: it is no SOP class and no group. Use a keyword such as CTImageStorage, a UID, or "
            "one of secondary-captures, ultrasound, photographs, video, audio, documents, raw-data, prints, "
            "directories, burned-in, screens, captured, colour, visual-features, private-classes, no-class.",
        ),
        ({"devices": RULE}, "pixels.devices: it is not a list of rules. Write each as [[pixels.devices]]."),
        ({"devices": ["x"]}, "pixels.devices, rule 1: it is not a table. Write it as [[pixels.devices]]."),
        (
            {"devices": [RULE, {**RULE, "row": 4}]},
            "pixels.devices, rule 2: 'row' is not a setting. "
            "Use one of columns, manufacturer, modality, model, regions, rows.",
        ),
        (
            {"devices": [{"model": "x", "regions": []}]},
            "pixels.devices, rule 1: it does not name its device. Give manufacturer and model as text, * for any.",
        ),
        (
            {"devices": [{**RULE, "rows": 0}]},
            "pixels.devices, rule 1: rows and columns are the size of an image. Give whole numbers above 0.",
        ),
        (
            {"devices": [{"manufacturer": "a", "model": "b"}]},
            "pixels.devices, rule 1: it has no regions. Give regions = [[x, y, width, height], ...], [] for no text.",
        ),
        (
            {"devices": [{**RULE, "regions": [[0, 0, 5]]}]},
            "pixels.devices, rule 1: [0, 0, 5] is not a region. Give [x, y, width, height] in whole pixels.",
        ),
        (
            {"devices": [{**RULE, "regions": [[0, -1, 5, 5]]}]},
            "pixels.devices, rule 1: [0, -1, 5, 5] is not a region. Give [x, y, width, height] in whole pixels.",
        ),
    ],
)
def test_mistakes_in_a_profile_are_one_sentence_each(table, message):
    """What is wrong in the [pixels] table is named, and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        PixelPolicy.of(table)
    assert str(caught.value) == message
