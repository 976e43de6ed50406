"""Archives that lie, forget, stall or break off: the right images come, or one sentence says why not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive, aria
from peers.lies import Lies
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive, BadArchive, ConnectionFailed, Incomplete, NotFound, Refused

TITLE = "QATRACK"


@contextmanager
def lying(course: Course, **lies: Any) -> Iterator[tuple[ScriptedArchive, Any]]:
    """A double that holds the course and tells these lies, and a way to open it."""
    port = free_port()
    with ScriptedArchive(course.datasets, Lies(**lies), destinations={TITLE: (LOOPBACK, port)}) as double:

        def open_it(**fields: Any) -> Archive:
            return Archive(double.address, **{"local_ae_title": TITLE, "local_port": port, **fields})

        yield double, open_it


BOTH_WAYS = pytest.mark.parametrize("way", ["get", "move"])


def _newest(archive: Archive) -> list[str]:
    return list(archive.latest(PATIENT, plan="WL_6X", approved=True).uids)


HARMLESS = {
    "ignores every key": {"ignores_keys": True},
    "ignores the label and the modality": {"ignores_keys": ("RTPlanLabel", "Modality")},
    "one row per instance at each level": {"row_per_instance": True},
    "refuses to look across series": {"relational": False},
    "finds nothing across series": {"relational": "silent"},
    "never returns the plan reference": {"omits": ("ReferencedRTPlanSequence",)},
    "never returns the acquisition time": {"omits": ("AcquisitionTime",)},
    "never returns any date or time": {
        "omits": tuple(
            f"{what}{part}"
            for what in ("Acquisition", "Content", "InstanceCreation", "Series", "Study")
            for part in ("Date", "Time")
        )
    },
    "never returns type, unit or label": {"omits": ("ImageType", "PrimaryDosimeterUnit", "RTPlanLabel")},
    "ends UIDs with NUL": {"decorate_uids": "\0"},
    "ends UIDs with spaces": {"decorate_uids": "  "},
    "ends UIDs of objects with NUL": {"decorate_objects": "\0"},
    "sends each object twice": {"twice": True},
    "sends a stray object first": {"stray": True},
    "refuses image-level retrieves": {"level_image_unsupported": True},
    "calls a move complete before the objects come": {"asynchronous_move": True},
    "is slow, but not too slow": {"delay": 0.01},
    "sends three of four and counts four": {"sends_only": 3},
}


@BOTH_WAYS
@pytest.mark.parametrize("lies", HARMLESS.values(), ids=HARMLESS.keys())
def test_the_right_images_come_whatever_the_archive_does(course: Course, lies: dict[str, Any], way: str) -> None:
    """None of these habits changes the answer."""
    with lying(course, **lies) as (_, open_it):
        assert _newest(open_it(retrieve=way)) == course.newest.uids


def test_a_caller_may_take_its_time_between_sessions(course: Course) -> None:
    """Each session has a budget of its own, and a connection that went idle meanwhile is opened again."""
    with lying(course, omits=("ReferencedRTPlanSequence", "AcquisitionTime"), relational=False) as (_, open_it):
        archive = open_it(budget=2.0, timeout=1.0)
        found = []
        for images in archive.images(PATIENT, plan=str(course.wl.SOPInstanceUID)):
            found.append(list(images.uids))
            time.sleep(2.1)
        assert found == [session.uids for session in reversed(course.sessions)]


def test_a_stray_object_is_refused_and_not_kept(course: Course, tmp_path: Any) -> None:
    """What nobody asked for never reaches the shelf."""
    with lying(course, stray=True) as (_, open_it):
        images = open_it().latest(PATIENT, plan="WL_6X", approved=True)
    kept = {path.stem for path in (tmp_path / "shelf").glob("*/objects/*/*.dcm")}
    looked_at = {str(plan.SOPInstanceUID) for plan in (course.wl, course.second_plan) if plan is not None}
    assert kept == set(images.uids) | looked_at


def test_aria_is_asked_and_moves_the_images_to_us(course: Course) -> None:
    """Study Root FIND and MOVE only, no C-GET: the seed's archive."""
    port = free_port()
    with aria(course.datasets, destinations={TITLE: (LOOPBACK, port)}) as double:
        archive = Archive(double.address, local_ae_title=TITLE, local_port=port)
        assert _newest(archive) == course.newest.uids
        assert double.moved_to == [TITLE] * len(double.moved_to) != []
        assert {request.service for request in double.requests} == {"C-FIND", "C-MOVE"}


def test_aria_is_asked_in_few_questions(course: Course) -> None:
    """One for the plan, one for the last week's images, one for their series, one for newer series, one move."""
    port = free_port()
    with aria(course.datasets, destinations={TITLE: (LOOPBACK, port)}) as double:
        archive = Archive(double.address, local_ae_title=TITLE, local_port=port)
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.requests.clear()
        archive.latest(PATIENT, plan=plan, before=course.newest.acquired + timedelta(hours=1))
        assert [(request.service, request.level) for request in double.requests] == [
            ("C-FIND", "IMAGE"),
            ("C-FIND", "IMAGE"),
            ("C-FIND", "SERIES"),
            ("C-MOVE", "IMAGE"),
        ]


def test_aria_refuses_a_caller_that_it_does_not_know(course: Course) -> None:
    """The sentence names the AE title to enter."""
    with aria(course.datasets) as double, pytest.raises(Refused) as caught:
        Archive(double.address, local_ae_title="STRANGER").latest(PATIENT)
    assert str(caught.value) == (
        "ARIA does not know the calling AE title STRANGER. "
        "Enter STRANGER with this host's address as a known client there."
    )
    assert not caught.value.retriable


def test_an_unknown_destination_is_named_with_its_cure(course: Course) -> None:
    """A801 is the commonest fault of a first installation."""
    with lying(course, knows_destination=False, get=False) as (double, open_it):
        archive = open_it()
        with pytest.raises(Refused) as caught:
            archive.latest(PATIENT, plan="PDIP_10X", kind="portal_dose")
        assert str(caught.value) == (
            f"SCRIPTED does not know QATRACK as a destination (C-MOVE 0xA801). Add that AE title, this host and port "
            f"{archive.config['local_port']} to its DICOM destinations (in ARIA: the DB Service), "
            "then run: qa-fetch echo SCRIPTED."
        )
        assert len(double.requested("C-MOVE")) == 1


@BOTH_WAYS
@pytest.mark.parametrize(
    ("lies", "arrived"),
    [({"send_nothing": True}, 0), ({"fail_suboperations": True}, 0), ({"sends_only": 0}, 0)],
    ids=["sends nothing", "fails every object", "counts four and sends none"],
)
def test_success_without_the_objects_is_no_success(
    course: Course, way: str, lies: dict[str, Any], arrived: int
) -> None:
    """The list of UIDs decides, not the status."""
    with lying(course) as (double, open_it):
        archive = open_it(retrieve=way)
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(**lies)
        with pytest.raises(Incomplete) as caught:
            archive.latest(PATIENT, plan=plan)
    assert str(caught.value) == (
        f"SCRIPTED sent {arrived} of 4 objects and called it complete. "
        "Call again to fetch the rest; if they never come, its log says why."
    )
    assert len(caught.value.missing) == 4 - arrived
    assert set(caught.value.missing) <= set(course.newest.uids)
    assert caught.value.retriable


@BOTH_WAYS
@pytest.mark.parametrize("how", ["reset", "abort"])
@pytest.mark.parametrize("inside", [False, True], ids=["between objects", "inside an object"])
def test_a_transfer_that_breaks_off_goes_on_at_the_next_call(course: Course, way: str, how: str, inside: bool) -> None:
    """What arrived is kept, nothing half-written is returned, and only the rest is asked for again."""
    with lying(course) as (double, open_it):
        archive = open_it(retrieve=way)
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.sent.clear()
        double.lies = Lies(drop_after=1, drop_how=how, drop_inside=inside)
        with pytest.raises((Incomplete, ConnectionFailed)) as caught:
            archive.latest(PATIENT, plan=plan)
        assert caught.value.retriable
        before = set(double.sent)
        assert len(before) < 4
        double.lies = Lies()
        assert list(archive.latest(PATIENT, plan=plan).uids) == course.newest.uids
        assert len(double.sent) == len(set(double.sent)) == 4


def test_a_connection_that_breaks_off_says_how_far_it_came(course: Course) -> None:
    """One of four objects; the sentence says what to do."""
    with lying(course) as (double, open_it):
        archive = open_it(retrieve="get")
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(drop_after=1)
        with pytest.raises(Incomplete) as caught:
            archive.latest(PATIENT, plan=plan)
    arrived = 4 - len(caught.value.missing)
    assert str(caught.value) == (
        f"SCRIPTED sent {arrived} of 4 objects before it failed. "
        "Call again to fetch the rest; if it fails again, run: qa-fetch echo SCRIPTED."
    )


@BOTH_WAYS
def test_a_slow_archive_costs_the_budget_and_no_more(course: Course, way: str) -> None:
    """The message says how far it came, and the next call goes on from there."""
    with lying(course) as (double, open_it):
        plan = open_it(retrieve=way).plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(pause_after=2)
        with pytest.raises(Incomplete) as caught:
            open_it(retrieve=way, budget=1.5).latest(PATIENT, plan=plan)
        arrived = 4 - len(caught.value.missing)
        assert str(caught.value) == (
            f"SCRIPTED has sent {arrived} of 4 objects within 1.5 s. "
            "Call again to go on from there, or allow more with budget=."
        )
        double.resume.set()
        double.lies = Lies()
        assert list(open_it(retrieve=way).latest(PATIENT, plan=plan).uids) == course.newest.uids


def test_an_archive_that_answers_no_query_in_time_is_named(course: Course) -> None:
    """A hung archive costs at most the budget and one clear line."""
    with lying(course, delay=5.0) as (_, open_it), pytest.raises(ConnectionFailed) as caught:
        open_it(budget=0.5).latest(PATIENT, plan="WL_6X")
    assert str(caught.value) == (
        "SCRIPTED took longer than the time budget allows: the C-FIND was not answered. "
        "Call again, or allow more with budget=."
    )


@BOTH_WAYS
def test_an_object_under_the_uid_of_another_spoils_the_set(course: Course, way: str) -> None:
    """A wrong image under a right name is the worst that can happen."""
    with lying(course) as (double, open_it):
        archive = open_it(retrieve=way)
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(wrong_uid=True)
        with pytest.raises(BadArchive) as caught:
            archive.latest(PATIENT, plan=plan)
    assert str(caught.value) == (
        "the archive sent one object under the UID of another, so none of this set is used. "
        "Report it to the archive's administrator."
    )


@BOTH_WAYS
def test_an_object_that_is_cut_short_is_never_kept(course: Course, way: str, tmp_path: Any) -> None:
    """Its data ends in the middle of an element although the message is whole."""
    with lying(course) as (double, open_it):
        archive = open_it(retrieve=way)
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        double.lies = Lies(truncated=True)
        double.datasets = [one for one in double.datasets if one.SOPInstanceUID not in course.newest.uids[1:]]
        double.datasets = [one for one in double.datasets if one not in course.mixed_kv]
        with pytest.raises(BadArchive) as caught:
            archive.latest(PATIENT, plan=plan)
        assert str(caught.value) == (
            "SCRIPTED: an object is cut short: it ends in the middle of an element. Fetch or export it again."
        )
        assert course.newest.uids[0] not in {path.stem for path in (tmp_path / "shelf").glob("*/objects/*/*.dcm")}
        assert list((tmp_path / "shelf").glob("*/incoming/*")) == []


def test_an_answer_that_breaks_off_is_not_taken_for_a_short_one(course: Course) -> None:
    """Three of many rows would make an old session the newest."""
    with lying(course, drop_find_after=1) as (_, open_it), pytest.raises(ConnectionFailed) as caught:
        open_it().latest(PATIENT, kind="kv")
    assert str(caught.value) == (
        "SCRIPTED dropped the connection or stopped answering. Try again; if it happens again, "
        "check that it knows QATRACK as a client, and run: qa-fetch echo SCRIPTED."
    )


def test_a_refused_query_is_told_in_words(course: Course) -> None:
    """A status becomes a sentence."""
    with lying(course, find_status=0x0124) as (_, open_it), pytest.raises(Refused) as caught:
        open_it().latest(PATIENT)
    assert str(caught.value) == (
        "SCRIPTED does not allow QATRACK to do this (C-FIND 0x0124). "
        "Ask its administrator to grant C-FIND to that AE title."
    )
    assert caught.value.status == 0x0124


def test_an_image_of_another_patient_is_never_returned(course: Course) -> None:
    """The header of what arrived is held against the question."""
    swapped = [dataset for dataset in course.datasets]
    with lying(course) as (double, open_it):
        archive = open_it()
        plan = archive.plan(PATIENT, "WL_6X", approved=True)
        uids = set(course.newest.uids)
        honest = list(double.datasets)
        stolen = []
        for dataset in swapped:
            if dataset.SOPInstanceUID in uids:
                dataset = _copy(dataset)
                dataset.PatientID = "SOMEBODY"
            stolen.append(dataset)
        found = archive.find("IMAGE", PatientID=PATIENT, Modality="RTIMAGE")
        assert uids <= {row.SOPInstanceUID for row in found}
        double.datasets = stolen
        double.lies = Lies(ignores_keys=("PatientID",), omits=("PatientID",))
        with pytest.raises(BadArchive) as caught:
            archive.latest(PATIENT, plan=plan)
        double.datasets = honest
    assert str(caught.value) == (
        "SCRIPTED sent an object of another patient than the one asked for, so none is used. "
        "Report it to its administrator."
    )


def _copy(dataset: Any) -> Any:
    from copy import deepcopy

    return deepcopy(dataset)


def test_nothing_of_the_kind_says_so(course: Course) -> None:
    """No image at all, at no time."""
    with lying(course) as (_, open_it), pytest.raises(NotFound) as caught:
        open_it().latest(PATIENT, kind="drr", on="2025-11-03")
    assert str(caught.value) == (
        "SCRIPTED has no DRR on 3 November 2025, nor at any other time. Check the plan and the kind."
    )


def test_a_plan_of_another_patient_is_never_taken(course: Course) -> None:
    """The archive ignores the patient and does not say whose plan it is: the plan itself does."""
    with lying(course, ignores_keys=("PatientID",), omits=("PatientID",)) as (_, open_it):
        plans = open_it().plans(PATIENT, "WL_6X")
        theirs = {str(one.SOPInstanceUID) for one in course.others}
        assert len(plans) == 2
        assert not theirs & {plan.uid for plan in plans}
