"""Objects and folders that leave the clinic without a trace of who they are, and stay usable.

Table-driven by PS3.15 Table E.1-1 with its options, keyed UIDs and codes, dates moved by whole weeks, text scrubbed of
what was harvested from all of a patient's files, pixels by policy. The work is done on bytes (``rewriting``): what is
not touched, contours and pixels above all, is copied as it is.
"""

from __future__ import annotations

from .anonymiser import Anonymiser, Held, Rewritten
from .profile import Profile

__all__ = ["Anonymiser", "Held", "Profile", "Rewritten"]
