"""Constraints on dose and volume: a list of them from a CSV or TOML file, and whether a patient's regions meet them.

CSV with the columns ``roi``, ``metric``, ``op``, ``limit`` (and ``comment``), or ``[[constraint]]`` tables of TOML with
these keys. ``roi`` is a name with ``*`` and ``?``, several with ``|`` between; ``limit`` may name its unit: ``45 Gy``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Callable, Final, NamedTuple, Optional

from ..config.options import shown
from ..config.sources import from_file
from ..errors import ConfigError
from ..sheet import Sheet, Wrong, as_typed
from . import metrics
from .dvh import Dvh
from .metrics import Metric, Value

_NEEDED: Final = ("roi", "metric", "op", "limit")
_KNOWN: Final = (*_NEEDED, "comment")
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SAME: Final = {"≤": "<=", "=<": "<=", "≥": ">=", "=>": ">="}
_LIMIT: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(.*)")
_DIGITS: Final = 3  # of a value that is shown and judged
NO_DVH: Final = "the ROI has no DVH; the notes of the patient say why"
_NO_ROI: Final = "no ROI of the patient has such a name"


class _Wrong(Exception):
    """What is wrong with a constraint, and what to do; without its place."""


@dataclass(frozen=True)
class Constraint:
    """One limit on a metric, in the metric's unit, of all regions whose names fit ``roi``."""

    roi: str
    metric: Metric
    op: str
    limit: float

    def fits(self, name: str) -> bool:
        """Whether a region is meant; large and small letters are the same."""
        patterns = [each.strip().casefold().replace("[", "[[]") for each in self.roi.split("|")]
        return any(fnmatchcase(name.strip().casefold(), pattern) for pattern in patterns)

    def meets(self, value: float) -> bool:
        """Whether a value keeps to it, judged as exactly as it is shown: 59.9999998 Gy are 60."""
        return _OPERATORS[self.op](round(value - self.limit, _DIGITS), 0.0)


class Judged(NamedTuple):
    """How a region keeps to a constraint; ``passed`` is None where that cannot be said, and ``reason`` says why."""

    constraint: Constraint
    roi: Optional[str]
    value: Optional[float]
    passed: Optional[bool]
    reason: Optional[str]
    cautions: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """A line of a table."""
        wanted = self.constraint
        result = {True: "pass", False: "fail", None: "unknown"}[self.passed]
        return {
            "roi": self.roi if self.roi is not None else wanted.roi,
            "metric": wanted.metric.text,
            "op": wanted.op,
            "limit": wanted.limit,
            "unit": wanted.metric.unit,
            "value": None if self.value is None else round(self.value, _DIGITS),
            "result": result,
            "reason": self.reason or "",
            "cautions": " ".join(self.cautions),
        }


def read(path: Path) -> list[Constraint]:
    """The constraints of a CSV or TOML file; ConfigError names the first mistake, and holds all as ``mistakes``."""
    found: list[Constraint] = []
    mistakes: list[str] = []
    entries = _of_toml(path) if path.suffix.lower() == ".toml" else _of_sheet(path, mistakes)
    for place, entry in entries:
        try:
            found.append(_constraint(entry))
        except (_Wrong, ConfigError) as error:
            mistakes.append(f"{place}: {error}")
    if mistakes:
        more = len(mistakes) - 1
        rest = f" It has {more} more mistake{'s' * (more > 1)}." if more else ""
        raise ConfigError(f"{path}, {mistakes[0]}{rest}", mistakes=tuple(mistakes))
    if not found:
        raise ConfigError(f"{path} has no constraints. Write one into each row or [[constraint]].")
    return found


def check(
    constraints: Sequence[Constraint],
    dvhs: Sequence[tuple[str, Dvh]],
    rx: Optional[float] = None,
    whole: Optional[Dvh] = None,
) -> list[Judged]:
    """Whether a patient's regions keep to constraints; each constraint has at least one line.

    Where a part of a region lies outside of the dose grid, it passes or fails only if it does so whatever that part
    has, from nothing to the highest dose of the rest.

    Parameters
    ----------
    constraints
        From ``read``.
    dvhs
        Of each region, by its name.
    rx
        The prescribed dose, Gy.
    whole
        The DVH of the patient's outline or of the whole dose, for ``CI``.
    """
    found = []
    for constraint in constraints:
        meant = [(name, dvh) for name, dvh in dvhs if constraint.fits(name)]
        found += [_judged(constraint, name, dvh, (rx, whole)) for name, dvh in meant]
        if not meant:
            found.append(Judged(constraint, None, None, None, _NO_ROI, ()))
    return found


def _judged(constraint: Constraint, name: str, dvh: Dvh, known: tuple[Optional[float], Optional[Dvh]]) -> Judged:
    cautions = tuple(caution.text for caution in dvh.cautions)
    value = constraint.metric.value(dvh, *known)
    if value.number is None:
        return Judged(constraint, name, None, None, value.reason, cautions)
    highest = max(each.max or 0.0 for each in (dvh, known[1]) if each is not None)
    possible = [constraint.metric.value(dvh.assuming(dose), *known) for dose in (0.0, highest)]
    answers = {_answer(constraint, each) for each in possible}
    if len(answers) > 1:
        reason = "it depends on the part of the ROI that lies outside of the dose grid"
        return Judged(constraint, name, value.number, None, reason, cautions)
    return Judged(constraint, name, value.number, answers.pop(), None, cautions)


def _answer(constraint: Constraint, value: Value) -> Optional[bool]:
    return None if value.number is None else constraint.meets(value.number)


# Files


def _of_toml(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    values = from_file(path)
    entries = values.get("constraint", [])
    others = sorted(set(values) - {"constraint"})
    if others or not isinstance(entries, list):
        named = f"has {shown(others[0])}, which is not known" if others else "has a constraint that is no table"
        raise ConfigError(f"{path} {named}. Write each constraint as [[constraint]] with roi, metric, op and limit.")
    for number, entry in enumerate(entries, start=1):
        yield f"constraint {number}", entry if isinstance(entry, Mapping) else {}


def _of_sheet(path: Path, mistakes: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = Sheet(path, lambda line, text: mistakes.append(f"line {line}: {text}.")).lines()
    _, header = next(lines, (0, {}))
    names = {position: name.strip().casefold() for position, name in header.items()}
    missing = [name for name in _NEEDED if name not in names.values()]
    if missing:
        raise ConfigError(f"{path} has no column {missing[0]} in its first line. It needs {', '.join(_NEEDED)}.")
    twice = [name for name in names.values() if list(names.values()).count(name) > 1]
    if twice:
        raise ConfigError(f"{path} has the column {twice[0]} twice. Keep one of them.")
    for line, cells in lines:
        if cells:
            try:
                yield f"line {line}", {names.get(position, ""): as_typed(cell) for position, cell in cells.items()}
            except Wrong as error:
                mistakes.append(f"line {line}: {error}.")


def _constraint(entry: Mapping[str, Any]) -> Constraint:
    for name in entry:
        if name not in _KNOWN:
            what = f"{name!r} is not known" if name else "a cell stands below no name of a column"
            raise _Wrong(f"{what}. Use {', '.join(_NEEDED)} and comment.")
    for name in _NEEDED:
        if not str(entry.get(name, "")).strip():
            raise _Wrong(f"{name} is missing. Write {_EXAMPLES[name]}.")
    for name in ("roi", "metric", "op"):
        if not isinstance(entry[name], str):
            raise _Wrong(f"{name} is {shown(entry[name])}. Write {_EXAMPLES[name]}.")
    metric = metrics.parse(entry["metric"])
    op = entry["op"].strip()
    op = _SAME.get(op, op)
    if op not in _OPERATORS:
        raise _Wrong(f"op is {shown(entry['op'])}. Write <, <=, > or >=.")
    limit, metric = _limited(metric, entry["limit"])
    return Constraint(entry["roi"].strip(), metric, op, limit)


_EXAMPLES: Final = {
    "roi": "the name of an ROI, such as Lung_*",
    "metric": "one such as V20Gy",
    "op": "<, <=, > or >=",
    "limit": "a number, such as 30 or 30 %",
}


def _limited(metric: Metric, limit: Any) -> tuple[float, Metric]:
    """The limit's number, and the metric in the limit's unit where it names one."""
    text = "" if isinstance(limit, bool) else str(limit).strip()
    found = _LIMIT.fullmatch(text)
    if found is None or found.group(2).startswith(","):
        todo = "Write a point, as in 0.1" if "," in text else f"Write {_EXAMPLES['limit']}"
        raise _Wrong(f"limit is {shown(limit)}. {todo}.")
    number, unit = float(found.group(1)), found.group(2).strip()
    if not unit:
        return number, metric
    try:
        wanted = metric.within(unit)
    except ValueError as error:
        raise _Wrong(f"{unit!r} is no unit of {metric.kind}. {error}.") from None
    if "[" in metric.text and wanted.unit != metric.unit:
        raise _Wrong(f"metric is in {metric.unit} and limit in {wanted.unit}. Give both the same unit.")
    return number, wanted
