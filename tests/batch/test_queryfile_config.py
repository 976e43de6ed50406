"""The config.json of PACSMAN and of PACSIFIER."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qa_fetch import Archive
from qa_fetch.batch import seed_config
from qa_fetch.errors import ConfigError

PACSMAN = {
    "server_ip": "88.202.185.144",
    "port": "104",
    "server_AET": "theServerAET",
    "AET": "MY_AET",
    "move_AET": "theMoveAET",
    "move_port": "4006",
    "batch_size": "30",
    "batch_wait_time": "10",
}
PACSIFIER = {
    "server_address": "88.202.185.144",
    "port": 104,
    "server_AET": "theServerAET",
    "AET": "MY_AET",
    "move_AET": "theMoveAET",
    "move_port": 4006,
    "batch_size": 30,
    "batch_wait_time": 10,
}


def config(folder: Path, written: Any) -> Path:
    """A config.json of these keys, or of this text."""
    path = folder / "config.json"
    path.write_bytes(written if isinstance(written, bytes) else json.dumps(written).encode())
    return path


def refusal(path: Path) -> str:
    """How it is refused, without its path."""
    with pytest.raises(ConfigError) as caught:
        seed_config.load(path)
    return str(caught.value)[len(str(path)) + 1 :]


@pytest.mark.parametrize("written", [PACSMAN, PACSIFIER], ids=["pacsman", "pacsifier"])
def test_both_programs_files_are_accepted_as_they_are(tmp_path: Path, written: dict[str, Any]) -> None:
    """Texts or numbers; what it names is an archive that can be opened."""
    loaded = seed_config.load(config(tmp_path, written))
    assert loaded == seed_config.SeedConfig(
        archive={
            "kind": "dimse",
            "ae_title": "theServerAET",
            "host": "88.202.185.144",
            "port": 104,
            "local_ae_title": "MY_AET",
            "local_port": 4006,
        },
        batch_size=30,
        batch_wait_time=10.0,
        move_aet="theMoveAET",
    )
    options = Archive(**loaded.archive).config.options
    assert {key: options[key] for key in loaded.archive if key != "kind"} == {
        key: value for key, value in loaded.archive.items() if key != "kind"
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_config_that_notepad_has_saved_is_read(tmp_path: Path, encoding: str) -> None:
    """With a mark of its encoding in front."""
    loaded = seed_config.load(config(tmp_path, json.dumps(PACSIFIER).encode(encoding)))
    assert loaded.batch_size == 30


def test_who_moves_nothing_may_leave_move_aet_empty(tmp_path: Path) -> None:
    """PACSIFIER allows it."""
    assert seed_config.load(config(tmp_path, {**PACSIFIER, "move_AET": ""})).move_aet is None


def test_all_keys_that_are_missing_or_wrong_are_named_at_once(tmp_path: Path) -> None:
    """With what each must be, and the key that was meant."""
    wrong = {
        "server_address": "https://pacs/",
        "port": 70000,
        "server_aet": "X",
        "AET": "A" * 17,
        "move_AET": "B",
        "move_port": True,
        "batch_size": 0,
        "batch_wait_time": -1,
        "password": "secret",
    }
    assert refusal(config(tmp_path, wrong)) == (
        "is not a config.json of PACSMAN or PACSIFIER: "
        "server_address (or server_ip) must be a host name or IP address; "
        "port must be a whole number from 1 to 65535; "
        "server_AET is missing; "
        "AET must be an AE title of 1 to 16 ASCII characters; "
        "move_port must be a whole number from 1 to 65535; "
        "batch_size must be a whole number from 1 up; "
        "batch_wait_time must be a number of seconds from 0 up; "
        "'server_aet' is not one of its keys (did you mean server_AET?); "
        "'password' is not one of its keys. Correct it and run again."
    )


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """Also under the names of both programs."""
    written = json.dumps({"server_ip": "10.0.0.1", **PACSIFIER}).replace('"port": 104', '"port": 104, "port": 105')
    assert refusal(config(tmp_path, written.encode())) == (
        "is not a config.json of PACSMAN or PACSIFIER: server_address (or server_ip) is there twice; "
        "port is there twice. Correct it and run again."
    )


@pytest.mark.parametrize("written", [b"", b"{,}", b"[]", b"\xff\xff\xff", b"[" * 100_000, b" " * 2_000_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, written: bytes) -> None:
    """Whatever else it is."""
    assert refusal(config(tmp_path, written)) == (
        "is not a config.json of PACSMAN or PACSIFIER, since it is not a JSON object. "
        "Check its braces, quotes and commas."
    )


def test_a_config_that_is_not_there_says_so(tmp_path: Path) -> None:
    """PACSIFIER goes on and fails later."""
    assert refusal(tmp_path / "none.json") == (
        "cannot be read (No such file or directory). Check the path and its permissions."
    )
