"""What a site meets: many pages at once, archives that hang or are down, plans that change, connections to look at."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pack_pages
import phantom_plans
import pytest
from pack_site import PATIENT, YESTERDAY, Archived, engine, store
from pack_trials import TRIALS
from peers import course as courses
from peers.process import LOOPBACK, free_port
from qatrack_engine import Engine
from qatrack_page import Page

import qa_fetch
from qa_fetch import part10
from qa_fetch.demo import objects
from qa_fetch.demo.objects import Course

STARTED = YESTERDAY + timedelta(hours=1)
_TESTS = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.filterwarnings("ignore:vert. bool was deprecated:DeprecationWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:(invalid value|divide by zero) encountered in divide:RuntimeWarning:pylinac"),
]


def last_line(page: Page, slug: str) -> str:
    """The sentence at the end of a red tooltip."""
    return str(page.error(slug)).strip().splitlines()[-1]


# Many at once


@pytest.mark.analysis
@pytest.mark.parametrize("processes", [1, 3], ids=["in threads", "in threads of three processes"])
def test_ten_pages_of_two_packs_at_once_are_all_right(
    archive: Archived, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """With one port to which the archive moves the images of all of them."""
    chosen = [next(trial for trial in TRIALS if trial.pack == pack) for pack in ("picket_fence", "vmat_drgs")]
    made = [trial.make(YESTERDAY) for trial in chosen]
    for number, one in enumerate(made):
        store(one.datasets, tmp_path / str(number))
    archive.config(tmp_path, retrieve="move")
    monkeypatch.setenv("QA_FETCH_SHELF", str(tmp_path / "another shelf"))  # nothing of the trials is on it
    asked = [pack_pages.asked(chosen[n % 2], made[n % 2], STARTED) for n in range(10)]
    shares = [asked[n::processes] for n in range(processes)]
    shown = [pack_pages.perform(asked, tmp_path / "pages")] if processes == 1 else _in_processes(shares, tmp_path)
    for share, answers in zip(shares, shown):
        for wanted, answer in zip(share, answers):
            images = next(one for one, trial in zip(made, chosen) if trial.pack == wanted["pack"])
            assert answer["error"] is None
            assert sorted(answer["uids"]) == sorted(
                str(image.SOPInstanceUID) for image in images.datasets if image.Modality != "RTPLAN"
            )
            assert answer["result"] == images.expected[wanted["result"]]
            assert answer["attachments"] == 1


def _in_processes(shares: list[list[dict[str, Any]]], folder: Path) -> list[list[dict[str, Any]]]:
    import_module("matplotlib.font_manager")  # lists the fonts here, and not in each process while a page waits
    path = os.pathsep.join(map(str, (_TESTS, _TESTS / "qatrack", Path(qa_fetch.__file__).parents[1])))
    running = [
        subprocess.Popen(
            [sys.executable, pack_pages.__file__, json.dumps(share), str(folder / f"process {number}")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for number, share in enumerate(shares)
    ]
    return [json.loads(process.communicate(timeout=120)[0]) for process in running]


# Archives that do not answer


def _drgs(folder: Path) -> Page:
    page = Page(engine("vmat_drgs", "vmat-drgs", folder), STARTED)
    page.enter("go", 1)
    return page


def test_an_archive_that_is_down_does_not_stop_the_page(archive: Archived, config: Path, tmp_path: Path) -> None:
    """One red field with one sentence; the tests that need it wait, and the page goes on."""
    port = free_port()
    archive.config(tmp_path, port=port)
    page = _drgs(tmp_path)
    assert last_line(page, "drgs") == (
        f"qa_fetch.errors.ConnectionFailed: aria: nothing listens on {LOOPBACK} port {port}. "
        "Start the archive's DICOM service, or correct port."
    )
    assert (page.shows("drgs"), page.shows("drgs_max"), page.error("drgs_max")) == ("", "", None)
    archive.config(tmp_path)
    page.comment("drgs", "started it")
    assert "nothing listens" not in str(page.error("drgs"))


def test_an_archive_that_hangs_costs_the_budget_and_one_line(
    archive: Archived, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and never says a word."""
    monkeypatch.setenv("QA_FETCH_BUDGET", "2")
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        archive.config(tmp_path, port=port)
        page = _drgs(tmp_path)
    assert last_line(page, "drgs") == (
        f"qa_fetch.errors.ConnectionFailed: aria: {LOOPBACK}:{port} accepts connections but does not answer as a DICOM "
        "archive. Check host and port."
    )
    assert page.error("drgs_max") is None


# The plan check


@pytest.fixture
def plans(archive: Archived, config: Path, tmp_path: Path) -> Path:
    """An archive whose plans can be changed under their UIDs: a folder."""
    folder = tmp_path / "plans"
    course = Course(PATIENT, "C1", datetime(2026, 11, 2, 9, 30))
    objects.write([phantom_plans.daily_plan(course, course.began)], folder)
    config.write_text(f'default = "plans"\n[archives.plans]\nkind = "folder"\npath = \'{folder}\'\n', "utf-8")
    return folder


def _checked(check: Engine, hours_ago: int, **entered: Any) -> Page:
    started = datetime.now() - timedelta(hours=hours_ago)
    page = Page(check, started, started + timedelta(minutes=5))
    for slug, value in {"patientid": PATIENT, **entered, "go": 1}.items():
        page.enter(slug, value)
    return page


def test_a_plan_is_compared_with_the_one_that_was_approved(plans: Path, tmp_path: Path) -> None:
    """Approved once, then day after day without a word, until something changes; then until that is approved."""
    check = engine("plan_check", "daily-plan-check", tmp_path)
    first = _checked(check, 20)
    assert last_line(first, "plan_approved") == (
        "qa_fetch.errors.NotFound: no earlier record of this list has a value for plan_approved. "
        "Look at the plan, then answer Yes to: Approve this plan from now on."
    )
    assert (first.shows("plan_beams"), first.value("plan_mu")) == ("4", 450)
    first.enter("plan_accept", 1)
    assert (first.error("plan_approved"), first.shows("plan_differences")) == (None, "none")
    first.save()
    second = _checked(check, 15)
    assert (second.shows("plan_differences"), second.shows("plan_difference_count")) == ("none", "0")
    second.save()
    (path,) = plans.glob("*.dcm")
    part10.write(phantom_plans.edited_in_place(part10.read(path), "monitor units"), path)
    third = _checked(check, 10)
    assert third.shows("plan_differences") == "beam 1 (G0_6X) MU: 100 -> 101"
    assert third.value("plan_difference_count") == 1
    assert third.rows["plan_differences"].comment == "qa_fetch: beam 1 (G0_6X) MU: 100 -> 101"
    third.save()
    fourth = _checked(check, 5)  # a change that nobody approved does not become right by waiting
    assert fourth.value("plan_difference_count") == 1
    fourth.enter("plan_accept", 1)
    assert fourth.value("plan_difference_count") == 0
    assert fourth.rows["plan_differences"].comment == "qa_fetch: beam 1 (G0_6X) MU: 100 -> 101"  # what was approved
    fourth.save()
    assert _checked(check, 1).value("plan_difference_count") == 0


# Connections


def test_the_connection_list_says_of_each_archive_whether_it_answers(
    archive: Archived, config: Path, tmp_path: Path
) -> None:
    """In plain words for the one that does not."""
    store([courses.plan("QA", patient=PATIENT)], tmp_path)  # what the unit's patient lets a test of the archive see
    port = free_port()
    archive.config(tmp_path, extra=f'[archives.pacs]\nkind="dimse"\nae_title="PACS"\nhost="{LOOPBACK}"\nport={port}')
    page = Page(engine("connection", "archive-connections", tmp_path), STARTED)
    assert (page.shows("connections"), page.error("connections")) == ("", None)
    page.enter("go", 1)
    said = json.loads(page.shows("connections"))
    assert said["aria"] == "ok"
    assert (
        f"nothing listens on {LOOPBACK} port {port}. Start the archive's DICOM service, or correct port."
        in said["pacs"]
    )
    assert (page.value("connections_failing"), page.value("connections_tried")) == (1, 2)
    assert page.rows["connections"].comment.startswith("qa_fetch: pacs: ")
    archive.config(tmp_path)
    page.enter("go", 1)
    assert page.rows["connections"].comment == "qa_fetch: nothing any more"
    page.comment("connections", "its service is being moved")
    assert page.rows["connections"].comment == "its service is being moved"
