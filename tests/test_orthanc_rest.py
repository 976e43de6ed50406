"""Orthanc's own interface: an old and a new one, and one that lies."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT, Course, write_all
from peers.http_double import Asked, HttpDouble, Reply, as_file
from peers.orthanc import Orthanc
from peers.process import Missing, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import Archive, BadArchive, ConnectionFailed, Incomplete, QAFetchError
from qa_fetch.backends import Sent


@pytest.fixture(scope="module")
def orthanc(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real one, with a patient whose ID is neither ASCII nor without spaces at its end."""
    try:
        running = Orthanc()
    except Missing as missing:
        skip_or_fail(missing)
    with running, pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("odd")
        patch.setenv("QA_FETCH_SHELF", str(folder / "shelf"))
        Archive(running.rest_address).send([*write_all([*course.newest.images, odd(course)], folder)])
        yield running


def odd(course: Course) -> Dataset:
    one = copy.deepcopy(course.newest.images[0])
    one.PatientID, one.SOPInstanceUID, one.SeriesInstanceUID, one.StudyInstanceUID = "MÜ 1 ", "1.2.9", "1.2.8", "1.2.7"
    return one


def identifier(one: Dataset) -> str:
    parts = (one.PatientID, one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
    digest = hashlib.sha1("|".join(map(str, parts)).encode()).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def test_an_odd_patient_id_is_found_and_fetched(orthanc: Orthanc, course: Course) -> None:
    """Neither the query nor the identifier that Orthanc makes of it depends on ASCII."""
    archive = Archive(orthanc.rest_address)
    assert [row.PatientID.strip() for row in archive.find("PATIENT", PatientID="MÜ 1")] == ["MÜ 1"]
    assert archive.fetch(instance="1.2.9").dataset.PixelData == odd(course).PixelData


def test_counts_and_modalities_are_told_where_they_are_asked_for(orthanc: Orthanc, course: Course) -> None:
    """From the children that Orthanc lists."""
    archive = Archive(orthanc.rest_address)
    study = archive.find("STUDY", PatientID=PATIENT, NumberOfStudyRelatedSeries="", ModalitiesInStudy="")[0]
    assert (study.NumberOfStudyRelatedSeries, study.ModalitiesInStudy) == (1, "RTIMAGE")
    series = archive.find("SERIES", PatientID=PATIENT)[0]
    assert (series.NumberOfSeriesRelatedInstances, series.PatientID) == (len(course.newest.images), PATIENT)
    assert archive.find("STUDY", PatientID=PATIENT, ModalitiesInStudy="CT") == []


def test_an_orthanc_that_keeps_what_it_has_is_not_believed_to_have_ours(course: Course, tmp_path: Path) -> None:
    """It says AlreadyStored of whatever has a known UID; only the same object counts as sent."""
    try:
        running = Orthanc(options={"OverwriteInstances": False})
    except Missing as missing:
        skip_or_fail(missing)
    first, *_ = course.newest.images
    other = copy.deepcopy(first)
    other.PixelData = bytes(len(first.PixelData))
    (mine,), (revised,) = write_all([first], tmp_path / "mine"), write_all([other], tmp_path / "revised")
    with running:
        Archive(running.address).send([mine])  # by DICOM, so with a file header of Orthanc's own
        archive = Archive(running.rest_address)
        assert archive.send([mine]) == [Sent(mine)]
        with pytest.raises(Incomplete) as raised:
            archive.send([revised])
        assert str(raised.value) == (
            f"1 of 1 files were not sent to {archive.name}; the first: {archive.name} has an object under the UID "
            f"of {revised.name} that is not the same byte for byte, and keeps that one. "
            "Compare the two before you replace it there."
        )


def test_the_same_file_again_is_no_failure(orthanc: Orthanc, course: Course, tmp_path: Path) -> None:
    """Orthanc says that it has it already, or stores it again."""
    sent = Archive(orthanc.rest_address).send(write_all(course.newest.images, tmp_path / "again"))
    assert [one.problem for one in sent] == [""] * 4


def test_what_orthanc_refuses_is_told(orthanc: Orthanc, tmp_path: Path) -> None:
    """A file that is none is not sent; the others are."""
    (tmp_path / "x.dcm").write_bytes(b"rubbish" * 100)
    with pytest.raises(Incomplete) as caught:
        Archive(orthanc.rest_address).send(tmp_path / "x.dcm")
    assert str(caught.value) == (
        "1 of 1 files were not sent to 127.0.0.1; the first: x.dcm is not a DICOM Part-10 file. "
        "Leave it out, or convert it first."
    )


# Doubles


class Newer:
    """An Orthanc of 1.11 or later, which answers with the tags that it was asked for; and its lies."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self.datasets = datasets
        self.files: dict[str, bytes] = {identifier(one): as_file(one) for one in datasets}
        self.known_as: dict[str, str] = {}

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/tools/find":
            question = json.loads(asked.body)
            wanted, first = question.get("RequestedTags", []), question.get("Since", 0)
            shown = self.datasets[first : first + question.get("Limit", len(self.datasets))]
            return Reply(200, json.dumps([self.row(one, wanted) for one in shown]).encode())
        if asked.path == "/tools/lookup":
            uid = asked.body.decode()
            return Reply(200, json.dumps([{"Type": "Instance", "ID": self.known_as.get(uid, "00")}]).encode())
        file = self.files.get(asked.path.split("/")[2]) if asked.path.startswith("/instances/") else None
        return Reply(404) if file is None else Reply(200, file, "application/dicom")

    def row(self, one: Dataset, wanted: list[str]) -> dict[str, Any]:
        tags: dict[str, Any] = {}
        for keyword in wanted:
            if keyword in one and one[keyword].VR != "SQ":
                value = one[keyword].value
                tags[keyword] = "\\".join(value) if one[keyword].VM > 1 else str(value)
            elif keyword in one:
                tags[keyword] = [
                    {element.keyword: str(element.value) for element in item} for item in one[keyword].value
                ]
        return {"ID": identifier(one), "Type": "Instance", "MainDicomTags": {}, "RequestedTags": tags}


@pytest.fixture
def newer(course: Course) -> Newer:
    """It holds the newest session."""
    return Newer([*course.newest.images, course.wl])


@pytest.fixture
def double(newer: Newer) -> Iterator[HttpDouble]:
    """The same, listening."""
    with HttpDouble(newer) as double:
        yield double


def fetch(double: HttpDouble, course: Course) -> Any:
    return Archive(f"orthanc+{double.url}").fetch(series=course.newest.series.uid)


def said(double: HttpDouble, course: Course) -> QAFetchError:
    with pytest.raises(QAFetchError) as caught:
        fetch(double, course)
    return caught.value


def test_a_newer_orthanc_is_asked_for_no_headers(double: HttpDouble, course: Course) -> None:
    """The answer to the query holds all that was asked for, also what lies in sequences."""
    images = Archive(f"orthanc+{double.url}").latest(PATIENT, plan=str(course.wl.SOPInstanceUID))
    assert list(images.uids) == course.newest.uids
    assert set(double.paths("POST")) == {"/tools/find", "/tools/lookup"}
    assert all(path.endswith("/file") for path in double.paths())


def test_objects_that_do_not_fit_are_left_out_whatever_it_matched(double: HttpDouble, course: Course) -> None:
    """This one matches nothing and answers with everything."""
    assert Archive(f"orthanc+{double.url}").find("IMAGE", PatientID="SOMEBODY") == []


def test_an_object_under_another_identifier_is_looked_up(newer: Newer, double: HttpDouble, course: Course) -> None:
    """A plugin may name objects otherwise."""
    one = course.newest.images[0]
    newer.files["abc-0"] = newer.files.pop(identifier(one))
    newer.known_as[str(one.SOPInstanceUID)] = "abc-0"
    assert len(fetch(double, course)) == 4


def test_an_object_that_is_gone_is_missing_and_the_others_are_kept(
    newer: Newer, double: HttpDouble, course: Course
) -> None:
    """Nothing is returned."""
    del newer.files[identifier(course.newest.images[0])]
    error = said(double, course)
    assert (type(error), error.missing) == (Incomplete, [str(course.newest.images[0].SOPInstanceUID)])
    assert str(error) == (
        "127.0.0.1 sent 3 of 4 objects and called it complete. "
        "Call again to fetch the rest; if they never come, its log says why."
    )


def test_an_identifier_that_leads_elsewhere_is_refused(newer: Newer, double: HttpDouble, course: Course) -> None:
    """What a peer says becomes part of an address only as hexadecimal digits."""
    one = course.newest.images[0]
    del newer.files[identifier(one)]
    newer.known_as[str(one.SOPInstanceUID)] = "../../system?x="
    error = said(double, course)
    assert str(error) in (
        "an identifier that Orthanc gave is none of its own. Report it to its administrator.",
        "127.0.0.1 sent 3 of 4 objects before it failed. "
        "Call again to fetch the rest; if it fails again, run: qa-fetch echo 127.0.0.1.",
    )
    assert not [path for path in double.paths() if "system" in path]


def test_another_object_than_the_one_asked_for_is_not_taken_for_it(
    newer: Newer, double: HttpDouble, course: Course
) -> None:
    """Here the server answers with one object for all."""
    first = course.newest.images[0]
    newer.files = dict.fromkeys(newer.files, as_file(first))
    error = said(double, course)
    assert (type(error), len(error.missing)) == (Incomplete, 3)


@pytest.mark.parametrize("length", [-1, 1])
def test_an_object_whose_length_is_not_what_was_announced_is_not_taken(
    newer: Newer, double: HttpDouble, course: Course, length: int
) -> None:
    """Cut short by one byte, or announced longer than it is."""
    for key, file in newer.files.items():
        newer.files[key] = file[:length] if length < 0 else file
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n"

    def lying(asked: Asked) -> Reply:
        reply = newer(asked)
        if reply.content_type == "application/dicom" and isinstance(reply.body, bytes) and length > 0:
            return Reply(raw=[f"{head}Content-Length: {len(reply.body) + 1}\r\n\r\n".encode() + reply.body])
        return reply

    double.script = lying
    error = said(double, course)
    assert (type(error), str(error)) == (
        (
            BadArchive,
            "127.0.0.1: an object is cut short: it ends in the middle of an element. Fetch or export it again.",
        )
        if length < 0
        else (
            ConnectionFailed,
            "127.0.0.1 broke off in the middle of its answer. "
            "Call again; if it does so again, run: qa-fetch echo 127.0.0.1.",
        )
    )


def test_an_object_without_a_length_is_refused(newer: Newer, double: HttpDouble, course: Course) -> None:
    """Where the connection's end is the object's end, a lost connection would be one too."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n\r\n"

    def endless(asked: Asked) -> Reply:
        reply = newer(asked)
        if reply.content_type == "application/dicom" and isinstance(reply.body, bytes):
            return Reply(raw=[head + reply.body])
        return reply

    double.script = endless
    error = said(double, course)
    assert (type(error), str(error)) == (
        BadArchive,
        "127.0.0.1 does not say where an object ends, so it is not used. Report it to its administrator.",
    )
