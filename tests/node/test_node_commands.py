"""The node on the command line: made, served, looked after; each command says what it did and ends with 0, 1 or 2."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_client as client
import node_objects as objects
import pytest
from commands import Ran, failed
from node_commands import Done, run, serving

from qa_fetch import Archive
from qa_fetch.cli import parser
from qa_fetch.node.scaffold import init, white_list_toml

LOOPBACK = "127.0.0.1"
COUNT = len(objects.content())


def below() -> dict[str, argparse.ArgumentParser]:
    """The commands of ``qa-fetch node``."""
    choices: Any = next(action.choices for action in parser()._actions if action.dest == "command")
    return dict(next(action.choices for action in choices["node"]._actions if action.dest == "node_command"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a node that holds the library, and is not running."""
    folder = tmp_path_factory.mktemp("commands") / "store"
    init(folder, {"node.port": 0, "web.host": LOOPBACK})
    text = re.sub(r"(?m)^port = 8042\n", "", (folder / "node.toml").read_text("utf-8"))
    (folder / "node.toml").write_text(text, "utf-8")
    (folder / "white_list.toml").write_text(white_list_toml({"TESTER": {"host": LOOPBACK}}), "utf-8")
    with serving(folder) as served:
        assert set(client.store(served.port, *objects.content())) == {0}
    return folder


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """A copy of it, which may be spoilt."""
    shutil.copytree(store, tmp_path / "copy")
    return tmp_path / "copy"


# --- help


@pytest.mark.parametrize("name", sorted(below()))
def test_every_command_has_help_with_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody reads a manual."""
    ran = Ran(capsys, ("node", name, "--help"))
    assert ran.code == 0 and "example:\n" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 120
    assert [action.dest for action in below()[name]._actions if not action.help] == []
    lines = [line.strip() for line in ran.out.splitlines() if line.strip().startswith("qa-fetch node ")]
    assert lines
    for line in lines:
        assert line.startswith(f"qa-fetch node {name} ") and parser().parse_args(line.split()[1:]).run


def test_every_command_mirrors_a_public_function() -> None:
    """What can be typed can be called."""
    from qa_fetch.node import scaffold, serve, settings, sphere, status, upkeep

    mirrors: dict[str, Any] = {
        "init": scaffold.init,
        "serve": serve,
        "import-sphere": sphere.import_sphere,
        "status": status.status,
        "data": (upkeep.make_index, upkeep.export, upkeep.verify),
        "statistics": "statistics.collect",
        "database": ("create", "drop", "clean", "check", "find"),
        "user": ("add", "remove", "list"),
        "token": ("add_token", "remove", "list"),
    }
    assert set(mirrors) == set(below()) and settings.load.__doc__
    (actions,) = (action.choices for action in below()["database"]._actions if action.dest == "action")
    assert set(actions or ()) == set(mirrors["database"])


# --- init and serve


def test_init_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In three lines."""
    folder = tmp_path / "store"
    ran = Ran(capsys, ("node", "init", folder))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"1. Write who may call it into {folder}/white_list.toml; nobody else may.\n"
        f"2. Look through {folder}/node.toml: AE title, port, pages.\n"
        f"3. Run it: qa-fetch node serve {folder}\n"
    )
    failed(
        Ran(capsys, ("node", "init", folder)),
        2,
        f"{folder}/node.toml is there already, and nothing is overwritten. Choose another folder.",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_serve_runs_from_flags_alone_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """On this machine only, for everybody on it; what it holds is there at its end."""
    flags = ("--data", tmp_path / "data", "--port", 0, "--ae-title", "FLAGS", "--peer", "OTHER=10.0.0.1:104")
    with serving(*flags) as served:
        assert served.line == f"FLAGS listens on 127.0.0.1:{served.port}; Ctrl-C ends it"
        assert client.store(served.port, objects.plan(), called="FLAGS") == [0]
        assert client.move(served.port, "STUDY", {"StudyInstanceUID": "1.2"}, "OTHER", called="FLAGS").status == 0
        served.process.send_signal(number)
        assert served.process.wait(20) == 0
        assert served.process.stderr is not None and served.process.stderr.read() == ""
    assert len(list((tmp_path / "data/objects").glob("*/*.dcm"))) == 1


def test_serve_says_where_its_pages_are(tmp_path: Path) -> None:
    """On a second line."""
    with serving("--data", tmp_path / "data", "--port", 0, "--web-port", 0) as served:
        assert served.process.stdout is not None
        assert re.fullmatch(r"its pages are at http://127\.0\.0\.1:\d+/\n", served.process.stdout.readline())


def test_serve_takes_flags_instead_of_what_a_folder_says(copy: Path) -> None:
    """Who is not on the white list stays outside."""
    with serving(copy, "--ae-title", "OTHER", "--peer", f"GUEST={LOOPBACK}:104") as served:
        assert served.line == f"OTHER listens on 0.0.0.0:{served.port}; Ctrl-C ends it"
        for calling, inside in (("TESTER", True), ("GUEST", True), ("NOBODY", False)):
            contexts = [(client.VERIFICATION, client.PLAIN)]
            with client.association(served.port, contexts, called="OTHER", calling=calling) as opened:
                assert bool(opened.is_established) == inside


def test_serve_from_flags_on_a_network_lets_only_its_peers_in(tmp_path: Path) -> None:
    """Nobody opens an archive to a clinic by accident."""
    with serving("--data", tmp_path / "data", "--port", 0, "--host", "0.0.0.0") as served:
        assert client.rejection(served.port)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["serve"],
            "say which node: qa-fetch node serve DIR for a folder that qa-fetch node init made, or --data DIR.",
        ),
        (
            ["serve", "--data", "d", "--peer", "X=10.0.0.1"],
            "'X=10.0.0.1' is not a peer. Write it as AET=HOST:PORT, for example LINAC1=10.0.0.5:104.",
        ),
        (
            ["serve", "absent"],
            "there is no node in absent (no node.toml). Make one with: qa-fetch node init absent, or name its folder.",
        ),
        (
            ["serve", "--data", "d", "--port", "70000"],
            "the node's options: node.port is 70000; expected a whole number from 0 to 65535.",
        ),
        (
            ["data", "export"],
            "say where to export to: --to a folder or a new .zip file, or --send another archive.",
        ),
        (["user", "add"], "say whom: qa-fetch node user add NAME."),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """2, and nothing is started or made."""
    failed(Ran(capsys, ("node", *arguments)), 2, sentence)
    assert list(Path().iterdir()) == []


# --- looking after it


def test_statistics_as_tables_and_as_json(store: Path) -> None:
    """By modality and source; nobody is named."""
    done = run("node", "statistics", store)
    assert (done.code, done.err) == (0, "")
    assert re.search(r"RTIMAGE +3 +7 ", done.out) and re.search(rf"TESTER +{COUNT} ", done.out)
    assert done.out.splitlines()[-1].startswith(f"{COUNT} objects, ")
    machine = run("node", "statistics", store, "--json", "--by", "hour").json
    assert machine["objects"] == COUNT and len(machine["speed"]) >= 1


def test_verify_and_check_find_what_is_wrong(copy: Path) -> None:
    """0 when all is well; a changed file and a strange one are named, and 1."""
    assert run("node", "data", "verify", "--node", copy) == Done(0, f"{COUNT} looked at, 0 at fault\n", "")
    assert run("node", "database", "check", "--node", copy) == Done(
        0, f"2 patients, 3 studies, 6 series, {COUNT} objects in the index; {COUNT} files\nit is whole\n", ""
    )
    first, second = sorted((copy / "data/objects").glob("*/*.dcm"))[:2]
    first.write_bytes(first.read_bytes()[:-1] + b"\xff")
    second.rename(second.with_name("1.2.3.dcm"))
    done = run("node", "data", "verify", "--node", copy)
    assert (done.code, done.out.splitlines()[-1]) == (1, f"{COUNT} looked at, 3 at fault")
    problems = run("node", "data", "verify", "--node", copy, "--json").json["problems"]
    name = first.relative_to(copy / "data").as_posix()
    assert f"{name}: it is not what was stored. Restore it from a backup." in problems


def test_export_to_a_folder_a_zip_and_an_archive(store: Path, tmp_path: Path) -> None:
    """Everything, or what a UID names."""
    done = run("node", "data", "export", "--to", tmp_path / "out", "--node", store)
    assert done == Done(0, f"{COUNT} looked at, {COUNT} exported, 0 at fault\n", "")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == COUNT
    one = ("--uid", objects.uid(1, 2), "--json")
    assert run("node", "data", "export", "--to", tmp_path / "a.zip", "--node", store, *one).json["added"] == 4
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert len(archive.namelist()) == 4
    (tmp_path / "other").mkdir()
    done = run("node", "data", "export", "--send", f"folder:{tmp_path / 'other'}", "--node", store)
    assert done == Done(0, f"{COUNT} of {COUNT} sent to other\n", "")
    assert len(Archive(f"folder:{tmp_path / 'other'}").find("IMAGE", PatientID="QA1")) == 8
    absent = ("--uid", objects.uid(1, 2), "--uid", "1.2", "--node", store)
    for where in (("--to", tmp_path / "b"), ("--to", tmp_path / "b.zip"), ("--send", f"folder:{tmp_path / 'other'}")):
        assert run("node", "data", "export", *where, *absent).says == (
            1,
            f"the node in {store / 'data'} has no study, series or object 1.2. "
            "Correct it, or see: qa-fetch node database find.",
        )
    assert list(tmp_path.glob("b*")) == []


def test_a_clean_database_is_described_again_from_the_files(copy: Path) -> None:
    """What destroys something asks, and a script has to say --yes."""
    code, sentence = run("node", "database", "clean", "--node", copy).says
    assert (code, sentence) == (
        2,
        "database clean empties the index, and forgets the accounts, tokens and annotations in it, "
        "and when and from whom each object came, and there is nobody to ask. Say --yes to do it all the same.",
    )
    assert run("node", "database", "clean", "--yes", "--node", copy) == Done(
        0, f"it is empty\nThe files stay. Describe them again with: qa-fetch node data index --node {copy}\n", ""
    )
    found = run("node", "database", "check", "--node", copy)
    assert (found.code, found.out.splitlines()[0]) == (
        1,
        f"it describes 0 objects, and there are {COUNT} files. Run data verify to see which.",
    )
    assert run("node", "data", "index", "--node", copy) == Done(
        0, f"{COUNT} looked at, {COUNT} described, 0 at fault\n", ""
    )
    assert run("node", "database", "check", "--json", "--node", copy).json["instances"] == COUNT
    assert run("node", "database", "drop", "--yes", "--json", "--node", copy).json == {"done": "drop"}
    assert run("node", "database", "create", "--node", copy).out == "its tables are there\n"


def test_find_in_the_database(store: Path) -> None:
    """The same as a query, without the network."""
    done = run("node", "database", "find", "study", "PatientID=QA1", "StudyDate=", "--node", store)
    assert done.code == 0 and done.out.splitlines()[-1] == "2 found"
    rows = run("node", "database", "find", "IMAGE", "RTPlanLabel=WL_6X", "PatientID=", "--json", "--node", store).json
    assert sorted(row["PatientID"] for row in rows) == ["QA1", "QA2"]
    assert run("node", "database", "find", "--node", store).says == (
        2,
        "find needs a level: PATIENT, STUDY, SERIES or IMAGE, and then KEY=VALUE as for qa-fetch find.",
    )
    assert run("node", "database", "check", "STUDY", "--node", store).says == (
        2,
        "'STUDY' is one word too many: only find takes a level and keys. Name the node's folder with --node.",
    )


def test_nothing_that_changes_the_index_runs_beside_the_node(store: Path) -> None:
    """What only looks does."""
    with serving(store):
        code, sentence = run("node", "database", "clean", "--yes", "--node", store).says
        assert (code, sentence) == (2, f"a node is running on {store / 'data'}. Stop it first.")
        assert run("node", "data", "verify", "--node", store).code == 0
        assert run("node", "statistics", store).code == 0


def test_a_database_that_somebody_else_holds_is_one_sentence(copy: Path) -> None:
    """After some seconds of waiting, and whatever was to be done."""
    with contextlib.closing(sqlite3.connect(copy / "data/index.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for words in (("database", "drop", "--yes"), ("database", "clean", "--yes"), ("token", "add", "viewer")):
            assert run("node", *words, "--node", copy).says == (
                2,
                "the node's database cannot be used (OperationalError). "
                "Check that it runs, that no other program holds it, and the [database] table.",
            )
    assert run("node", "database", "check", "--node", copy).code == 0


def test_an_index_is_made_by_one_process_or_more(copy: Path) -> None:
    """Fewer there cannot be."""
    for workers in (0, -3):
        assert run("node", "data", "index", "--workers", workers, "--node", copy).says == (
            2,
            f"there cannot be {workers} workers. Give at least 1.",
        )


def test_users_and_tokens(copy: Path, tmp_path: Path) -> None:
    """A password is read from a file where there is no terminal; a token is shown once."""
    (tmp_path / "password").write_text("correct horse\n")
    add = ("node", "user", "add", "anna", "--write", "--node", copy)
    assert run(*add).says == (
        2,
        "there is no terminal to ask for the password. Give it with --password-file FILE.",
    )
    assert run(*add, "--password-file", tmp_path / "password") == Done(0, "anna added\n", "")
    assert run(*add, "--password-file", tmp_path / "password").code == 2
    token = run("node", "token", "add", "viewer", "--json", "--node", copy).json
    assert token["name"] == "viewer" and len(token["token"]) > 30
    users = run("node", "user", "list", "--json", "--node", copy).json
    assert [(one["name"], one["kind"], one["may_write"]) for one in users] == [("anna", "user", True)]
    tokens = run("node", "token", "list", "--node", copy)
    assert "viewer" in tokens.out and "anna" not in tokens.out
    assert run("node", "user", "remove", "viewer", "--node", copy).says == (
        2,
        "'viewer' is a token. Run: qa-fetch node token remove viewer",
    )
    assert run("node", "token", "remove", "viewer", "--node", copy) == Done(0, "viewer removed\n", "")


# --- as a client


def test_a_peer_of_the_white_list_is_an_archive(store: Path, tmp_path: Path) -> None:
    """Asked as the node would ask it: by its name there, with the node's own AE title."""
    with serving("--data", tmp_path / "data", "--port", 0, "--ae-title", "PACS2", "--peer", "X=10.0.0.1:1") as served:
        mine = tmp_path / "mine"
        init(mine)
        peers = {"PACS2": {"host": LOOPBACK, "port": served.port}, "NOWHERE": {"source": "10.0.0.0/8"}}
        (mine / "white_list.toml").write_text(white_list_toml(peers), "utf-8")
        steps = run("echo", "PACS2", "--node", mine, "--json").json
        assert steps["archive"] == "PACS2"
        assert {"name": "association", "works": True, "says": "PACS2 accepts QA_NODE as a client"} in steps["steps"]
        assert run("echo", "NOWHERE", "--node", mine).says == (
            2,
            f"NOWHERE has no host and port in the white list of {mine}. Add them.",
        )


def test_send_takes_objects_out_of_our_own_node(store: Path, tmp_path: Path) -> None:
    """By UID, by a list of them, and by patient."""
    (tmp_path / "other").mkdir()
    archive = f"folder:{tmp_path / 'other'}"
    send = ("send", archive, "--node", store)
    assert run(*send, "--study", objects.uid(1, 2)) == Done(0, "4 sent to other\n", "")
    (tmp_path / "uids.csv").write_text(f"SOPInstanceUID\n{objects.uid(1, 1, 1, 1)}\n")
    assert run(*send, "--uids", tmp_path / "uids.csv").out == "1 sent to other\n"
    assert run(*send, "--patient", "QA2").out == "2 sent to other\n"
    assert run(*send, "--series", "1.2.3").says == (
        1,
        f"the node in {store / 'data'} has no series 1.2.3. Correct it, or see: qa-fetch node database find.",
    )
    assert run("send", archive).says == (
        2,
        "say what to send: files or folders, or with --node what that node holds, by UID.",
    )
    assert run("send", archive, "--study", "1.2.3").says == (
        2,
        "UIDs are sent out of a node of ours. Name its folder with --node, or name files.",
    )


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands without a folder look into the working directory, which is empty."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    yield
