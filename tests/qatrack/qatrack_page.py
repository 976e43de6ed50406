"""A page of QATrack+ in a browser: what it posts after every change, what its rows show, and what saving stores."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Optional, Union

from qatrack_engine import Answer, Engine
from qatrack_pack import COMPOSITE_TYPES, DATE_TYPES, STRING_TYPES, WITHOUT_SKIP_BOX, QaTest
from qatrack_records import Instance, Result
from qatrack_text import (
    DATE_FORMATS,
    MOMENT_FORMATS,
    cleaned_number,
    formatted,
    js_text,
    parsed_date,
    parsed_moment,
    read_number,
    shown_default,
    stringify,
)

_NUMBER = re.compile(r"-?(\d+|\d*\.\d+)([eE][-+]?\d+)?")


class SaveRefused(Exception):
    """QATrack+ shows the page again with what is wrong."""


@dataclass
class Row:
    """One test on the page: ``value`` is what the script knows, ``text`` what the input shows."""

    test: QaTest
    value: Any = None
    text: str = ""
    skipped: bool = False
    comment: str = ""
    error: str = ""
    attachments: list[int] = field(default_factory=list)

    def show(self, value: Any, text: Optional[str] = None) -> None:
        """Take a value that the server computed; ``text`` is the formatted one."""
        kind = self.test.type
        self.value = value
        if kind == "boolean":  # only the number 0 is No: False is shown, and saved, as Yes
            no = value == 0 and not isinstance(value, bool)
            self.text = "" if value is None else "No" if no else "Yes"
        elif kind == "multchoice":
            self.text = value if value in _choices(self.test) else ""
        elif kind in STRING_TYPES:
            self.text = _in_one_line(stringify(value) if isinstance(value, (dict, list)) else js_text(value))
        elif kind in DATE_TYPES:
            self.text = _date_text(kind, value)
        elif kind == "composite":
            self.text = "" if value is None else str(text)
        elif kind == "simple":
            self.text = "" if value is None else shown_default(value)

    def type_in(self, entry: Any) -> None:
        """Take what somebody enters."""
        kind = self.test.type
        if self.test.hidden or kind in WITHOUT_SKIP_BOX or kind == "upload":
            raise ValueError(f"nothing can be entered for {self.test.slug}, a {kind} test")
        if kind == "boolean":
            self.text, self.value = ("Yes", 1) if entry else ("No", 0)
        elif kind == "multchoice":
            if entry not in ("", *_choices(self.test)):
                raise ValueError(f"{entry!r} is not a choice of {self.test.slug}")
            self.text, self.value = entry, entry or None
        elif kind in STRING_TYPES or kind in DATE_TYPES:
            self.text = self.value = _date_text(kind, entry) if kind in DATE_TYPES else _in_one_line(entry)
        else:
            text = str(entry).strip()
            self.read(text if _NUMBER.fullmatch(text) else "")  # an <input type="number"> takes nothing else

    def read(self, text: str) -> None:
        """Read the row's input as a number, as a page does on load with whatever is no other type."""
        self.text = cleaned_number(text)
        self.value = read_number(self.text)


def _in_one_line(text: str) -> str:
    """Return what an ``<input>`` keeps of a text."""
    return text.replace("\r", "").replace("\n", "")


def _choices(test: QaTest) -> list[str]:
    return (test.choices or "").split(",")


def _date_text(kind: str, value: Any) -> str:
    """Return the text of a date input; what the date picker cannot read leaves it empty."""
    if isinstance(value, str):
        value = parsed_date(value) if kind == "date" else parsed_moment(value)
    return value.strftime((DATE_FORMATS if kind == "date" else MOMENT_FORMATS)[0]) if isinstance(value, date) else ""


class Page:
    """A list being performed, or, with ``instance``, edited; everything is computed again on every change.

    Parameters
    ----------
    engine
        What answers the page.
    work_started
        Date and time; the page keeps no seconds of it.
    work_completed
        Usually left empty: then saving supplies it.
    instance
        What was saved before, see ``edit``.
    """

    def __init__(
        self,
        engine: Engine,
        work_started: Union[str, datetime],
        work_completed: Union[str, datetime] = "",
        instance: Optional[Instance] = None,
    ) -> None:
        self.engine, self.instance = engine, instance
        self.work_started, self.work_completed = self._minute(work_started), self._minute(work_completed)
        self.rows = {test.slug: Row(test) for test in engine.test_list.tests()}
        self.computed = 0  # how often
        for row in self.rows.values():
            if instance is None:
                _begin(row)
            else:
                _reopen(row, instance.results[row.test.slug])
        if instance is None:
            self._post(defaults=True)
        self._post()

    # What somebody does

    def enter(self, slug: str, value: Any) -> None:
        """Enter the value of one test."""
        row = self.rows[slug]
        row.type_in(value)
        row.skipped = False
        self._post()

    def comment(self, slug: str, text: str) -> None:
        """Write a comment to one test."""
        self.rows[slug].comment = text
        self._post()

    def skip(self, slug: str, ticked: bool = True) -> None:
        """Tick or untick a skip box; nothing is computed when one is unticked."""
        row = self.rows[slug]
        if row.test.type in WITHOUT_SKIP_BOX or row.test.hidden:
            raise ValueError(f"{slug}, a {row.test.type} test, has no skip box to tick")
        row.skipped = ticked
        if ticked:
            if row.test.type in ("boolean", "upload"):
                row.show(None)
            self._post()

    def start_again(self, work_started: Union[str, datetime], work_completed: Union[str, datetime] = "") -> None:
        """Change the dates."""
        self.work_started = self._minute(work_started)
        self.work_completed = self._minute(work_completed) or self.work_completed
        self._post()

    def reload(self) -> Page:
        """Return the page as it is after a reload: nothing entered, default values, no attachments."""
        if self.instance is not None:
            return edit(self.instance)
        return Page(self.engine, self.work_started, self.work_completed)

    # What somebody sees

    def shows(self, slug: str) -> str:
        """Return the text in one row; Yes or No for a boolean test."""
        return self.rows[slug].text

    def error(self, slug: str) -> Optional[str]:
        """Return the red tooltip of one row, None if it is quiet."""
        return self.rows[slug].error or None

    def value(self, slug: str) -> Any:
        """Return the value behind the text."""
        return self.rows[slug].value

    def attachments(self, slug: str) -> list[int]:
        """Return the ids of the files that saving will give to one test."""
        return self.rows[slug].attachments

    # What the script of the page does

    def _minute(self, moment: Union[str, datetime]) -> str:
        if isinstance(moment, str):
            return moment
        local = moment.astimezone(self.engine.timezone) if moment.tzinfo else moment
        return local.strftime(MOMENT_FORMATS[0])

    def _post(self, defaults: bool = False) -> None:
        rows = self.rows.items()
        answer = self.engine.compute(
            {slug: None if row.test.type in COMPOSITE_TYPES else row.value for slug, row in rows},
            {
                "unit_test_collection_id": "1",
                "test_list_id": str(self.engine.test_list.id),
                "test_list_name": self.engine.test_list.name,
                "unit_number": self.engine.unit.number,
                "cycle_day": 1,
                "work_completed": self.work_completed,
                "work_started": self.work_started,
                "username": self.engine.user.username,
            },
            {slug: row.skipped for slug, row in rows},
            {slug: row.comment.strip() for slug, row in rows},
            defaults=defaults,
        )
        self.computed += not defaults
        if answer["success"]:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        for slug, result in answer["results"].items():
            row = self.rows[slug]
            if row.skipped:
                continue  # it keeps what it has
            row.comment = result.get("comment") or row.comment
            row.show(result["value"], result.get("formatted"))
            if result.get("user_attached"):  # else it keeps those of before
                row.attachments = [one["attachment_id"] for one in result["user_attached"]]
            row.error = result["error"] or ""
        for slug, skipped in answer["skips"].items():
            if slug in self.rows:
                self.rows[slug].skipped = skipped

    # Saving

    def save(self, in_progress: bool = False) -> Instance:
        """Save the list, or the changes to it; raises SaveRefused with everything that is wrong."""
        started, completed, wrong = self._times()
        instance = self.instance or Instance(self.engine, self.engine.unit, started, completed)
        results = {}
        for slug, row in self.rows.items():
            results[slug], faults = _posted(row, instance, in_progress)
            wrong += [f"{row.test.name}: {fault}" for fault in faults]
        if wrong:
            raise SaveRefused("\n".join(wrong))
        instance.work_started, instance.work_completed, instance.in_progress = started, completed, in_progress
        instance.results = results
        if self.instance is None:
            self.engine.records.add(instance)
        return instance

    def _times(self) -> tuple[datetime, datetime, list[str]]:
        now, zone = self.engine.now(), self.engine.timezone
        moments = [parsed_moment(text) for text in (self.work_started, self.work_completed)]
        started, completed = (moment and moment.replace(tzinfo=zone) for moment in moments)
        if started is None:
            raise SaveRefused("Work started: This field is required.")
        if completed is None:
            completed = self.instance.work_completed if self.instance else now
        wrong = []
        if completed == started:
            completed += timedelta(seconds=60)
        elif completed < started:
            wrong.append("Work started date/time can not be after work completed date/time")
        if started >= now:
            wrong.append("Work started date/time can not be in the future")
        return started, completed, wrong


def _begin(row: Row) -> None:
    """Make a row as it is on a new page."""
    if row.test.type in ("string", *DATE_TYPES):
        row.value = ""
    elif row.test.type == "constant":
        row.value = row.test.constant_value
        row.text = formatted(row.value, row.test.formatting)


def _reopen(row: Row, saved: Result) -> None:
    """Make a row as it is when an old record is opened; the page knows of no attachment it had."""
    kind = row.test.type
    row.skipped = saved.skipped and kind not in WITHOUT_SKIP_BOX
    row.comment = saved.comment
    if kind == "boolean":
        row.show(None if saved.value is None or row.skipped else int(saved.value))
    elif kind in ("string", "multchoice"):
        row.text = saved.string_value or ""
        row.value = row.text or (None if kind == "multchoice" else "")
    elif kind in DATE_TYPES:
        row.text = row.value = _date_text(kind, saved.date_value or saved.datetime_value)
    elif kind == "constant":
        _begin(row)
    else:  # a string composite, too: until it is computed again, only the digits of its text are left
        stored = saved.string_value if kind == "scomposite" else saved.value
        row.read("" if stored is None else str(stored))


def _posted(row: Row, instance: Instance, in_progress: bool) -> tuple[Result, list[str]]:
    """Return what the server stores of a row that is saved, and what it objects to."""
    test, faults = row.test, []
    result = Result(test, instance, comment=row.comment, skipped=row.skipped, attachments=list(row.attachments))
    try:
        _fill(result, row)
    except ValueError as error:
        faults.append(str(error))
    if test.require_comment and not row.comment and not instance.results:  # not asked for again in an edit
        faults.append("This test requires a comment before submission.")
    filled = (result.value, result.string_value or None, result.date_value, result.datetime_value)
    empty = not faults and all(value is None for value in filled)
    if in_progress:
        return result, faults
    if test.type in WITHOUT_SKIP_BOX:
        result.skipped = empty
    elif empty != row.skipped:
        faults.append("Value required if not skipping" if empty else "Clear value if skipping")
    elif row.skipped and not row.comment and not test.skip_without_comment:
        faults.append("Please add comment when skipping")
    return result, faults


def _fill(result: Result, row: Row) -> None:
    """Read the value that is posted into the saved result."""
    kind = row.test.type
    if kind == "boolean":
        result.value = {"Yes": 1.0, "No": 0.0}.get(row.text)
    elif kind in STRING_TYPES:
        objects = isinstance(row.value, (dict, list)) and kind != "multchoice"
        result.string_value = (stringify(row.value) if objects else row.text).strip()
    elif kind == "date":
        result.date_value = parsed_date(row.text)
    elif kind == "datetime":
        moment = parsed_moment(row.text)
        result.datetime_value = moment and moment.replace(tzinfo=result.test_list_instance.engine.timezone)
    elif kind != "upload":
        exact = kind in ("composite", "constant")  # their inputs show a formatted value
        text = js_text(row.value) if exact else row.text
        result.value = _number(text)
        low, high = row.test.wrap_low, row.test.wrap_high
        if kind == "wraparound" and result.value is not None and not (low or 0) <= result.value <= (high or 0):
            raise ValueError(f"Value for this test must be in range {low} to {high}")


def _number(text: str) -> Optional[float]:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise ValueError("Enter a number.") from None


def edit(instance: Instance) -> Page:
    """Open an old record again: everything is computed again, with the dates it has."""
    return Page(
        instance.engine, instance.work_started, "" if instance.in_progress else instance.work_completed, instance
    )
