"""Several associations that share one list of jobs: each is done once, and what one leaves another takes over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import pytest

from qa_fetch import BadArchive, ConnectionFailed, Refused
from qa_fetch.backends.crew import Crew, size_of_crew
from qa_fetch.budget import Budget

LOST = ConnectionFailed("the association was lost.")


class FakeLink:
    """An association that knows its number, how long an answer takes, and what it accepts."""

    def __init__(self, number: int = 0, handshake: float = 0.0, echo: Optional[float] = None) -> None:
        self.number, self.handshake, self._echo = number, handshake, echo
        self.echoes = 0

    def accepts(self, sop_class: str) -> bool:
        return self._echo is not None

    def echo(self, budget: Budget) -> int:
        self.echoes += 1
        time.sleep(self._echo or 0)
        return 0


class Team:
    """A crew over fake associations: what was done by whom, and what is open."""

    def __init__(self, work: Callable[[Team, Any, int], bool], fails_to_open: Optional[Exception] = None) -> None:
        self.done: list[tuple[int, int]] = []
        self.opened = self.open = 0
        self._work, self._fails = work, fails_to_open
        self._guard = threading.Lock()

    def run(self, jobs: int, members: int) -> None:
        first = FakeLink(0)
        Crew(range(jobs), lambda action: action(first), self._further, self._one).run(members)  # type: ignore[arg-type]

    @contextmanager
    def _further(self) -> Iterator[Any]:
        with self._guard:
            self.opened += 1
            self.open += 1
            number = self.opened
        try:
            if self._fails is not None:
                raise self._fails
            yield FakeLink(number)
        finally:
            with self._guard:
                self.open -= 1

    def _one(self, link: Any, job: int) -> bool:
        goes_on = self._work(self, link, job)
        with self._guard:
            self.done.append((link.number, job))
        return goes_on

    @property
    def jobs(self) -> list[int]:
        return sorted(job for _, job in self.done)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Whatever happened, nobody works on."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "qa_fetch transfer"] == []


def busy(team: Team, link: Any, job: int) -> bool:
    time.sleep(0.005)
    return True


def test_one_does_everything_in_order_and_opens_nothing_else() -> None:
    """Without threads."""
    team = Team(busy)
    team.run(20, 1)
    assert team.done == [(0, job) for job in range(20)]
    assert team.opened == 0


def test_several_share_the_jobs_and_each_is_done_once() -> None:
    """In a fraction of the time."""
    team = Team(busy)
    began = time.monotonic()
    team.run(80, 4)
    assert time.monotonic() - began < 0.3
    assert team.jobs == list(range(80))
    assert {number for number, _ in team.done} == {0, 1, 2, 3}
    assert (team.opened, team.open) == (3, 0)


def test_there_are_never_more_than_jobs() -> None:
    """Nobody is opened for nothing."""
    team = Team(busy)
    team.run(2, 8)
    assert (team.jobs, team.opened) == ([0, 1], 1)
    team = Team(busy)
    team.run(0, 8)
    assert (team.jobs, team.opened) == ([], 0)


@pytest.mark.parametrize(
    "error", [LOST, Refused("it has reached its limit of associations.")], ids=["unreachable", "refused"]
)
def test_an_archive_that_wants_no_further_association_is_served_by_one(error: Exception) -> None:
    """That is its right."""
    team = Team(busy, fails_to_open=error)
    team.run(20, 4)
    assert team.done == [(0, job) for job in range(20)]


def test_the_job_of_a_helper_whose_association_is_lost_is_done_by_another() -> None:
    """Every helper is lost in mid-job; nothing is left out and nothing done twice."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        if link.number:
            raise LOST
        return True

    team = Team(work)
    team.run(20, 4)
    assert sorted(team.done) == [(0, job) for job in range(20)]


def test_a_job_that_is_put_back_when_all_others_are_done_is_done_too() -> None:
    """The first had gone home already."""

    def work(team: Team, link: Any, job: int) -> bool:
        if link.number:
            while len(team.done) < 3:
                time.sleep(0.001)
            time.sleep(0.02)
            raise LOST
        time.sleep(0.01)
        return True

    team = Team(work)
    team.run(4, 2)
    assert team.jobs == [0, 1, 2, 3]


def test_the_loss_of_the_first_is_the_callers_to_hear() -> None:
    """And the others stop, with what they are doing done."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        if not link.number and job:
            raise LOST
        return True

    team = Team(work)
    with pytest.raises(ConnectionFailed) as caught:
        team.run(1000, 4)
    assert caught.value is LOST
    assert len(team.done) < 100 and team.open == 0


@pytest.mark.parametrize("who", [0, 1], ids=["the first", "a helper"])
def test_the_first_failure_that_counts_ends_it(who: int) -> None:
    """A refusal is everybody's; the second one is not heard."""
    raised: list[Refused] = []

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        if link.number == who and len(team.done) > 5:
            raised.append(Refused(f"it says no to {job}."))
            raise raised[-1]
        return True

    team = Team(work)
    with pytest.raises(Refused) as caught:
        team.run(1000, 3)
    assert caught.value is raised[0]
    assert len(team.done) < 100 and team.open == 0


def test_two_helpers_that_fail_at_once_make_one_error() -> None:
    """The one that came first."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.01 * (1 + link.number))
        if link.number:
            raise Refused(f"helper {link.number} was refused.")
        return True

    with pytest.raises(Refused) as caught:
        Team(work).run(100, 3)
    assert str(caught.value) == "helper 1 was refused."


@pytest.mark.parametrize("who", [0, 1, 2])
def test_whoever_sees_no_use_in_going_on_stops_all(who: int) -> None:
    """The budget is spent, or nothing more is wanted: no error."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        return link.number != who

    team = Team(work)
    team.run(1000, 3)
    assert len(team.done) < 20 and team.open == 0


def test_an_interrupt_of_the_caller_stops_the_helpers() -> None:
    """Ctrl-C is no QAFetchError."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        if not link.number and job > 5:
            raise KeyboardInterrupt
        return True

    team = Team(work)
    with pytest.raises(KeyboardInterrupt):
        team.run(1000, 4)
    assert len(team.done) < 100 and team.open == 0


def test_a_bad_object_at_a_helper_is_told_like_one_at_the_first() -> None:
    """Not swallowed with the helper's thread."""

    def work(team: Team, link: Any, job: int) -> bool:
        time.sleep(0.005)
        if link.number:
            raise BadArchive("an object is cut short.")
        return True

    with pytest.raises(BadArchive) as caught:
        Team(work).run(50, 2)
    assert str(caught.value) == "an object is cut short."


# --- how many


@pytest.mark.parametrize(
    ("objects", "limit", "link", "members"),
    [
        (1000, 1, FakeLink(handshake=0.1), 1),
        (15, 8, FakeLink(handshake=0.1), 1),
        (1000, 8, FakeLink(handshake=0.0005), 1),
        (1000, 8, FakeLink(handshake=0.1, echo=0.0), 1),
        (1000, 8, FakeLink(handshake=0.1, echo=0.02), 8),
        (1000, 8, FakeLink(handshake=0.1), 8),
        (16, 32, FakeLink(handshake=0.1), 8),
        (17, 32, FakeLink(handshake=0.1), 9),
    ],
    ids=["only one", "few", "near", "slow to agree", "far", "no echo", "two each", "odd"],
)
def test_a_crew_is_as_large_as_the_way_is_long(
    objects: int, limit: int, link: Any, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One near, as many as are allowed and useful far away; a slow handshake alone proves nothing."""
    monkeypatch.setattr("qa_fetch.backends.crew._FAST", 0.01)  # else a busy machine makes a near archive a far one
    assert size_of_crew(link, objects, limit, Budget(5)) == members
    assert link.echoes <= 1
