"""Profiles: what is done with an attribute by object and options, and what is wrong with a profile's file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from qa_fetch.anonymise import profile_file
from qa_fetch.anonymise.profile import Profile
from qa_fetch.anonymise.table import OPTION_CODES, Action, keywords
from qa_fetch.errors import ConfigError

CLASSES = {
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "enhanced ct": "1.2.840.10008.5.1.4.1.1.2.1",
    "pet": "1.2.840.10008.5.1.4.1.1.128",
    "us": "1.2.840.10008.5.1.4.1.1.6.1",
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "dose sr": "1.2.840.10008.5.1.4.1.1.88.67",
    "kos": "1.2.840.10008.5.1.4.1.1.88.59",
    "pdf": "1.2.840.10008.5.1.4.1.1.104.1",
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "reg": "1.2.840.10008.5.1.4.1.1.66.1",
    "rtimage": "1.2.840.10008.5.1.4.1.1.481.1",
    "rtdose": "1.2.840.10008.5.1.4.1.1.481.2",
    "rtstruct": "1.2.840.10008.5.1.4.1.1.481.3",
    "rtplan": "1.2.840.10008.5.1.4.1.1.481.5",
    "ion plan": "1.2.840.10008.5.1.4.1.1.481.8",
    "record": "1.2.840.10008.5.1.4.1.1.481.4",
    "summary": "1.2.840.10008.5.1.4.1.1.481.7",
    "unknown": "1.2.3.4",
}


def _profile(folder: Path, text: str, name: str = "site.toml") -> Profile:
    return Profile.load(_written(folder, text, name))


def _written(folder: Path, text: str, name: str = "site.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _rule(profile: Profile, keyword: str, sop_class: str = "ct") -> Action:
    return profile.rules(CLASSES[sop_class])[keywords()[keyword]]


@pytest.mark.parametrize(
    ("keyword", "sop_class", "action"),
    [
        ("StudyDate", "ct", Action.EMPTY),
        ("ContentDate", "ct", Action.EMPTY),
        ("ContentDate", "rtimage", Action.EMPTY),
        ("ContentDate", "pdf", Action.EMPTY),
        ("ContentDate", "enhanced ct", Action.DUMMY),
        ("ContentDate", "sr", Action.DUMMY),
        ("ContentDate", "kos", Action.DUMMY),
        ("ContentDate", "seg", Action.DUMMY),
        ("ContentDate", "reg", Action.DUMMY),
        ("ContentDate", "unknown", Action.DUMMY),
        ("AcquisitionDate", "ct", Action.REMOVE),
        ("AcquisitionDate", "pet", Action.EMPTY),
        ("AcquisitionDate", "unknown", Action.EMPTY),
        ("AcquisitionDateTime", "ct", Action.REMOVE),
        ("AcquisitionDateTime", "pdf", Action.EMPTY),
        ("AcquisitionDateTime", "enhanced ct", Action.DUMMY),
        ("AcquisitionDateTime", "us", Action.DUMMY),
        ("SeriesDate", "ct", Action.REMOVE),
        ("SeriesDate", "pet", Action.DUMMY),
        ("SeriesDate", "rtplan", Action.REMOVE),
        ("OperatorsName", "ct", Action.REMOVE),
        ("OperatorsName", "rtdose", Action.EMPTY),
        ("OperatorsName", "rtstruct", Action.EMPTY),
        ("OperatorsName", "unknown", Action.DUMMY),
        ("DeviceSerialNumber", "enhanced ct", Action.DUMMY),
        ("DeviceSerialNumber", "dose sr", Action.DUMMY),
        ("DeviceSerialNumber", "rtdose", Action.REMOVE),
        ("DeviceSerialNumber", "record", Action.EMPTY),
        ("TreatmentMachineName", "rtplan", Action.EMPTY),
        ("TreatmentMachineName", "ion plan", Action.EMPTY),
        ("TreatmentMachineName", "rtdose", Action.REMOVE),
        ("SourceSerialNumber", "record", Action.EMPTY),
        ("ReviewerName", "rtplan", Action.EMPTY),
        ("ReviewerName", "ct", Action.REMOVE),
        ("RTPlanDate", "rtplan", Action.DUMMY),
        ("RTPlanDate", "ct", Action.REMOVE),
        ("TreatmentDate", "record", Action.DUMMY),
        ("FirstTreatmentDate", "summary", Action.DUMMY),
        ("ReferencedPerformedProcedureStepSequence", "sr", Action.EMPTY),
        ("ReferencedPerformedProcedureStepSequence", "enhanced ct", Action.DUMMY),
        ("ReferencedPerformedProcedureStepSequence", "ct", Action.REMOVE),
        ("InstitutionName", "rtdose", Action.REMOVE),
        ("InstitutionName", "record", Action.DUMMY),
        ("StationName", "ct", Action.REMOVE),
        ("StationName", "sr", Action.EMPTY),
        ("ProtocolName", "ct", Action.REMOVE),
        ("ProtocolName", "unknown", Action.DUMMY),
        ("BarcodeValue", "ct", Action.REMOVE),
        ("PatientSexNeutered", "ct", Action.EMPTY),
        ("PatientID", "ct", Action.DUMMY),
        ("TreatmentSite", "rtdose", Action.DUMMY),
        ("ReferencedImageSequence", "ct", Action.UID),
        ("SourceImageSequence", "unknown", Action.UID),
        ("ReferencedStudySequence", "ct", Action.REMOVE),
        ("SOPInstanceUID", "ct", Action.UID),
        ("AffectedSOPInstanceUID", "ct", Action.REMOVE),
        ("AnnotationGroupUID", "ct", Action.UID),
        ("BeamName", "rtplan", Action.CLEAN),
        ("DoseComment", "rtdose", Action.REMOVE),
        ("RadiationMachineName", "rtimage", Action.EMPTY),
        ("PatientBirthDateInAlternativeCalendar", "ct", Action.REMOVE),
    ],
)
def test_the_basic_profile_takes_the_mildest_letter_that_is_valid(keyword: str, sop_class: str, action: Action) -> None:
    """Of the standard's combined letters, the class of the object decides; one nobody knows gets the last."""
    assert _rule(Profile.load("basic"), keyword, sop_class) is action


@pytest.mark.parametrize(
    ("options", "keyword", "action"),
    [
        ("retain-uids", "SOPInstanceUID", Action.KEEP),
        ("retain-uids", "DigitalSignatureUID", Action.UID),
        ("retain-device-identity", "StationName", Action.KEEP),
        ("retain-device-identity", "StationAETitle", Action.CLEAN),
        ("retain-device-identity", "DeviceUID", Action.KEEP),
        ("retain-device-identity", "RadiationMachineName", Action.KEEP),
        ("retain-device-identity", "DateOfLastCalibration", Action.KEEP),
        ("retain-device-identity retain-longitudinal-modified-dates", "DateOfLastCalibration", Action.CLEAN),
        ("retain-device-identity retain-longitudinal-full-dates", "DateOfLastCalibration", Action.KEEP),
        ("retain-longitudinal-full-dates", "StudyDate", Action.KEEP),
        ("retain-longitudinal-modified-dates", "StudyDate", Action.CLEAN),
        ("retain-longitudinal-modified-dates", "PatientBirthDate", Action.EMPTY),
        ("retain-institution-identity", "InstitutionName", Action.KEEP),
        ("retain-patient-characteristics", "PatientSex", Action.KEEP),
        ("retain-patient-characteristics", "Allergies", Action.CLEAN),
        ("clean-descriptors", "StudyDescription", Action.CLEAN),
        ("clean-descriptors", "ROIName", Action.CLEAN),
        ("clean-descriptors", "DoseComment", Action.CLEAN),
        ("clean-descriptors", "PatientComments", Action.CLEAN),
        ("clean-structured-content", "ContentSequence", Action.CLEAN),
        ("clean-graphics", "GraphicAnnotationSequence", Action.CLEAN),
        ("retain-safe-private", "StudyDescription", Action.REMOVE),
    ],
)
def test_options_change_what_they_are_about(tmp_path: Path, options: str, keyword: str, action: Action) -> None:
    """An option keeps or cleans its attributes, and a date that one option keeps and another moves is moved."""
    profile = _profile(tmp_path, f"options = {options.split()}")
    assert _rule(profile, keyword) is action


def test_basic_has_no_option() -> None:
    """The basic profile has one code, dates are removed, and nothing is replaced."""
    profile = Profile.load("basic")
    assert (profile.name, profile.options, profile.dates) == ("basic", frozenset(), "remove")
    assert profile.codes == (("113100", "Basic Application Confidentiality Profile"),)
    assert (profile.replacements, profile.pixels) == ({}, {})


def test_research_rt_says_what_it_is() -> None:
    """The profile for research moves dates, keeps what patients and machines are like, and cleans descriptions."""
    profile = Profile.load("research-rt")
    assert profile.name == "research-rt"
    assert profile.dates == "shift"
    assert profile.codes == (
        ("113100", "Basic Application Confidentiality Profile"),
        ("113105", "Clean Descriptors Option"),
        ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        ("113108", "Retain Patient Characteristics Option"),
        ("113109", "Retain Device Identity Option"),
        ("113111", "Retain Safe Private Option"),
    )
    wanted = {
        "PatientBirthDate": Action.CLEAN,
        "PatientSex": Action.KEEP,
        "StudyDate": Action.CLEAN,
        "TreatmentMachineName": Action.KEEP,
        "RTPlanLabel": Action.CLEAN,
        "OperatorsName": Action.EMPTY,
        "PatientName": Action.EMPTY,
        "InstitutionName": Action.REMOVE,
    }
    assert {keyword: _rule(profile, keyword, "rtplan") for keyword in wanted} == wanted


def test_every_option_has_its_code(tmp_path: Path) -> None:
    """All ten options can be asked for, and each adds the code of CID 7050."""
    asked = [option for option in OPTION_CODES if option != "retain-longitudinal-full-dates"]
    profile = _profile(tmp_path, f"options = {asked}")
    codes = [str(number) for number in (113100, 113103, 113104, 113105, 113107, 113108, 113109, 113110, 113111, 113112)]
    assert [code for code, _ in profile.codes] == codes
    assert _profile(tmp_path, 'dates = "keep"').codes[1][0] == "113106"


def test_classes_of_one_kind_share_their_rules() -> None:
    """Rules are made once for each kind of object, and once for all classes nobody knows."""
    profile = Profile.load("basic")
    assert profile.rules(CLASSES["rtplan"]) is profile.rules(CLASSES["ion plan"])
    assert profile.rules("1.2.3") is profile.rules("")
    assert profile.rules(CLASSES["rtplan"]) is not profile.rules("")


def test_overlays_and_curves(tmp_path: Path) -> None:
    """Overlays go whole, since their rest would not be valid; a site may keep them; other groups have no such rule."""
    basic = Profile.load("basic")
    assert [basic.repeating(tag) for tag in (0x50000010, 0x60003000, 0x60024000, 0x60000010)] == [Action.REMOVE] * 4
    assert basic.repeating(0x00100010) is None
    cleaned = _profile(tmp_path, 'options = ["clean-graphics"]')
    assert cleaned.repeating(0x60003000) is Action.REMOVE
    assert cleaned.repeating(0x50023000) is Action.CLEAN
    kept = _profile(tmp_path, '[attributes]\n"60xx,3000" = "keep"')
    wanted = [Action.KEEP, Action.REMOVE, None]
    assert [kept.repeating(tag) for tag in (0x601E3000, 0x60004000, 0x60000010)] == wanted


def test_private_elements_go_unless_they_are_safe(tmp_path: Path) -> None:
    """Without the option nothing private stays; with it, the elements of private.csv do, UIDs among them mapped."""
    dose = ("ELSCINT1", 0x00E1_0000 | 0x21)
    assert Profile.load("basic").private(*dose) is None
    safe = Profile.load("research-rt")
    assert safe.private(*dose) == (Action.CLEAN, b"DS")
    assert safe.private("ELSCINT1", 0x00E1_0022) is None
    assert safe.private("NOBODY", 0x00E1_0021) is None


def test_a_site_names_private_creators(tmp_path: Path) -> None:
    """Single elements and whole creators can be kept or removed, over the list of safe ones."""
    profile = _profile(
        tmp_path,
        """
        extends = "research-rt"
        [private."OUR LINAC"]
        "3253,xx01" = {vr = "DS"}
        "3253,xx02" = {vr = "UI"}
        "3253,xx03" = "blank"
        [private]
        "VARIAN Medical Systems" = "keep"
        ELSCINT1 = "remove"
        """,
    )
    assert profile.private("OUR LINAC", 0x32530001) == (Action.CLEAN, b"DS")
    assert profile.private("OUR LINAC", 0x32530002) == (Action.UID, b"UI")
    assert profile.private("OUR LINAC", 0x32530003) == (Action.EMPTY, b"")
    assert profile.private("OUR LINAC", 0x32530004) is None
    assert profile.private("VARIAN Medical Systems", 0x32530004) == (Action.CLEAN, b"")
    assert profile.private("ELSCINT1", 0x00E10021) == (Action.REMOVE, b"")
    uids = _profile(tmp_path, 'options = ["retain-uids"]\n[private.X]\n"0009,xx01" = {vr = "UI"}')
    assert uids.private("X", 0x00090001) == (Action.KEEP, b"UI")


def test_a_sites_profile_extends_another(tmp_path: Path) -> None:
    """A file starts from the one it extends: lists of options are replaced, dates and single rules overridden."""
    _written(
        tmp_path, 'extends = "research-rt"\n[attributes]\nStationName = "replace:LINAC"\nPatientSex = "blank"', "a.toml"
    )
    profile = _profile(
        tmp_path,
        'extends = "a.toml"\noptions = ["clean-descriptors"]\n[attributes]\nPatientSex = "keep"\n[pixels]\nask = true',
    )
    assert profile.options == {"clean-descriptors", "retain-longitudinal-modified-dates"}
    assert (profile.dates, profile.pixels, profile.name) == ("shift", {"ask": True}, "site")
    assert profile.replacements == {0x00081010: "LINAC"}
    assert _rule(profile, "StationName") is Action.REPLACE
    assert _rule(profile, "PatientSex") is Action.KEEP
    assert _rule(profile, "PatientBirthDate") is Action.CLEAN
    again = _profile(tmp_path, 'extends = "a.toml"\ndates = "remove"\n[attributes]\nStationName = "remove"', "b.toml")
    assert (again.dates, again.replacements) == ("remove", {})


@pytest.mark.parametrize("dates", ["keep", "remove"])
def test_a_birth_date_is_moved_or_goes(tmp_path: Path, dates: str) -> None:
    """Where dates are not moved, a date of birth that was to be moved is emptied: it never stays as it is."""
    profile = _profile(tmp_path, f'extends = "research-rt"\ndates = "{dates}"')
    assert _rule(profile, "PatientBirthDate") is Action.EMPTY


def test_attributes_are_named_by_keyword_or_tag(tmp_path: Path) -> None:
    """A tag with or without brackets and a keyword outside the tables mean their attribute, at every depth."""
    profile = _profile(
        tmp_path,
        """
        [attributes]
        "0008,1030" = "keep"
        "(0008,103e)" = "keep"
        PatientPosition = "remove"
        "300A,00C2" = {replace = "Field"}
        PatientBirthDate = "replace:19700101"
        PatientName = "replace:Phantom"
        "7776,0001" = "remove"
        """,
    )
    rules = profile.rules(CLASSES["ct"])
    tags = (0x00081030, 0x0008103E, 0x00185100, 0x300A00C2, 0x00100030, 0x00100010, 0x77760001)
    keep, remove, replaced = Action.KEEP, Action.REMOVE, Action.REPLACE
    assert [rules[tag] for tag in tags] == [keep, keep, remove, replaced, replaced, replaced, remove]
    assert profile.replacements == {0x300A00C2: "Field", 0x00100030: "19700101", 0x00100010: "Phantom"}


def test_the_example_in_basic_toml_is_a_profile(tmp_path: Path) -> None:
    """What basic.toml shows in remarks can be taken out of them and is a profile."""
    text = (Path(profile_file.__file__).parent / "profiles" / "basic.toml").read_text(encoding="utf-8")
    example = text[text.index("# extends") : text.index("# What says")]
    profile = _profile(tmp_path, "\n".join(line[2:] for line in example.splitlines()))
    assert profile.options == set(OPTION_CODES) - {"retain-longitudinal-full-dates"}
    assert profile.private("SIEMENS MED NM", 0x00210010) == (Action.CLEAN, b"DS")
    assert profile.repeating(0x60003000) is Action.KEEP


IDENTITY = 'cannot stay: it says who the patient is. Use blank, remove or "replace:VALUE".'
CODED = 'the patient\'s code stands in it. Take the line out, or use "replace:VALUE".'
UID_RULE = (
    "is a UID, and others refer to it; it cannot have a rule of its own. "
    "All UIDs are mapped, or kept with the option retain-uids."
)
ACTIONS = 'expected keep, blank, remove, clean or "replace:VALUE".'
PRIVATE = 'expected keep, blank, remove or a VR such as {vr = "DS"}.'
OPTIONS = ", ".join(OPTION_CODES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "option = []",
            "option is not a setting of a profile; "
            "expected one of extends, options, dates, attributes, private, pixels. Did you mean options?",
        ),
        ("attributes = 1", "attributes is 1; expected a table [attributes]."),
        ("private = []", "private is []; expected a table [private]."),
        ("pixels = 'no'", "pixels is 'no'; expected a table [pixels]."),
        ("extends = 1", "extends is 1; expected basic, research-rt or the path of a TOML file."),
        ("options = 'all'", "options is 'all'; expected a list such as [\"clean-descriptors\"]."),
        ("options = [1]", 'options is [1]; expected a list such as ["clean-descriptors"].'),
        (
            "options = ['retain-uid']",
            f"'retain-uid' is not an option; expected one of {OPTIONS}. Did you mean retain-uids?",
        ),
        (
            "options = ['retain-longitudinal-modified-dates', 'retain-longitudinal-full-dates']",
            "retain-longitudinal-full-dates and retain-longitudinal-modified-dates exclude each other; "
            "keep one of them.",
        ),
        ("dates = 'move'", "dates is 'move'; expected one of remove, shift, keep. Did you mean remove?"),
        (
            "dates = 'remove'\noptions = ['retain-longitudinal-full-dates']",
            "dates is 'remove' and the options name retain-longitudinal-full-dates; say it once.",
        ),
        (
            "[attributes]\nPatientNaem = 'blank'",
            "'PatientNaem' is not the keyword of an attribute; expected one such as StudyDescription, "
            'or its tag such as "0008,1030".',
        ),
        (
            "[attributes]\n'0019,100C' = 'keep'",
            "'0019,100C' is private; write it below [private.\"CREATOR\"], by the name of its creator.",
        ),
        (
            "[attributes]\n'6000,3000' = 'keep'",
            "'6000,3000' is one of a repeating group; expected one of 50xx,xxxx, 60xx,3000, 60xx,4000.",
        ),
        ("[attributes]\nPatientSex = 'hide'", f"PatientSex is 'hide'; {ACTIONS}"),
        ("[attributes]\nPatientSex = 1", f"PatientSex is 1; {ACTIONS}"),
        ("[attributes]\n'60xx,3000' = 'replace:X'", f"60xx,3000 is 'replace:X'; {ACTIONS}"),
        ("[attributes]\nPatientSex = {value = 'M'}", f"PatientSex is {{'value': 'M'}}; {ACTIONS}"),
        ("[attributes]\nPatientName = 'keep'", f"PatientName cannot be made keep: {CODED}"),
        ("[attributes]\n'0010,0020' = 'remove'", f"0010,0020 cannot be made remove: {CODED}"),
        ("[attributes]\nPatientAddress = 'keep'", f"PatientAddress {IDENTITY}"),
        ("[attributes]\nOtherPatientIDs = 'clean'", f"OtherPatientIDs {IDENTITY}"),
        ("[attributes]\nPatientBirthDate = 'keep'", f"PatientBirthDate {IDENTITY}"),
        ("[attributes]\nSOPInstanceUID = 'keep'", f"SOPInstanceUID {UID_RULE}"),
        ("[attributes]\nSOPClassUID = 'remove'", f"SOPClassUID {UID_RULE}"),
        (
            "[attributes]\nSpecificCharacterSet = 'blank'",
            "SpecificCharacterSet is needed to read the object; it cannot have a rule of its own.",
        ),
        (
            "[attributes]\nPixelData = 'blank'",
            "PixelData is needed to read the object; it cannot have a rule of its own.",
        ),
        (
            "[attributes]\nBeamSequence = 'replace:1'",
            "BeamSequence is of VR SQ and takes no text; expected keep, blank, remove or clean.",
        ),
        ("[attributes]\nStudyDate = 'replace:today'", "'today' is no value for StudyDate; expected one of VR DA."),
        ("[attributes]\nStudyID = {replace = 7}", "7 is no value for StudyID; expected one of VR SH."),
        ("[attributes]\nStudyID = 'replace:'", "'' is no value for StudyID; expected one of VR SH."),
        ("[attributes]\nStudyID = 'replace:A\\B'", "'A\\\\B' is no value for StudyID; expected one of VR SH."),
        ("[private]\nX = 'all'", f"private.\"X\" is 'all'; {PRIVATE}"),
        (
            "[private.X]\n'0019,100C' = 'keep'",
            'private."X" names \'0019,100C\'; expected a tag of an odd group such as "0019,xx0C".',
        ),
        (
            "[private.X]\n'0018,xx0C' = 'keep'",
            'private."X" names \'0018,xx0C\'; expected a tag of an odd group such as "0019,xx0C".',
        ),
        ("[private.X]\n'0019,xx0C' = {vr = 'XX'}", f"private.\"X\".\"0019,xx0C\" is {{'vr': 'XX'}}; {PRIVATE}"),
        ("[private.X]\n'0019,xx0C' = {vr = ['DS']}", f"private.\"X\".\"0019,xx0C\" is {{'vr': ['DS']}}; {PRIVATE}"),
        ("[private.X]\n'0019,xx0C' = 'replace:X'", f'private."X"."0019,xx0C" is \'replace:X\'; {PRIVATE}'),
    ],
)
def test_each_mistake_has_its_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """A mistake in a profile is refused with what is wrong and what was expected."""
    path = _written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        Profile.load(path)
    assert str(refused.value) == f"file {path}: {sentence}"


def test_a_name_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is shipped or a file; what is neither is refused, also where another file extends it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        Profile.load("reserch")
    sentence = "no profile is called 'reserch'; expected basic, research-rt or the path of a TOML file."
    assert str(refused.value) == sentence
    with pytest.raises(ConfigError) as refused:
        _profile(tmp_path, 'extends = "reserch"')
    assert str(refused.value) == sentence
    with pytest.raises(ConfigError) as refused:
        Profile.load("gone.toml")
    assert str(refused.value) == "file gone.toml: it cannot be read; No such file or directory."


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    """A circle of files ends in a sentence."""
    first = _written(tmp_path, 'extends = "b.toml"', "a.toml")
    second = _written(tmp_path, 'extends = "a.toml"', "b.toml")
    with pytest.raises(ConfigError) as refused:
        Profile.load(first)
    where = f"file {second.resolve()}"
    assert str(refused.value) == f"{where}: extends comes back to a.toml. Take that line out of one of them."


def test_a_profile_goes_to_other_processes(tmp_path: Path) -> None:
    """A pickled profile has the same rules and is equal."""
    profile = _profile(tmp_path, 'extends = "research-rt"\n[attributes]\nStationName = "replace:LINAC"')
    profile.rules(CLASSES["ct"])
    copy = pickle.loads(pickle.dumps(profile))
    assert copy == profile
    assert copy.rules(CLASSES["ct"]) == profile.rules(CLASSES["ct"])
    assert copy.private("ELSCINT1", 0x00E10021) == profile.private("ELSCINT1", 0x00E10021)


def test_the_shipped_profiles_load_without_pydicom() -> None:
    """Keywords and VRs come from the tables, so that reading a profile loads no dictionary."""
    code = (
        "import sys; from qa_fetch.anonymise.profile import Profile; "
        "sys.modules['pydicom'] = sys.modules['pydicom.datadict'] = None; "
        "print(len(Profile.load('research-rt').rules('')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 850
