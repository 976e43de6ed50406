"""WADO-RS: pictures of objects, as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from .. import drawing, here
from . import media
from .answering import Refused
from .held import Held, found

_TRIED = 5  # objects of a study or series that are tried before it is said to have no picture
_LARGEST = 1 << 14


def rendered(request: HttpRequest, number: str = "1", **uids: str) -> HttpResponseBase:
    """A frame of an object as it would be looked at."""
    _check_accepted(request)
    size, window = _viewport(request), _window(request)
    held = found(uids)[0]
    try:
        return _png(drawing.png(held.path, frame=_frame(number), size=size, window=window))
    except drawing.NoPicture as error:
        raise Refused(406, f"this object cannot be drawn: {error}") from None


def thumbnail(request: HttpRequest, number: str = "1", **uids: str) -> HttpResponseBase:
    """A small picture of an object, or of one that stands for its series or study."""
    _check_accepted(request)
    size = _viewport(request)
    frame = _frame(number)
    some = found(uids)
    reason = ""
    for held in _standing_for(some):
        try:
            if size is None and frame == 1:
                return _png(drawing.thumbnail(held.path, held.digest, here.options().data / "thumbnails"))
            return _png(drawing.png(held.path, frame=frame, size=min(size or drawing.THUMBNAIL, _LARGEST)))
        except drawing.NoPicture as error:
            reason = str(error)
    if len(some) > 1:
        raise Refused(406, "nothing of it can be drawn. Look at its objects one by one.")
    raise Refused(406, f"this object cannot be drawn: {reason}")


def _standing_for(some: Sequence[Held]) -> Sequence[Held]:
    """A few objects from the middle on, where a series shows most."""
    middle = len(some) // 2
    return [*some[middle:], *some[:middle]][:_TRIED]


def _png(picture: bytes) -> HttpResponse:
    return HttpResponse(picture, content_type=media.PNG)


def _check_accepted(request: HttpRequest) -> None:
    if media.chosen(request.headers.get("Accept", ""), (media.PNG,)) is None:
        raise Refused(406, "pictures are sent as PNG only. Accept image/png.")


def _frame(number: str) -> int:
    if not (number.isascii() and number.isdigit() and 0 < len(number) < 7):
        raise Refused(400, "a picture shows one frame. Ask for it by one number from 1.")
    return int(number)


def _viewport(request: HttpRequest) -> Optional[int]:
    """The longer side that a picture may have to fit into what is asked for, whatever its shape."""
    given = request.GET.get("viewport")
    if given is None:
        return None
    sides = [part for part in given.split(",") if part][:2]
    if len(sides) < 2 or not all(side.isascii() and side.isdigit() and 0 < len(side) < 6 for side in sides):
        raise Refused(400, "viewport is a width and a height in pixels, such as 512,512.")
    return max(1, min(int(side) for side in sides))


def _window(request: HttpRequest) -> Optional[tuple[float, float]]:
    given = request.GET.get("window")
    if given is None:
        return None
    try:
        centre, width = (float(part) for part in given.split(",")[:2])
    except ValueError:
        centre, width = math.nan, math.nan
    if not (math.isfinite(centre) and 0 < width < math.inf):
        raise Refused(400, "window is a centre and a width above 0, such as 40,400,LINEAR.")
    return centre, width
