"""QIDO-RS: every answer, none that does not fit, and archives that cannot answer the whole question."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from peers.course import OTHER, PATIENT, Course
from peers.http_double import Asked, HttpDouble, Reply, Script, WebArchive, json_of

from qa_fetch import Archive, BadArchive, ConfigError, ConnectionFailed, Incomplete
from qa_fetch.backends import dicomweb
from qa_fetch.backends.http import limits
from qa_fetch.backends.http.values import from_dicom_json, from_orthanc

RT = {"PatientID": PATIENT, "Modality": "RTIMAGE"}


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one double taught is not believed of the next."""
    monkeypatch.setattr(dicomweb, "_learned", {})
    monkeypatch.setattr(limits, "_known", {})


@pytest.fixture
def web(course: Course) -> WebArchive:
    """The course behind DICOMweb."""
    return WebArchive(course.datasets)


@pytest.fixture
def double(web: WebArchive) -> Iterator[HttpDouble]:
    """The same, listening."""
    with HttpDouble(web) as double:
        yield double


@pytest.fixture
def archive(double: HttpDouble) -> Archive:
    """How a user sees it."""
    return Archive(f"dicomweb+{double.url}")


def uids(rows: list[Any]) -> set[str]:
    return {str(row.SOPInstanceUID) for row in rows}


def images(course: Course, patient: str = PATIENT) -> set[str]:
    return {
        str(one.SOPInstanceUID) for one in course.datasets if one.PatientID == patient and one.Modality == "RTIMAGE"
    }


def test_all_pages_are_asked_for(archive: Archive, web: WebArchive, double: HttpDouble, course: Course) -> None:
    """Also where a server never says that it shows a part only."""
    web.page = 4
    assert uids(archive.find("IMAGE", **RT)) == images(course)
    offsets = [dict(asked.keys).get("offset") for asked in double.asked if asked.path == "/instances"]
    total = len(images(course))
    assert offsets == [None, *map(str, range(4, total, 4)), str(total)]  # the last finds nothing more


def test_a_server_that_ignores_the_offset_is_not_asked_for_ever(
    archive: Archive, web: WebArchive, double: HttpDouble, course: Course
) -> None:
    """It gives all its answers every time; that is noticed once, and remembered."""
    web.query = lambda asked: web.search(asked._replace(keys=[key for key in asked.keys if key[0] != "offset"]))
    assert uids(archive.find("IMAGE", **RT)) == images(course)
    assert len(double.asked) == 2
    assert uids(archive.find("IMAGE", **RT)) == images(course)
    assert len(double.asked) == 3


def test_a_server_that_shows_a_part_and_cannot_go_on_is_an_error(archive: Archive, web: WebArchive) -> None:
    """Part of the images is never taken for all of them."""

    def first_page(asked: Asked) -> Reply:
        reply = web.search(asked._replace(keys=[key for key in asked.keys if key[0] != "offset"]))
        reply.headers = {"Warning": '299 pacs: "There are additional results that can be requested"'}
        return reply

    web.page, web.query = 4, first_page
    with pytest.raises(Incomplete) as caught:
        archive.find("IMAGE", **RT)
    assert str(caught.value) == (
        "127.0.0.1 shows only the first 4 answers to a question. Narrow it, or raise its limit."
    )


def test_an_archive_that_ignores_keys_shows_no_stranger(archive: Archive, web: WebArchive, course: Course) -> None:
    """Its first row of another patient is noticed, and the question is put study by study."""
    web.matching = False
    rows = archive.find("IMAGE", **RT)
    assert uids(rows) == images(course)
    assert {str(row.PatientID) for row in rows} == {PATIENT}
    assert [row.PatientID for row in archive.find("PATIENT", PatientID=OTHER)] == [OTHER]


@pytest.mark.parametrize("status", [400, 404, 501])
def test_an_archive_that_is_not_relational_is_asked_level_by_level(
    archive: Archive, web: WebArchive, double: HttpDouble, course: Course, status: int
) -> None:
    """Studies, their series, their instances; and from then on at once."""
    relational = ("/instances", "/series")
    web.query = lambda asked: Reply(status) if asked.path in relational else web.search(asked)
    assert uids(archive.find("IMAGE", **RT)) == images(course)
    before = len(double.asked)
    assert uids(archive.find("IMAGE", **RT)) == images(course)
    assert not set(double.paths()[before:]) & set(relational)
    assert archive.latest(PATIENT, plan="WL_6X", approved=True).uids == tuple(course.newest.uids)


def test_an_archive_that_is_not_relational_needs_a_patient_or_study(archive: Archive, web: WebArchive) -> None:
    """Walking through all that it has is nobody's question."""
    web.query = lambda asked: Reply(501) if asked.path == "/instances" else web.search(asked)
    with pytest.raises(Exception, match=r"does not offer the query \(HTTP 501\)"):
        archive.find("IMAGE", Modality="RTPLAN")
    with pytest.raises(Exception, match=r"HTTP 501"):
        archive.find("IMAGE", SOPInstanceUID="1.2.3")


def test_an_archive_that_refuses_unusual_keys_is_asked_without_them(
    archive: Archive, web: WebArchive, double: HttpDouble, course: Course
) -> None:
    """They are matched here."""
    unusual = {"RTPlanLabel", "includefield"}
    web.query = lambda asked: Reply(400) if unusual & {key for key, _ in asked.keys} else web.search(asked)
    rows = archive.find("IMAGE", PatientID=PATIENT, Modality="RTPLAN", RTPlanLabel="PDIP_10X")
    assert uids(rows) == {str(course.pdip.SOPInstanceUID)}
    assert not unusual & {key for key, _ in double.asked[-1].keys}


def test_keys_are_encoded_for_the_way(archive: Archive, double: HttpDouble) -> None:
    """What means something in an address means nothing in a value; what separates values is matched here."""
    archive.find("STUDY", PatientID="A&B=C/D E+é%", StudyDescription="a,b", StudyID="x\\y")
    given = {key: value for key, value in double.asked[0].keys if key != "includefield"}
    assert given == {"PatientID": "A&B=C/D E+é%"}
    archive.find("SERIES", StudyInstanceUID="1.2/../3", Modality=["RTIMAGE", "CT"], SeriesInstanceUID=["1.5", "1.6"])
    assert double.asked[-1].path == "/studies/1.2/../3/series"
    given = {key: value for key, value in double.asked[-1].keys if key != "includefield"}
    assert given == {"SeriesInstanceUID": "1.5,1.6"}


def test_uids_that_stand_in_the_address_are_added_to_the_answers(
    archive: Archive, web: WebArchive, course: Course
) -> None:
    """Some servers leave them out; a patient is never added, since that would be believing the question."""
    leave_out = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID")

    def bare(asked: Asked) -> Reply:
        rows = json.loads(web.search(asked).body)
        tags = ("0020000D", "0020000E", "00100020")
        return Reply(200, json.dumps([{tag: row[tag] for tag in row if tag not in tags} for row in rows]).encode())

    web.query = bare
    one = course.newest.images[0]
    keys = {keyword: str(one.get(keyword)) for keyword in leave_out[:2]}
    rows = archive.find("IMAGE", **keys)
    assert {(str(row.StudyInstanceUID), str(row.SeriesInstanceUID)) for row in rows} == {tuple(keys.values())}
    assert not any("PatientID" in row for row in rows)


def test_an_answer_that_is_no_list_is_refused(archive: Archive, web: WebArchive) -> None:
    """An error in JSON with status 200 is not "nothing found"."""
    web.query = lambda asked: Reply(200, b'{"error": "x"}')
    with pytest.raises(BadArchive) as caught:
        archive.find("STUDY", PatientID="X")
    assert str(caught.value) == (
        "127.0.0.1 answered a query with JSON that is no list, so it is not used. Report it to its administrator."
    )


def test_no_content_means_that_there_is_nothing(archive: Archive, web: WebArchive) -> None:
    """The older way to answer with no rows."""
    web.query = lambda asked: Reply(204, b"")
    assert archive.find("STUDY", PatientID="X") == []
    with pytest.raises(ConfigError):
        archive.find("NOTHING", PatientID="X")


# Whether an answer was cut


def field(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def counting(web: WebArchive, hidden: int) -> Script:
    """Rows that say how much is below them, and of each as many more as are not shown."""

    def told(row: dict[str, Any]) -> dict[str, Any]:
        def number(keyword: str, within: str) -> int:
            tag = {"StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E"}[within]
            below = [one for one in web.datasets if one.get(within) == row[tag]["Value"][0]]
            return len({str(one.get(keyword)) for one in below}) + hidden

        return {
            **row,
            "00201206": field("IS", number("SeriesInstanceUID", "StudyInstanceUID")),
            "00201208": field("IS", number("SOPInstanceUID", "StudyInstanceUID")),
            "00201209": field("IS", number("SOPInstanceUID", "SeriesInstanceUID")),
        }

    return lambda asked: Reply(200, json.dumps([told(row) for row in json.loads(web.search(asked).body)]).encode())


def ask_for_all(archive: Archive, course: Course) -> None:
    """Questions of every level, each answered whole."""
    theirs = [one for one in course.datasets if one.PatientID == PATIENT]
    for level, unique in (("STUDY", "StudyInstanceUID"), ("SERIES", "SeriesInstanceUID"), ("IMAGE", "SOPInstanceUID")):
        rows = archive.find(level, PatientID=PATIENT)
        assert {str(row.get(unique)) for row in rows} == {str(one.get(unique)) for one in theirs}
    one = course.newest.images[0]
    where = {"StudyInstanceUID": str(one.StudyInstanceUID), "SeriesInstanceUID": str(one.SeriesInstanceUID)}
    assert uids(archive.find("IMAGE", **where)) > set(course.newest.uids)
    assert uids(archive.find("IMAGE", **where, SOPClassUID=str(one.SOPClassUID))) >= set(course.newest.uids)


@pytest.mark.parametrize("hidden", [0, 1, 5])
def test_an_archive_that_counts_more_than_it_shows_is_believed(
    archive: Archive, web: WebArchive, course: Course, hidden: int
) -> None:
    """Rejected or filtered objects are no limit: another question shows more."""
    web.query = counting(web, hidden)
    ask_for_all(archive, course)


@pytest.mark.parametrize("hidden", [0, 1, 5])
@pytest.mark.parametrize("nothing", [Reply(204, b""), Reply(200, b"[]"), Reply(501)])
def test_an_archive_that_is_not_relational_is_believed(
    archive: Archive, web: WebArchive, course: Course, nothing: Reply, hidden: int
) -> None:
    """It shows nothing of several studies at once, so that this tells nothing of a limit."""
    count = counting(web, hidden)
    web.query = lambda asked: nothing if asked.path in ("/series", "/instances") else count(asked)
    ask_for_all(archive, course)


@pytest.mark.parametrize("nothing", [Reply(204, b""), Reply(200, b"[]"), Reply(403)])
def test_one_patients_studies_of_one_series_are_believed_where_nothing_tells_more(
    archive: Archive, web: WebArchive, course: Course, nothing: Reply
) -> None:
    """No other patient, no second series, and no images across studies to compare with."""
    web.datasets = copy.deepcopy([one.images[0] for one in course.sessions])
    for number, image in enumerate(web.datasets):
        image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.{number}", f"1.3.{number}"
    count = counting(web, 0)
    web.query = lambda asked: nothing if asked.path in ("/series", "/instances") else count(asked)
    assert len(archive.find("STUDY", PatientID=PATIENT)) == len(web.datasets) > 2


@pytest.mark.parametrize("status", [400, 403, 406, 413, 429, 500, 503])
def test_an_answer_stays_when_the_question_whether_it_was_cut_fails(
    archive: Archive, web: WebArchive, course: Course, status: int
) -> None:
    """Nothing is wrong with the answer; whoever refuses for good is not asked again."""
    count = counting(web, 0)
    web.query = lambda asked: Reply(status) if "limit" in dict(asked.keys) else count(asked)
    ask_for_all(archive, course)


def test_a_spent_budget_is_an_error_while_an_answer_is_checked(
    double: HttpDouble, web: WebArchive, course: Course
) -> None:
    """Nobody waits longer than allowed for the question whether it was cut."""

    def slow(asked: Asked) -> Reply:
        time.sleep(1.5 if "limit" in dict(asked.keys) else 0)
        return web.search(asked)

    web.query = slow
    with pytest.raises(ConnectionFailed) as caught:
        Archive(f"dicomweb+{double.url}", budget=1).find("STUDY", PatientID=PATIENT)
    assert str(caught.value) == (
        "127.0.0.1 was still answering when 1 s had passed. Call again to go on from there, or allow more with budget=."
    )


# Values


def test_values_become_what_the_standard_says_they_are() -> None:
    """Numbers as text, text as numbers, names in groups, sequences in sequences."""
    plan = {"00081155": field("UI", "1.2.3"), "00081150": field("UI", "1.2")}
    row = from_dicom_json(
        {
            "00100010": field("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}),
            "00100020": field("LO", 12345),
            "00200013": field("IS", 7),
            "00280010": field("US", "16"),
            "00080008": field("CS", "ORIGINAL", "PRIMARY", None),
            "3002000D": field("DS", 0.25),
            "300C0002": field("SQ", plan),
            "00080020": {"vr": "DA"},
        },
        ["PatientName", "PatientID", "InstanceNumber", "Rows", "ImageType", "XRayImageReceptorTranslation",
         "ReferencedRTPlanSequence", "StudyDate"],
    )  # fmt: skip
    assert str(row.PatientName) == "Yamada^Tarou=山田^太郎"
    assert (row.PatientID, row.InstanceNumber, row.Rows) == ("12345", 7, 16)
    assert list(row.ImageType) == ["ORIGINAL", "PRIMARY", ""]
    assert row.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert (row.StudyDate, row.SpecificCharacterSet) == ("", "ISO_IR 192")


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ("00100020", field("LO", {"a": 1})),
        ("00100020", field("LO", True)),
        ("00100020", {"vr": "LO", "Value": "12345"}),
        ("00100020", "12345"),
        ("00100010", field("PN", {"Alphabetic": 5})),
        ("00280010", field("US", "many")),
        ("00280010", field("US", 1e400)),
        ("00200013", field("IS", "first")),
        ("300C0002", field("UI", "1.2.3")),
        ("300C0002", {"vr": "SQ", "BulkDataURI": "http://x/"}),
        ("7FE00010", {"vr": "OW", "InlineBinary": "AAAA"}),
        ("00091001", field("LO", "private")),
        ("xyz", field("LO", "x")),
    ],
)
def test_a_value_that_is_not_what_it_should_be_says_nothing(tag: str, field: Any) -> None:
    """It is neither an error nor the truth; the other values of the row stay."""
    keywords = [
        "PatientID",
        "PatientName",
        "Rows",
        "InstanceNumber",
        "ReferencedRTPlanSequence",
        "PixelData",
        "StudyID",
    ]
    row = from_dicom_json({tag: field, "00200010": {"vr": "SH", "Value": ["C1"]}}, keywords)
    assert [element.keyword for element in row] == ["StudyID"]
    assert len(from_dicom_json([1], keywords)) == 0


def test_sequences_that_nest_without_end_are_cut_off() -> None:
    """Deeper than any plan needs."""
    nested: dict[str, Any] = {}
    for _ in range(100):
        nested = {"300C0002": field("SQ", nested)}
    row, depth = from_dicom_json(nested, ["ReferencedRTPlanSequence"]), 0
    while row.get("ReferencedRTPlanSequence"):
        row, depth = row.ReferencedRTPlanSequence[0], depth + 1
    assert depth == 16


def test_orthancs_own_json_gives_the_same_values(course: Course) -> None:
    """By name or by number, with backslashes between values."""
    wanted = ["ImageType", "PatientName", "ReferencedRTPlanSequence", "Rows", "StudyDate"]
    row = from_orthanc(
        {
            "0008,0008": "ORIGINAL\\PRIMARY\\PORTAL",
            "PatientName": "Müller",
            "300c,0002": [{"0008,1155": "1.2.3"}],
            "0028,0010": "16",
            "StudyDate": None,
            "0009,1001": "private",
        },
        wanted,
    )
    assert list(row.ImageType) == ["ORIGINAL", "PRIMARY", "PORTAL"]
    assert (str(row.PatientName), row.Rows, row.StudyDate) == ("Müller", 16, "")
    assert row.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    whole = from_dicom_json(json_of(course.newest.images[0]), wanted)
    assert list(whole.ImageType) == list(course.newest.images[0].ImageType)
