"""The pages of a cohort as people see them, in Chromium; its pictures are kept where QA_FETCH_SCREENSHOTS says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.process import Missing, skip_or_fail

_TESTS = Path(__file__).resolve().parents[2]
sys.path += [str(_TESTS / "node" / "pages"), str(_TESTS / "cohort")]  # the browser of the node's tests; our content

import cohort_pages_content as content  # noqa: E402
from browser import Browser, opened  # noqa: E402

from qa_fetch.cohort import pages  # noqa: E402

_PAGES = ("index", "patients/1", "patients/12", "patients/two studies", "patients/rejected", "patients/no dose")
_LOOKS = {"light": {}, "dark": {"dark": True}, "narrow": {"width": 375, "height": 780}}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the pages of one cohort; without Chromium these tests fail in CI, and elsewhere skip."""
    settings = content.cohort_in(tmp_path_factory.mktemp("pages"))
    content.everything(settings, side=240)
    folder = pages.report(settings).parent
    try:
        with opened(f"{folder.as_uri()}/", tmp_path_factory.mktemp("screenshots")) as browser:
            yield browser
    except Missing as missing:
        skip_or_fail(missing)


@pytest.mark.parametrize("look", _LOOKS)
@pytest.mark.parametrize("page", _PAGES)
def test_a_page_is_whole_on_every_screen(tab: Browser, page: str, look: str) -> None:
    """Nothing complains, nothing else is asked for, and nobody has to move the page sideways."""
    tab.look(**_LOOKS[look])  # type: ignore[arg-type]
    tab.open(f"{page}.html".replace(" ", "%20"))
    tab.keep(f"cohort-{page.replace('/', '-').replace(' ', '-')}-{look}")
    assert tab.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.run("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert tab.texts("main > p:last-child") == ["This page names patients. Keep it as you keep their records."]
    assert tab.complaints() == []
    assert tab.strangers() == set()


def test_somebody_goes_from_the_cohort_to_what_is_unusual_and_on(tab: Browser) -> None:
    """The first unusual patient leads to its page, that to the next patient, and that back to all."""
    tab.look()
    tab.open("index.html")
    assert tab.text(".verdict") == (
        "12 of 19 patients are usable; 1 waits for a choice, 2 have failed, 1 is not built yet and 3 are excluded."
    )
    tab.press(".outlier h3 a")
    assert tab.text("h1") == "Patient 12"
    tab.follow("Next: no dose")
    assert tab.text(".verdict") == "Excluded."
    tab.follow("← All patients")
    assert tab.text("h1") == "Cohort"
    assert tab.complaints() == []
