"""Pages that wait for the analyses of other pages: as long as the budget lasts, and then with a sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT

from qa_fetch import Archive, Images, composite
from qa_fetch.errors import Incomplete


@pytest.fixture
def images(course_files: Path) -> Images:
    return Archive(f"folder:{course_files}").latest(PATIENT, plan="WL_6X", approved=True)


def slow(images: Images) -> dict[str, int]:
    vars(images)["begun"].set()
    assert vars(images)["go_on"].wait(20)
    return {"value": 1}


def other(images: Images) -> dict[str, int]:
    return {"value": 2}


@pytest.fixture
def busy(images: Images, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Another page whose analysis does not end before the test does."""
    monkeypatch.setenv("QA_FETCH_BUDGET", "0.5")
    begun, go_on = vars(images)["begun"], vars(images)["go_on"] = threading.Event(), threading.Event()
    found: list[Any] = []
    page = threading.Thread(target=lambda: found.append(composite.results(slow, images)))
    page.start()
    assert begun.wait(20)
    yield found
    go_on.set()
    page.join(20)
    assert [result["value"] for result in found] == [1]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("analysis", "says"),
    [
        (other, "analyses of other pages did not end within 0.5 s. Change any field of the page to ask again."),
        (
            slow,
            "the same analysis is being made by another page and did not end within 0.5 s. "
            "Change any field of the page to ask again.",
        ),
        ({"value": 2}, "analyses of other pages did not end within 0.5 s. Change any field of the page to ask again."),
    ],
    ids=["another analysis", "the same analysis", "an analysis that was made"],
)
def test_a_page_whose_turn_does_not_come_says_so(analysis: Any, says: str, images: Images) -> None:
    """A server that waits for ever would be ended by its own time limit, with all pages of the process."""
    with pytest.raises(Incomplete) as caught:
        composite.results(analysis, images)
    assert (str(caught.value), caught.value.retriable) == (says, True)


def test_the_next_page_has_its_turn_after_one_that_failed(images: Images) -> None:
    """Whatever an analysis raises."""

    def failing(images: Images) -> dict[str, int]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        composite.results(failing, images)
    assert composite.results(other, images)["value"] == 2
