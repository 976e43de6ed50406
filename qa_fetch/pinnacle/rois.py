"""A plan's regions of interest: ``plan.roi`` has a grammar of its own.

``key: text``, ``key = number;``, ``roi={ ... curve={ ... points={`` and lines of x, y, z. Only regions and their curves
are taken; the meshes behind them are passed over.
"""

from __future__ import annotations

import math
import re
from array import array
from typing import NamedTuple, Optional

from .records import Curve, Roi
from .text import decoded, number

_SETS = re.compile(r"([\w.]+)\s*(:|=)\s*(.*)")
_DEEPEST = 16
_POINTS = ("points", "vertices", "triangles")


class Rois(NamedTuple):
    """The regions of a text, the line where it ended before it was whole, and the version that wrote it."""

    rois: tuple[Roi, ...]
    stopped: Optional[int]
    version: Optional[str]


class _Open:
    """A block that has begun."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values: dict[str, str] = {}
        self.points = array("d")
        self.whole = True
        self.curves: list[Curve] = []


def parse(data: bytes) -> Rois:
    """Read the regions as far as the text goes; a curve or a region that it does not hold whole says so."""
    return _Reader(decoded(data)).read()


class _Reader:
    """One text, by its lines; the points of a curve are taken at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[_Open] = []
        self._rois: list[Roi] = []
        self._version: Optional[str] = None
        self._stopped: Optional[int] = None  # where, in characters

    def read(self) -> Rois:
        """Go through all lines."""
        text, end = self._text, len(self._text)
        while self._at < end and self._stopped is None:
            start = self._at
            cut = text.find("\n", start)
            self._at = end if cut < 0 else cut + 1
            line = text[start : self._at].strip()
            if line.startswith("}"):
                self._close()
            elif line and not line.startswith(("//", "/*")):
                self._take(line, start)
        if self._open:
            self._stopped = end if self._stopped is None else self._stopped
            self._spoil()
        while self._open:
            self._close()
        line_of = None if self._stopped is None else text.count("\n", 0, self._stopped) + 1
        return Rois(tuple(self._rois), line_of, self._version)

    def _take(self, line: str, start: int) -> None:
        """A line that is no end of a block; it begins at ``start``."""
        sets = _SETS.fullmatch(line)
        if sets is None:
            if self._open and (self._open[-1].kind == "curve" or "{" in line):
                self._spoil()
        elif sets[2] == "=" and sets[3].startswith("{"):
            if len(self._open) >= _DEEPEST:
                self._stopped = start
            else:
                self._begin(sets[1], self._text.find("{", start) + 1)
        elif self._open:
            value = sets[3] if sets[2] == ":" else sets[3].partition("//")[0].strip().rstrip("; ")
            self._open[-1].values.setdefault(sets[1], value)

    def _begin(self, kind: str, inside: int) -> None:
        if kind not in _POINTS:
            self._open.append(_Open(kind))
            return
        close = self._text.find("}", inside)
        whole = close >= 0
        close = close if whole else len(self._text)
        self._at = self._text.find("\n", close) + 1 or len(self._text)
        if kind == "points" and self._open and self._open[-1].kind == "curve":
            curve = self._open[-1]
            curve.points, sound = _points(self._text[inside:close])
            curve.whole = curve.whole and sound and whole
        if not whole:
            self._open.append(_Open(kind))  # it is still open when the text ends

    def _close(self) -> None:
        if not self._open:
            return
        block = self._open.pop()
        above = self._open[-1] if self._open else None
        if block.kind == "file_stamp":
            self._version = block.values.get("write_version")
        elif block.kind == "curve" and above is not None and above.kind == "roi":
            told = number(block.values.get("num_points", ""))
            flags = number(block.values.get("flags", ""))
            whole = block.whole and (told is None or told == len(block.points) // 3)
            above.curves.append(Curve(block.points, None if flags is None else int(flags), whole))
        elif block.kind == "roi":
            told = number(block.values.get("num_curve", ""))
            self._rois.append(
                Roi(
                    name=block.values.get("name", "").strip() or None,
                    colour=block.values.get("color", "").strip() or None,
                    interpreted_type=block.values.get("roiinterpretedtype", "").strip() or None,
                    curves=tuple(block.curves),
                    whole=block.whole and (told is None or told == len(block.curves)),
                    volume=block.values.get("volume_name", "").strip() or None,
                )
            )

    def _spoil(self) -> None:
        for block in self._open:
            block.whole = False


def _numbers(parts: list[str]) -> array[float]:
    """The numbers of x, y, z, x and so on; mostly all points of a curve have one z, which is read once."""
    heights = parts[2::3]
    if not heights or len(parts) % 3 or heights.count(heights[0]) < len(heights):
        return array("d", list(map(float, parts)))
    found = array("d", [float(heights[0])]) * len(parts)
    found[0::3] = array("d", list(map(float, parts[0::3])))
    found[1::3] = array("d", list(map(float, parts[1::3])))
    return found


def _points(text: str) -> tuple[array[float], bool]:
    """The points of a curve, up to one that is no point; and whether all were."""
    parts = text.split()
    if "_" not in text:
        try:
            found = _numbers(parts)
        except ValueError:
            found = array("d")
        if len(found) == len(parts) and len(found) % 3 == 0 and math.isfinite(sum(found)):
            return found, True
    found = array("d")
    for line in text.split("\n"):
        point = [number(part) for part in line.split()]
        if not point:
            continue
        values = [value for value in point if value is not None]
        if len(point) != 3 or len(values) != 3:
            return found, False
        found.extend(values)
    return found, True
