"""Pictures of a comparison as SVG, without a plotting library: outlines on an image, dose washes, profiles."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from .objects_read import Dose, Floats, Image, Region
from .results import Picture, number

COLOURS = ("#ffb000", "#4fc3f7", "#ff6e9c", "#7ddc6f", "#c59bff", "#ffe66b", "#58e0c4", "#ff8f5a", "#9fb7ff", "#e8a0e0")
_WINDOW = (-160.0, 240.0)  # HU
_SCALE = (
    (0.0, (20, 30, 120)),
    (0.25, (0, 150, 220)),
    (0.5, (60, 200, 80)),
    (0.75, (250, 210, 40)),
    (1.0, (215, 30, 30)),
)
_MARGIN = 25.0  # mm around what is drawn
_MOST_REGIONS = len(COLOURS)


def outlines(
    image: Optional[Image], pairs: Sequence[tuple[str, Optional[Region], Optional[Region]]], z: float
) -> Picture:
    """The outlines of both sides at a height: ours as lines, theirs as dashes."""
    here = [(name, contours_at(one, z), contours_at(other, z)) for name, one, other in pairs]
    here = [each for each in here if each[1] or each[2]][:_MOST_REGIONS]
    points = np.concatenate([contour for _, one, other in here for contour in (*one, *other)])
    left, top = points[:, 0].min() - _MARGIN, points[:, 1].min() - _MARGIN
    right, bottom = points[:, 0].max() + _MARGIN, points[:, 1].max() + _MARGIN
    drawn = [_backdrop(image)] if image is not None else []
    for (_, one, other), colour in zip(here, COLOURS):
        drawn += [f'<path d="{_path(each)}" class="ours" stroke="{colour}"/>' for each in one]
        drawn += [f'<path d="{_path(each)}" class="theirs" stroke="#fff"/>' for each in other]
    legend = tuple((name, colour) for (name, _, _), colour in zip(here, COLOURS))
    box = (left, top, right - left, bottom - top)
    return Picture(f"Outlines at z {number(z, 1)} mm: ours as lines, theirs as white dashes", _svg(box, drawn), legend)


def best_height(regions: Sequence[Region]) -> Optional[float]:
    """The height at which the most regions have outlines, of several the middle one."""
    heights: dict[float, int] = {}
    for region in regions:
        for z in {round(float(contour[:, 2].mean()), 2) for contour in region.contours if len(contour) > 2}:
            heights[z] = heights.get(z, 0) + 1
    most = max(heights.values(), default=0)
    best = sorted(z for z, count in heights.items() if count == most)
    return best[len(best) // 2] if best else None


def washes(ours: Dose, theirs: Dose, image: Optional[Image], difference: Optional[Floats]) -> list[Picture]:
    """The dose of both sides at the plane of the highest, and their difference where they have one grid."""
    plane = ours.highest()[0]
    z = float(ours.z[plane])
    highest = max(ours.maximum, theirs.maximum)
    box = _box(ours)
    found = [Picture(f"Our dose at z {number(z, 1)} mm", _wash(box, image, ours, plane, highest))]
    nearest = int(np.abs(theirs.z - z).argmin())
    found.append(
        Picture(
            f"Their dose at z {number(float(theirs.z[nearest]), 1)} mm", _wash(box, image, theirs, nearest, highest)
        )
    )
    if difference is not None:
        limit = max(float(np.nanmax(np.abs(difference))), 1e-9)
        share = np.nan_to_num(difference[plane] / limit)
        colour = np.empty((*share.shape, 4), dtype=np.uint8)
        colour[..., 0] = np.where(share > 0, 255, 255 * (1 + share))
        colour[..., 1] = 255 * (1 - np.abs(share))
        colour[..., 2] = np.where(share < 0, 255, 255 * (1 - share))
        colour[..., 3] = 255
        text = f"Ours minus theirs there; full red or blue is {number(limit, 4)} Gy"
        found.append(Picture(text, _svg(box, [_picture(colour, ours.x, ours.y)])))
    return found


def profiles(ours: Dose, theirs: Dose) -> list[Picture]:
    """The dose along each axis through our highest."""
    plane, row, column = ours.highest()
    place = float(ours.z[plane]), float(ours.y[row]), float(ours.x[column])
    other = [int(np.abs(axis - at).argmin()) for axis, at in zip(theirs.axes, place)]
    return [
        Picture(
            f"Dose along {name} through our highest",
            _profile(
                name,
                (ours.axes[axis], _line(ours, (plane, row, column), axis)),
                (theirs.axes[axis], _line(theirs, other, axis)),
            ),
            (("ours", "var(--ours)"), ("theirs, dashed", "var(--theirs)")),
        )
        for name, axis in (("x", 2), ("y", 1), ("z", 0))
    ]


def contours_at(region: Optional[Region], z: float) -> list[Floats]:
    """The outlines of a region at a height; points are none."""
    if region is None:
        return []
    return [each for each in region.contours if len(each) > 2 and abs(float(each[:, 2].mean()) - z) < 0.5]


def _path(contour: Floats) -> str:
    return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in contour[:, :2].tolist()) + "Z"


def _backdrop(image: Image) -> str:
    low, high = _WINDOW
    grey = np.clip((image.values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return _picture(grey, image.x, image.y)


def _wash(
    box: tuple[float, float, float, float], image: Optional[Image], dose: Dose, plane: int, highest: float
) -> str:
    share = np.clip(dose.values[plane] / max(highest, 1e-9), 0, 1)
    stops = [stop for stop, _ in _SCALE]
    colour = np.empty((*share.shape, 4), dtype=np.uint8)
    for channel in range(3):
        colour[..., channel] = np.interp(share, stops, [rgb[channel] for _, rgb in _SCALE])
    colour[..., 3] = np.where(share < 0.05, 0, 170 if image is not None else 255)
    return _svg(box, ([_backdrop(image)] if image is not None else []) + [_picture(colour, dose.x, dose.y)])


def _box(dose: Dose) -> tuple[float, float, float, float]:
    x, y, width, height = _extent(dose.x, dose.y)
    return x, y, width, height


def _extent(x: Floats, y: Floats) -> tuple[float, float, float, float]:
    """The outer edges of pixels whose centres these are."""
    across = float(x[1] - x[0]) if x.size > 1 else 1.0
    down = float(y[1] - y[0]) if y.size > 1 else 1.0
    return float(x[0]) - across / 2, float(y[0]) - down / 2, across * x.size, down * y.size


def _picture(pixels: NDArray[np.uint8], x: Floats, y: Floats) -> str:
    left, top, width, height = _extent(x, y)
    data = base64.b64encode(png(pixels)).decode()
    return (
        f'<image x="{left:.3f}" y="{top:.3f}" width="{width:.3f}" height="{height:.3f}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{data}"/>'
    )


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture of grey values (h, w) or of red, green, blue and opacity (h, w, 4)."""
    height, width = pixels.shape[:2]
    kind = 0 if pixels.ndim == 2 else 6
    rows = pixels.reshape(height, -1)
    lines = np.zeros((height, rows.shape[1] + 1), dtype=np.uint8)
    lines[:, 1:] = rows
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _svg(box: tuple[float, float, float, float], drawn: Sequence[str]) -> str:
    left, top, width, height = box
    return (
        f'<svg class="slice" viewBox="{left:.2f} {top:.2f} {width:.2f} {height:.2f}" role="img">'
        f'<rect x="{left:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}" fill="#000"/>'
        f"{''.join(drawn)}</svg>"
    )


def _line(dose: Dose, at: Sequence[int], axis: int) -> Floats:
    cut: list[Any] = list(at)
    cut[axis] = slice(None)
    return np.asarray(dose.values[tuple(cut)])


def _profile(name: str, ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats]) -> str:
    """A chart of 360 by 220."""
    low = min(float(ours[0][0]), float(theirs[0][0]))
    high = max(float(ours[0][-1]), float(theirs[0][-1]), low + 1e-6)
    top = max(float(ours[1].max()), float(theirs[1].max()), 1e-9) * 1.05

    def points(line: tuple[Floats, Floats]) -> str:
        across = 46 + (line[0] - low) / (high - low) * 300
        down = 186 - line[1] / top * 172
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across.tolist(), down.tolist()))

    marks = "".join(
        f'<line x1="46" x2="346" y1="{186 - share * 172:.1f}" y2="{186 - share * 172:.1f}" class="grid"/>'
        f'<text x="40" y="{190 - share * 172:.1f}" text-anchor="end">{number(share * top, 1)}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    ends = "".join(
        f'<text x="{at}" y="204" text-anchor="{anchor}">{number(value, 0)}</text>'
        for at, anchor, value in ((46, "start", low), (346, "end", high))
    )
    return (
        f'<svg class="chart" viewBox="0 0 360 220" role="img">{marks}{ends}'
        f'<text x="196" y="216" text-anchor="middle">{name} in mm; dose in Gy</text>'
        f'<polyline points="{points(theirs)}" class="line-theirs"/>'
        f'<polyline points="{points(ours)}" class="line-ours"/></svg>'
    )
