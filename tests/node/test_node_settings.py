"""A node's settings from its folder: everything is there, explained, and means what the options mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qa_fetch import ConfigError
from qa_fetch.config.sources import from_file
from qa_fetch.node import NodeOptions
from qa_fetch.node.options import every_setting, from_tables
from qa_fetch.node.scaffold import SAYS, init, white_list_toml
from qa_fetch.node.settings import load


def refused(folder: Path) -> str:
    """Why the settings of a folder cannot be used."""
    with pytest.raises(ConfigError) as caught:
        load(folder)
    return str(caught.value)


def test_a_new_folder_is_a_node_that_lets_nobody_in(tmp_path: Path) -> None:
    """Until somebody is written into its white list; nothing outside the folder is used."""
    made = init(tmp_path / "store")
    assert [path.relative_to(tmp_path / "store").as_posix() for path in made] == [
        "node.toml",
        "white_list.toml",
        "data",
        "logs",
    ]
    options = load(tmp_path / "store")
    assert (options.data, options.log) == (tmp_path / "store/data", tmp_path / "store/logs/node.log")
    assert (options.strangers, options.host, options.port, options.peers) == ((), "0.0.0.0", 11112, {})
    assert (options.web.host, options.web.port, options.shelf) == ("127.0.0.1", 8042, None)


def test_every_setting_is_explained_and_shows_its_default(tmp_path: Path) -> None:
    """A setting that is added to the options without a line here fails this test."""
    known = {f"{table}.{name}": option for table, name, option in every_setting()}
    assert set(SAYS) == set(known)
    init(tmp_path / "store")
    text = (tmp_path / "store/node.toml").read_text("utf-8")
    lines = text.splitlines()
    table = ""
    shown = {}
    for before, line in zip(["", *lines], lines):
        table = line.strip("[]") if re.fullmatch(r"\[\w+\]", line) else table
        found = re.fullmatch(r"(?:# )?(\w+) = .*", line)
        if found and found[1] != "white_list":
            shown[f"{table}.{found[1]}"] = before
    assert set(shown) == set(known)
    for key, comment in shown.items():
        assert comment.startswith(f"# {SAYS[key]} ") and comment.endswith("."), key
    # Every comment that is a setting can be made one; its value is the default where there is one.
    everything = re.sub(r"(?m)^# (\w+ = )", r"\1", text)
    (tmp_path / "all.toml").write_text(everything.replace('password_file = "password.txt"', ""), "utf-8")
    values = from_file(tmp_path / "all.toml")
    set_here = from_file(tmp_path / "store/node.toml")
    values["node"].pop("white_list")
    options = from_tables(values, "test")
    for key, option in known.items():
        table, name = key.split(".")
        if option.default not in (..., None, "") and name not in set_here[table]:
            part = options if table == "node" else getattr(options, table)
            assert getattr(part, name) == option.default, key


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Neither settings nor a white list; what is in data stays too."""
    init(tmp_path)
    (tmp_path / "data/kept").write_text("kept")
    for name in ("node.toml", "white_list.toml"):
        with pytest.raises(ConfigError) as caught:
            init(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path / name} is there already, and nothing is overwritten. Choose another folder."
        )
        (tmp_path / name).unlink()
    init(tmp_path)
    assert (tmp_path / "data/kept").read_text() == "kept"


def test_peers_come_from_the_white_list(tmp_path: Path) -> None:
    """Also titles with spaces and dots, and networks."""
    init(tmp_path, {"node.port": 104})
    listed = {"LINAC 1.A": {"host": "10.0.0.5", "port": 104}, "ANY": {"source": "10.0.0.0/24", "services": ["echo"]}}
    (tmp_path / "white_list.toml").write_text(white_list_toml(listed), "utf-8")
    options = load(tmp_path)
    assert options.port == 104
    assert {title: peer.table() for title, peer in options.peers.items()} == {
        "LINAC 1.A": {"host": "10.0.0.5", "port": 104},
        "ANY": {"source": "10.0.0.0/24", "services": ("echo",)},
    }


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("X = 1", "{list}: X is 1; expected a table [X]."),
        ("[X]\nhosts = 1", "{list}: X.hosts is not a setting; expected one of host, port, source, services, tls, "
            "anonymise, anonymise_profile. Did you mean host?"),
        ("[OWN]", "{list}: OWN is also a table [peers.OWN] of {node}. Keep one of them."),
        ("[X", "{list}: it is not valid TOML; "),
    ],
)  # fmt: skip
def test_a_slip_in_the_white_list_names_the_white_list(tmp_path: Path, listed: str, message: str) -> None:
    """And not the file that names it."""
    init(tmp_path)
    node, white_list = tmp_path / "node.toml", tmp_path / "white_list.toml"
    with node.open("a") as file:
        file.write('[peers.OWN]\nhost = "10.0.0.1"\n')
    white_list.write_text(listed)
    assert refused(tmp_path).startswith(message.format(list=f"file {white_list}", node=f"file {node}"))


def test_a_folder_without_settings_is_no_node_unless_one_has_used_it(tmp_path: Path) -> None:
    """What was started from flags alone can be looked after by its data folder."""
    assert refused(tmp_path) == (
        f"there is no node in {tmp_path} (no node.toml). "
        f"Make one with: qa-fetch node init {tmp_path}, or name its folder."
    )
    assert refused(tmp_path / "absent.toml").startswith(f"there is no node in {tmp_path / 'absent.toml'} ")
    (tmp_path / "objects").mkdir()
    assert load(tmp_path) == NodeOptions(tmp_path)


def test_relative_paths_start_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the node is started."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store/other.toml").write_text('[node]\ndata = "objects"\nshelf = "shelf"\n[tls]\nca_file = "ca.pem"\n')
    monkeypatch.chdir(tmp_path)
    options = load("store/other.toml")
    assert (options.data, options.shelf) == (tmp_path / "store/objects", tmp_path / "store/shelf")
    assert options.tls.ca_file == tmp_path / "store/ca.pem"
