"""From an analysis to what a composite test returns: kept, so that a page that changes does not analyse again."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import FunctionType
from typing import Any, Callable, Optional

from .. import __version__
from ..archive import Images
from ..budget import Budget
from ..errors import ConfigError, Incomplete, NotFound
from .attaching import attach_made
from .cleaning import cleaned, not_numbers
from .fingerprint import fingerprint
from .keeping import Kept

_NUMPYS_OWN = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_LEFT_OUT = ("warnings",)  # of pylinac: they hold paths of the server
_ONE = threading.Lock()  # pylinac draws with pyplot, and keeps what it found in its classes: both are for one thread


class Results(dict[str, Any]):
    """The results of an analysis and which images they are of; its text is JSON, which is what QATrack+ stores."""

    def __str__(self) -> str:
        return json.dumps(self, allow_nan=False)

    def __missing__(self, key: str) -> Any:
        raise ConfigError(f"the analysis has no result {key!r}. It has {', '.join(self)}.")

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if value is None and key in self.get("not_numbers", ()):
            raise NotFound(f"the analysis gave no number for {key}. Look at its report, and at the images.")
        return value


def results(analysis: Any, images: Images, UTILS: Any = None) -> Results:
    """The results of an analysis as a composite test can return them, with its report attached.

    Parameters
    ----------
    analysis
        An analysis that has been made (a pylinac object, or a mapping of results; or a tuple of it and a mapping of
        further results), or a function that makes one from the images. A function is only called where the same
        function, with the same settings, has not analysed the same images before; and at each run where a setting
        is an object of which nobody can tell whether it is the same.
    images
        What is analysed; which images they were is a part of the results.
    UTILS
        What QATrack+ gives to a procedure under this name; without it nothing is attached.

    Returns
    -------
    Results
        What pylinac calls ``results_data``, without NaN, and under ``images`` what it is about.
    """
    with_report = UTILS is not None
    kept = Kept()
    code = fingerprint(analysis)
    if code is None:
        found, report = _analysed(analysis, images, with_report, kept.patience)
    else:
        about = {"images": images.uids, "files": _states(images), "archive": images.archive}
        question = {"analysis": code, **about, "report": with_report, "qa_fetch": __version__}
        found, report = _recalled(kept, question, lambda: _analysed(analysis, images, with_report, kept.patience))
    found = {**found, "images": _about(images)}
    if UTILS is not None and report is not None:
        pdf = report
        key = json.dumps({**found, "date_of_analysis": None}, sort_keys=True, allow_nan=False)
        attach_made(f"{found['analysis']} {_day(images)}.pdf", key, lambda: pdf, UTILS)
    return Results(found)


_Made = tuple[dict[str, Any], Optional[bytes]]


def _analysed(analysis: Any, images: Images, with_report: bool, patience: Budget) -> _Made:
    """The results and the report of an analysis that has been made, or that a function makes now."""
    with _undisturbed(patience):
        return _made(analysis(images) if isinstance(analysis, FunctionType) else analysis, images, with_report)


def _states(images: Images) -> list[list[int]]:
    """What tells objects of one UID apart without reading them: archives differ, and change objects in place."""
    states = [file.stat() for file in images.files]
    return [[state.st_size, state.st_mtime_ns] for state in states]


@contextlib.contextmanager
def _undisturbed(patience: Budget) -> Iterator[None]:
    """As pylinac expects to run: no other thread of this process analyses, and numpy warns of a division by zero.

    QATrack+ makes numpy raise instead, in its whole process.
    """
    numpy = sys.modules.get("numpy")
    usual = contextlib.nullcontext() if numpy is None else numpy.errstate(**_NUMPYS_OWN)
    if not _ONE.acquire(timeout=patience.left()):
        raise Incomplete(
            f"analyses of other pages did not end within {patience}. Change any field of the page to ask again.",
            retriable=True,
        )
    try:
        with usual:
            yield
    finally:
        _ONE.release()


def _recalled(kept: Kept, question: Mapping[str, Any], make: Callable[[], _Made]) -> _Made:
    """What was made of this before, or is made now; a page that asks for the same at that moment waits for it."""
    answer = kept.recall(question)
    if answer is None:
        with kept.turn(question):
            answer = kept.recall(question)
            if answer is None:
                found, report = make()
                answer = {"results": found, "report": report and base64.b64encode(report).decode("ascii")}
                kept.remember(question, answer)
    return answer["results"], answer["report"] and base64.b64decode(answer["report"])


def _made(analysis: Any, images: Images, with_report: bool) -> _Made:
    """The results of an analysis, and the report that it can publish."""
    analysis, more = analysis if isinstance(analysis, tuple) else (analysis, {})
    data = analysis.results_data(as_dict=True) if hasattr(analysis, "results_data") else analysis
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"a {type(data).__name__} is no analysis. Give an analysed pylinac object, a function that makes one from "
            "the images, or a mapping of results."
        )
    data = {key: value for key, value in {**data, **more}.items() if key not in _LEFT_OUT}
    missing = list(not_numbers(data))
    name = "analysis" if isinstance(analysis, Mapping) else type(analysis).__name__
    found = {**cleaned(data), "analysis": name}
    if missing:
        found["not_numbers"] = missing
    report = _report(analysis, images) if with_report and hasattr(analysis, "publish_pdf") else None
    return found, report


def _about(images: Images) -> dict[str, Any]:
    """Which images the results are of; nothing of it names the patient."""
    begun, ended = images.acquired, images.finished
    count = f"{len(images)} x {images.says}"
    when = "" if begun is None else f", {begun:%Y-%m-%d %H:%M}"
    until = "" if ended is None or begun is None or ended <= begun else f" to {_clock(begun, ended)}"
    about: dict[str, Any] = {
        "says": f"{count}{when}{until}, from {images.archive}",
        "archive": images.archive,
        "acquired": cleaned(begun),
        "finished": cleaned(ended),
        "series": list(images.series),
        "uids": list(images.uids),
    }
    plan = images.plan
    if plan is not None:
        about["plan"] = {"label": plan.label, "uid": plan.uid, "date": cleaned(plan.date), "approval": plan.approval}
    return about


def _clock(begun: datetime, ended: datetime) -> str:
    return f"{ended:%H:%M}" if begun.date() == ended.date() else f"{ended:%Y-%m-%d %H:%M}"


def _day(images: Images) -> str:
    return "undated" if images.acquired is None else f"{images.acquired:%Y-%m-%d}"


def _report(analysis: Any, images: Images) -> bytes:
    """The report that an analysis publishes."""
    metadata = {"Images": _about(images)["says"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.pdf")
        with _figures_closed():
            analysis.publish_pdf(str(path), metadata=metadata)
        return path.read_bytes()


@contextlib.contextmanager
def _figures_closed() -> Iterator[None]:
    """Close the figures that a report leaves open, and no others: further threads of the server may be drawing."""
    before = _open_figures()
    yield
    for number in _open_figures() - before:
        sys.modules["matplotlib.pyplot"].close(number)


def _open_figures() -> set[int]:
    drawing = sys.modules.get("matplotlib.pyplot")
    return set() if drawing is None else set(drawing.get_fignums())
