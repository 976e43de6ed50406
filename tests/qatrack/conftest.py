"""A site for the packs: an archive, its configuration, and the site's time zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pack_site import ZONE, Archived, archived
from peers.process import free_port


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django makes the site's time zone that of its processes."""
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    """The archive of the site; it can also move images to one port of ours."""
    with archived(tmp_path_factory.mktemp("archive"), free_port()) as running:
        yield running


@pytest.fixture
def config(archive: Archived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: None) -> Path:
    """The site's qa_fetch.toml."""
    file = archive.config(tmp_path)
    monkeypatch.setenv("QA_FETCH_CONFIG", str(file))
    return file
