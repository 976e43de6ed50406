"""The index made anew, everything read again, copied out, and the database looked after."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import node_client as client
import node_objects as objects
import node_script
import pytest
from node_commands import environment
from node_objects import uid

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess, process


@pytest.fixture
def options(tmp_path: Path) -> NodeOptions:
    """A node that has stopped, with the usual content."""
    given = NodeOptions(tmp_path / "node", port=0, extra=("StationName",))
    with NodeProcess(given) as node:
        assert set(client.store(node.port, *objects.content())) == {0}
    return given


def all_of(options: NodeOptions) -> list[str]:
    """Every object as a node answers it."""
    keys = {"PatientID": "", "PatientName": "", "SeriesInstanceUID": "", "SOPInstanceUID": "", "RTPlanLabel": ""}
    with NodeProcess(options) as node:
        return sorted(answer.to_json() for answer in client.find(node.port, "IMAGE", keys).answers)


def path_of(options: NodeOptions, instance: str) -> Path:
    """Where an object lies."""
    (found,) = (options.data / "objects").rglob(f"{instance}.dcm")
    return found


def test_the_index_is_made_anew_from_the_files_alone(options: NodeOptions) -> None:
    """Without the database nothing is lost; a second run finds nothing to do."""
    before = all_of(options)
    for left in options.data.glob("index.sqlite3*"):
        left.unlink()
    report = node_script.done(options, "upkeep.make_index(options, workers=2)")
    assert (report["checked"], report["added"], report["problems"]) == (len(before), len(before), [])
    assert all_of(options) == before
    assert node_script.done(options, "upkeep.make_index(options)")["checked"] == 0


def test_many_files_are_read_by_several_processes(tmp_path: Path) -> None:
    """And the same comes out as with one."""
    options = NodeOptions(tmp_path / "node", port=0)
    with NodeProcess(options) as node:
        images = [objects.image(1 + number % 3, 1, number % 7, number) for number in range(1, 251)]
        assert set(client.store(node.port, *images)) == {0}
    before = all_of(options)
    assert node_script.done(options, "database.clean(options)") is None
    assert node_script.done(options, "database.check(options)")["instances"] == 0
    assert node_script.done(options, "upkeep.make_index(options, workers=2)")["added"] == 250
    assert all_of(options) == before


@pytest.mark.parametrize("lost", ["cleaned", "dropped", "deleted"])
def test_a_start_describes_what_an_index_has_lost(options: NodeOptions, lost: str) -> None:
    """However it was lost, and although the node was stopped in good order; no object is replaced by a new one."""
    before = all_of(options)
    if lost == "deleted":
        for left in options.data.glob("index.sqlite3*"):
            left.unlink()
    else:
        assert node_script.done(options, f"database.{'clean' if lost == 'cleaned' else 'drop'}(options)") is None
    with NodeProcess(options) as node:
        assert client.store(node.port, objects.image(RTImageLabel="OTHER")) == [0x111]
    assert all_of(options) == before
    assert node_script.done(options, "upkeep.verify(options)")["problems"] == []


def test_what_is_kept_apart_is_described_again_too(options: NodeOptions) -> None:
    """The trace of it, from the files alone; a file that lies there under another name is named."""
    with NodeProcess(options) as node:
        others = [objects.image(number=number, RTImageLabel="OTHER") for number in (1, 2)]
        assert client.store(node.port, *others) == [0x111, 0x111]
    before = conflicts(options)
    assert [row[0] for row in before] == [uid(1, 1, 2, 1), uid(1, 1, 2, 2)]
    (options.data / "conflicts" / "1.2.3.dcm").write_bytes(path_of(options, uid(1, 1, 2, 1)).read_bytes())
    assert node_script.done(options, "database.clean(options)") is None
    assert conflicts(options) == []
    report = node_script.done(options, "upkeep.make_index(options)")
    assert report["added"] == len(objects.content()) + 2
    assert report["problems"] == ["conflicts/1.2.3.dcm: its name is not that of the object in it."]
    assert conflicts(options) == before
    assert node_script.done(options, "upkeep.make_index(options)")["checked"] == 1


def conflicts(options: NodeOptions) -> list[tuple[str, str, int]]:
    """What the index says of the objects that are kept apart."""
    with contextlib.closing(sqlite3.connect(options.data / "index.sqlite3")) as connection:
        rows = connection.execute("SELECT SOPInstanceUID, digest, size FROM qa_fetch_node_conflict ORDER BY 1")
        return rows.fetchall()


def test_an_index_that_somebody_holds_is_no_fault_of_the_files(options: NodeOptions) -> None:
    """It is one sentence, and not one for each file."""
    assert node_script.done(options, "database.clean(options)") is None
    with contextlib.closing(sqlite3.connect(options.data / "index.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert node_script.done(options, "upkeep.make_index(options)") == {
            "error": "ConfigError",
            "says": "the node's database cannot be used (OperationalError). "
            "Check that it runs, that no other program holds it, and the [database] table.",
        }
    assert node_script.done(options, "upkeep.make_index(options)")["added"] == len(objects.content())


def test_files_that_are_none_are_named_and_the_rest_is_described(options: NodeOptions) -> None:
    """Cut short, under another object's name, and no DICOM at all."""
    count = len(all_of(options))
    for left in options.data.glob("index.sqlite3*"):
        left.unlink()
    short = path_of(options, uid(1, 1, 2, 1))
    short.write_bytes(short.read_bytes()[:-3])
    moved = path_of(options, uid(1, 1, 2, 2)).rename(short.with_name("1.2.3.dcm"))
    (short.parent / "1.2.4.dcm").write_text("no DICOM")
    report = node_script.done(options, "upkeep.make_index(options)")
    names = {path: f"objects/{path.parent.name}/{path.name}" for path in (short, moved, short.parent / "1.2.4.dcm")}
    assert sorted(report["problems"]) == sorted(
        [
            f"{names[short]}: an object is cut short: it ends in the middle of an element. Fetch or export it again.",
            f"{names[moved]}: its name is not that of the object in it.",
            f"{names[short.parent / '1.2.4.dcm']}: it is not a DICOM Part-10 file. Leave it out, or convert it first.",
        ]
    )
    assert report["added"] == count - 2 == len(all_of(options))


def test_everything_is_read_again(options: NodeOptions) -> None:
    """A changed byte, a missing file and a stranger are found; nothing is removed."""
    changed, missing = path_of(options, uid(1, 1, 2, 1)), path_of(options, uid(1, 1, 2, 2))
    whole = bytearray(changed.read_bytes())
    whole[-1] ^= 1
    changed.write_bytes(whole)
    missing.unlink()
    part10.write(objects.image(9), changed.with_name("1.2.5.dcm"))
    report = node_script.done(options, "upkeep.verify(options)")
    assert sorted(report["problems"]) == sorted(
        [
            f"objects/{changed.parent.name}/{changed.name}: it is not what was stored. Restore it from a backup.",
            f"objects/{missing.parent.name}/{missing.name}: it cannot be read (No such file or directory).",
            f"objects/{changed.parent.name}/1.2.5.dcm: it is not in the index. Run data index.",
        ]
    )
    assert report["checked"] == len(objects.content())


def test_a_study_is_copied_out_into_a_folder(options: NodeOptions, tmp_path: Path) -> None:
    """By study, series and object; a second time nothing is overwritten and nothing is wrong."""
    to = tmp_path / "out"
    for _ in range(2):
        report = node_script.done(options, f"upkeep.export(options, Path({str(to)!r}), [{uid(1, 1)!r}])")
        assert (report["checked"], report["added"], report["problems"]) == (4, 4, [])
    found = sorted(to.rglob("*.dcm"))
    assert [path.relative_to(to).as_posix() for path in found][0] == f"{uid(1, 1)}/{uid(1, 1, 1)}/{uid(1, 1, 1, 1)}.dcm"
    assert [path.read_bytes() for path in found] == [path_of(options, path.stem).read_bytes() for path in found]
    found[0].write_bytes(b"mine")
    report = node_script.done(options, f"upkeep.export(options, Path({str(to)!r}), [{uid(1, 1)!r}])")
    assert [problem.partition(": ")[2] for problem in report["problems"]] == [
        "another file has its name there already, and nothing is overwritten."
    ]
    assert found[0].read_bytes() == b"mine"


def test_everything_is_copied_out_into_a_zip(options: NodeOptions, tmp_path: Path) -> None:
    """Which must be new."""
    to = tmp_path / "all.zip"
    report = node_script.done(options, f"upkeep.export(options, Path({str(to)!r}))")
    assert (report["added"], report["problems"]) == (len(objects.content()), [])
    with zipfile.ZipFile(to) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            assert archive.read(name) == path_of(options, Path(name).stem).read_bytes()
    assert node_script.done(options, f"upkeep.export(options, Path({str(to)!r}))") == {
        "error": "ConfigError",
        "says": f"{to} is there already, and nothing is overwritten. Choose another name.",
    }
    assert list(tmp_path.glob(".*.part")) == []


def test_nothing_is_touched_while_the_node_runs(options: NodeOptions) -> None:
    """What would change the index under it is refused."""
    with NodeProcess(options):
        for expression in ("upkeep.make_index(options)", "database.drop(options)", "database.clean(options)"):
            assert node_script.done(options, expression) == {
                "error": "ConfigError",
                "says": f"a node is running on {options.data}. Stop it first.",
            }
        assert node_script.done(options, "database.check(options)")["sound"] is True


def test_the_database_is_checked(options: NodeOptions) -> None:
    """Whole, up to date, and as many objects as files."""
    count = len(objects.content())
    sound = node_script.done(options, "database.check(options)")
    assert (sound["sound"], sound["instances"], sound["files"], sound["says"]) == (True, count, count, [])
    path_of(options, uid(1, 1, 2, 1)).unlink()
    assert node_script.done(options, "database.check(options)")["says"] == [
        f"it describes {count} objects, and there are {count - 1} files. Run data verify to see which."
    ]
    assert node_script.done(options, "database.drop(options)") is None
    assert node_script.done(options, "database.check(options)")["says"] == [
        "its tables are not up to date. Run database create."
    ]
    assert node_script.done(options, "database.create(options)") is None
    assert node_script.done(options, "database.check(options)")["instances"] == 0


def test_a_damaged_database_is_named(options: NodeOptions) -> None:
    """With the way to make it anew."""
    (options.data / "index.sqlite3").write_bytes(b"no database" * 1000)
    assert node_script.done(options, "database.check(options)") == {
        "error": "ConfigError",
        "says": "the node's database cannot be used (DatabaseError). "
        "Check that it runs and the [database] table, or make it anew with database clean and data index.",
    }


def test_the_index_is_asked_without_the_network(options: NodeOptions) -> None:
    """The same engine as C-FIND's; a query that makes no sense is a sentence."""
    keys = "{'PatientID': 'QA1', 'RTPlanLabel': 'WL*'}"
    found = node_script.done(options, f"[str(each.SOPInstanceUID) for each in database.find(options, 'IMAGE', {keys})]")
    assert found == [uid(1, 1, 1, 1)]
    assert node_script.done(options, "list(database.find(options, 'NOWHERE', {}))")["says"] == (
        "this query cannot be answered: its QueryRetrieveLevel is missing or not one of the patient root. Correct it."
    )


def test_what_sqlite_notes_for_itself_is_no_matter(options: NodeOptions) -> None:
    """ANALYZE, which PRAGMA optimize also does, makes a table of its own."""
    before = all_of(options)
    with contextlib.closing(sqlite3.connect(options.data / "index.sqlite3")) as connection:
        connection.execute("ANALYZE")
    assert all_of(options) == before
    assert node_script.done(options, "database.clean(options)") is None
    assert all_of(options) == before


KILLED = """
import os, sys
from pathlib import Path
from django.db.migrations.executor import MigrationExecutor
from qa_fetch.node import NodeOptions, index
whole, left = MigrationExecutor.apply_migration, [int(sys.argv[2])]
def apply(self, *given, **more):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    return whole(self, *given, **more)
MigrationExecutor.apply_migration = apply
index.start(NodeOptions(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("applied", [0, 1, 4])
def test_a_first_start_that_was_killed_is_gone_on_with(tmp_path: Path, applied: int) -> None:
    """Whatever it had made: Django's tables without the node's would be taken for another application's."""
    options = NodeOptions(tmp_path / "node", port=0)
    assert subprocess.run([sys.executable, "-c", KILLED, options.data, str(applied)], env=environment()).returncode == 9
    with NodeProcess(options) as node:
        assert client.store(node.port, objects.image()) == [0]
    assert node_script.done(options, "database.check(options)")["sound"] is True


SLOW = """
import sys, time
from pathlib import Path
from qa_fetch.node import NodeOptions, reading, serve
read = reading.read
def slow(path, extra=()):
    print("describes one", flush=True)
    time.sleep(1)
    return read(path, extra)
reading.read = slow
serve(NodeOptions(Path(sys.argv[1]), port=0), lambda node: print("it listens", flush=True))
"""


def test_a_start_that_describes_ends_when_it_is_told_to(options: NodeOptions) -> None:
    """Not after the last of many files; what was described stays so, and the next start goes on."""
    before = all_of(options)
    assert node_script.done(options, "database.clean(options)") is None
    command = [sys.executable, "-c", SLOW, str(options.data)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(2)] == ["describes one\n"] * 2
        child.send_signal(signal.SIGTERM)
        assert "it listens" not in child.stdout.read()
        assert child.wait(20) == 0
    described = node_script.done(options, "database.check(options)")["instances"]
    assert 1 <= described < len(before)
    assert all_of(options) == before


def test_a_child_that_describes_is_waited_for(options: NodeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than a child that says nothing."""
    assert node_script.done(options, "database.clean(options)") is None
    site = options.data.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WAITING)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    monkeypatch.setattr(process, "_START_SECONDS", 6.0)
    began = time.monotonic()
    with NodeProcess(options) as node:
        assert time.monotonic() - began > 8
        assert len(client.find(node.port, "IMAGE", {"SOPInstanceUID": ""}).answers) == len(objects.content())


WAITING = """
import time
from qa_fetch.node import upkeep
whole = upkeep.describe_files
def describe_files(*given, **more):
    time.sleep(8)
    return whole(*given, **more)
upkeep.describe_files = describe_files
"""


def test_an_older_index_is_brought_up_to_date(options: NodeOptions) -> None:
    """A table that is missing is made at the next start."""
    with sqlite3.connect(options.data / "index.sqlite3") as connection:
        connection.execute("DROP TABLE django_session")
        connection.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    connection.close()
    assert node_script.done(options, "database.check(options)")["sound"] is False
    with NodeProcess(options):
        pass
    assert node_script.done(options, "database.check(options)")["sound"] is True
