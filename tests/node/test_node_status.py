"""Whether a node runs and what it holds, for people and for whoever watches over it."""

from __future__ import annotations

import re
from pathlib import Path

import node_client as client
import node_objects as objects
from node_commands import run
from peers.process import LOOPBACK

from qa_fetch.node import NodeOptions, NodeProcess, Web


def write_settings(folder: Path, more: str = "") -> Path:
    """Settings of a node whose data lies below a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "node.toml").write_text(f'[node]\ndata = "data"\nport = 0\n{more}', "utf-8")
    return folder


def test_a_node_that_was_never_started_is_not_made_by_looking(tmp_path: Path) -> None:
    """1, and no file."""
    folder = write_settings(tmp_path / "store")
    done = run("node", "status", folder)
    assert (done.code, done.err) == (1, "")
    assert done.out == f"state    it is not running\nfolder   {folder / 'data'}\nobjects  0, 0 bytes\n"
    assert [path.name for path in folder.iterdir()] == ["node.toml"]


def test_a_running_node_is_asked_by_c_echo(tmp_path: Path) -> None:
    """0, where it is, and what it holds; a killed one is not running, whatever it left behind."""
    folder = write_settings(tmp_path / "store")
    node = NodeProcess(NodeOptions(folder / "data", port=0))
    with node:
        assert client.store(node.port, objects.plan(), objects.image()) == [0, 0]
        done = run("node", "status", folder)
        facts = dict(re.split(" {2,}", line) for line in done.out.splitlines())
        assert (done.code, done.err, facts["state"]) == (0, "", "it runs, and answers C-ECHO")
        assert facts["DICOM"] == f"QA_NODE at 127.0.0.1:{node.port}" and facts["objects"].startswith("2, ")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", facts["last arrival"]) and "pages" not in facts
        found = run("node", "status", folder / "data", "--json").json  # the data folder of a node from flags alone
        assert (found["works"], found["objects"], found["dicom"]) == (True, 2, facts["DICOM"])
        node.kill()
        done = run("node", "status", folder)
        assert (done.code, done.out.splitlines()[0]) == (1, "state         it is not running")
        assert "objects       2, " in done.out


def test_a_node_with_pages_is_asked_by_its_health_page(tmp_path: Path) -> None:
    """Which also says whether its index answers."""
    folder = write_settings(tmp_path / "store")
    with NodeProcess(NodeOptions(folder / "data", host="0.0.0.0", port=0, web=Web(port=0))) as node:
        found = run("node", "status", folder, "--json").json
        assert (found["works"], found["says"]) == (True, "it runs, and its index answers")
        assert found["web"] == f"http://127.0.0.1:{node.web_port}/"


def test_a_node_that_turns_us_away_runs_all_the_same(tmp_path: Path) -> None:
    """It says so itself."""
    folder = write_settings(tmp_path / "store")
    with NodeProcess(NodeOptions(folder / "data", port=0, strangers=())):
        found = run("node", "status", folder, "--json").json
    assert (found["works"], found["says"]) == (True, "it runs, and turns us away, since we are not on its white list")


def test_its_note_says_where_it_is_as_long_as_it_runs(tmp_path: Path) -> None:
    """And is gone with it."""
    with NodeProcess(NodeOptions(tmp_path / "data", port=0)) as node:
        assert f'"host": "{LOOPBACK}", "port": {node.port}' in (tmp_path / "data/node.json").read_text("utf-8")
    assert not (tmp_path / "data/node.json").exists()
