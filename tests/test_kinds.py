"""What "portal", "kv" or "cbct" means."""

import pytest
from pydicom.dataset import Dataset

from qa_fetch import kinds
from qa_fetch.errors import ConfigError
from qa_fetch.kinds import kind

PORTAL = ["ORIGINAL", "PRIMARY", "PORTAL"]
DOSE = [*PORTAL, "ACQUIRED_DOSE"]
PREDICTED = ["DERIVED", "SECONDARY", "PORTAL", "PREDICTED_DOSE"]


def header(**attributes) -> Dataset:
    dataset = Dataset()
    exposure = attributes.pop("exposure_kvp", None)
    for keyword, value in {"Modality": "RTIMAGE", **attributes}.items():
        setattr(dataset, keyword, value)
    if exposure is not None:
        item = Dataset()
        item.KVP = exposure
        dataset.ExposureSequence = [item]
    return dataset


MV = header(ImageType=PORTAL, PrimaryDosimeterUnit="MU")
KV = header(ImageType=PORTAL, PrimaryDosimeterUnit="MINUTE")
BARE = header(ImageType=PORTAL)


def verdicts(dataset, *, whole):
    return {name for name in kinds.names() if kind(name).fits(dataset, whole=whole)}


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (MV, {"portal", "mv", "rtimage"}),
        (KV, {"kv", "rtimage"}),
        (BARE, {"portal", "mv", "rtimage"}),
        (header(ImageType=PORTAL, KVP="6000"), {"portal", "mv", "rtimage"}),
        (header(ImageType=PORTAL, KVP="120"), {"kv", "rtimage"}),
        (header(ImageType=PORTAL, exposure_kvp="120"), {"kv", "rtimage"}),
        (header(ImageType=PORTAL, exposure_kvp="0"), {"portal", "mv", "rtimage"}),
        (header(ImageType=PORTAL, exposure_kvp="", PrimaryDosimeterUnit="MU"), {"portal", "mv", "rtimage"}),
        (header(ImageType=PORTAL, exposure_kvp="120", PrimaryDosimeterUnit="MU"), {"portal", "mv", "rtimage"}),
        (header(ImageType=DOSE, PrimaryDosimeterUnit="MU"), {"portal_dose", "rtimage"}),
        (header(ImageType=PREDICTED), {"predicted_dose", "rtimage"}),
        (header(ImageType=["DERIVED", "SECONDARY", "DRR"]), {"drr", "rtimage"}),
        (header(ImageType=["ORIGINAL", "PRIMARY", "SIMULATOR"], KVP="70"), {"kv", "rtimage"}),
        (header(ImageType=["ORIGINAL", "PRIMARY", "RADIOGRAPH"]), {"rtimage"}),
        (header(ImageType=["ORIGINAL", "PRIMARY", "FLUENCE"], PrimaryDosimeterUnit="MU"), {"rtimage"}),
        (header(ImageType=["ORIGINAL", "PRIMARY"]), {"rtimage"}),
        (header(), {"rtimage"}),
        (header(Modality="RTPLAN"), {"plan"}),
        (header(Modality="RTDOSE"), {"dose"}),
        (header(Modality="RTSTRUCT"), {"structures"}),
        (header(Modality="RTRECORD"), {"record"}),
        (header(Modality="REG"), {"registration"}),
        (header(Modality="MR"), {"mr"}),
        (header(Modality="PT"), {"pet"}),
        (header(Modality="CT"), {"ct"}),
        (header(Modality="CT", ManufacturerModelName="On-board Imager"), {"cbct"}),
        (header(Modality="CT", ManufacturerModelName="XVI5"), {"cbct"}),
        (header(Modality="CT", ManufacturerModelName="MOBILETT"), {"ct"}),
        (header(Modality="CT", SeriesDescription="Pelvis cone-beam"), {"cbct"}),
        (header(Modality="CT", ProtocolName="CBCT Head"), {"cbct"}),
        (header(Modality="CT", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CBCT"]), {"cbct"}),
        (header(Modality="CT", ManufacturerModelName="SOMATOM go.Sim", SeriesDescription="Pelvis"), {"ct"}),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else "",
)
def test_a_whole_header_is_of_exactly_these_kinds(dataset, expected):
    """From an object's own header every kind has a plain yes or no."""
    assert verdicts(dataset, whole=True) == expected
    assert all(isinstance(kind(name).fits(dataset, whole=True), bool) for name in kinds.names())


@pytest.mark.parametrize(
    ("attributes", "portal", "kv", "dose"),
    [
        ({}, None, None, None),
        ({"ImageType": ""}, None, None, None),
        ({"ImageType": PORTAL}, None, None, False),
        ({"PrimaryDosimeterUnit": "MINUTE"}, None, None, None),
        ({"PrimaryDosimeterUnit": "MU"}, None, False, None),
        ({"ImageType": PORTAL, "PrimaryDosimeterUnit": "MU"}, True, False, False),
        ({"ImageType": PORTAL, "PrimaryDosimeterUnit": "MINUTE"}, False, True, False),
        ({"ImageType": PORTAL, "PrimaryDosimeterUnit": ""}, None, None, False),
        ({"ImageType": DOSE}, False, False, True),
        ({"Modality": "CT"}, False, False, False),
        ({"Modality": "", "ImageType": PORTAL, "PrimaryDosimeterUnit": "MU"}, True, False, False),
    ],
)
def test_an_archives_answer_that_leaves_attributes_out_stays_undecided(attributes, portal, kv, dose):
    """None sends the caller to the object itself; True and False are given only on evidence."""
    answer = header(**attributes)
    found = [kind(name).fits(answer, whole=False) for name in ("portal", "kv", "portal_dose")]
    assert found == [portal, kv, dose]


def test_a_ct_answer_without_a_model_stays_undecided():
    """Cone beam or not is in the device's model; an answer without it says neither."""
    answer = header(Modality="CT")
    assert [kind(name).fits(answer, whole=False) for name in ("ct", "cbct")] == [None, None]
    answer.ManufacturerModelName = "SOMATOM"
    assert [kind(name).fits(answer, whole=False) for name in ("ct", "cbct")] == [True, False]


def test_padding_and_small_letters_from_a_peer_do_not_hide_an_image():
    """Some peers leave NULs and spaces around code strings."""
    answer = {"Modality": "RTIMAGE\0", "ImageType": ["ORIGINAL ", "PRIMARY", "Portal\0"], "PrimaryDosimeterUnit": "MU "}
    assert kind("portal").fits(answer, whole=False) is True
    assert kind("portal").fits({**answer, "ImageType": "ORIGINAL\\PRIMARY\\PORTAL"}, whole=False) is True


def test_a_tube_voltage_that_is_no_number_is_not_known():
    """A peer's garbage must not stop the search for other images."""
    assert kind("portal").fits({"Modality": "RTIMAGE", "ImageType": PORTAL, "KVP": "n/a"}, whole=False) is None


def test_an_image_type_stands_for_exactly_that_type():
    """pynetdicom_wrapper's users name the ImageType itself; a dose image is then not a portal image."""
    exact = kind(r"ORIGINAL\PRIMARY\PORTAL")
    assert (exact.modality, exact.attributes) == ("RTIMAGE", ("ImageType",))
    found = [exact.fits(header(ImageType=value), whole=True) for value in (PORTAL, DOSE, PORTAL[:2], "")]
    assert found == [True, False, False, False]
    assert exact.fits(header(), whole=False) is None


def test_a_kind_may_be_written_as_people_write_it():
    """Capitals, spaces and hyphens do not matter, and a kind stands for itself."""
    assert kind("Portal dose") is kind("portal-dose") is kind("portal_dose") is kind(kind("PORTAL_DOSE"))


def test_a_kind_asks_for_what_its_rule_looks_at():
    """The attributes are what a query must have returned, or the rule can never say yes."""
    assert kind("portal").attributes == ("ImageType", "PrimaryDosimeterUnit")
    assert kind("plan").attributes == ()


def test_an_unknown_kind_names_the_kinds_there_are():
    """One line: what is wrong, then what can be written."""
    with pytest.raises(ConfigError) as caught:
        kind("potral")
    assert str(caught.value) == (
        "'potral' is not a kind of object. Use one of portal, portal_dose, predicted_dose, mv, kv, drr, rtimage, cbct, "
        "ct, mr, pet, plan, dose, structures, record, registration, or an ImageType such as ORIGINAL\\PRIMARY\\PORTAL."
    )
