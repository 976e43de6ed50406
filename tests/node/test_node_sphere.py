"""A SPHERE PACS becomes a node's folder: what means the same is taken over, and what does not is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed

from qa_fetch import ConfigError
from qa_fetch.node import Peer
from qa_fetch.node.settings import load
from qa_fetch.node.sphere import import_sphere

# As SPHERE's own files are laid out, with values of our own.
SETTINGS = """\
console_verbose_level : 1
log:
    path_folder: ./log/
port: 11115
AET: SPHERE1
ae_params:
    required_call_aet: False
    max_assoc_idle_second : 50
    max_assoc: 80
    pdu_size: 0
    acse_timeout: 60
context: default
scp_services:
    - c-echo
    - c-store
    - c-find
    - c-move
    - n-get
storage_method: FS
fs:
    path: ./data
path_white_list: ./app/white_list
db:
    engine: postgresql
    params:
        ip: 10.0.0.9
        port: 5432
        database: sphere
        schema: pacs
        login:  sphere
        password: secret
    save_delay: 5
api:
    start: True
    ip: 0.0.0.0
    port: 5555
    allowed_hosts:
        - '*'
        - pacs.example
    dicomweb:
        start: True
    annotation:
        start: False
"""
TAGS = """\
patient:
    - '00101020'
series:
    - '00180015'
    - rubbish
instance:
"""
WHITE_LIST = """\
PACS2 :
    ip   : 172.26.0.3
    port : 11113
A_TITLE_THAT_IS_TOO_LONG:
    ip: 10.0.0.1
    port: 104
"""


@pytest.fixture
def sphere(tmp_path: Path) -> Path:
    """What sphere-admin makes."""
    folder = tmp_path / "sphere"
    (folder / "app/white_list").mkdir(parents=True)
    (folder / "app/settings.yml").write_text(SETTINGS)
    (folder / "app/tags.yml").write_text(TAGS)
    (folder / "app/white_list/example.yml").write_text(WHITE_LIST)
    return folder


def test_its_settings_become_a_node(sphere: Path, tmp_path: Path) -> None:
    """With the same name, port, services, peers, tags and database; strangers stay outside as they did."""
    found = import_sphere(sphere, tmp_path / "store")
    options = load(tmp_path / "store")
    assert (options.ae_title, options.port, options.check_called) == ("SPHERE1", 11115, False)
    assert options.services == ("echo", "store", "find", "move")
    assert (options.bounds.associations, options.bounds.idle, options.bounds.negotiation) == (80, 50.0, 60.0)
    assert options.extra == ("00101020", "00180015")
    assert options.peers == {"PACS2": Peer("172.26.0.3", 11113)}
    assert options.strangers == ()
    assert (options.database.url, options.database.password_env) == (
        "postgresql://sphere@10.0.0.9:5432/sphere",
        "QA_NODE_PASSWORD",
    )
    assert (options.web.host, options.web.port, options.web.dicomweb) == ("0.0.0.0", 5555, True)
    assert options.web.names == ("pacs.example",)
    assert "secret" not in (tmp_path / "store/node.toml").read_text()
    assert found.left == (
        "scp_services: n-get",
        "console_verbose_level",
        "log.path_folder",
        "ae_params.pdu_size",
        "context",
        "storage_method",
        "fs.path",
        "db.params.schema",
        "db.params.password",
        "db.save_delay",
        "api.annotation.start",
        "tags.yml: series rubbish",
        "example.yml: A_TITLE_THAT_IS_TOO_LONG",
    )


def test_the_command_says_what_was_not_taken_over(
    sphere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, and what to do next."""
    ran = Ran(capsys, ("node", "import-sphere", sphere, "--to", tmp_path / "store"))
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert "taken over: AET as node.ae_title" in lines
    assert "taken over: PACS2 of the white list" in lines
    assert "not taken over: db.params.password" in lines
    assert lines[-1] == f"3. Run it: qa-fetch node serve {tmp_path / 'store'}"
    again = Ran(capsys, ("node", "import-sphere", sphere, "--to", tmp_path / "store"))
    failed(
        again, 2, f"{tmp_path / 'store/node.toml'} is there already, and nothing is overwritten. Choose another folder."
    )
    machine = Ran(capsys, ("node", "import-sphere", sphere, "--to", tmp_path / "other", "--json")).json
    assert machine["peers"] == ["PACS2"] and machine["taken"]["port"] == "node.port"


@pytest.mark.parametrize("text", ["a: [1, 2", "- '00181100',\n", "!!python/object/apply:os.system ['touch pwned']"])
def test_yaml_that_is_none_or_wants_to_run_something(sphere: Path, tmp_path: Path, text: str) -> None:
    """One line, no folder, and nothing is run."""
    (sphere / "app/tags.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        import_sphere(sphere, tmp_path / "store")
    assert str(caught.value) == (
        f"file {sphere / 'app/tags.yml'}: it is not valid YAML (line 1). Correct it, or take it away."
    )
    assert not (tmp_path / "store").exists() and not (tmp_path / "pwned").exists()


def test_values_that_make_no_sense_are_named_and_left(sphere: Path, tmp_path: Path) -> None:
    """The rest is taken over."""
    (sphere / "app/settings.yml").write_text(
        "port: high\nAET: 5\nae_params: 3\nscp_services: c-echo\nother: {a: {b: 1}}\n"
    )
    (sphere / "app/white_list/example.yml").write_text("- not\n- a table\n")
    (sphere / "app/tags.yml").unlink()
    found = import_sphere(sphere, tmp_path / "store")
    assert set(found.left) == {"port", "AET", "scp_services", "ae_params", "other.a.b"}
    assert load(tmp_path / "store").port == 11112


def test_a_folder_that_is_none_of_spheres_is_named(tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(ConfigError) as caught:
        import_sphere(tmp_path, tmp_path / "store")
    assert str(caught.value) == (
        f"{tmp_path} has no app/settings.yml or settings.yml. Name the folder that sphere-admin made."
    )


def test_without_pyyaml_the_command_that_installs_it_is_named(
    sphere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core does not bring it."""
    hidden: Any = None
    monkeypatch.setitem(sys.modules, "yaml", hidden)
    with pytest.raises(ConfigError) as caught:
        import_sphere(sphere, tmp_path / "store")
    assert str(caught.value) == (
        "SPHERE's settings are YAML, which needs PyYAML. Install it with: pip install 'qa_fetch[node]'."
    )
