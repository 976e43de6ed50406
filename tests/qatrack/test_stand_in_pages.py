"""The stand-in behaves as QATrack+ 3.1.1.4 and 4.0.0 do: the page in the browser, old records, and the REST API."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from qatrack_page import Page, SaveRefused, edit
from qatrack_rest import ApiRefused, RestApi
from qatrack_small_packs import composite, engine, one, text_composite
from qatrack_text import PageBroken, ServerError

STARTED = "20 Nov 2026 07:30"
SITE = timezone(timedelta(hours=-5))  # the stand-in's Toronto, in winter
NOON = datetime(2026, 11, 20, 12, tzinfo=SITE)

GO = one("go", "boolean")
# Counts how often it runs, and attaches a file the first time
WL = text_composite(
    "wl",
    """
wl = None
if go:
    wl = {"shift": 0.5, "b": [1.0, None, 1e-7, 2**60], "1": "ä", "started": str(META["work_started"])[:16]}
    if not UTILS.previous_test_instance("wl") and shift != 7:
        UTILS.write_file("wl.pdf", b"%PDF")
""",
)
SHIFT = one("shift", skip_without_comment=True)
LARGEST = composite("largest", "largest = wl['shift'] if wl else None", formatting="%.2f")
LIST = (GO, SHIFT, WL, LARGEST)


def _page(folder: Path, *tests: dict[str, Any]) -> Page:
    return Page(engine(folder, *(tests or LIST), clock=lambda: NOON), STARTED)


def test_everything_is_computed_at_page_load_and_again_on_every_change(tmp_path: Path) -> None:
    """Entering, commenting, skipping, another date; not unticking."""
    page = _page(tmp_path)
    assert page.computed == 1
    changes: list[Callable[[], None]] = [
        lambda: page.enter("go", True),
        lambda: page.comment("wl", "seen"),
        lambda: page.skip("shift"),
        lambda: page.start_again("19 Nov 2026 07:30", "19 Nov 2026 08:00"),
        lambda: page.start_again("18 Nov 2026 07:30"),
    ]
    for number, change in enumerate(changes):
        change()
        assert page.computed == number + 2
    page.skip("shift", False)
    assert page.computed == 6
    assert '"started":"2026-11-18 07:30"' in page.shows("wl")


def test_rows_show_what_a_browser_shows(tmp_path: Path) -> None:
    """Objects as JSON.stringify writes them, formatted numbers, nothing for None, Yes and No."""
    page = _page(tmp_path)
    assert [page.shows(slug) for slug in ("go", "shift", "wl", "largest")] == ["", "", "", ""]
    page.enter("go", True)
    page.enter("shift", "1.50")
    assert (
        page.shows("wl") == '{"1":"ä","shift":0.5,"b":[1,null,1e-7,1152921504606847000],"started":"2026-11-20 07:30"}'
    )
    assert [page.shows(slug) for slug in ("go", "shift", "largest")] == ["Yes", "1.50", "0.50"]
    assert page.value("largest") == 0.5
    page.enter("shift", "1.50 mm")
    assert (page.shows("shift"), page.value("shift")) == ("", None)


def test_a_tooltip_comes_with_an_error_and_goes_with_the_next_answer(tmp_path: Path) -> None:
    """While a mentioned test is empty there is none."""
    page = _page(tmp_path, SHIFT, composite("a", "a = 1 / shift"))
    assert page.error("a") is None
    page.enter("shift", 0)
    error = page.error("a")
    assert error is not None
    assert error.endswith("ZeroDivisionError: division by zero\n")
    page.enter("shift", 4)
    assert (page.error("a"), page.shows("a")) == (None, "0.25000000")


def test_a_row_keeps_its_files_until_others_come(tmp_path: Path) -> None:
    """An answer without any changes nothing, a reloaded page has none."""
    page = _page(tmp_path)
    page.enter("go", True)
    page.enter("shift", 1)
    assert page.attachments("wl") == [2]
    page.enter("shift", 7)
    assert page.attachments("wl") == [2]
    fresh = page.reload()
    assert (fresh.attachments("wl"), fresh.shows("go"), fresh.shows("wl")) == ([], "", "")


def test_a_new_page_starts_with_default_values(tmp_path: Path) -> None:
    """They are computed once; a False is shown, and saved, as Yes, and only 0 is No."""
    tests = [
        one("patientid", "string", "patientid = 'QA_TB1'"),
        one("no", "boolean", "no = 0"),
        one("false", "boolean", "false = False"),
        one("day", "date", "day = META['work_started'].date()"),
        one("mm", "simple", "mm = 0.123456789"),
        text_composite("all", "all = [patientid, no, false, str(day), mm]"),
    ]
    page = _page(tmp_path, *tests)
    shown = [page.shows(test["slug"]) for test in tests[:5]]
    assert shown == ["QA_TB1", "No", "Yes", "20 Nov 2026", "0.123457"]
    assert page.value("all") == ["QA_TB1", 0, False, "2026-11-20", 0.123456789]
    assert page.save()["false"].value == 1


def test_a_broken_answer_changes_no_row(tmp_path: Path) -> None:
    """Whatever was shown stays."""
    page = _page(tmp_path, SHIFT, composite("a", "a = float('nan') if shift == 2 else shift"), composite("b", "b = a"))
    page.enter("shift", 1)
    with pytest.raises(PageBroken):
        page.enter("shift", 2)
    assert [page.shows(slug) for slug in ("shift", "a", "b")] == ["2", "1.0000000", "1.0000000"]


def test_a_skipped_row_takes_no_results(tmp_path: Path) -> None:
    """A composite has no skip box, but a procedure can skip it."""
    page = _page(tmp_path, GO, SHIFT, composite("a", "a = shift; UTILS.set_skip('a', bool(go))"))
    with pytest.raises(ValueError, match="a, a composite test, has no skip box to tick"):
        page.skip("a")
    page.enter("shift", 1)
    page.enter("go", True)
    page.enter("shift", 2)
    assert page.shows("a") == "1.0000000"


def test_what_is_saved_is_what_the_browser_posts(tmp_path: Path) -> None:
    """JSON for objects, numbers unrounded, a composite without a value as skipped."""
    page = _page(tmp_path, *LIST, composite("waiting", "waiting = None"), text_composite("lines", "lines = 'a\\nb '"))
    page.enter("go", True)
    page.enter("shift", 3)
    saved = page.save()
    assert saved["wl"].string_value == page.shows("wl")
    assert (saved["largest"].value, saved["go"].get_value(), saved["lines"].string_value) == (0.5, True, "ab")
    assert [slug for slug, result in saved.results.items() if result.skipped] == ["waiting"]
    assert saved["wl"].attachments == [2]
    assert saved.work_completed == NOON


def test_saving_is_refused_with_everything_that_is_wrong(tmp_path: Path) -> None:
    """A list in progress may have gaps."""
    page = _page(tmp_path, *LIST, composite("text", "text = 'far'"))
    page.enter("shift", 1)
    page.skip("shift")
    with pytest.raises(SaveRefused) as refused:
        page.save()
    assert str(refused.value).splitlines() == [
        "The test go: Value required if not skipping",
        "The test shift: Clear value if skipping",
        "The test text: Enter a number.",
    ]
    assert _page(tmp_path, GO, SHIFT).save(in_progress=True).in_progress
    late = Page(engine(tmp_path, SHIFT, clock=lambda: NOON), NOON + timedelta(hours=1))
    late.skip("shift")
    with pytest.raises(SaveRefused, match="Work started date/time can not be in the future"):
        late.save()


def test_an_old_record_is_computed_again_with_its_own_dates(tmp_path: Path) -> None:
    """It loses the files that are not attached again."""
    page = _page(tmp_path)
    page.enter("go", True)
    page.enter("shift", 1)
    saved = page.save()
    again = edit(saved)
    assert again.shows("wl") == page.shows("wl")
    assert (again.shows("shift"), again.computed, again.attachments("wl")) == ("1.0", 1, [3])
    again.enter("shift", 7)
    again = edit(again.save())
    assert again.attachments("wl") == []
    assert again.save() is saved
    assert (saved["wl"].attachments, saved["shift"].value) == ([], 7)


def test_procedures_find_what_was_saved_before(tmp_path: Path) -> None:
    """Before the start of the work, on this unit, neither skipped nor in progress."""
    look = """
before = UTILS.previous_test_instance("mm")
whole = UTILS.previous_test_list_instance()
other = UTILS.get_test_instance(test_name="The test mm", unit_number=2)
found = [before and before.value, whole and whole["mm"].value, other]
"""
    it = engine(tmp_path, one("mm"), text_composite("found", look), clock=lambda: NOON)
    for day, value in ((18, 1), (20, 3), (19, 2)):
        page = Page(it, f"{day} Nov 2026 07:30", f"{day} Nov 2026 08:00")
        page.enter("mm", value)
        page.save()
    assert Page(it, "20 Nov 2026 07:30").value("found") == [2, 2, None]
    assert Page(it, "18 Nov 2026 07:30").value("found") == [None, None, None]
    assert Page(it, "20 Nov 2026 08:00").value("found") == [3, 3, None]  # to the end of the minute


# The REST API


def test_the_rest_api_keeps_python_text_of_objects(tmp_path: Path) -> None:
    """Nothing goes through JSON; no skip reaches a procedure, and the day counts from 0."""
    what = "['é', UTILS.get_skip('mm'), META['cycle_day'], 'test_list_id' in META, str(META['work_started'])]"
    it = engine(tmp_path, one("mm"), text_composite("seen", f"seen = {{'a': {what}}}"), clock=lambda: NOON)
    saved = RestApi(it).perform({"mm": {"skipped": True}}, "2026-11-20T07:30:00.000Z", "night-1")
    assert saved["seen"].string_value == "{'a': ['é', False, 0, False, '2026-11-20 07:30:00-05:00']}"
    assert (saved["mm"].skipped, saved["mm"].value) == (True, None)


def test_the_rest_api_refuses_what_it_cannot_keep(tmp_path: Path) -> None:
    """Missing tests, no number, a composite without one unless it is skipped, a value for a composite."""
    it = engine(tmp_path, GO, one("mm"), composite("a", "a = mm if go else None"), clock=lambda: NOON)
    api = RestApi(it)
    go, mm = {"value": True}, {"value": 2.5}
    with pytest.raises(ApiRefused, match="^Missing data for tests: mm\n"):
        api.perform({"go": {"value": 0}}, STARTED)
    with pytest.raises(ApiRefused, match=r"^Wrong value type \(number/string\) for tests: a\nIf these are composite"):
        api.perform({"go": {"value": 0}, "mm": mm}, STARTED)
    with pytest.raises(ApiRefused, match=r"^Wrong value type \(number/string\) for tests: mm"):
        api.perform({"go": {"value": 0}, "mm": {"value": "2.5"}, "a": {"skipped": True}}, STARTED)
    with pytest.raises(ApiRefused, match="^The following tests are calculated automatically"):
        api.perform({"go": go, "mm": mm, "a": {"value": 3}}, STARTED)
    with pytest.raises(ApiRefused, match="^work_started: Datetime has wrong format."):
        api.perform({"go": go, "mm": mm}, "2026-11-20T07:30:00+00:00")
    assert api.perform({"go": {"value": 0}, "mm": mm, "a": {"skipped": True}}, STARTED)["a"].value is None
    assert api.perform({"go": go, "mm": mm}, STARTED)["a"].value == 2.5


def test_the_rest_api_refuses_a_second_list_with_the_same_key(tmp_path: Path) -> None:
    """So a repeated push changes nothing."""
    it = engine(tmp_path, one("mm"), clock=lambda: NOON)
    for number in range(2):
        RestApi(it).perform({"mm": {"value": 1}}, STARTED, f"night-{number}")
    with pytest.raises(ApiRefused, match="user key already exists"):
        RestApi(it).perform({"mm": {"value": 1}}, STARTED, "night-1")
    assert [one.user_key for one in it.records.instances] == ["night-0", "night-1"]


def test_the_rest_api_refuses_a_list_with_an_error_in_a_composite(tmp_path: Path) -> None:
    """With the text of the tooltip; a bracket is a server error here, too."""
    it = engine(tmp_path, one("mm"), composite("a", "a = 1 / mm"), clock=lambda: NOON)
    with pytest.raises(ApiRefused) as refused:
        RestApi(it).perform({"mm": {"value": 0}}, STARTED)
    tooltip = 'Invalid Test Procedure: a", line 1, in a\nZeroDivisionError: division by zero\n'
    assert str(refused.value) == f"Error with a test: {tooltip}"
    with pytest.raises(ServerError):
        RestApi(engine(tmp_path, composite("a", "a = (1"))).perform({}, STARTED)
