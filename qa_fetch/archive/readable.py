"""Rows and headers without what cannot be read: a peer's rubbish says nothing, and must not end a call."""

from __future__ import annotations

import struct
from typing import Any

_RUBBISH = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)  # what pydicom raises when it is asked for a value that is not what its VR says
_LOOKED_INTO = ("ReferencedRTPlanSequence", "ExposureSequence")  # a plan's sequences of beams cost too much


def readable(dataset: Any, *, header: bool = False) -> Any:
    """Take the values that cannot be read out of an answer, or those that matter out of an object's ``header``."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag
    from pydicom.errors import BytesLengthException

    for tag in list(dataset.keys()):
        try:
            if header and keyword_for_tag(tag) not in _LOOKED_INTO and dictionary_VR(tag) == "SQ":
                continue
        except KeyError:
            continue  # a private attribute: nobody here looks at it
        try:
            element = dataset[tag]
            if element.VR != "SQ" and element.keyword in _LOOKED_INTO:
                raise ValueError
            for item in element.value if element.VR == "SQ" else ():
                readable(item)
        except (BytesLengthException, *_RUBBISH):
            del dataset[tag]
    return dataset
