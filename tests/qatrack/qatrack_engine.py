"""QATrack+'s composite engine, written anew for tests: what one POST of a page computes and answers."""

from __future__ import annotations

import functools
import importlib
import io
import json
import math
import sys
import tokenize
import traceback
import warnings
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Optional, Union
from zoneinfo import ZoneInfo

import pydicom
from qatrack_pack import CALCULATED_TYPES, COMPOSITE_TYPES, NUMERICAL_TYPES, QaTest, TestList
from qatrack_records import Attachments, Instance, Records, Result, Unit, User, file_content
from qatrack_text import (
    AnswerEncoder,
    ServerError,
    formatted,
    parsed_date,
    parsed_moment,
    through_json,
)

Answer = dict[str, Any]
_MARK = "__QAT+COMP_"
_TOLERANCES = ("act_high", "act_low", "tol_high", "tol_low", "mc_pass_choices", "mc_tol_choices", "type")


@functools.cache
def _modules() -> dict[str, Any]:
    """Return the modules that a procedure finds without importing them, as far as they are installed."""
    found = {"math": math, "pydicom": pydicom, "dicom": pydicom}
    for name in ("numpy", "scipy", "matplotlib", "matplotlib.pyplot", "matplotlib.backends.backend_agg"):
        try:
            with warnings.catch_warnings():  # of old matplotlibs beside new libraries
                warnings.simplefilter("ignore")
                found[name] = importlib.import_module(name)
        except ImportError:
            continue
    return {name: module for name, module in found.items() if "." not in name}


class Engine:
    """One test list on one unit.

    Parameters
    ----------
    test_list
        As ``qatrack_pack.load`` returns it.
    attachments
        The folder for the files that procedures attach; engines and processes may share it.
    unit, user, timezone
        On what, by whom and where the list is performed.
    records
        The lists that were performed; give the same to engines that are to see each other's.
    clock
        What time it is.
    """

    def __init__(
        self,
        test_list: TestList,
        attachments: Union[str, Path],
        *,
        unit: Optional[Unit] = None,
        user: str = "physicist",
        timezone: str = "America/Toronto",
        records: Optional[Records] = None,
        clock: Optional[Callable[[], datetime]] = None,
    ) -> None:
        self.test_list = test_list
        self.tests = {test.slug: test for test in test_list.tests()}
        self.attachments = Attachments(attachments)
        self.unit = unit or Unit()
        self.user = User(user)
        self.timezone = ZoneInfo(timezone)
        self.records = records or Records()
        self._clock = clock
        _modules()  # here, since threads should not be the first to import them

    def now(self) -> datetime:
        """Return the time of the site."""
        return (self._clock() if self._clock else datetime.now(timezone.utc)).astimezone(self.timezone)

    def compute(
        self,
        values: dict[str, Any],
        meta: dict[str, Any],
        skips: Optional[dict[str, bool]] = None,
        comments: Optional[dict[str, str]] = None,
        defaults: bool = False,
    ) -> Answer:
        """Answer one POST of a page, as the page reads it.

        Raises ServerError or PageBroken where the page would get nothing. ``defaults`` computes the values that a
        new page starts with, instead of the composites.
        """
        values, meta, skips, comments = json.loads(json.dumps([values, meta, skips or {}, comments or {}]))
        answer: Answer = through_json(self.calculate(values, meta, skips or {}, comments or {}, defaults))
        return answer

    def calculate(
        self,
        values: dict[str, Any],
        meta: dict[str, Any],
        skips: dict[str, bool],
        comments: dict[str, Any],
        defaults: bool = False,
    ) -> Answer:
        """Compute as ``compute`` does, without the way through JSON; the REST API takes it from here."""
        tests = [test for test in self.tests.values() if _is_computed(test, defaults)]
        if not tests:
            return {"success": False, "errors": ["No Valid Composite ID's"]}
        tools = CompositeTools(self, meta, skips, comments)
        run = _Run(self, {test.slug: test.calculation_procedure for test in tests}, values, tools, defaults)
        numpy = sys.modules.get("numpy")
        with nullcontext() if numpy is None else numpy.errstate(all="raise"):  # as QATrack+ has it in its whole process
            results = run.results()
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:  # its figures are everybody's: another thread's go, too
            pyplot.close("all")
        return {"success": True, "errors": [], "results": results, "skips": tools.changed_skips}


def _is_computed(test: QaTest, defaults: bool) -> bool:
    if defaults:
        return test.type not in CALCULATED_TYPES and bool(test.calculation_procedure)
    return test.type in COMPOSITE_TYPES


def tokens(procedure: Optional[str]) -> set[str]:
    """Return what a procedure mentions, attributes left out; QATrack+ orders by it, outside any ``try``."""
    try:
        found = [token.string for token in tokenize.generate_tokens(io.StringIO(procedure).readline)]
    except (tokenize.TokenError, SyntaxError) as error:
        raise ServerError(f"QATrack+ cannot read a procedure of this list: {error}") from error
    return {text for before, text in zip(["", *found], found) if before != "."}


class CompositeTools:
    """UTILS, as a procedure sees it."""

    def __init__(self, engine: Engine, meta: dict[str, Any], skips: dict[str, bool], comments: dict[str, str]) -> None:
        self.context: dict[str, Any] = {"__user_attached__": []}
        self.unit, self.user, self.test_list = engine.unit, engine.user, engine.test_list
        self.meta, self.skips, self.comments = meta, skips, comments
        self.changed_skips: dict[str, bool] = {}
        self._engine = engine
        for name in ("work_completed", "work_started"):
            moment = parsed_moment(meta.get(name))
            if moment is not None:  # else it stays as it came: "" while a new page has no completion
                meta[name] = moment.replace(tzinfo=engine.timezone)

    def set_comment(self, comment: str) -> None:
        """Set the comment of the test that is being computed."""
        self.context["__comment__"] = comment

    def get_comment(self, slug: str) -> Any:
        """Return what somebody wrote on the page; through the API it may be None."""
        return self.comments.get(slug, "")

    def set_skip(self, slug: str, skip: bool) -> None:
        """Tick or untick the skip box of a test."""
        self.changed_skips[slug] = skip

    def get_skip(self, slug: str) -> bool:
        """Return whether a test is skipped."""
        return self.changed_skips.get(slug, self.skips.get(slug, False))

    def write_file(self, fname: str, obj: Any) -> None:
        """Attach a file to the test that is being computed."""
        fname = Path(fname).name
        self.context["__user_attached__"].append(self._engine.attachments.add(fname, file_content(obj, fname)))

    def get_figure(self) -> Any:
        """Return a matplotlib figure that no other thread has."""
        figure = importlib.import_module("matplotlib.figure").Figure()
        importlib.import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
        return figure

    def previous_test_list_instance(self, include_in_progress: bool = False) -> Optional[Instance]:
        """Return the last time that this list was performed on this unit."""
        before = self._next_minute()
        result = self._engine.records.latest(
            lambda one: self._is_here(one, include_in_progress) and one.work_completed < before, lambda result: True
        )
        return result.test_list_instance if result else None

    def previous_test_instance(
        self,
        test: Any = None,
        same_list_only: bool = True,
        include_in_progress: bool = False,
        exclude_skipped: bool = True,
    ) -> Optional[Result]:
        """Return the last result of a test on this unit."""
        slug, before = getattr(test, "slug", test), self._next_minute()
        return self._engine.records.latest(
            lambda one: self._is_here(one, include_in_progress, same_list_only) and one.work_completed < before,
            lambda result: result.test.slug == slug and not (exclude_skipped and result.skipped),
        )

    def get_test_instance(
        self,
        test_id: Optional[int] = None,
        test_name: Optional[str] = None,
        test_list_id: Optional[int] = None,
        include_in_progress: bool = False,
        exclude_skipped: bool = True,
        include_invalid: bool = False,
        unit_number: Optional[int] = None,
        start_window: Optional[datetime] = None,
        end_window: Optional[datetime] = None,
    ) -> Optional[Result]:
        """Return the last result of any list on any unit; this stand-in knows no invalid ones."""
        end = end_window or self._reference_time()
        number = self.unit.number if unit_number is None else unit_number

        def suits(one: Instance) -> bool:
            return (
                one.unit.number == number
                and one.work_completed <= end
                and (start_window is None or one.work_completed >= start_window)
                and test_list_id in (None, 0, one.engine.test_list.id)
                and (include_in_progress or not one.in_progress)
            )

        return self._engine.records.latest(
            suits,
            lambda result: (
                test_id in (None, result.test.id)
                and test_name in (None, result.test.name)
                and not (exclude_skipped and result.skipped)
            ),
        )

    def _reference_time(self) -> Any:
        return self.meta.get("work_started", self.meta.get("work_completed")) or self._engine.now()

    def _next_minute(self) -> Any:
        return self._reference_time().replace(second=0) + timedelta(minutes=1)

    def _is_here(self, one: Instance, include_in_progress: bool, same_list: bool = True) -> bool:
        of_list = not same_list or one.engine.test_list.slug == self.test_list.slug
        return of_list and one.unit == self.unit and (include_in_progress or not one.in_progress)


class _Run:
    """One POST: all procedures in their order, in one context."""

    def __init__(
        self,
        engine: Engine,
        procedures: dict[str, Optional[str]],
        values: dict[str, Any],
        tools: CompositeTools,
        defaults: bool,
    ) -> None:
        self._procedures, self._values = procedures, values
        numerical = [test for test in engine.tests.values() if test.type in NUMERICAL_TYPES]
        self._formats = {} if defaults else {test.slug: test.formatting for test in numerical}
        self._found: dict[str, Answer] = {}
        self._context = tools.context
        self._context.update(
            META=tools.meta,
            REFS=dict.fromkeys(engine.tests),
            TOLS={slug: dict.fromkeys(_TOLERANCES) for slug in engine.tests},
            UTILS=tools,
            **_modules(),
        )
        self._kept = {*self._context, *values}
        for slug, value in values.items():
            self._supply(slug, value, engine)
        self._mentions = {slug: tokens(procedure) - {slug} for slug, procedure in procedures.items()}

    def _supply(self, slug: str, value: Any, engine: Engine) -> None:
        kind = engine.tests[slug].type if slug in engine.tests else None
        if kind == "datetime":
            moment = parsed_moment(value)
            self._context[slug] = moment and moment.replace(tzinfo=engine.timezone)
        elif kind == "date":
            self._context[slug] = parsed_date(value)
        elif slug not in self._procedures:
            self._context[slug] = value

    def results(self) -> dict[str, Answer]:
        """Perform every procedure after those whose results it mentions, else in the order of the alphabet."""
        waiting = {slug: names & set(self._procedures) for slug, names in self._mentions.items()}
        order: list[str] = []
        while True:
            ready = sorted(slug for slug, names in waiting.items() if not names)
            if not ready:
                break
            order += ready
            waiting = {slug: names - set(ready) for slug, names in waiting.items() if slug not in ready}
        for slug in waiting:
            self._found[slug] = {"value": None, "error": "Cyclic test dependency"}
        for slug in order:
            procedure = self._procedures[slug]
            if procedure is None:
                raise ServerError(f"The composite test {slug} has no calculation procedure")
            self._found[slug] = self._perform(slug, procedure.replace("\r", "\n") + "\n\n")
        return self._found

    def _perform(self, slug: str, procedure: str) -> Answer:
        frames = 5  # of the traceback; this one is the first, so exec must be called right here
        try:
            exec(compile(procedure, f"{_MARK}{slug}", "exec"), self._context)
            result = self._context["result" if "result" in self._context else slug]
            if type(result) is float and (result == math.inf or result is _numpy_nan()):  # no other NaN
                raise ValueError(f"{slug} has a result of '{result}'")
            frames = 0
            try:
                json.dumps(result, cls=AnswerEncoder)
            except TypeError as error:
                raise ValueError(f"{slug} failed with error: {error}.")  # noqa: B904  # its text keeps both errors
            frames = 5
            answer = {
                "value": result,
                "formatted": formatted(result, self._formats.get(slug)),
                "error": None,
                "user_attached": list(self._context["__user_attached__"]),
                "comment": self._context.get("__comment__"),
            }
            self._context[slug] = result
        except Exception:  # noqa: BLE001  # a procedure may raise anything
            text = traceback.format_exc(limit=frames).split(_MARK)[-1].replace("<module>", slug)
            shown = None if self._is_waiting(slug) else f"Invalid Test Procedure: {text}"
            return {"value": None, "error": shown, "comment": "", "user_attached": []}
        finally:
            for name in [name for name in self._context if name not in self._kept or name == "result"]:
                del self._context[name]
            self._context["__user_attached__"].clear()
        return answer

    def _is_waiting(self, slug: str) -> bool:
        """Tell whether a posted test that the procedure mentions is empty: then its error is not shown."""
        for name in self._mentions[slug] & set(self._values):
            if name not in self._procedures:
                empty = self._values[name] in (None, "")
            else:
                before = self._found.get(name, {"value": None, "error": None})
                empty = before["value"] is None or bool(before["error"])
            if empty:
                return True
        return False


def _numpy_nan() -> Any:
    numpy = _modules().get("numpy")
    return numpy.nan if numpy else None
