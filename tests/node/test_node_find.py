"""What a node answers to queries."""

from __future__ import annotations

from typing import Any

import node_client as client
import node_objects as objects
import pytest
from node_objects import RTPLAN, item, uid
from pydicom.dataset import Dataset

from qa_fetch import matching, part10
from qa_fetch.node import NodeProcess

PORTAL = ["ORIGINAL", "PRIMARY", "PORTAL"]


def values(result: client.Result, keyword: str) -> list[str]:
    """One attribute of every answer."""
    assert result.status == 0
    return sorted(str(answer[keyword].value) for answer in result.answers)


@pytest.mark.parametrize("root", ["patient", "study"])
@pytest.mark.parametrize(
    ("level", "keyword", "expected"),
    [
        ("PATIENT", "PatientID", ["QA1", "QA2"]),
        ("STUDY", "StudyInstanceUID", [uid(1, 1), uid(1, 2), uid(2, 1)]),
        ("SERIES", "SeriesInstanceUID", [uid(p, s, n) for p, s in ((1, 1), (1, 2), (2, 1)) for n in (1, 2)]),
        (
            "IMAGE",
            "SOPInstanceUID",
            [uid(p, s, 1, 1) for p, s in ((1, 1), (1, 2), (2, 1))]
            + [uid(p, s, 2, n) for p, s, k in ((1, 1, 3), (1, 2, 3), (2, 1, 1)) for n in range(1, k + 1)],
        ),
    ],
)
def test_each_level_has_one_answer_per_entity(
    library: NodeProcess, root: str, level: str, keyword: str, expected: list[str]
) -> None:
    """Whatever lies below an entity, it is answered once."""
    result = client.find(library.port, level, {keyword: ""}, root=root)
    if (root, level) == ("study", "PATIENT"):
        assert (result.status, result.answers) == (0xA900, [])
    else:
        assert values(result, keyword) == sorted(expected)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"RTPlanLabel": "WL_6X"}, 2),
        ({"RTPlanLabel": "WL_6X", "PatientID": "QA1"}, 1),
        ({"RTPlanLabel": "WL*"}, 2),
        ({"RTPlanLabel": "?DIP_10X"}, 1),
        ({"RTPlanLabel": "wl_6x"}, 0),
        ({"RTPlanLabel": "NOWHERE"}, 0),
        ({"RTPlanLabel": "*"}, 10),
        ({"ApprovalStatus": "APPROVED", "Modality": "RTPLAN"}, 2),
        ({"ImageType": PORTAL}, 6),
        ({"ImageType": PORTAL[:2]}, 0),
        ({"ImageType": "PORTAL"}, 6),
        ({"ImageType": "*GRAPH"}, 1),
        ({"PrimaryDosimeterUnit": "MINUTE"}, 1),
        ({"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": uid(1, 1, 1, 1)}}, 3),
        ({"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": [uid(1, 1, 1, 1), uid(2, 1, 1, 1)]}}, 4),
        ({"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": "1.2.3"}}, 0),
        ({"ReferencedRTPlanSequence": {"ReferencedSOPClassUID": RTPLAN}}, 7),
        ({"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": ""}}, 10),
        ({"SOPInstanceUID": [uid(1, 1, 2, 1), uid(1, 2, 2, 3), "1.2.3"]}, 2),
        ({"SeriesInstanceUID": uid(1, 1, 2)}, 3),
        ({"StudyInstanceUID": [uid(1, 1), uid(2, 1)]}, 6),
        ({"AcquisitionDate": "20251101"}, 4),
        ({"AcquisitionDate": "20251102-"}, 3),
        ({"AcquisitionDate": "-20251101"}, 4),
        ({"AcquisitionDate": "20251101-20251102"}, 7),
        ({"AcquisitionTime": "102002-102003"}, 4),
        ({"AcquisitionTime": "-102001"}, 3),
        ({"AcquisitionTime": "1020"}, 7),
        ({"GantryAngle": "90"}, 2),
        ({"InstanceNumber": "3"}, 2),
        ({"PatientName": "machine1^qa"}, 8),
        ({"PatientName": "MACHINE?^*"}, 9),
        ({"PatientName": "m\u00fcller^j\u00f6rg"}, 1),
        ({"PatientID": "QA*"}, 10),
        ({"SOPClassUID": RTPLAN}, 3),
        ({"Rows": 4}, 7),
        ({"StationName": "TB1"}, 0),
        ({"StationName": "*"}, 10),
        ({"NumberOfStudyRelatedInstances": "2"}, 2),
    ],
)
def test_a_key_matches_exactly_what_it_says(library: NodeProcess, keys: dict[str, Any], count: int) -> None:
    """Labels, lists, ranges, wildcards, names, numbers and sequences each find their objects and no other."""
    result = client.find(library.port, "IMAGE", {"SOPInstanceUID": "", **keys})
    assert (result.status, len(result.answers)) == (0, count)


def test_a_key_of_the_objects_selects_series(library: NodeProcess) -> None:
    """A series is answered when one of its objects fits, with what that object says."""
    keys = {"SeriesInstanceUID": "", "RTImageLabel": "G3", "InstanceNumber": ""}
    result = client.find(library.port, "SERIES", keys)
    assert values(result, "SeriesInstanceUID") == [uid(1, 1, 2), uid(1, 2, 2)]
    assert values(result, "InstanceNumber") == ["3", "3"]


def test_studies_are_found_by_their_modalities_and_count_what_they_hold(library: NodeProcess) -> None:
    """ModalitiesInStudy and the related numbers are computed for the whole study, whatever else was asked."""
    keys = {
        "StudyInstanceUID": "",
        "ModalitiesInStudy": "RTIMAGE",
        "NumberOfStudyRelatedSeries": "",
        "NumberOfStudyRelatedInstances": "",
        "PatientID": "QA1",
        "RTPlanLabel": "WL_6X",
    }
    (answer,) = client.find(library.port, "STUDY", keys).answers
    assert list(answer.ModalitiesInStudy) == ["RTIMAGE", "RTPLAN"]
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 4)
    keys["ModalitiesInStudy"] = "CT"
    assert client.find(library.port, "STUDY", keys).answers == []


@pytest.mark.parametrize("syntax", client.PLAIN)
def test_an_answer_carries_every_key_that_was_asked_for(library: NodeProcess, syntax: str) -> None:
    """Known keys have their values, sequences come whole, and what the object lacks comes empty."""
    asked = ["PatientName", "GantryAngle", "ReferencedRTPlanSequence", "StationName", "ExposureSequence"]
    keys = {"SOPInstanceUID": uid(1, 1, 2, 2), **dict.fromkeys(asked, "")}
    identifier = matching.query("IMAGE", keys)
    identifier.add_new("PixelData", "OW", b"")
    identifier.add_new("SmallestImagePixelValue", "US", None)
    (answer,) = client.send_find(library.port, identifier, syntax=syntax).answers
    assert all(keyword in answer for keyword in asked)
    assert (str(answer.PatientName), float(answer.GantryAngle)) == ("Machine1^QA", 90.0)
    (reference,) = answer.ReferencedRTPlanSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (RTPLAN, uid(1, 1, 1, 1))
    assert not answer.StationName and not answer.ExposureSequence
    assert "PixelData" in answer and "SmallestImagePixelValue" in answer
    assert (answer.RetrieveAETitle, answer.QueryRetrieveLevel) == ("QA_NODE", "IMAGE")
    assert "SpecificCharacterSet" not in answer


def test_a_name_beyond_ascii_is_answered_in_unicode(library: NodeProcess) -> None:
    """The object says ISO_IR 100; the answer says ISO_IR 192 and means the same name."""
    (answer,) = client.find(library.port, "PATIENT", {"PatientID": "QA2", "PatientName": "M*"}, root="patient").answers
    names = [str(each.PatientName) for each in (answer,)]
    (image,) = client.find(library.port, "IMAGE", {"SOPInstanceUID": uid(2, 1, 2, 1), "PatientName": ""}).answers
    assert image.SpecificCharacterSet == "ISO_IR 192"
    assert [*names, str(image.PatientName)] == ["Machine2^QA", "M\u00fcller^J\u00f6rg"]


@pytest.mark.parametrize("level", [None, "", "INSTANCE", "PATIENT"])
def test_a_level_that_the_root_does_not_have_is_refused(library: NodeProcess, level: Any) -> None:
    """A missing, unknown or too high level is answered with 0xA900, not with a guess."""
    identifier = matching.query("STUDY", {"StudyInstanceUID": ""})
    if level is None:
        del identifier.QueryRetrieveLevel
    else:
        identifier.QueryRetrieveLevel = level
    result = client.send_find(library.port, identifier)
    assert (result.status, result.answers) == (0xA900, [])


def test_a_query_stops_when_it_is_cancelled(node: NodeProcess) -> None:
    """C-CANCEL after the first answer ends the query with 0xFE00, unless the last answer was faster than it."""
    assert set(client.store(node.port, *(objects.image(number=number) for number in range(1, 301)))) == {0}
    keys = {"SOPInstanceUID": "", "PatientName": "*Machine*", "NumberOfPatientRelatedInstances": ""}
    for _ in range(20):
        result = client.find(node.port, "IMAGE", keys, cancel_after=1)
        assert (result.status, len(result.answers) < 300) in ((0xFE00, True), (0, False))
        if result.status == 0xFE00:
            return
    pytest.fail("the node answered 20 cancelled queries to their end")


def test_hostile_keys_find_nothing_and_break_nothing(library: NodeProcess) -> None:
    """Quotes, paths, NUL bytes and wildcards of SQL are values like any other."""
    for hostile in ("' OR '1'='1", "../../etc/passwd", "QA%", "Q_1", "QA1\0x", '"; DROP TABLE', "[Q]A1", "QA1\\QA2"):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = ""
        identifier.PatientID = hostile
        result = client.send_find(library.port, identifier)
        assert (hostile, result.status, result.answers) == (hostile, 0, [])
    assert len(client.find(library.port, "STUDY", {"StudyInstanceUID": ""}).answers) == 3


def test_a_number_that_is_none_finds_nothing(library: NodeProcess) -> None:
    """It is neither an error of the node nor a key to be ignored."""
    identifier = matching.query("IMAGE", {"SOPInstanceUID": ""})
    identifier.add_new("GantryAngle", "LO", "ninety")
    result = client.send_find(library.port, identifier, syntax=part10.IMPLICIT_LITTLE)
    assert (result.status in (0, 0xA900), result.answers) == (True, [])


def test_sequence_items_with_several_keys_must_fit_together(library: NodeProcess) -> None:
    """Two keys in one item are one condition on one item of the object."""
    identifier = matching.query("IMAGE", {"SOPInstanceUID": ""})
    wanted = item(ReferencedSOPClassUID="1.2.3", ReferencedSOPInstanceUID=uid(1, 1, 1, 1))
    identifier.ReferencedRTPlanSequence = [wanted]
    result = client.send_find(library.port, identifier)
    assert (result.status, result.answers) == (0, [])
