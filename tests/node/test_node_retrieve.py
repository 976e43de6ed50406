"""What a node sends, and what it says about it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from node_objects import uid

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess, Peer

STUDY_1 = [uid(1, 1, 1, 1), *(uid(1, 1, 2, number) for number in (1, 2, 3))]


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A node with the usual content and a receiver QATRACK; NOBODY is configured and down."""
    folder = tmp_path_factory.mktemp("course")
    refused = uid(1, 2, 2, 2)
    with client.receiver("QATRACK", refuse=[refused]) as (port, received):
        destinations = {"QATRACK": Peer("127.0.0.1", port), "NOBODY": Peer("127.0.0.1", closed_port())}
        with NodeProcess(NodeOptions(folder / "node", port=0, peers=destinations)) as node:
            assert set(client.store(node.port, *objects.content())) == {0}
            yield node, received


@pytest.mark.parametrize("root", ["patient", "study"])
@pytest.mark.parametrize(
    ("level", "keys", "expected"),
    [
        ("STUDY", {"StudyInstanceUID": uid(1, 1)}, STUDY_1),
        ("STUDY", {"PatientID": "QA1", "StudyInstanceUID": uid(1, 1)}, STUDY_1),
        ("SERIES", {"SeriesInstanceUID": uid(1, 1, 2)}, STUDY_1[1:]),
        ("IMAGE", {"SOPInstanceUID": [uid(1, 1, 2, 1), uid(1, 1, 1, 1), "1.2.3"]}, STUDY_1[:2]),
        ("IMAGE", {"StudyInstanceUID": uid(1, 1), "SOPInstanceUID": uid(1, 1, 2, 1)}, STUDY_1[1:2]),
        ("STUDY", {"PatientID": "QA2", "StudyInstanceUID": uid(1, 1)}, []),
        ("SERIES", {"SeriesInstanceUID": uid(1, 1, 2), "RTImageLabel": "G2"}, [uid(1, 1, 2, 2)]),
    ],
)
def test_a_retrieval_brings_what_was_named_and_no_more(
    course: Any, root: str, level: str, keys: dict[str, Any], expected: list[str]
) -> None:
    """C-MOVE and C-GET send the same objects with the same counts; a study of a patient is not the whole patient."""
    node, received = course
    received.objects.clear()
    moved = client.move(node.port, level, keys, "QATRACK", root=root)
    assert (moved.status, moved.counts, sorted(received.objects)) == (0, (len(expected), 0, 0), sorted(expected))
    got, kept = client.get(node.port, level, keys, root=root)
    assert (got.status, got.counts, sorted(kept.objects)) == (0, (len(expected), 0, 0), sorted(expected))
    assert kept.objects == received.objects


def test_a_patient_is_retrieved_under_its_own_root(course: Any) -> None:
    """At PATIENT level everything of the patient comes."""
    result, received = client.get(course[0].port, "PATIENT", {"PatientID": "QA2"}, root="patient")
    assert (result.status, result.counts, len(received.objects)) == (0, (2, 0, 0), 2)


def test_objects_come_back_byte_for_byte(course: Any) -> None:
    """What was stored is what is sent."""
    _, received = client.get(course[0].port, "STUDY", {"StudyInstanceUID": [uid(1, 1), uid(1, 2), uid(2, 1)]})
    expected = {str(each.SOPInstanceUID): (part10.EXPLICIT_LITTLE, objects.encoded(each)) for each in objects.content()}
    assert received.objects == expected


@pytest.mark.parametrize(
    "keys",
    [{"StudyInstanceUID": ""}, {"PatientID": "QA1"}, {"StudyInstanceUID": "*"}],
)
def test_a_retrieval_without_its_unique_key_is_refused(course: Any, keys: dict[str, Any]) -> None:
    """Without the level's UID a request would mean everything: 0xA900."""
    node, received = course
    received.objects.clear()
    assert client.move(node.port, "STUDY", keys, "QATRACK").status == 0xA900
    assert client.get(node.port, "STUDY", keys)[0].status == 0xA900
    assert received.objects == {}


def test_an_unknown_destination_is_refused(course: Any) -> None:
    """C-MOVE to an AE title that is not configured: 0xA801."""
    assert client.move(course[0].port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "STRANGER").status == 0xA801


def test_a_destination_that_is_down_fails_every_object(course: Any) -> None:
    """0xA702, all counted as failed, all named."""
    result = client.move(course[0].port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "NOBODY")
    assert (result.status, result.counts, sorted(result.failed)) == (0xA702, (0, 4, 0), sorted(STUDY_1))


def test_a_refused_object_is_counted_and_named(course: Any) -> None:
    """When the destination refuses one of four, the answer is 0xB000 with true counts and that UID."""
    result = client.move(course[0].port, "STUDY", {"StudyInstanceUID": uid(1, 2)}, "QATRACK")
    assert (result.status, result.counts, result.failed) == (0xB000, (3, 1, 0), [uid(1, 2, 2, 2)])


def test_nothing_that_fits_is_a_success_with_no_objects(course: Any) -> None:
    """An unknown study moves nothing and says so."""
    result = client.move(course[0].port, "STUDY", {"StudyInstanceUID": "1.2.3"}, "QATRACK")
    assert (result.status, result.counts) == (0, (0, 0, 0))


def test_a_compressed_object_is_served_as_it_is_stored(node: NodeProcess) -> None:
    """The caller offers JPEG 2000 among others, and gets the very bytes; one that does not is told of the failure."""
    image = objects.compressed(objects.image())
    assert client.store(node.port, image, syntax=objects.JPEG_2000) == [0]
    keys = {"SOPInstanceUID": str(image.SOPInstanceUID)}
    result, received = client.get(node.port, "IMAGE", keys, syntaxes=[*client.PLAIN, objects.JPEG_2000])
    assert (result.status, result.counts) == (0, (1, 0, 0))
    assert received.objects == {keys["SOPInstanceUID"]: (objects.JPEG_2000, objects.encoded(image, objects.JPEG_2000))}
    result, received = client.get(node.port, "IMAGE", keys)
    assert (result.status, result.counts, result.failed) == (0xA702, (0, 1, 0), [keys["SOPInstanceUID"]])


def test_a_compressed_object_is_moved_as_it_is_stored(tmp_path: Path) -> None:
    """The association to the destination proposes the syntax of each object."""
    image = objects.compressed(objects.image())
    with client.receiver("QATRACK", [*client.PLAIN, objects.JPEG_2000]) as (port, received):
        options = NodeOptions(tmp_path / "node", port=0, peers={"QATRACK": Peer("127.0.0.1", port)})
        with NodeProcess(options) as node:
            client.store(node.port, image, syntax=objects.JPEG_2000)
            client.store(node.port, objects.plan(), syntax=part10.IMPLICIT_LITTLE)
            result = client.move(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "QATRACK")
    assert (result.status, result.counts) == (0, (2, 0, 0))
    assert received.objects == {
        str(image.SOPInstanceUID): (objects.JPEG_2000, objects.encoded(image, objects.JPEG_2000)),
        uid(1, 1, 1, 1): (part10.IMPLICIT_LITTLE, objects.encoded(objects.plan(), part10.IMPLICIT_LITTLE)),
    }


@pytest.mark.parametrize("stored", client.PLAIN)
def test_an_uncompressed_object_is_converted_for_a_caller_that_wants_the_other_encoding(
    node: NodeProcess, stored: str
) -> None:
    """Explicit and implicit little endian stand in for each other."""
    (wanted,) = (syntax for syntax in client.PLAIN if syntax != stored)
    image = objects.image()
    client.store(node.port, image, syntax=stored)
    result, received = client.get(node.port, "SERIES", {"SeriesInstanceUID": uid(1, 1, 2)}, syntaxes=[wanted])
    assert (result.status, received.objects) == (0, {uid(1, 1, 2, 1): (wanted, objects.encoded(image, wanted))})


def test_a_lost_file_fails_alone(node: NodeProcess) -> None:
    """An object whose file is gone is counted and named; the others are sent."""
    client.store(node.port, *(objects.image(number=number) for number in (1, 2)))
    next((node.options.data / "objects").rglob(f"{uid(1, 1, 2, 1)}.dcm")).unlink()
    result, received = client.get(node.port, "SERIES", {"SeriesInstanceUID": uid(1, 1, 2)})
    assert (result.status, result.counts, result.failed) == (0xB000, (1, 1, 0), [uid(1, 1, 2, 1)])
    assert list(received.objects) == [uid(1, 1, 2, 2)]


def test_the_log_tells_the_outcome_and_no_patient(node: NodeProcess, tmp_path: Path) -> None:
    """One line per operation: who asked, the final status, the counts."""
    client.store(node.port, objects.plan(), objects.image())
    client.find(node.port, "STUDY", {"PatientID": "QA1", "PatientName": "Machine1^QA"})
    client.get(node.port, "STUDY", {"PatientID": "QA1", "StudyInstanceUID": uid(1, 1)})
    client.move(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)}, "STRANGER")
    node.stop()
    log = (tmp_path / "node.log").read_text()
    said = [json.loads(line)["message"] for line in log.splitlines()]
    for line in (
        "C-FIND from 'TESTER' at 127.0.0.1: 0x0000, 1 answers",
        "C-GET from 'TESTER' at 127.0.0.1: 0x0000, 2 sent, 0 failed",
        "C-MOVE from 'TESTER' at 127.0.0.1: 0xA801, 0 sent, 0 failed",
    ):
        assert said.count(line) == 1, log
    assert "QA1" not in log and "Machine1" not in log and objects.ROOT not in log
