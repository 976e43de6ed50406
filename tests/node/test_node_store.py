"""What a node takes in, what it refuses, and what it keeps."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import node_client as client
import node_objects as objects
import pytest
from pydicom.dataset import Dataset

from qa_fetch import Archive, part10
from qa_fetch.node import NodeProcess


def files(node: NodeProcess) -> list[Path]:
    """Every file that the node keeps for objects."""
    return sorted(path for path in (node.options.data / "objects").rglob("*") if path.is_file())


def count(node: NodeProcess) -> int:
    """How many objects the index knows."""
    return len(client.find(node.port, "IMAGE", {"SOPInstanceUID": ""}).answers)


@pytest.mark.parametrize("syntax", [part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG])
def test_an_object_is_kept_as_it_came(node: NodeProcess, syntax: str) -> None:
    """The file holds the bytes of the wire behind a header of its own, and queries find it in any encoding."""
    image = objects.image(PatientName="M\u00fcller^J\u00f6rg", SpecificCharacterSet="ISO_IR 100")
    assert client.store(node.port, image, syntax=syntax) == [0]
    (path,) = files(node)
    kept = part10.split(path.read_bytes(), "the file")
    assert (kept.transfer_syntax, bytes(kept.dataset)) == (syntax, objects.encoded(image, syntax))
    assert path.name == f"{image.SOPInstanceUID}.dcm"
    keys = {"SOPInstanceUID": "", "PatientName": "M\u00fcller*", "GantryAngle": "0", "Rows": 4}
    (answer,) = client.find(node.port, "IMAGE", keys).answers
    assert str(answer.PatientName) == "M\u00fcller^J\u00f6rg"


def test_the_same_object_twice_is_one_object(node: NodeProcess) -> None:
    """Sending again is answered with Success and changes nothing."""
    assert client.store(node.port, objects.image(), objects.image()) == [0, 0]
    assert client.store(node.port, objects.image()) == [0]
    assert (count(node), len(files(node))) == (1, 1)


def test_another_object_under_a_known_uid_is_refused(node: NodeProcess, tmp_path: Path) -> None:
    """The first one stays, the sender hears 0x0111, and the log says so without naming anybody."""
    first, other = objects.image(RTImageLabel="FIRST"), objects.image(RTImageLabel="OTHER")
    assert client.store(node.port, first, other) == [0, 0x111]
    (answer,) = client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "RTImageLabel": ""}).answers
    assert answer.RTImageLabel == "FIRST"
    log = (tmp_path / "node.log").read_text()
    assert "object refused with 0x0111: another object with its SOP Instance UID is stored already" in log
    for identifier in ("Machine1", "QA1", str(answer.SOPInstanceUID)):
        assert identifier not in log


def forget(node: NodeProcess) -> None:
    """Take its objects out of the index behind its back, as when a backup of the database is put back."""
    with contextlib.closing(sqlite3.connect(node.options.data / "index.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM qa_fetch_node_referencedplan")
        connection.execute("DELETE FROM qa_fetch_node_instance")


def test_an_object_that_the_index_has_lost_is_never_replaced(node: NodeProcess) -> None:
    """It is described again, and the different one is kept apart and refused as ever."""
    assert client.store(node.port, objects.image(RTImageLabel="FIRST")) == [0]
    (path,) = files(node)
    first = path.read_bytes()
    forget(node)
    assert client.store(node.port, objects.image(RTImageLabel="OTHER")) == [0x111]
    assert (files(node), path.read_bytes()) == ([path], first)
    (answer,) = client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "RTImageLabel": ""}).answers
    assert answer.RTImageLabel == "FIRST"
    (apart,) = (node.options.data / "conflicts").iterdir()
    assert b"OTHER" in apart.read_bytes()


def test_an_object_that_the_index_has_lost_is_described_when_it_comes_again(node: NodeProcess) -> None:
    """With who sent it."""
    assert client.store(node.port, objects.image()) == [0]
    forget(node)
    assert client.store(node.port, objects.image(), calling="LINAC") == [0]
    assert (count(node), len(files(node))) == (1, 1)
    with contextlib.closing(sqlite3.connect(node.options.data / "index.sqlite3")) as connection:
        assert connection.execute("SELECT source FROM qa_fetch_node_instance").fetchall() == [("LINAC",)]


def test_a_file_that_cannot_be_read_is_not_replaced_either(node: NodeProcess, tmp_path: Path) -> None:
    """Nobody knows what it was, so its bytes stay until somebody has looked at them; the sender may try later."""
    client.store(node.port, objects.image())
    (path,) = files(node)
    path.write_bytes(path.read_bytes()[:-3])
    spoilt = path.read_bytes()
    forget(node)
    assert client.store(node.port, objects.image()) == [0xA700]
    assert (path.read_bytes(), count(node)) == (spoilt, 0)
    assert (
        "object refused with 0xA700: a file that cannot be read lies in its place; node data index names it"
        in (tmp_path / "node.log").read_text()
    )
    path.unlink()
    assert client.store(node.port, objects.image()) == [0]


def test_a_lost_file_comes_back_with_the_object(node: NodeProcess) -> None:
    """When somebody removed the file of a known object, sending it again restores it."""
    client.store(node.port, objects.image())
    (path,) = files(node)
    path.unlink()
    assert client.store(node.port, objects.image()) == [0]
    assert files(node) == [path]


@pytest.mark.parametrize("cut", [1, 20, 100, 300])
def test_a_truncated_object_is_refused(node: NodeProcess, cut: int) -> None:
    """An object that ends in the middle of an element is answered with 0xC000 and leaves nothing behind."""
    image = objects.image()
    data = objects.encoded(image)[:-cut]
    status = client.store_bytes(node.port, objects.RTIMAGE, str(image.SOPInstanceUID), data)
    assert (status, count(node), files(node)) == (0xC000, 0, [])
    assert list((node.options.data / "incoming").iterdir()) == []


def test_uids_that_differ_from_the_request_are_refused(node: NodeProcess) -> None:
    """The SOP Class and Instance UIDs of the data set are those of the C-STORE, or the answer is 0xA900."""
    image = objects.image()
    data = objects.encoded(image)
    assert client.store_bytes(node.port, objects.RTIMAGE, objects.uid(9, 9, 9, 9), data) == 0xA900
    assert client.store_bytes(node.port, objects.RTPLAN, str(image.SOPInstanceUID), data) == 0xA900
    assert (count(node), files(node)) == (0, [])


def test_an_object_without_study_or_series_is_refused(node: NodeProcess) -> None:
    """Nobody could ask for it, so it is answered with 0xA900."""
    image = objects.image()
    image.StudyInstanceUID = ""
    assert client.store(node.port, image) == [0xA900]


@pytest.mark.parametrize(
    "hostile", ["../../../x", "/etc/passwd", "1.2\\3", "1.2'; DROP TABLE x", "CON", "1.2\0.3", "..", "1.2/3"]
)
def test_hostile_identifiers_stay_values(node: NodeProcess, hostile: str) -> None:
    """Whatever a peer calls its objects, its files stay in their folder and it gets them back."""
    image = objects.image()
    uids = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    for keyword in (*uids, "PatientID"):
        image.add_new(keyword, "UI" if keyword in uids else "LO", hostile)
    data = objects.encoded(image)
    status = client.store_bytes(node.port, objects.RTIMAGE, hostile, data)
    assert status == (0xA900 if "\\" in hostile or "\0" in hostile else 0)
    kept = files(node)
    assert [path.resolve().is_relative_to(node.options.data / "objects") for path in kept] == [True] * len(kept)
    assert {path.name for path in node.options.data.iterdir()} <= {
        "objects", "incoming", "running", "node.json", "node.lock", "secret.key", "index.sqlite3",
        "index.sqlite3-wal", "index.sqlite3-shm",
    }  # fmt: skip
    if status == 0:
        assert len(kept) == 1
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.add_new("SOPInstanceUID", "UI", hostile)
        assert len(client.send_find(node.port, identifier).answers) == 1
    assert client.store(node.port, objects.image(2)) == [0]


def test_a_plan_with_a_long_sequence_keeps_its_header_small_and_answers_it_whole(node: NodeProcess) -> None:
    """Elements that are too long for the index are read from the file by the query that asks for them."""
    points = [objects.item(ControlPointIndex=n, CumulativeMetersetWeight=n / 500) for n in range(500)]
    plan = objects.plan(BeamSequence=[objects.item(BeamNumber=1, BeamName="A", ControlPointSequence=points)])
    same = objects.plan(2, BeamSequence=plan.BeamSequence)
    for each, syntax in ((plan, part10.EXPLICIT_LITTLE), (same, part10.IMPLICIT_LITTLE)):
        assert client.store(node.port, each, syntax=syntax) == [0]
    answers = client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "BeamSequence": {"BeamName": "A"}}).answers
    assert [len(answer.BeamSequence[0].ControlPointSequence) for answer in answers] == [500, 500]
    assert client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "BeamSequence": {"BeamName": "B"}}).answers == []


def test_one_study_uid_under_two_patients_stays_two_studies(node: NodeProcess) -> None:
    """Patients never mix, even where their objects claim one study."""
    mine, other = objects.image(1), objects.image(2)
    other.StudyInstanceUID = mine.StudyInstanceUID
    assert client.store(node.port, mine, other) == [0, 0]
    keys = {"StudyInstanceUID": str(mine.StudyInstanceUID), "PatientID": ""}
    assert sorted(a.PatientID for a in client.find(node.port, "STUDY", keys).answers) == ["QA1", "QA2"]
    keys["PatientID"] = "QA2"
    result, received = client.get(node.port, "STUDY", keys)
    assert list(received.objects) == [str(other.SOPInstanceUID)]


def test_a_disk_that_cannot_be_written_is_reported(node: NodeProcess, tmp_path: Path) -> None:
    """An OSError is answered with 0xA700, logged, and nothing is kept; the node goes on."""
    incoming = node.options.data / "incoming"
    incoming.rmdir()
    assert client.store(node.port, objects.image()) == [0xA700]
    incoming.mkdir()
    assert (count(node), files(node)) == (0, [])
    assert "object refused with 0xA700: the disk says No such file or directory" in (tmp_path / "node.log").read_text()
    assert client.store(node.port, objects.image()) == [0]


def test_several_callers_store_at_once(node: NodeProcess, tmp_path: Path) -> None:
    """Four associations store a hundred objects of one patient; every one is answered and found."""
    problems: list[str] = []

    def send(series: int) -> None:
        folder = tmp_path / str(series)
        folder.mkdir()
        for number in range(1, 26):
            part10.write(objects.image(1, 1, series, number), folder / f"{number}.dcm")
        # Not by pynetdicom, which on a busy machine takes an answer from itself now and then.
        problems.extend(sent.problem for sent in Archive(node.address).send(folder))

    threads = [threading.Thread(target=send, args=(series,)) for series in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [""] * 100
    assert (count(node), len(files(node))) == (100, 100)
    assert len(client.find(node.port, "SERIES", {"SeriesInstanceUID": ""}).answers) == 4
