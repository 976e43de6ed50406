"""Curves and points as the bytes of ROIContourSequence: pydicom's objects for them cost seconds and hundreds of MB.

The bytes are implicit VR little endian, where a contour may have more than the 65,534 bytes that explicit VR allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Optional

import numpy as np

from ..part10 import IMPLICIT_LITTLE
from ..part10.encoding import Encoding
from .colours import Colour
from .making import ImageSeries
from .within import half_spacing

TRANSFER_SYNTAX: Final = IMPLICIT_LITTLE
ROI_CONTOURS: Final = 0x30060039

_FLAT = 0.05  # mm by which the points of a plane may differ
_FARTHEST = 1e6  # mm; a number beyond it has more than the 16 characters of a DS, and is no place in a room
_ITEM = 0xFFFEE000
_OF = Encoding.of(TRANSFER_SYNTAX)


@dataclass(frozen=True)
class Drawn:
    """An ROI's contours encoded, and what is worth telling of them."""

    item: bytes
    low: Any  # of the points of its curves, mm; None where it has only points or nothing
    high: Any
    on_no_image: int = 0  # contours too far from every image
    without_area: int = 0  # curves of one or two points
    empty: int = 0  # curves without a point, which are not written


class Unwritable(Exception):
    """An ROI cannot be written; the text is a clause that says why."""


class Encoder:
    """Encodes the ROIs of a structure set, whose contours refer to the images of a series."""

    def __init__(self, series: ImageSeries) -> None:
        self._heights = np.array([image.z for image in series.images])
        self._reach = half_spacing(series) + 1e-3
        self._references = [
            _sequence(
                0x30060016,
                [_uid(0x00081150, image.sop_class) + _uid(0x00081155, image.sop_instance)],
            )
            for image in series.images
        ]

    def curves(self, number: int, colour: Colour, curves: Sequence[Any]) -> Drawn:
        """The item of an ROI with curves (each n x 3, mm)."""
        empty = sum(not len(points) for points in curves)
        curves = [_opened(points) for points in curves if len(points)]
        if not curves:
            return Drawn(_roi(number, colour, []), None, None, empty=empty)
        whole = np.concatenate(curves)
        if not np.isfinite(whole).all() or np.abs(whole).max() >= _FARTHEST:
            raise Unwritable("its coordinates are no places")
        begins = np.cumsum([0, *(len(points) for points in curves[:-1])])
        low, high = np.minimum.reduceat(whole, begins), np.maximum.reduceat(whole, begins)
        if ((high - low).min(axis=1) > _FLAT).any():
            raise Unwritable("one of its curves does not lie in a plane")
        images = self._images(low[:, 2], high[:, 2])
        contours = [_contour(index + 1, points, images[index]) for index, points in enumerate(curves)]
        return Drawn(
            _roi(number, colour, contours),
            low.min(axis=0),
            high.max(axis=0),
            on_no_image=images.count(None),
            without_area=sum(len(points) < 3 for points in curves),
            empty=empty,
        )

    def point(self, number: int, colour: Colour, place: Any) -> Drawn:
        """The item of an ROI that is a point (three numbers, mm)."""
        if not np.isfinite(place).all() or np.abs(place).max() >= _FARTHEST:
            raise Unwritable("its coordinates are no place")
        images = self._images(place[2:], place[2:])
        contour = _contour(1, place.reshape(1, 3), images[0])
        return Drawn(_roi(number, colour, [contour]), None, None, on_no_image=images.count(None))

    def _images(self, low: Any, high: Any) -> list[Optional[bytes]]:
        """The reference to the image that each contour lies on, or None: the nearest, if it is near enough."""
        nearest = np.abs(self._heights[:, None] - ((low + high) / 2)[None, :]).argmin(axis=0)
        height = self._heights[nearest]
        near = np.maximum(np.abs(height - low), np.abs(height - high)) <= self._reach
        return [self._references[index] if good else None for index, good in zip(nearest.tolist(), near.tolist())]


def sequence(items: Sequence[bytes]) -> bytes:
    """The element ROIContourSequence with the items of ROIs."""
    return _sequence(ROI_CONTOURS, items)


def _opened(points: Any) -> Any:
    """A curve without its first point at its end: DICOM's contours close by themselves."""
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points


def _roi(number: int, colour: Colour, contours: Sequence[bytes]) -> bytes:
    colours = _OF.element(0x3006002A, b"IS", b"\\".join(b"%d" % part for part in colour))
    drawn = _sequence(0x30060040, contours) if contours else b""
    return colours + drawn + _OF.element(0x30060084, b"IS", b"%d" % number)


def _contour(number: int, points: Any, image: Optional[bytes]) -> bytes:
    count = len(points)
    kind = {1: b"POINT", 2: b"OPEN_PLANAR"}.get(count, b"CLOSED_PLANAR")
    return b"".join(
        (
            image or b"",
            _OF.element(0x30060042, b"CS", kind),
            _OF.element(0x30060046, b"IS", b"%d" % count),
            _OF.element(0x30060048, b"IS", b"%d" % number),
            _OF.element(0x30060050, b"DS", _text(points)),
        )
    )


def _text(points: Any) -> bytes:
    """Coordinates to a thousandth of a mm, formatted by one operation; mostly all have one z, formatted once."""
    heights = points[:, 2]
    if (heights == heights[0]).all():
        one = b"%%.3f\\%%.3f\\%.3f" % heights[0]
        values = points[:, :2]
    else:
        one, values = b"%.3f\\%.3f\\%.3f", points
    text: bytes = b"\\".join([one] * len(points)) % tuple(values.ravel().tolist())
    return text


def _uid(tag: int, uid: str) -> bytes:
    return _OF.element(tag, b"UI", uid.encode("ascii"))


def _sequence(tag: int, items: Sequence[bytes]) -> bytes:
    parts = [part for item in items for part in (_OF.header(_ITEM, b"", len(item)), item)]
    return b"".join((_OF.header(tag, b"SQ", sum(map(len, parts))), *parts))
