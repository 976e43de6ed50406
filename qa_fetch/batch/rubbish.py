"""What pydicom raises over bytes that are not what they claim to be."""

from __future__ import annotations

import struct

# Besides its own BytesLengthException; of a sequence that is cut short it says OSError.
RUBBISH = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
