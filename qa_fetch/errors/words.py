"""DIMSE statuses in a word or two, for lines of results (PS3.7 Annex C, PS3.4 Annexes B and C)."""

from __future__ import annotations

from typing import Optional

_WORDS = {
    0x0000: "completed",
    0x0105: "no such attribute",
    0x0106: "attribute value rejected",
    0x0107: "completed without some attributes",
    0x0110: "processing failure",
    0x0111: "not taken, UID known already",
    0x0112: "no such object",
    0x0115: "value rejected",
    0x0116: "completed with a changed value",
    0x0117: "invalid UID",
    0x0118: "no such SOP class",
    0x0119: "of another SOP class",
    0x0122: "not supported",
    0x0124: "not allowed",
    0x0210: "sent twice",
    0x0211: "not offered",
    0x0212: "malformed message",
    0x0213: "out of resources",
    0xA700: "out of resources",
    0xA701: "cannot count the objects",
    0xA702: "cannot send the objects",
    0xA801: "destination unknown",
    0xA900: "identifier does not fit",
    0xB000: "completed in part",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending",
}
_RANGES = ((0xB000, "completed with warnings"), (0xC000, "unable to process"))


def in_words(status: Optional[int]) -> str:
    """A status as lines of results show it: ``0xA801 destination unknown``; None stands for no answer at all."""
    if status is None:
        return "not answered"
    words = _WORDS.get(status) or next((says for code, says in _RANGES if status & 0xF000 == code), "unknown status")
    return f"0x{status:04X} {words}"
