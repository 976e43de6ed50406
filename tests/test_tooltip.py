"""What QATrack+'s red tooltip leaves of an error: the end of a traceback, of which the last line must stand alone."""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
from peers.course import PATIENT, Course, plan
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, free_port

import qa_fetch
from qa_fetch import Archive, QAFetchError, errors

PROCEDURE = "__QAT+COMP_"  # how QATrack+ calls the code of a composite test
LONGEST = 350


def tooltip(call: Callable[[], Any]) -> list[str]:
    """The lines that QATrack+ shows: five frames, and of those what comes after the procedure's own name."""
    try:
        exec(compile("call()", f"{PROCEDURE}wl", "exec"), {"call": call})
    except Exception:  # noqa: BLE001 - as QATrack+ does
        return traceback.format_exc(limit=5).split(PROCEDURE)[-1].splitlines()
    pytest.fail("nothing was raised")


def last_line(call: Callable[[], QAFetchError]) -> str:
    """The last line of the tooltip, held to what it must be."""
    lines = tooltip(call)
    found = re.fullmatch(r"qa_fetch\.errors\.([A-Za-z]+): (.+)", lines[-1])
    assert found is not None, lines
    message = found.group(2)
    assert message.isprintable()
    assert len(message) <= LONGEST
    assert message.endswith((".", "?"))
    assert PATIENT not in message
    return f"{found.group(1)}: {message}"


@contextmanager
def lying(course: Course, **lies: Any) -> Iterator[tuple[ScriptedArchive, Archive]]:
    """A double that tells these lies, and the archive that speaks with it."""
    port = free_port()
    with ScriptedArchive(course.datasets, Lies(**lies), destinations={"QATRACK": (LOOPBACK, port)}) as double:
        yield double, Archive(double.address, local_ae_title="QATRACK", local_port=port, budget=20)


def test_a_wrong_setting(course: Course) -> None:
    """ConfigError."""
    assert last_line(lambda: Archive("aria").latest(PATIENT)) == (
        "ConfigError: no archive is called 'aria'. Add [archives.aria] to qa_fetch.toml."
    )


def test_a_wrong_kind(course_files: Path) -> None:
    """ConfigError, with all the kinds there are."""
    line = last_line(lambda: Archive(f"folder:{course_files}").latest(PATIENT, kind="portals"))
    assert line.startswith("ConfigError: 'portals' is not a kind of object. Use one of portal, portal_dose,")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom 3 leaves it to the collector
def test_a_closed_port() -> None:
    """ConnectionFailed."""
    port = free_port()
    assert last_line(lambda: Archive(f"dimse://X@{LOOPBACK}:{port}").latest(PATIENT)) == (
        f"ConnectionFailed: X: nothing listens on {LOOPBACK} port {port}. "
        "Start the archive's DICOM service, or correct port."
    )
    gc.collect()


def test_a_refusal(course: Course) -> None:
    """Refused."""
    with lying(course, find_status=0xA900) as (_, archive):
        line = last_line(lambda: archive.plans(PATIENT))
    assert line.startswith("Refused: SCRIPTED cannot answer this question as it was put (C-FIND 0xA900,")


def test_an_unknown_destination(course: Course) -> None:
    """Refused, the longest of its sentences, from an error with a cause."""
    with lying(course, knows_destination=False, get=False) as (_, archive):
        line = last_line(lambda: archive.latest(PATIENT, kind="cbct"))
    assert line == (
        "Refused: SCRIPTED does not know QATRACK as a destination (C-MOVE 0xA801). Add that AE title, this host and "
        f"port {archive.config['local_port']} to its DICOM destinations (in ARIA: the DB Service), "
        "then run: qa-fetch echo SCRIPTED."
    )


def test_nothing_of_that_day(course: Course) -> None:
    """NotFound."""
    with lying(course) as (_, archive):
        line = last_line(lambda: archive.latest(PATIENT, plan="WL_6X", approved=True, on="2025-11-02"))
    assert line == (
        "NotFound: SCRIPTED has no portal image for plan WL_6X on 2 November 2025; "
        "the latest is of 3 November 2025 17:05. Ask for that date, or for no date."
    )


def test_a_dozen_plans_with_one_label() -> None:
    """Ambiguous: as many candidates as a tooltip holds, and how many more there are."""
    course = Course()
    course.others = [plan("A" * 16, study=f"COURSE {number:09}", approval="UNAPPROVED") for number in range(12)]
    with lying(course) as (_, archive):
        line = last_line(lambda: archive.plan(PATIENT, "A" * 16))
    assert line.startswith(
        f"Ambiguous: SCRIPTED has 12 plans called {'A' * 16}: {'A' * 16} (of 2025-09-01, UNAPPROVED, "
    )
    assert line.endswith('; and 10 more. Choose with approved=True, pick="newest", or plan=<its UID>.')


def test_forty_plans_with_other_labels() -> None:
    """NotFound: the labels there are, as far as they fit."""
    course = Course()
    course.others = [plan(f"PLAN {number:011}", study=str(number)) for number in range(40)]
    with lying(course) as (_, archive):
        line = last_line(lambda: archive.plan(PATIENT, "NOPE"))
    assert line.endswith(" and 34 more. Check the label.")


def test_half_a_set(course: Course) -> None:
    """Incomplete, whose cause is another error of ours."""
    with lying(course) as (double, archive):
        known = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(send_nothing=True)
        line = last_line(lambda: archive.latest(PATIENT, plan=known))
    assert line == (
        "Incomplete: SCRIPTED sent 0 of 4 objects and called it complete. "
        "Call again to fetch the rest; if they never come, its log says why."
    )


def test_a_shelf_that_cannot_be_written(course: Course, tmp_path: Path) -> None:
    """Incomplete, whose cause is the operating system's."""
    (tmp_path / "shelf").write_text("a file where the folder should be")
    with lying(course) as (_, archive):
        line = last_line(lambda: archive.latest(PATIENT, kind="cbct"))
    assert line.startswith("Incomplete: the shelf ")
    assert line.endswith("Check that this user may write there, or set another [shelf] path.")


def test_an_object_that_is_not_what_it_says(course: Course) -> None:
    """BadArchive."""
    with lying(course) as (double, archive):
        known = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(wrong_uid=True)
        line = last_line(lambda: archive.latest(PATIENT, plan=known))
    assert line == (
        "BadArchive: the archive sent one object under the UID of another, so none of this set is used. "
        "Report it to the archive's administrator."
    )


def test_several_objects_where_one_is_expected(course_files: Path) -> None:
    """Ambiguous, from an attribute and not from a call of Archive."""
    archive = Archive(f"folder:{course_files}")
    assert last_line(lambda: archive.latest(PATIENT, kind="cbct").dataset) == (
        "Ambiguous: this set holds 4 objects, so there is no single one. "
        "Use .datasets, or narrow the question (plan, kind, on)."
    )


def test_every_class_of_error_is_shown_here() -> None:
    """A new class needs a sentence here."""
    shown = set(re.findall(r'"""([A-Z][A-Za-z]+)[.,:]', Path(__file__).read_text(encoding="utf-8")))
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)} - {"QAFetchError"}
    assert classes <= shown
    assert classes <= set(qa_fetch.__all__)
