"""QIDO-RS: what is found, what an answer holds, and how a question that makes no sense is refused."""

from __future__ import annotations

from typing import Any

import node_client as client
import node_objects as objects
import pytest
from dicomweb_asking import address, ask

from qa_fetch.node import NodeProcess

pytestmark = pytest.mark.node

STUDY, SERIES, IMAGE = "0020000D", "0020000E", "00080018"


def _found(web: NodeProcess, path: str, tag: str) -> list[str]:
    answer = ask(web.web_port, path)
    if answer.status == 204:
        assert answer.body == b""
        return []
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/dicom+json"
    return [row[tag]["Value"][0] for row in answer.json]


def _one(web: NodeProcess, path: str) -> dict[str, Any]:
    (row,) = ask(web.web_port, path).json
    return dict(row)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/studies?PatientID=QA1", [(1, 1), (1, 2)]),
        ("/studies?00100020=QA2", [(2, 1)]),
        ("/studies?PatientName=machine*", [(1, 1), (1, 2), (2, 1), (3, 1)]),
        ("/studies?PatientName=M%C3%BCller%5EJ%C3%B6rg", [(2, 1)]),
        ("/studies?StudyDate=20251102-", [(1, 2)]),
        ("/studies?StudyDate=-20251101&ModalitiesInStudy=RTPLAN", [(1, 1), (2, 1)]),
        (f"/studies?StudyInstanceUID={objects.uid(1, 2)},{objects.uid(2, 1)}", [(1, 2), (2, 1)]),
        (f"/studies?StudyInstanceUID={objects.uid(1, 2)}%5C{objects.uid(2, 1)}", [(1, 2), (2, 1)]),
        ("/studies?limit=1", [(1, 1)]),
        ("/studies?limit=2&offset=1", [(1, 2), (2, 1)]),
        ("/studies?offset=99999999999999999999999", []),
        ("/studies?limit=99999999999999999999999&PatientID=QA1", [(1, 1), (1, 2)]),
        ("/studies?limit=0", []),
        ("/studies?PatientID=NOBODY", []),
    ],
)
def test_studies_are_found_by_what_they_are(web: NodeProcess, path: str, expected: list[tuple[int, int]]) -> None:
    """Keywords and tags, wildcards, ranges of dates, lists of UIDs, pages."""
    assert _found(web, path, STUDY) == [objects.uid(*place) for place in expected]


def test_series_and_objects_are_found_at_every_level(web: NodeProcess) -> None:
    """Everywhere, in a study, in a series."""
    study, series = objects.uid(1, 1), objects.uid(1, 1, 2)
    assert _found(web, f"{address(study)}/series", SERIES) == [objects.uid(1, 1, 1), series]
    assert _found(web, "/series?Modality=RTPLAN&PatientID=QA1", SERIES) == [
        objects.uid(1, 1, 1),
        objects.uid(1, 2, 1),
    ]
    images = [objects.uid(1, 1, 2, number) for number in (1, 2, 3)]
    assert _found(web, f"{address(study, series)}/instances", IMAGE) == images
    assert _found(web, f"{address(study)}/instances?Modality=RTIMAGE", IMAGE) == images
    assert _found(web, "/instances?GantryAngle=90&PatientID=QA1", IMAGE) == [
        objects.uid(1, 1, 2, 2),
        objects.uid(1, 2, 2, 2),
    ]


@pytest.mark.parametrize(
    "name",
    ["ReferencedRTPlanSequence.ReferencedSOPInstanceUID", "300C0002.00081155", "300C0002.ReferencedSOPInstanceUID"],
)
def test_the_images_of_a_plan_are_found_through_the_sequence(web: NodeProcess, name: str) -> None:
    """The way into a sequence is written with dots, by keywords or by tags."""
    found = _found(web, f"/instances?{name}={objects.uid(1, 2, 1, 1)}", IMAGE)
    assert found == [objects.uid(1, 2, 2, number) for number in (1, 2, 3)]


def test_the_same_is_found_as_by_c_find(web: NodeProcess) -> None:
    """DIMSE and the web look into one index in one way."""
    keys = {"PatientID": "QA*", "Modality": "RTIMAGE", "StudyInstanceUID": "", "SeriesInstanceUID": ""}
    result = client.find(web.port, "SERIES", keys)
    by_dimse = [str(answer.SeriesInstanceUID) for answer in result.answers]
    assert _found(web, "/series?PatientID=QA*&Modality=RTIMAGE", SERIES) == by_dimse
    assert len(by_dimse) == 7


def test_a_study_says_what_the_standard_wants_of_it(web: NodeProcess) -> None:
    """Table 10.6.3-3 of PS3.18, with what is counted and where to fetch it."""
    row = _one(web, f"/studies?StudyInstanceUID={objects.uid(1, 1)}")
    url = f"http://127.0.0.1:{web.web_port}/dicom-web/studies/{objects.uid(1, 1)}"
    assert row["00081190"] == {"vr": "UR", "Value": [url]}
    assert sorted(row["00080061"]["Value"]) == ["RTIMAGE", "RTPLAN"]
    assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([2], [4])
    assert row["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Machine1^QA"}]}
    assert row["00080056"]["Value"] == ["ONLINE"]
    assert row["00080090"] == {"vr": "PN"}
    expected = "00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 00100030 00100040"
    assert {*expected.split(), STUDY, "00200010", "00201206", "00201208"} <= set(row)
    assert "00080052" not in row


def test_a_series_found_everywhere_says_of_which_study_it_is(web: NodeProcess) -> None:
    """Without a study in the address, what belongs to the study comes with each series."""
    row = _one(web, f"/series?SeriesInstanceUID={objects.uid(1, 1, 2)}")
    assert (row["00201209"]["Value"], row["00201208"]["Value"]) == ([3], [4])
    assert (row["00080060"]["Value"], row["00200011"]["Value"], row["00100020"]["Value"]) == (["RTIMAGE"], [2], ["QA1"])
    below = ask(web.web_port, f"{address(objects.uid(1, 1))}/series").json[1]
    assert "00100020" not in below
    assert below["00081190"]["Value"][0].endswith(f"{address(objects.uid(1, 1), objects.uid(1, 1, 2))}")


def test_an_object_says_how_large_its_picture_is(web: NodeProcess) -> None:
    """Table 10.6.3-5, and both levels above."""
    row = _one(web, f"/instances?SOPInstanceUID={objects.uid(1, 1, 2, 1)}")
    assert [row[tag]["Value"] for tag in ("00280010", "00280011", "00280100")] == [[4], [4], [16]]
    assert (row["00201209"]["Value"], row["00201206"]["Value"]) == ([3], [2])
    assert row["00081190"]["Value"][0].endswith(f"/instances/{objects.uid(1, 1, 2, 1)}")


def test_further_attributes_are_named_or_all_are_wanted(web: NodeProcess) -> None:
    """includefield takes keywords and tags, repeated or with commas, and ``all``."""
    where = f"/instances?SOPInstanceUID={objects.uid(1, 1, 2, 1)}"
    assert "30020002" not in _one(web, where)
    row = _one(
        web,
        f"{where}&includefield=RTImageLabel,300A011E&includefield=ReferencedRTPlanSequence.ReferencedSOPInstanceUID",
    )
    assert (row["30020002"]["Value"], row["300A011E"]["Value"]) == (["G1"], [0.0])
    assert row["300C0002"]["Value"][0]["00081155"]["Value"] == [objects.uid(1, 1, 1, 1)]
    everything = _one(web, f"{where}&includefield=all")
    assert (everything["30020002"]["Value"], everything["00080008"]["Value"][2]) == (["G1"], "PORTAL")
    assert "7FE00010" not in everything
    assert "300A00B3" not in _one(web, f"/studies?StudyInstanceUID={objects.uid(1, 1)}&includefield=all")


def test_text_is_unicode_whatever_the_object_was_written_in(web: NodeProcess) -> None:
    """A Latin-1 name comes out as itself."""
    row = _one(web, "/instances?PatientID=QA2&Modality=RTIMAGE")
    assert row["00100010"]["Value"] == [{"Alphabetic": "M\u00fcller^J\u00f6rg"}]
    assert row["00080005"]["Value"] == ["ISO_IR 192"]


def test_fuzzy_matching_is_declined_with_a_warning(web: NodeProcess) -> None:
    """The answer is the literal one, and says so, as the standard wants it."""
    answer = ask(web.web_port, "/studies?PatientID=QA2&fuzzymatching=true")
    assert answer.headers["Warning"] == (
        '299 qa_fetch "The fuzzymatching parameter is not supported. Only literal matching has been performed."'
    )
    assert len(answer.json) == 1
    assert "Warning" not in ask(web.web_port, "/studies?PatientID=QA2&fuzzymatching=false").headers


NAMELESS = (
    "a parameter is neither a DICOM keyword nor a tag. "
    "Write keywords as in the standard, tags as eight hexadecimal digits, and the way into a sequence with dots."
)
NO_VALUE = "a value is not one that its attribute can have. Write dates as 20251103 and numbers as digits."
TWICE = "a parameter is given twice. Give it once; several UIDs are separated by commas."
NUMBERS = "limit and offset are whole numbers from 0 up, each given once."


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SecretName=1", NAMELESS),
        ("PatientID.StudyDate=1", NAMELESS),
        ("includefield=Secret", NAMELESS),
        ("00020010=1.2", NAMELESS),
        ("7FE00010=1", NAMELESS),
        ("SpecificCharacterSet=x", NAMELESS),
        ("=1", NAMELESS),
        ("a.b.c.d.e.f.g.h.i.j.k=1", NAMELESS),
        ("Rows=secret", NO_VALUE),
        ("PatientID=a%01b", NO_VALUE),
        ("ReferencedRTPlanSequence=x", NO_VALUE),
        ("DarkCurrentCounts=%5C", NO_VALUE),
        ("PatientID=a&PatientID=b", TWICE),
        ("limit=-1", NUMBERS),
        ("limit=1e3", NUMBERS),
        ("offset=", NUMBERS),
        ("limit=%D9%A1", NUMBERS),
        ("fuzzymatching=maybe", "fuzzymatching is true or false."),
        (
            "includefield=" + ",".join(["PatientID"] * 501),
            "more than 500 attributes are asked for. Ask with includefield=all.",
        ),
        (
            "&".join(f"x{number}=1" for number in range(1500)),
            "this request cannot be understood. Ask with fewer or shorter parameters.",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_without_repeating_it(
    web: NodeProcess, query: str, sentence: str
) -> None:
    """400 and one sentence that holds nothing of the question."""
    answer = ask(web.web_port, f"/studies?{query}")
    assert (answer.status, answer.error) == (400, sentence)


def test_answers_are_json_or_nothing(web: NodeProcess) -> None:
    """XML is refused, plain JSON is called by its own name."""
    refused = ask(web.web_port, "/studies", Accept='multipart/related; type="application/dicom+xml"')
    assert (refused.status, refused.error) == (406, "this is answered as JSON only. Accept application/dicom+json.")
    plain = ask(web.web_port, "/studies", Accept="text/html;q=1, application/json; charset=utf-8;q=0.5")
    assert (plain.status, plain.headers["Content-Type"]) == (200, "application/json")
