"""Thousands of strings as one regular expression, whose time grows with the text and not with their number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Optional

_DEEPEST = 128  # steps of one string; `re` compiles nested groups by recursion
_END = ""


class Trie:
    """Strings that share their beginnings. A string is a row of steps, each a letter or a small regular expression."""

    def __init__(self, rows: Iterable[Sequence[str]]) -> None:
        self._root: dict[str, dict] = {}  # type: ignore[type-arg]  # a recursive type
        for row in rows:
            node = self._root
            for step in row[:_DEEPEST]:
                node = node.setdefault(step, {})
            node[_END] = {}

    def compiled(self) -> Optional[re.Pattern[str]]:
        """The expression that finds any of the strings, the longest first; None where there are none."""
        return re.compile(_pattern(self._root)) if self._root else None

    def compiled_for_bytes(self) -> Optional[re.Pattern[bytes]]:
        """The same for strings of which each letter stands for a byte."""
        return re.compile(_pattern(self._root).encode("latin-1"), re.DOTALL) if self._root else None


def _pattern(node: dict[str, dict]) -> str:  # type: ignore[type-arg]
    """The expression for everything below a node; chains without branches need no groups, so they do not nest."""
    chain = []
    while len(node) == 1 and _END not in node:
        ((step, node),) = node.items()
        chain.append(step)
    ends = _END in node
    branches = sorted(step for step in node if step != _END)
    if branches:
        either = "|".join(step + _pattern(node[step]) for step in branches)
        chain.append(f"(?:{either}){'?' if ends else ''}" if ends or len(branches) > 1 else either)
    return "".join(chain)
