"""DICOM attribute matching, PS3.4 C.2.2.2."""

import warnings
from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from qa_fetch.errors import ConfigError
from qa_fetch.matching import element_matches, matches, query, values
from qa_fetch.part10 import EXPLICIT_LITTLE, IMPLICIT_LITTLE, encode


def dataset(**attributes) -> Dataset:
    """A data set as a peer may send it: nothing is validated."""
    found = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in attributes.items():
            setattr(found, keyword, value)
    return found


def fits(keyword, wanted, value, **options):
    return matches(query("IMAGE", {keyword: wanted}), dataset(**{keyword: value}), **options)


@pytest.mark.parametrize(
    ("keyword", "wanted", "value", "verdict"),
    [
        # single values, PS3.4 C.2.2.2.1: with case, without padding
        ("PatientID", "QA_TB1", "QA_TB1", True),
        ("PatientID", "QA_TB1", "qa_tb1", False),
        ("PatientID", "QA_TB1", "QA_TB1 ", True),
        ("PatientID", "QA_TB1 ", "QA_TB1\0", True),
        ("PatientID", "QA", "QA_TB1", False),
        ("PatientID", "1.5", "1x5", False),
        # wild cards, C.2.2.2.4
        ("PatientID", "QA*", "QA_TB1", True),
        ("PatientID", "*TB?", "QA_TB1", True),
        ("PatientID", "QA?", "QA", False),
        ("PatientID", "**", "QA", True),
        ("PatientID", "[QA]*", "QA", False),
        ("StudyDescription", "*", "a\nb", True),
        ("ImageType", "*DOSE*", ["ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"], True),
        ("PatientID", "*" * 60 + "b", "a" * 64, False),
        # UIDs and lists of them, C.2.2.2.2; no wild cards there
        ("SOPInstanceUID", "1.2.3", "1.2.3\0", True),
        ("SOPInstanceUID", "1.2.3", "1.2.30", False),
        ("SOPInstanceUID", ["1.2.3", "1.2.4"], "1.2.4 ", True),
        ("SOPInstanceUID", ["1.2.3", "1.2.4"], "1.2.5", False),
        ("SOPInstanceUID", "1.2.*", "1.2.3", False),
        # dates and ranges with open ends, C.2.2.2.5
        ("StudyDate", "20251103", "20251103", True),
        ("StudyDate", "20251103", "20251104", False),
        ("StudyDate", "20251103", "2025.11.03", True),
        ("StudyDate", date(2025, 11, 3), "20251103", True),
        ("StudyDate", "20251101-20251103", "20251103", True),
        ("StudyDate", "20251101-20251103", "20251101", True),
        ("StudyDate", "20251101-20251103", "20251104", False),
        ("StudyDate", "20251101-20251103", "20251031", False),
        ("StudyDate", "20251101-", "20251104", True),
        ("StudyDate", "20251101-", "20251031", False),
        ("StudyDate", "-20251103", "19990101", True),
        ("StudyDate", "-20251103", "20251104", False),
        ("StudyDate", "2025.11.01-2025.11.03", "20251102", True),
        # times: a key covers what its precision leaves open
        ("StudyTime", "10", "103000", True),
        ("StudyTime", "1030", "103059.999999", True),
        ("StudyTime", "1030", "103100", False),
        ("StudyTime", "103000", "1030", True),
        ("StudyTime", "103000.000", "103000", True),
        ("StudyTime", "103000.5", "103000", False),
        ("StudyTime", "103001", "1030", False),
        ("StudyTime", "10:30:00", "103000", True),
        ("StudyTime", time(10, 30), "103000", True),
        ("StudyTime", "0900-1030", "103059", True),
        ("StudyTime", "0900-1030", "103100", False),
        ("StudyTime", "0900-1030", "0859", False),
        ("StudyTime", "1030-", "10", True),
        ("StudyTime", "1030-", "09", False),
        ("StudyTime", "-103000.5", "103000.6", False),
        ("StudyTime", "-103000.5", "103000", True),
        # date-times, with offsets from UTC
        ("AcquisitionDateTime", "20251103", "20251103103000.5", True),
        ("AcquisitionDateTime", "20251103-20251104", "20251104235959", True),
        ("AcquisitionDateTime", "20251103-20251104", "20251105000000", False),
        ("AcquisitionDateTime", "2024-2025", "20250101000000", True),
        ("AcquisitionDateTime", "2024-2025", "20260101000000", False),
        ("AcquisitionDateTime", "-20251103", "20251102", True),
        ("AcquisitionDateTime", "20251103103000-0500", "20251103103000-0500", True),
        ("AcquisitionDateTime", "20251103103000-0500", "20251103163000+0100", True),
        ("AcquisitionDateTime", "20251103103000-0500", "20251103103000+0100", False),
        ("AcquisitionDateTime", "20251103103000-0500-", "20251103163001+0100", True),
        ("AcquisitionDateTime", "-20251103103000-0500", "20251103163001+0100", False),
        ("AcquisitionDateTime", "20251103103000-0500", "20251103103000", True),
        # names: no case, no trailing carets, any group of them
        ("PatientName", "doe^john", "DOE^John", True),
        ("PatientName", "DOE^JOHN", "Doe^John^^^", True),
        ("PatientName", "DOE^JOHN^^^", "Doe^John", True),
        ("PatientName", "DOE ^JOHN", "Doe^John ", True),
        ("PatientName", "DOE", "Doe^John", False),
        ("PatientName", "DOE*", "Doe^John", True),
        ("PatientName", "DOE^*", "Doe", True),
        ("PatientName", "DOE^*", "Doering^John", False),
        ("PatientName", "*JOHN", "Doe^John", True),
        ("PatientName", "STRASSE", "Straße", True),
        ("PatientName", "山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "YAMADA^TAROU=山田^太郎", "Yamada^Tarou=山田^太郎=", True),
        ("PatientName", "YAMADA^TAROU=山田^花子", "Yamada^Tarou=山田^太郎", False),
        # several values: an exact list where objects hold several, alternatives where they hold one
        ("ImageType", ["ORIGINAL", "PRIMARY", "PORTAL"], ["ORIGINAL", "PRIMARY", "PORTAL"], True),
        ("ImageType", ["ORIGINAL", "PRIMARY", "PORTAL"], ["ORIGINAL", "PRIMARY", "PORTAL", "ACQUIRED_DOSE"], False),
        ("ImageType", ["ORIGINAL", "PRIMARY"], ["PRIMARY", "ORIGINAL"], False),
        ("ImageType", "PORTAL", ["ORIGINAL", "PRIMARY", "PORTAL"], True),
        ("ModalitiesInStudy", "CT", ["RTPLAN", "CT"], True),
        ("ModalitiesInStudy", ["CT", "MR"], ["RTPLAN", "CT"], True),
        ("ModalitiesInStudy", ["CT", "MR"], ["RTPLAN"], False),
        ("Modality", ["CT", "MR"], "CT", True),
        ("Modality", ["CT", "MR"], "PT", False),
        # numbers compare by value
        ("InstanceNumber", 7, "07", True),
        ("InstanceNumber", "7", "7 ", True),
        ("InstanceNumber", 7, 70, False),
        ("GantryAngle", "90", "90.0", True),
        ("GantryAngle", 90.5, "90.50", True),
        ("GantryAngle", "90", "90.1", False),
        ("ImagePlanePixelSpacing", [0.4, 0.4], ["0.40", "0.4"], True),
        ("ImagePlanePixelSpacing", [0.4, 0.4], ["0.40", "0.5"], False),
        ("Rows", 1024, 1024, True),
        ("DistanceSourceToDetector", 1500, 1500.0, True),
        # no value in the key asks for nothing
        ("PatientID", "", "x", True),
        ("PatientID", None, "", True),
        ("PatientID", "*", "", True),
        ("PatientID", " ", "x", True),
        ("InstanceNumber", None, 7, True),
        ("ReferencedRTPlanSequence", None, [], True),
    ],
)  # fmt: skip
def test_one_key_against_one_value(keyword, wanted, value, verdict):
    """Every rule of PS3.4 C.2.2.2, and what peers make of them."""
    assert fits(keyword, wanted, value) is verdict


@pytest.mark.parametrize(("candidate", "whole", "verdict"), [
    ({}, False, None),
    ({"RTPlanLabel": ""}, False, None),
    ({"RTPlanLabel": "\0"}, False, None),
    ({}, True, False),
    ({"RTPlanLabel": ""}, True, False),
    ({"RTPlanLabel": "WL"}, True, True),
])  # fmt: skip
def test_silence_is_no_answer_from_an_archive_and_a_no_from_an_object(candidate, whole, verdict):
    """An archive that leaves an attribute out has not said that the object lacks it; an object's header has."""
    assert matches(query("IMAGE", {"RTPlanLabel": "WL"}), dataset(**candidate), whole=whole) is verdict


def test_one_no_outweighs_what_is_not_known():
    """None only when nothing speaks against."""
    keys = query("IMAGE", {"RTPlanLabel": "WL", "PatientID": "A"})
    assert matches(keys, dataset(PatientID="B")) is False
    assert matches(keys, dataset(PatientID="A")) is None
    assert matches(keys, dataset(PatientID="A", RTPlanLabel="WL")) is True


def test_attributes_about_the_query_itself_are_not_matched():
    """Level and character set describe the question."""
    keys = query("SERIES", {"PatientName": "Müller"})
    keys.TimezoneOffsetFromUTC = "+0100"
    assert (keys.QueryRetrieveLevel, keys.SpecificCharacterSet) == ("SERIES", "ISO_IR 192")
    assert matches(keys, dataset(PatientName="MÜLLER", SpecificCharacterSet="ISO_IR 100")) is True


PLAN = {"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": "1.2.3"}}


@pytest.mark.parametrize(
    ("uids", "verdict"), [(["1.2.3\0"], True), (["9", "1.2.3"], True), (["9"], False), ([], None), (None, None)]
)
def test_a_sequence_fits_when_one_of_its_items_does(uids, verdict):
    """PS3.4 C.2.2.2.6: any item; and no items say nothing."""
    candidate = Dataset()
    if uids is not None:
        candidate.ReferencedRTPlanSequence = [dataset(ReferencedSOPInstanceUID=uid) for uid in uids]
    assert matches(query("IMAGE", PLAN), candidate) is verdict
    assert matches(query("IMAGE", PLAN), candidate, whole=True) is (verdict or False)


def test_an_item_that_does_not_say_leaves_the_sequence_open():
    """The plan reference may be there with the UID left out."""
    candidate = Dataset()
    candidate.ReferencedRTPlanSequence = [dataset(ReferencedSOPClassUID="1.2"), dataset(ReferencedSOPInstanceUID="9")]
    assert matches(query("IMAGE", PLAN), candidate) is None


def test_all_keys_of_an_item_must_fit_one_and_the_same_item():
    """Two halves from two items make no match."""
    keys = query("IMAGE", {"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": "1", "ReferencedSOPClassUID": "2"}})
    split, joined = Dataset(), Dataset()
    split.ReferencedRTPlanSequence = [
        dataset(ReferencedSOPInstanceUID="1", ReferencedSOPClassUID="x"),
        dataset(ReferencedSOPInstanceUID="x", ReferencedSOPClassUID="2"),
    ]
    joined.ReferencedRTPlanSequence = [dataset(ReferencedSOPInstanceUID="1", ReferencedSOPClassUID="2")]
    assert (matches(keys, split), matches(keys, joined)) == (False, True)


def test_an_item_with_empty_keys_only_asks_for_a_return():
    """It fits everything, also objects without the sequence."""
    keys = query("IMAGE", {"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": ""}})
    assert matches(keys, Dataset(), whole=True) is True


@pytest.mark.parametrize(("keyword", "raw"), [("InstanceNumber", b"abc "), ("GantryAngle", b"12,5"), ("Rows", b"123")])
def test_bytes_that_are_no_value_say_nothing(keyword, raw):
    """A peer's garbage must not stop a search."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword))
    answer = Dataset()
    answer[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, False, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert matches(query("IMAGE", {keyword: 12}), answer) in (None, False)


def test_numbers_that_are_none_are_not_all_alike():
    """Two texts that are no numbers are equal only if they are the same text."""
    from qa_fetch.matching import _one

    assert [_one("IS", "abc", other) for other in ("xyz", "abc ")] == [False, True]
    assert _one("UV", 2**63, 2**63 + 1) is False, "not rounded to a float"
    assert _one("FL", 0.1, 0.10000000149011612) is True, "as precise as the wire"


def test_values_come_as_a_list_however_many_there_are():
    """None, empty, padded, one, several, a name, an item."""
    found = dataset(
        PatientID="", StudyID=" ", Modality="CT", PatientName="Doe^J", ImageType=["A", "B"], InstanceNumber=None
    )
    found.ReferencedRTPlanSequence = [Dataset()]
    keywords = ("PatientID", "StudyID", "Modality", "ImageType", "InstanceNumber")
    assert [values(found[keyword]) for keyword in keywords] == [[], [], ["CT"], ["A", "B"], []]
    assert [str(name) for name in values(found["PatientName"])] == ["Doe^J"]
    assert len(values(found["ReferencedRTPlanSequence"])) == 1


# Laws

LETTERS = st.characters(min_codepoint=33, max_codepoint=126, blacklist_characters="\\=^")
PLAIN = st.text(LETTERS, min_size=1, max_size=16)
DATE = st.dates().map(lambda day: f"{day:%Y%m%d}".zfill(8))
TIME = st.times().map(lambda at: f"{at:%H%M%S.%f}") | st.sampled_from(["10", "1030", "103059", "103059.5"])
VALUES = {
    "PatientID": PLAIN,
    "PatientName": st.lists(PLAIN, min_size=1, max_size=5).map("^".join),
    "Modality": st.sampled_from(["CT", "RTIMAGE"]),
    "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "PORTAL", "DOSE"]), min_size=1, max_size=4),
    "StudyDate": DATE,
    "StudyTime": TIME,
    "AcquisitionDateTime": st.tuples(DATE, TIME, st.sampled_from(["", "+0100", "-0500", "-0000"])).map("".join),
    "StudyInstanceUID": st.lists(st.integers(0, 10**6).map(str), min_size=1, max_size=5).map(".".join),
    "InstanceNumber": st.integers(-(2**31), 2**31 - 1),
    "GantryAngle": st.integers(0, 3600).map(lambda tenth: str(tenth / 10)),
    "Rows": st.integers(0, 65535),
}
OBJECTS = st.fixed_dictionaries({}, optional=VALUES)


@given(OBJECTS, st.sets(st.sampled_from(sorted(VALUES))), st.booleans())
def test_keys_taken_from_an_object_fit_that_object(attributes, chosen, nested):
    """Whatever it holds, also inside an item, and as it comes off the wire."""
    found = dataset(**attributes)
    keys = dataset(**{keyword: attributes[keyword] for keyword in chosen if keyword in attributes})
    if nested:
        inside, found, keys_inside, keys = found, Dataset(), keys, Dataset()
        found.ReferencedRTPlanSequence, keys.ReferencedRTPlanSequence = [Dataset(), inside], [keys_inside]
    assert matches(keys, found) is True
    assert matches(keys, found, whole=True) is True


@given(st.tuples(DATE, DATE, DATE))
def test_a_range_of_dates_holds_what_lies_between_its_ends(days):
    """Closed, open below, open above, and open on both sides."""
    low, high, day = days
    assert fits("StudyDate", f"{low}-{high}", day) is (low <= day <= high)
    assert fits("StudyDate", f"{low}-", day) is (low <= day)
    assert fits("StudyDate", f"-{high}", day) is (day <= high)
    assert fits("StudyDate", "-", day) is True


@given(st.tuples(st.times(), st.times(), st.times()))
def test_a_range_of_times_holds_what_lies_between_its_ends(times):
    """Written to the microsecond, a range is the comparison of the times."""
    low, high, at = (f"{moment:%H%M%S.%f}" for moment in times)
    assert fits("StudyTime", f"{low}-{high}", at) is (times[0] <= times[2] <= times[1])
    assert fits("StudyTime", f"{low}-", at) is (times[0] <= times[2])
    assert fits("StudyTime", f"-{high}", at) is (times[2] <= times[1])


def test_a_query_of_many_stars_is_answered_at_once():
    """A peer must not be able to keep the node busy for years; this test would never end."""
    for pattern in ("*a" * 32 + "b", "a*" * 120 + "b", "*?" * 40 + "b", "*" * 64 + "b"):
        assert fits("PatientID", pattern, "a" * 64) is False
    assert fits("PatientID", "*a" * 32, "a" * 64) is True


@given(st.text("ab*?", max_size=8), st.text("ab", min_size=1, max_size=8))
def test_stars_and_question_marks_mean_what_they_mean_to_a_simple_reader(pattern, text):
    """The quick matcher agrees with the definition."""

    def reads(pattern, text):
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(reads(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and reads(pattern[1:], text[1:])

    assert fits("PatientID", pattern, text) is (not pattern or reads(pattern, text))


@given(PLAIN, st.integers(0, 16))
def test_a_star_after_any_beginning_finds_the_whole(text, length):
    """The commonest query there is."""
    assert fits("PatientID", text[:length] + "*", text) is True


# Queries


def test_a_query_carries_level_keys_and_what_to_return():
    """Numbers, lists, items and empty keys come out as DICOM wants them."""
    keys = query(
        "IMAGE",
        {"PatientID": "A", "SOPInstanceUID": {"1.2"}, "InstanceNumber": "", **PLAN},
        returned=["RTPlanLabel", "PatientID", "ReferencedRTPlanSequence", "Rows"],
    )
    assert keys.to_json_dict() == {
        "00080018": {"vr": "UI", "Value": ["1.2"]},
        "00080052": {"vr": "CS", "Value": ["IMAGE"]},
        "00100020": {"vr": "LO", "Value": ["A"]},
        "00200013": {"vr": "IS"},
        "00280010": {"vr": "US"},
        "300A0002": {"vr": "SH"},
        "300C0002": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]},
    }
    for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE):
        assert encode(keys, syntax)


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("RTPlanLabel", "A label of more than 16 letters", "A label of more than 16 letters"),
        ("Modality", "rtimage", "rtimage"),
        ("StudyInstanceUID", "1.2.x", "1.2.x"),
        ("Rows", "1024", 1024),
        ("SmallestImagePixelValue", "7", 7),
        ("DistanceSourceToDetector", "1500", 1500),
        ("RedPaletteColorLookupTableDescriptor", ["1", 2], [1, 2]),
    ],
)
def test_a_query_asks_for_what_archives_hold_without_a_warning(keyword, value, kept):
    """Values that the standard forbids exist, and text from a command line becomes the number it stands for."""
    keys = query("IMAGE", {keyword: value})
    assert keys[keyword].value == kept
    assert encode(keys, IMPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("keys", "character_set"),
    [
        ({"PatientName": "Doe"}, None),
        ({"PatientName": "Müller"}, "ISO_IR 192"),
        ({"PatientID": ["a", "ü"]}, "ISO_IR 192"),
        ({"PatientID": {"ü"}}, "ISO_IR 192"),
        ({"RequestAttributesSequence": {"ScheduledProcedureStepDescription": "Prüfung"}}, "ISO_IR 192"),
        ({"PatientName": "Müller", "SpecificCharacterSet": "ISO_IR 100"}, "ISO_IR 100"),
    ],
)
def test_a_query_says_its_character_set_when_it_needs_one(keys, character_set):
    """UTF-8 unless the caller knows that the archive wants another."""
    assert query("STUDY", keys).get("SpecificCharacterSet") == character_set


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"PatientId": "A"}, "'PatientId' is not a DICOM keyword. Write it as in the standard, for example PatientID."),
        ({"zzz": "A"}, "'zzz' is not a DICOM keyword. Write it as in the standard, for example PatientID."),
        ({"InstanceNumber": "first"}, "InstanceNumber cannot be 'first'. Give it a value of VR IS."),
        ({"Rows": "many"}, "Rows cannot be 'many'. Give it a value of VR US."),
        ({"PatientID": {"a": "b"}}, "PatientID cannot be {'a': 'b'}. Give it a value of VR LO."),
        (
            {"ReferencedRTPlanSequence": "1.2.3"},
            "ReferencedRTPlanSequence cannot be '1.2.3'. Give it a mapping of keywords to values.",
        ),
        (
            {"ReferencedRTPlanSequence": {"ReferencedUID": "1"}},
            "'ReferencedUID' is not a DICOM keyword. Write it as in the standard, for example ReferencedFileID.",
        ),
    ],
)
def test_a_key_that_cannot_be_asked_is_refused_in_words(keys, sentence):
    """Silently dropped, it would ask for everything."""
    with pytest.raises(ConfigError) as caught:
        query("IMAGE", keys)
    assert str(caught.value) == sentence


def test_a_single_key_can_be_tried_alone():
    """The node asks key by key."""
    keys = query("IMAGE", {"PatientID": "A*"})
    assert element_matches(keys["PatientID"], dataset(PatientID="AB")) is True
