"""The archive of a cohort, and that its password is sent and nowhere else."""

from __future__ import annotations

import base64
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from peers.http_double import Asked, HttpDouble, Reply
from truth_codes import config as pdcp

from qa_fetch.cohort import config
from qa_fetch.cohort.access import archive_of
from qa_fetch.errors import ConfigError

SECRET = "s3cret:pass"


def settings(folder: Path, **keys: Any) -> config.Settings:
    """PDCP's JSON with other keys; None takes one out."""
    given = {key: value for key, value in pdcp(folder, **keys).items() if value is not None}
    return config.settings(given, as_json=True)


def test_pdcps_address_is_an_orthanc_with_a_shelf_of_its_own(tmp_path: Path) -> None:
    """A call has ten times what one request may take."""
    archive = archive_of(settings(tmp_path, TIMEOUT=30))
    assert (archive.config.kind, archive.config["url"]) == ("orthanc", "http://127.0.0.1:8042")
    assert (archive.config["timeout"], archive.config["budget"], archive.config["user"]) == (30.0, 300.0, None)
    assert archive._shelf.root.is_relative_to(tmp_path / "cohort_work" / "shelf")


def test_a_password_of_the_json_is_sent_also_from_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the archive, nor its settings, nor a log show it, and no file holds it."""
    caplog.set_level(logging.DEBUG)
    asked: list[Asked] = []

    def script(request: Asked) -> Reply:
        asked.append(request)
        return Reply(body=b"[]")

    with HttpDouble(script) as double:
        archive = archive_of(settings(tmp_path, ipport=double.url, username="physicist", password=SECRET))
        for one in (archive, pickle.loads(pickle.dumps(archive)), archive.again(budget=3)):
            before = len(asked)
            assert one.find("PATIENT", PatientID="1") == []
            sent = base64.b64encode(f"physicist:{SECRET}".encode()).decode()
            assert {request.headers["Authorization"] for request in asked[before:]} == {f"Basic {sent}"}
            shown = f"{one!r} {one.config!r} {one.config.options} {one.__reduce__()!r} {vars(one)}"
            assert SECRET not in shown
    assert SECRET not in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_password_elsewhere_is_read_there_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each process."""
    archive = archive_of(settings(tmp_path, username="u", password=None, password_env="OUR_ORTHANC"))
    with pytest.raises(ConfigError) as caught:
        archive.find("PATIENT", PatientID="1")
    assert str(caught.value) == "127.0.0.1: password_env names an environment variable that is not set. Set it."


def test_any_archive_may_stand_for_the_orthanc(tmp_path: Path) -> None:
    """By its address, or by its name; CONNECTIONS bounds associations."""
    folder = archive_of(settings(tmp_path, ipport=None, archive=f"folder:{tmp_path}", username=None, password=None))
    assert (folder.config.kind, folder.config["path"]) == ("folder", tmp_path)
    dimse = archive_of(settings(tmp_path, ipport=None, archive="dimse://PACS@localhost:104", CONNECTIONS=3))
    assert dimse.config["associations"] == 3
    Path("qa_fetch.toml").write_text('[archives.pacs]\nkind = "orthanc"\nurl = "http://localhost:1"\ntimeout = 7\n')
    named = archive_of(settings(tmp_path, ipport=None, archive="pacs", username="u", password=SECRET))
    assert (named.name, named.config["timeout"], str(named.config["password_file"])) == ("pacs", 7.0, "(hidden)")


def test_a_password_for_what_has_none_is_refused(tmp_path: Path) -> None:
    """Rather than passed over."""
    with pytest.raises(ConfigError) as caught:
        archive_of(settings(tmp_path, ipport=None, archive=f"folder:{tmp_path}", password=SECRET))
    assert str(caught.value) == (
        f"{tmp_path.name}: a folder archive has no password. Leave password out of the cohort."
    )
