"""The dose-volume histograms of a patient as a drawing in the page, legible on light and dark ground and on paper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from ..built import Built
from ..dosimetry_records import RoiDose
from ..roles import TARGETS, rank, role
from .outliers import finite, positive
from .style import words

MOST = 40  # curves
_WIDTH, _HEIGHT = 860, 450
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 42, 66
_DASHES = ("", "9 5", "2 4", "12 4 2 4", "5 3", "16 6")
_HIGHEST = 1000.0  # Gy
_ALIKE = 70.0  # how far apart colours have to be so that they are told apart
_CONTRAST = 3.0  # of a line with its ground, as WCAG asks
_WHITE, _DARK = (255.0, 255.0, 255.0), (26.0, 33.0, 38.0)  # the grounds
RGB = tuple[float, float, float]


class Ink(NamedTuple):
    """How a region is drawn: its colour on either ground, its dashes, and whether it is a target."""

    light: str
    dark: str
    dashes: str
    target: bool

    @property
    def opening(self) -> str:
        """The class and the colours that an element of it has."""
        return f'class="ink{" target" * self.target}" style="--light:{self.light};--dark:{self.dark}"'

    @property
    def dashing(self) -> str:
        """The attribute for its lines."""
        return f' stroke-dasharray="{self.dashes}"' if self.dashes else ""

    @property
    def swatch(self) -> str:
        """A piece of its line."""
        return (
            f'<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true"><g {self.opening}>'
            f'<line x1="0" y1="4" x2="26" y2="4"{self.dashing}/></g></svg>'
        )


def inks(rois: Sequence[RoiDose], built: Built) -> list[Ink]:
    """How each region is drawn: in the colour of the pictures, dashed where another one has nearly the same."""
    from ..pictures.palette import of_built, own

    shades = of_built(built)
    used: list[tuple[RGB, int]] = []
    found = []
    for roi in rois:
        colour = shades.get((roi.structures, roi.number)) or own(rgb(roi.colour))
        on_white = legible(colour, _WHITE)
        dash = _dash(on_white, used)
        used.append((on_white, dash))
        target = role(roi.kind, roi.name) in TARGETS
        found.append(Ink(_hex(on_white), _hex(legible(colour, _DARK)), _DASHES[dash], target))
    return found


def _dash(on_white: RGB, used: Sequence[tuple[RGB, int]]) -> int:
    """The dashes that fewest lines of this colour have, and of these fewest of nearly this colour."""

    def taken(dash: int) -> tuple[int, int]:
        apart = [math.dist(other, on_white) for other, theirs in used if theirs == dash]
        return apart.count(0.0), sum(each < _ALIKE for each in apart)

    return min(range(len(_DASHES)), key=taken)


def ordered(rois: Sequence[RoiDose]) -> list[RoiDose]:
    """Targets first, the largest on top, then the others by their doses, the outside of the body last."""
    return sorted(rois, key=_place)


def _place(roi: RoiDose) -> tuple[int, float]:
    of = role(roi.kind, roi.name)
    return rank(of), -(finite(roi.volume_cc if of in TARGETS else roi.mean) or 0.0)


def rgb(colour: object) -> Optional[tuple[int, int, int]]:
    """A colour of an RTSTRUCT, if it is one."""
    if not isinstance(colour, (tuple, list)) or len(colour) != 3:
        return None
    if not all(isinstance(part, int) and 0 <= part <= 255 for part in colour):
        return None
    return colour[0], colour[1], colour[2]


def legible(colour: RGB, ground: RGB) -> RGB:
    """The same colour, as much darker or lighter as it needs to stand out from a ground."""
    towards = (0.0, 0.0, 0.0) if _luminance(ground) > 0.5 else _WHITE
    for step in range(21):
        share = step / 20
        mixed = tuple(part + (end - part) * share for part, end in zip(colour, towards))
        shade: RGB = (mixed[0], mixed[1], mixed[2])
        if contrast(shade, ground) >= _CONTRAST:
            return shade
    return towards


def contrast(one: RGB, other: RGB) -> float:
    """The ratio of two colours' luminances, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: RGB) -> float:
    linear = [(part / 255 / 12.92 if part <= 10.3 else ((part / 255 + 0.055) / 1.055) ** 2.4) for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _hex(colour: RGB) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in colour)


def plot(rois: Sequence[RoiDose], built: Built, rx: Optional[float], highest: Optional[float]) -> Iterator[str]:
    """The curves with their legend; nothing where no region has one.

    Parameters
    ----------
    rois, built
        The regions, the most telling first, and what was built of the patient.
    rx, highest
        The prescribed and the highest dose, Gy, as far as they are known.
    """
    drawn = [(roi, ink) for roi, ink in zip(rois, inks(rois, built)) if _points(roi)]
    if not drawn:
        return
    shown = drawn[:MOST]
    rx = positive(rx)
    ends = [x for roi, _ in shown for x, _ in _points(roi)[-1:]]
    end = min(max([*ends, rx or 0.0, positive(highest) or 0.0, 1.0]), _HIGHEST) * 1.04
    yield (
        f'<figure class="plot"><svg class="dvh" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="Cumulative dose-volume histograms; their numbers are in the table below">\n'
    )
    yield from _frame(end)
    for roi, ink in reversed(shown):  # targets stand first, and so on top
        line = f'<path{ink.dashing} d="{_path(_points(roi), end)}"/>'
        yield f"<g {ink.opening}><title>{words(roi.name)}</title>{line}</g>\n"
    if rx is not None and rx <= _HIGHEST:
        x = _across(rx, end)
        anchor = "end" if rx > end * 0.75 else "start" if rx < end * 0.3 else "middle"
        yield f'<line class="rx" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>\n'
        place = f'x="{x + 30 * (anchor == "end"):.1f}" y="{_TOP - 10}" text-anchor="{anchor}"'
        yield f'<text class="said" {place}>{rx:g} Gy prescribed</text>\n'
    yield "</svg>\n"
    items = "".join(f"<li>{ink.swatch}<bdi>{words(roi.name)}</bdi></li>" for roi, ink in shown)
    more = f"<li>and {len(drawn) - MOST:,} more in the table</li>" if len(drawn) > MOST else ""
    yield f'<figcaption><ul class="legend">{items}{more}</ul></figcaption></figure>\n'


def _points(roi: RoiDose) -> list[tuple[float, float]]:
    points = list(zip(roi.curve_gy, roi.curve_percent))
    return [(dose, min(max(share, 0.0), 100.0)) for dose, share in points if 0 <= dose <= _HIGHEST]


def _path(points: list[tuple[float, float]], end: float) -> str:
    """From 0 Gy, where all of a region has that much, without what lies on a level line anyway."""
    points = [(0.0, points[0][1]), *points]
    kept = [
        here for before, here, after in zip(points, points[1:], points[2:])
        if not before[1] == here[1] == after[1]
    ]  # fmt: skip
    line = [points[0], *kept, *points[-1:]]
    return "M" + "L".join(f"{_across(dose, end):.1f} {_down(share):.1f}" for dose, share in line)


def _across(dose: float, end: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * dose / end


def _down(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share / 100)


def _frame(end: float) -> Iterator[str]:
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for share in range(0, 101, 20):
        y = _down(share)
        yield f'<line class="{"axis" if share == 0 else "grid"}" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y:.1f}" dominant-baseline="central" text-anchor="end">{share}</text>\n'
    step = next(step for step in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if end / step <= 9)
    for number in range(int(end / step) + 1):
        x = _across(number * step, end)
        yield f'<line class="{"grid" if number else "axis"}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{floor}"/>'
        place = f'x="{x:.1f}" y="{floor + 8}" dominant-baseline="hanging" text-anchor="middle"'
        yield f"<text {place}>{number * step:g}</text>\n"
    yield f'<text x="2" y="{_TOP - 16}">Volume (%)</text>\n'
    yield f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">Dose (Gy)</text>\n'
