"""Which archive a unit has, and what is told of each call."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from peers.course import PATIENT, Course
from peers.process import LOOPBACK, free_port
from qatrack_double import Utils

from qa_fetch import Archive, ConfigError, NotFound, composite


@pytest.fixture
def config(tmp_path: Path, course_files: Path) -> Path:
    file = tmp_path / "qa_fetch.toml"
    file.write_text(
        f"""
default = "everywhere"
[archives.everywhere]
kind = "folder"
path = '{tmp_path}'
[archives.tb1]
kind = "folder"
path = '{course_files}'
[units.1]
archive = "tb1"
patient = "{PATIENT}"
""",
        encoding="utf-8",
    )
    return file


def test_a_unit_has_the_archive_that_the_configuration_names(config: Path) -> None:
    """By QATrack+'s number of the unit that the page is about; others have the default one."""
    assert Archive.for_unit(Utils(1)).name == "tb1"
    assert Archive.for_unit(Utils(2)).name == "everywhere"


def test_a_unit_with_an_archive_that_is_not_configured_is_an_error(config: Path) -> None:
    """A slip must not silently mean the default archive."""
    config.write_text(config.read_text().replace('archive = "tb1"', 'archive = "tb11"'))
    with pytest.raises(ConfigError, match="tb11"):
        Archive.for_unit(Utils(1))


def test_a_page_starts_with_the_patient_of_its_unit(config: Path) -> None:
    """As the configuration has it; empty where it has none."""
    assert composite.patient(Utils(1)) == PATIENT
    assert composite.patient(Utils(2)) is None


def test_each_call_is_told_once_without_naming_the_patient(
    config: Path, course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    """Who, which unit, what, how many, from where; the text has neither the patient nor the user."""
    caplog.set_level(logging.INFO, "qa_fetch.archive")
    archive = Archive.for_unit(Utils(1))
    archive.latest(PATIENT, plan="WL_6X", approved=True)
    archive.latest(PATIENT, plan="WL_6X", approved=True)
    first, second = (record.told for record in caplog.records)
    assert (first.call, first.archive, first.unit, first.user, first.patient) == (
        "latest",
        "tb1",
        1,
        "physicist",
        PATIENT,
    )
    assert (first.says, first.objects, first.from_shelf) == ("portal image for plan WL_6X", 4, False)
    assert (second.objects, second.from_shelf) == (4, True)
    assert caplog.messages[1].startswith("tb1: latest, 4 x portal image for plan WL_6X, from the shelf in ")
    assert not any(name in str(first) + repr(first) + caplog.text for name in (PATIENT, "physicist"))


def test_a_failed_call_is_told_with_its_sentence(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And raised as ever."""
    caplog.set_level(logging.INFO, "qa_fetch.archive")
    with pytest.raises(NotFound) as raised:
        Archive.for_unit(Utils(1)).plan(PATIENT, "NOPE")
    (record,) = caplog.records
    assert record.told.problem == str(raised.value)
    assert record.told.from_shelf is None


def test_a_connection_that_fails_is_told_as_a_failure(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Although ``echo`` gives its steps back and raises nothing."""
    caplog.set_level(logging.INFO, "qa_fetch.archive")
    port = free_port()
    Archive(f"dimse://X@{LOOPBACK}:{port}").echo()
    (record,) = caplog.records
    assert f"nothing listens on {LOOPBACK} port {port}" in record.told.problem


def test_a_call_that_is_interrupted_is_not_told_as_done(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever ended it; but who takes only the first of many sessions has what was asked for."""
    caplog.set_level(logging.INFO, "qa_fetch.archive")

    def interrupt(arrived: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Archive("tb1", on_progress=interrupt).latest(PATIENT, plan="WL_6X", approved=True)
    sessions = Archive("tb1").images(PATIENT, plan="WL_6X", approved=True)
    next(sessions)
    sessions.close()
    assert [record.told.problem for record in caplog.records] == ["it ended before it was done", ""]


def test_a_session_that_began_after_the_work_is_named(config: Path) -> None:
    """A page that was opened before the images were taken must say so, and not take last week's."""
    with pytest.raises(NotFound) as raised:
        Archive("tb1").latest(PATIENT, plan="WL_6X", approved=True, after="2025-11-01", before="2025-11-03 16:00")
    assert str(raised.value) == (
        "tb1 has no portal image for plan WL_6X since 1 November 2025 00:00 before 3 November 2025 16:00; "
        "one began later, 3 November 2025 17:05. Ask with a later before (in QATrack+: Work Started)."
    )
