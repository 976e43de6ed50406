"""One picture: a plane with outlines, dose, letters, a scale and a legend, as PNG."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..grids import Floats
from .canvas import BLACK, FAINT, LIGHT, Canvas, points
from .outlines import boundary, smooth
from .palette import Colour
from .planes import Plane

_TITLE: Final = 46  # pixels
_BAR: Final = 74  # beside the picture, for the dose
_ROW: Final = 25  # of the legend
_EDGE: Final = 14
_COLUMNS: Final = 3
_LONGEST: Final = 24  # letters of a name in the legend
_LEAST: Final = 0.1  # of the highest dose, below which it is not drawn
_DOSE_ALPHA: Final = 0.5
_SCALES: Final = ((50.0, "5 cm"), (10.0, "1 cm"), (1.0, "1 mm"))
_EDGE_GREY: Final = (200, 205, 212)
_LOCK: Final = threading.Lock()  # matplotlib's fonts are not made for several threads


class Outline(NamedTuple):
    """A region in a plane."""

    name: str
    colour: Colour
    plane: Plane  # of bool
    width: float = 1.6  # pixels


class Wash(NamedTuple):
    """The dose in a plane."""

    plane: Plane  # Gy
    highest: float  # of the whole dose, so that all planes of a patient share its colours
    prescription: Optional[float] = None
    known: Optional[Plane] = None  # of bool: where the dose is known; None where it is everywhere


class Part(NamedTuple):
    """What of a plane is shown: mm along the axes of the picture."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is drawn into one picture."""

    plane: Plane
    window: tuple[float, float]
    title: str
    said: str = ""
    outlines: tuple[Outline, ...] = ()
    wash: Optional[Wash] = None
    part: Optional[Part] = None
    crossing: Optional[tuple[float, float]] = None  # where two other planes cross it: mm to the right and down
    left_out: int = 0  # regions that are not drawn


def picture(scene: Scene, box: tuple[int, int] = (660, 560)) -> bytes:
    """The picture with all that explains it, as PNG.

    Parameters
    ----------
    scene
        What is drawn.
    box
        The pixels that the plane may take up; what it leaves of them is black.
    """
    entries = len(scene.outlines) + _edged(scene) + bool(scene.left_out)
    legend = -(-entries // _COLUMNS) * _ROW + _EDGE if entries else _EDGE
    width, height = box[0] + _EDGE + (_BAR if scene.wash else _EDGE), box[1] + _TITLE + legend
    with _LOCK:
        canvas = Canvas(width, height)
        canvas.text(_EDGE, _TITLE / 2, scene.title, size=17, weight=True)
        canvas.text(_EDGE + box[0], _TITLE / 2, scene.said, size=12.5, colour=FAINT, align="right")
        where = (_EDGE, _TITLE, *box)
        shown = _drawn(canvas, scene, where)
        _letters(canvas, scene, where, 16)
        _crossings(canvas, scene, shown, where)
        _scale(canvas, shown, where)
        if scene.wash:
            _dose_bar(canvas, scene.wash, (_EDGE + box[0] + 12, _TITLE + 26, 13, box[1] - 36))
        _legend(canvas, scene, (_EDGE, _TITLE + box[1] + _EDGE / 2, width - 2 * _EDGE))
        return canvas.png()


def thumbnail(scene: Scene, side: int = 240) -> bytes:
    """A small square picture for a sheet of many.

    Parameters
    ----------
    scene
        What is drawn.
    side
        Pixels.
    """
    thinner = tuple(outline._replace(width=min(outline.width, 1.1)) for outline in scene.outlines)
    with _LOCK:
        canvas = Canvas(side, side)
        _drawn(canvas, replace(scene, outlines=thinner), (0, 0, side, side))
        _letters(canvas, scene, (0, 0, side, side), 11, only=(0,))
        return canvas.png()


# The picture


class _Shown(NamedTuple):
    """Where a plane was drawn (pixels from the left and the top), and what of it."""

    part: Part
    left: float
    top: float
    width: float
    height: float

    @property
    def per_mm(self) -> float:
        return self.width / abs(self.part.right - self.part.left)


def _drawn(canvas: Canvas, scene: Scene, where: tuple[float, float, float, float]) -> _Shown:
    """The plane with dose and outlines, as large as it fits, in the middle of a black box."""
    canvas.rectangle(where, BLACK)
    plane = scene.plane
    part = scene.part or Part(plane.left, plane.right, plane.top, plane.bottom)
    width, height = abs(part.right - part.left), abs(part.bottom - part.top)
    per_mm = min(where[2] / width, where[3] / height)
    left, top = where[0] + (where[2] - width * per_mm) / 2, where[1] + (where[3] - height * per_mm) / 2
    shown = _Shown(part, left, top, width * per_mm, height * per_mm)
    axes = canvas.axes(shown[1:], (part.left, part.right, part.bottom, part.top))
    _image(axes, plane, _greys(plane.values, scene.window), 1)
    if scene.wash is not None:
        _dose(axes, scene.wash)
        if scene.wash.known is not None and _edged(scene):
            for curve in boundary(scene.wash.known.values):
                _closed(axes, scene.wash.known.places(curve), _EDGE_GREY, 1.2, (0, (1.5, 2.5)))
    for outline in reversed(scene.outlines):  # the most important on top
        for curve in boundary(outline.plane.values):
            drawn = outline.plane.places(smooth(curve, outline.plane.pixel_mm))
            _closed(axes, drawn, outline.colour, outline.width)
    return shown


def _image(axes: Any, plane: Plane, pixels: NDArray[np.uint8], order: int) -> None:
    axes.imshow(
        pixels,
        extent=(plane.left, plane.right, plane.bottom, plane.top),
        origin="upper",
        interpolation="bilinear",
        resample=True,
        aspect="auto",
        zorder=order,
    )


def _closed(axes: Any, curve: Floats, of: Colour, width: float, style: Any = "-") -> None:
    """A closed line on a dark rim, which it needs on bone."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    closed = np.vstack([curve, curve[:1]])
    line = Line2D(closed[:, 0], closed[:, 1], color=_share_of(of), linewidth=points(width), linestyle=style, zorder=4)
    line.set(solid_joinstyle="round", antialiased=True, marker="")
    if style == "-":
        line.set_path_effects([withStroke(linewidth=points(width + 1.2), foreground=(0, 0, 0, 0.45))])
    axes.add_line(line)


def _share_of(colour: Colour, opaque: float = 1.0) -> tuple[float, float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255, opaque


def _edged(scene: Scene) -> bool:
    """Whether the dose is known in a part of the plane only."""
    known = scene.wash.known if scene.wash is not None else None
    return known is not None and not bool(known.values.all())


def _greys(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Grey as red, green and blue; what is not known is black."""
    share = (np.nan_to_num(values.astype(np.float32), nan=window[0]) - window[0]) / (window[1] - window[0])
    grey = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


# Dose


def _dose(axes: Any, wash: Wash) -> None:
    """The dose over the image, and the line of the prescription."""
    values = np.nan_to_num(wash.plane.values.astype(np.float32), nan=0.0)
    if wash.highest <= 0 or values.size == 0:
        return
    # Between the voxels the dose is worked out first and then coloured, so that its rim is no staircase.
    axes.imshow(
        _to_its_edge(values, wash.known),
        extent=(wash.plane.left, wash.plane.right, wash.plane.bottom, wash.plane.top),
        origin="upper",
        cmap=_colour_map(_DOSE_ALPHA),
        vmin=_LEAST * wash.highest,
        vmax=wash.highest,
        interpolation="bilinear",
        interpolation_stage="data",
        resample=True,
        aspect="auto",
        zorder=2,
    )
    if wash.prescription is not None and values.min() < wash.prescription <= values.max() and min(values.shape) > 1:
        rows, columns = values.shape
        places = wash.plane.places(np.column_stack([np.arange(columns), np.zeros(columns)]))
        heights = wash.plane.places(np.column_stack([np.zeros(rows), np.arange(rows)]))
        axes.contour(
            places[:, 0],
            heights[:, 1],
            values,
            levels=[wash.prescription],
            colors=[LIGHT],
            linewidths=[points(1.3)],
            linestyles=[(0, (4, 3))],
            zorder=3,
        )


def _to_its_edge(values: NDArray[np.float32], known: Optional[Plane]) -> Any:
    """The dose without what is not known, so that no rim of lower doses is drawn between the two."""
    if known is None or known.values.all():
        return values
    padded, there = np.pad(values, 1), np.pad(known.values, 1)
    beyond = values.copy()
    rows, columns = values.shape
    for down, across in itertools.product(range(3), repeat=2):
        here = slice(down, down + rows), slice(across, across + columns)
        beyond = np.where(~known.values & there[here], np.maximum(beyond, padded[here]), beyond)
    masking: Any = np.ma  # which versions of numpy annotate differently
    return masking.masked_array(beyond, ~known.values)


def _share(values: Any, highest: float) -> Any:
    """Where between the lowest dose that is drawn and the highest one."""
    return np.clip((values / highest - _LEAST) / (1 - _LEAST), 0, 1)


def _colour_map(opaque: float) -> Any:
    """From dark to light, so that it can also be read without colours; nothing below its lowest value."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    colours = colormaps["plasma"](np.linspace(0.05, 1, 256))
    colours[:, 3] = opaque
    return ListedColormap(colours).with_extremes(under=(0, 0, 0, 0), bad=(0, 0, 0, 0))


def _dose_bar(canvas: Canvas, wash: Wash, where: tuple[float, float, float, float]) -> None:
    """What the colours mean."""
    left, top, width, height = where
    right = left + width
    canvas.text(left, top - 14, "Gy", size=13, colour=FAINT)
    low = _LEAST * wash.highest
    axes = canvas.axes(where, (0, 1, 0, 1))
    pixels = np.rint(_colour_map(1.0)(np.linspace(1, 0, 256))[:, None, :] * 255).astype(np.uint8)
    axes.imshow(pixels, extent=(0, 1, 0, 1), origin="upper", interpolation="nearest", aspect="auto", zorder=1)

    def at(dose: float) -> float:
        return top + height * (1 - float(_share(dose, wash.highest)))

    taken: list[float] = []
    if wash.prescription is not None and low <= wash.prescription <= wash.highest:
        y = at(wash.prescription)
        canvas.line([(left - 3, y), (right + 5, y)], LIGHT, 2, dark=True)
        canvas.text(right + 8, y, f"{wash.prescription:.4g}", size=13, weight=True)
        beside = y + (15 if y < top + height - 22 else -15)
        canvas.text(right + 8, beside, "Rx", size=12, weight=True)
        taken += [y, beside]
    for dose in (wash.highest, *_ticks(low, wash.highest)):
        y = at(dose)
        if all(abs(y - other) > 16 for other in taken):
            canvas.line([(right, y), (right + 4, y)], FAINT, 1)
            canvas.text(right + 8, y, f"{dose:.3g}", size=13)
            taken.append(y)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, about six."""
    wished = (high - low) / 6
    size = 10.0 ** np.floor(np.log10(wished)) if wished > 0 else 1.0
    step = next(size * each for each in (1, 2, 5, 10) if size * each >= wished)
    return [float(f"{number * step:.6g}") for number in range(int(np.ceil(low / step)), int(high / step) + 1)]


# What stands around it


def _letters(
    canvas: Canvas, scene: Scene, where: tuple[float, float, float, float], size: float, only: Sequence[int] = range(4)
) -> None:
    """Which way is left, right, front, back, head and foot."""
    left, top, width, height = where
    far = size * 0.95
    places = (
        (left + far, top + height / 2),
        (left + width - far, top + height / 2),
        (left + width / 2, top + far),
        (left + width / 2, top + height - far),
    )
    for number in only:
        letter = scene.plane.view.edges[number]
        canvas.text(*places[number], letter, size=size, weight=True, align="center", dark=True)


def _crossings(canvas: Canvas, scene: Scene, shown: _Shown, where: tuple[float, float, float, float]) -> None:
    """Short marks at the edges where the other planes lie."""
    if scene.crossing is None:
        return
    part, long = shown.part, 9
    x = shown.left + (scene.crossing[0] - part.left) / (part.right - part.left) * shown.width
    y = shown.top + (scene.crossing[1] - part.top) / (part.bottom - part.top) * shown.height
    for begin, way in ((where[1], 1), (where[1] + where[3], -1)):
        canvas.line([(x, begin), (x, begin + way * long)], FAINT, 1.2)
    for begin, way in ((where[0], 1), (where[0] + where[2], -1)):
        canvas.line([(begin, y), (begin + way * long, y)], FAINT, 1.2)


def _scale(canvas: Canvas, shown: _Shown, where: tuple[float, float, float, float]) -> None:
    """How long 5 cm are, or less where the picture is small."""
    wide = where[2] / shown.per_mm
    length, words = next((each for each in _SCALES if each[0] <= wide * 0.4), _SCALES[-1])
    x, y = where[0] + 14, where[1] + where[3] - 14
    long = length * shown.per_mm
    canvas.line([(x, y), (x + long, y)], LIGHT, 2, dark=True)
    for end in (x, x + long):
        canvas.line([(end, y - 4), (end, y + 4)], LIGHT, 2, dark=True)
    canvas.text(x + long / 2, y - 14, words, size=13, align="center", dark=True)


def _legend(canvas: Canvas, scene: Scene, where: tuple[float, float, float]) -> None:
    """The regions, line by line; those that this plane does not meet are faint."""
    left, top, width = where
    places = (
        (left + at % _COLUMNS * width / _COLUMNS, top + (at // _COLUMNS + 0.5) * _ROW) for at in itertools.count()
    )
    for outline in scene.outlines:
        x, y = next(places)
        there = bool(outline.plane.values.any())
        canvas.line([(x, y), (x + 20, y)], _share_of(outline.colour, 1.0 if there else 0.45), 3)
        name = outline.name if len(outline.name) <= _LONGEST else outline.name[: _LONGEST - 1] + "…"
        canvas.text(x + 28, y, name, size=13.5, colour=LIGHT if there else FAINT)
    if _edged(scene):
        x, y = next(places)
        for begin in (0, 6, 12, 18):
            canvas.line([(x + begin, y), (x + begin + 3, y)], _share_of(_EDGE_GREY), 2)
        canvas.text(x + 28, y, "edge of the dose grid", size=13.5)
    if scene.left_out:
        x, y = next(places)
        canvas.text(x, y, f"and {scene.left_out} more, not drawn", size=13.5, colour=FAINT)
