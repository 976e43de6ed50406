"""The node's index on PostgreSQL: the same answers as on SQLite, and what happens when the server goes away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import node_client as client
import node_objects as objects
import node_script
import pytest
from node_objects import uid
from peers.postgres import Postgres
from peers.process import Missing, skip_or_fail

from qa_fetch import ConfigError
from qa_fetch.node import Database, NodeOptions, NodeProcess


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of its own."""
    try:
        server = Postgres()
    except Missing as missing:
        skip_or_fail(missing)
    with server:
        yield server


@pytest.fixture
def options(postgres: Postgres, tmp_path: Path) -> NodeOptions:
    """A node on an empty database."""
    given = NodeOptions(
        tmp_path / "node", port=0, extra=("StationName",), log=tmp_path / "node.log", database=Database(postgres.url)
    )
    given.data.mkdir()
    assert node_script.done(given, "database.drop(options)") is None
    return given


def test_queries_are_answered_as_on_sqlite(options: NodeOptions, tmp_path: Path) -> None:
    """Each sort of key at each level, by two nodes with the same content."""
    sqlite = NodeOptions(tmp_path / "sqlite", port=0, extra=("StationName",))
    content = [*objects.content(), objects.image(3, 1, 1, 1, StationName="TB2", PatientName="M\u00fcller^J\u00f6rg",
                                                 SpecificCharacterSet="ISO_IR 100")]  # fmt: skip
    questions = [
        ("PATIENT", {"PatientID": "", "PatientName": "mach*"}),
        ("PATIENT", {"PatientName": "m\u00dcller*", "PatientID": "", "NumberOfPatientRelatedInstances": ""}),
        ("STUDY", {"StudyInstanceUID": "", "StudyDate": "20251101-20251102", "ModalitiesInStudy": ""}),
        ("STUDY", {"StudyInstanceUID": "", "ModalitiesInStudy": "RTPLAN", "NumberOfStudyRelatedSeries": ""}),
        ("SERIES", {"PatientID": "QA1", "SeriesInstanceUID": "", "Modality": "RTIMAGE", "SeriesNumber": ""}),
        ("SERIES", {"StationName": "TB*", "SeriesInstanceUID": ""}),
        ("IMAGE", {"PatientID": "QA1", "SOPInstanceUID": "", "RTPlanLabel": "WL*"}),
        ("IMAGE", {"SOPInstanceUID": [uid(1, 1, 2, 1), uid(1, 1, 2, 2)], "ImageType": ""}),
        ("IMAGE", {"StationName": "TB2", "SOPInstanceUID": ""}),
        ("IMAGE", {"InstanceNumber": 2, "SOPInstanceUID": "", "ReferencedRTPlanSequence": ""}),
    ]
    with NodeProcess(options) as one, NodeProcess(sqlite) as other:
        for node in (one, other):
            assert set(client.store(node.port, *content)) == {0}
        for level, keys in questions:
            found = [client.find(node.port, level, keys, root="patient") for node in (one, other)]
            assert found[0].status == found[1].status == 0
            said = [sorted(answer.to_json() for answer in each.answers) for each in found]
            assert said[0] == said[1] and said[0], (level, keys)


def test_a_database_that_goes_and_comes_loses_nothing(options: NodeOptions, postgres: Postgres, tmp_path: Path) -> None:
    """While it is gone objects are refused and queries fail, both with a status; afterwards all goes on."""
    with NodeProcess(options) as node:
        assert client.store(node.port, objects.image(number=1)) == [0]
        postgres.stop()
        try:
            assert client.store(node.port, objects.image(number=2)) == [0xA700]
            assert client.find(node.port, "STUDY", {"PatientID": "QA1"}).status == 0xC000
        finally:
            postgres.start()
        assert client.store(node.port, objects.image(number=2), objects.image(number=3)) == [0, 0]
        result, received = client.get(node.port, "STUDY", {"StudyInstanceUID": uid(1, 1)})
        assert (result.status, sorted(received.objects)) == (0, [uid(1, 1, 2, number) for number in (1, 2, 3)])
    report = node_script.done(options, "upkeep.verify(options)")
    assert (report["checked"], report["problems"]) == (3, [])
    log = (tmp_path / "node.log").read_text()
    assert "object refused with 0xA700: the database raised OperationalError" in log
    assert "QA1" not in log


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything listens."""
    options = NodeOptions(tmp_path / "node", port=0, database=Database("postgresql://tester@127.0.0.1:9/postgres"))
    with pytest.raises(ConfigError) as caught:
        NodeProcess(options).start()
    assert str(caught.value) == (
        "the node's database cannot be used (OperationalError). Check that it runs, and the [database] table."
    )


def test_a_password_in_the_address_is_refused(tmp_path: Path) -> None:
    """It would stand in a file and in messages."""
    options = NodeOptions(tmp_path / "node", port=0, database=Database("postgresql://tester:secret@127.0.0.1/x"))
    with pytest.raises(ConfigError) as caught:
        NodeProcess(options).start()
    assert str(caught.value) == (
        "[database] url holds a password, which then stands in a file and in messages. "
        "Leave it out there, and name it with password_env or password_file."
    )


def test_the_index_is_made_anew_on_it(options: NodeOptions) -> None:
    """Dropped, created, and described again from the files alone."""
    with NodeProcess(options) as node:
        assert set(client.store(node.port, *objects.content())) == {0}
        before = client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "PatientID": "", "StationName": ""}).answers
    assert node_script.done(options, "database.clean(options)") is None
    assert node_script.done(options, "database.check(options)")["instances"] == 0
    report = node_script.done(options, "upkeep.make_index(options)")
    assert (report["added"], report["problems"]) == (len(before), [])
    with NodeProcess(options) as node:
        after = client.find(node.port, "IMAGE", {"SOPInstanceUID": "", "PatientID": "", "StationName": ""}).answers
    assert sorted(answer.to_json() for answer in after) == sorted(answer.to_json() for answer in before)
