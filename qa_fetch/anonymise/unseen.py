"""What lies in PixelData and is no pixel: nobody who looks at an image sees it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..part10 import Buffer, Element
from .blanking import comments_in
from .pixels import Header

_UNDEFINED = b"\xff\xff\xff\xff"


def unseen(data: Buffer, element: Element, facts: Header) -> Iterator[Buffer]:
    """Comments of compressed pixels, their table of offsets, and what stands behind native ones.

    Parameters
    ----------
    data, element
        The data set, and its PixelData.
    facts
        What it says of itself.
    """
    view = memoryview(data)
    pixels = view[element.value : element.end]
    if view[element.value - 4 : element.value] != _UNDEFINED:
        frame = facts.Rows * facts.Columns * facts.SamplesPerPixel
        expected = (max(facts.NumberOfFrames, 1) * frame * facts.BitsAllocated + 7) // 8
        if expected < len(pixels):
            yield pixels[expected:]
        return
    yield pixels[8 : 8 + struct.unpack_from("<L", pixels, 4)[0]]
    if facts.native:
        yield pixels  # fragments where there should be none are no image
    else:
        yield from comments_in(pixels, facts.transfer_syntax)
