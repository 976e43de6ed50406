"""Places taken out of a text, and what stood around them made tidy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

Span = tuple[int, int]

_SEPARATORS: Final = " \t\0_^,;:/|&-.\u3000・、"
# A sign or a point before a number belongs to the number, but not where it joins the number to what was taken out.
_AFTER: Final = re.compile(r"[-._]*(?:[ \t\0_^,;:/|&\u3000・、]|[-.](?![0-9]))*")
_BRACKETS: Final = frozenset(("()", "[]", "{}", "<>", "''", '""'))
_TITLE: Final = re.compile(r"(?:^|[\s_^,;:/(])(?:dr|prof|mr|mrs|ms|frau|herrn?|mme|mlle)\.?\Z", re.IGNORECASE)
_LONGEST_TITLE: Final = 8
_EDGES: Final = "\r\n\\"  # lines and values of one attribute stay apart


def without(text: str, spans: Iterable[Span]) -> str:
    """The text without these places; nothing where nothing but separators would be left."""
    kept: list[str] = []
    at, separator = 0, ""
    for start, end in _merged(spans):
        separator = _add(kept, separator, text[at:start], is_first=at == 0)
        at = end
    _add(kept, separator, text[at:], is_last=True)
    return "".join(kept)


def _add(kept: list[str], separator: str, piece: str, *, is_first: bool = False, is_last: bool = False) -> str:
    """Add a piece between two places, and give back what is to stand behind it."""
    found = None if is_first else _AFTER.match(piece)
    if found:
        separator, piece = separator or found.group(), piece[found.end() :]
    core = piece if is_last else _without_title(piece.rstrip(_SEPARATORS))
    behind = piece[len(core) :]
    if not core:
        return separator or behind
    while kept and kept[-1][-1:] + core[:1] in _BRACKETS:
        kept[-1], core = kept[-1][:-1].rstrip(_SEPARATORS), core[1:].lstrip(_SEPARATORS)
        separator = " "
        if not kept[-1]:
            del kept[-2:]  # and what stood between it and the piece before
    if kept and core:
        kept.append(_between(kept[-1][-1], separator, core[0]))
    if core:
        kept.append(core)
    return behind


def _between(left: str, separator: str, right: str) -> str:
    if left in _EDGES or right in _EDGES:
        return ""
    if not separator and left.isalnum() and right.isalnum():
        return "_"  # what is left of two words does not become one
    return " " if len(separator) > 1 and not separator.strip() else separator


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    begin, reached = -1, -1
    for start, end in sorted(spans):
        if start > reached:
            if begin >= 0:
                yield begin, reached
            begin = start
        reached = max(reached, end)
    if begin >= 0:
        yield begin, reached


def _without_title(text: str) -> str:
    found = _TITLE.search(text[-_LONGEST_TITLE:])
    if not found or (found.start() == 0 and len(text) > _LONGEST_TITLE and found.group()[0].isalnum()):
        return text  # the end of a longer word
    return text[: len(text) - len(found.group())].rstrip(_SEPARATORS)
