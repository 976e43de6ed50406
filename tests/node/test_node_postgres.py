"""The node's index on PostgreSQL: the same answers as on SQLite, and what happens when the server goes away."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path

import node_client as client
import node_objects as objects
import node_script
import psycopg
import pytest
from node_objects import uid
from peers.postgres import Postgres
from peers.process import LOOPBACK, Missing, skip_or_fail
from peers.wire import Association
from pydicom.sequence import Sequence

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
        "the node's database cannot be used (OperationalError). "
        "Check that it runs, that no other program holds it, and the [database] table."
    )


def test_a_database_that_has_gone_is_named_by_what_would_destroy_it(tmp_path: Path) -> None:
    """As by everything else."""
    options = NodeOptions(tmp_path / "node", port=0, database=Database("postgresql://tester@127.0.0.1:9/postgres"))
    options.data.mkdir()
    for expression in ("database.drop(options)", "database.clean(options)", "upkeep.make_index(options)"):
        assert node_script.done(options, expression) == {
            "error": "ConfigError",
            "says": "the node's database cannot be used (OperationalError). "
            "Check that it runs, that no other program holds it, and the [database] table.",
        }


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


def test_values_with_a_nul_inside_are_kept_and_found(options: NodeOptions) -> None:
    """PostgreSQL takes none in its columns; the object itself stays as it came, also where it is described again."""
    reference = objects.item(ReferencedSOPClassUID=objects.RTPLAN, ReferencedSOPInstanceUID="1.2\0.3")
    image = objects.image(
        PatientID="QA\x001",
        PatientName="Machine\x001^QA",
        AccessionNumber="A\0B",
        RTImageLabel="G\x001",
        StationName="TB\x002",
        ReferencedRTPlanSequence=Sequence([reference]),
    )
    question = {"AccessionNumber": "A*", "PatientID": "", "StationName": "TB*", "SOPInstanceUID": ""}
    plan = {"ReferencedRTPlanSequence": {"ReferencedSOPInstanceUID": "1.2\0.3"}, "SOPInstanceUID": ""}
    with NodeProcess(options) as node:
        caller = Association.request((LOOPBACK, node.port), "QA_NODE", "LIN\0AC", [objects.RTIMAGE])
        named = {"AffectedSOPClassUID": objects.RTIMAGE, "AffectedSOPInstanceUID": str(image.SOPInstanceUID)}
        command = {**named, "CommandField": 0x0001, "MessageID": 1, "Priority": 0}
        caller.send(1, command, objects.encoded(image, caller.contexts[1].accepted))
        assert caller.read().command.Status == 0
        caller.release()
    assert node_script.done(options, "database.clean(options)") is None
    assert node_script.done(options, "upkeep.make_index(options)")["problems"] == []
    with NodeProcess(options) as node:
        (answer,) = client.find(node.port, "IMAGE", question).answers
        assert (answer.PatientID, answer.AccessionNumber) == ("QA\x001", "A\0B")
        found = client.find(node.port, "IMAGE", plan)
        assert (found.status, len(found.answers)) == (0, 1)


def test_an_object_that_the_database_does_not_take_stops_nothing_else(options: NodeOptions) -> None:
    """It is named by whoever describes the files, and a node that was killed starts beside it."""
    letters = random.Random(1)
    long = "".join(
        letters.choice(string.ascii_letters) for _ in range(8000)
    )  # longer than an index of PostgreSQL takes
    with NodeProcess(options) as node:
        statuses = client.store(node.port, objects.image(number=1, AccessionNumber=long), objects.image(number=2))
        assert statuses == [0xA700, 0]
        node.kill()
    assert node_script.done(options, "database.clean(options)") is None
    with NodeProcess(options) as node:
        (answer,) = client.find(node.port, "IMAGE", {"SOPInstanceUID": ""}).answers
        assert answer.SOPInstanceUID == uid(1, 1, 2, 2)
    report = node_script.done(options, "upkeep.make_index(options)")
    (problem,) = report["problems"]
    name, _, sentence = problem.partition(": ")
    assert name.endswith(f"/{uid(1, 1, 2, 1)}.dcm")
    assert sentence == (
        "the database does not take its values (OperationalError). "
        "See the database's log, or move the file out of the node's folder."
    )


HOST = (
    "CREATE TABLE auth_user (id integer PRIMARY KEY)",
    "INSERT INTO auth_user VALUES (7)",
    "CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz)",
    "CREATE TABLE qa_testlistinstance (id integer REFERENCES auth_user (id))",
)


def test_a_database_of_another_application_is_left_alone(options: NodeOptions, postgres: Postgres) -> None:
    """Another Django's tables have the names of ours: nothing is made, dropped or read there."""
    with psycopg.connect(postgres.url, autocommit=True) as host:
        for statement in HOST:
            host.execute(statement)
        try:
            for expression in ("create(options)", "drop(options)", "clean(options)", "find(options, 'STUDY', {})"):
                assert node_script.done(options, f"list(database.{expression} or [])") == also("the table auth_user")
            assert host.execute("SELECT id FROM auth_user").fetchall() == [(7,)]
            host.execute("INSERT INTO django_migrations (app, name) VALUES ('qa', '0001_initial')")
            assert node_script.done(options, "database.drop(options)") == also("migrations of qa")
            tables = host.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
            assert tables == [("auth_user",), ("django_migrations",), ("qa_testlistinstance",)]
        finally:
            host.execute("DROP TABLE IF EXISTS qa_testlistinstance, auth_user, django_migrations CASCADE")


def test_a_table_beside_those_of_the_node_is_no_matter(options: NodeOptions, postgres: Postgres) -> None:
    """As PostGIS puts one into every database: the node starts, is emptied and drops its own, and that one stays."""
    with psycopg.connect(postgres.url, autocommit=True) as site:
        site.execute("CREATE TABLE spatial_ref_sys AS SELECT 4326 AS srid")
        try:
            for _ in range(2):
                with NodeProcess(options) as node:
                    assert client.store(node.port, objects.image()) == [0]
                assert node_script.done(options, "database.clean(options)") is None
            assert node_script.done(options, "database.drop(options)") is None
            tables = site.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            assert tables == [("spatial_ref_sys",)]
            assert site.execute("SELECT srid FROM spatial_ref_sys").fetchall() == [(4326,)]
        finally:
            site.execute("DROP TABLE spatial_ref_sys")


def also(what: str) -> dict[str, str]:
    """The refusal of a database that has this."""
    return {
        "error": "ConfigError",
        "says": f"the node's database is also another application's: it has {what}. "
        "Make a database for the node alone, and name that in [database] url.",
    }
