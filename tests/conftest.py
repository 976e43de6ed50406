"""What every test starts from: a shelf of its own, no configuration of the machine, real peers on loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from peers import course as courses
from peers.course import Course
from peers.taker import Taker

from qa_fetch.backends.pool import POOL


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the machine's configuration or shelf, and none leaves anything there."""
    for variable in ("CONFIG", "DEFAULT", "BUDGET", "AE_TITLE", "PORT", "HOST", "TRANSPORT", "PASSWORD"):
        monkeypatch.delenv(f"QA_FETCH_{variable}", raising=False)
    monkeypatch.setenv("QA_FETCH_SHELF", str(tmp_path / "shelf"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # Else every process of every test lists the machine's fonts anew, which takes seconds.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))
    monkeypatch.chdir(tmp_path)
    # The locks on ports lie in the temporary folder; children get the same one.
    temporary = str(tmp_path_factory.mktemp("tmp"))
    monkeypatch.setenv("TMPDIR", temporary)
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    # What this process found out about an archive must not be believed of another on the same port.
    monkeypatch.setattr("qa_fetch.backends.dimse._learned", {})
    monkeypatch.setattr("qa_fetch.backends.dicomweb._learned", {})
    monkeypatch.setattr("qa_fetch.backends.http.coding._of_servers", {})
    monkeypatch.setattr("qa_fetch.backends.http.limits._known", {})
    yield
    POOL.clear()  # peers that are stopped after a test must find nobody connected


@pytest.fixture(scope="session")
def course() -> Course:
    """The course that most tests fetch from."""
    return courses.default_course(second_plan=True)


@pytest.fixture(scope="session")
def course_files(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as files in a folder."""
    folder = tmp_path_factory.mktemp("course")
    course.write(folder)
    return folder


@pytest.fixture
def taker() -> Iterator[Taker]:
    """A double that takes every object in the plain syntaxes."""
    with Taker() as running:
        yield running
        POOL.clear()


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Which transfer syntaxes doubles accept."""
    return lambda *syntaxes: monkeypatch.setattr("peers.wire.SYNTAXES", syntaxes)
