"""Pinnacle's text files: ``Key = value;`` and ``Key ={ ... };``, read line by line, as far as they can be read.

Not YAML: a plan of 8 MB takes a fraction of a second, and what is damaged says at which line. What cannot be read for
certain is left out: a line between others is passed over and named, and where a brace may be lost reading stops.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional, Union

Value = Union[str, "Block", "array[float]"]
_Usual = tuple[str, Optional[str]]

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_SAYS = re.compile(r"([\w.]+)\s*:\s?(.*)")
_BINARY = re.compile(r"\\XDR:(\d{1,9})\\")
_CLOSES = re.compile(r'([^"]*(?:\\"[^"]*)*)"\s*;')  # a quoted text with something behind it
_NEXT = re.compile(r"\}.*|[\w#.\[\] ]+=(.*;|\s*\{)")  # a line that cannot be inside a quoted text
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_SIGNS = re.compile("[/;{}]")
_ODD = re.compile('[/;{}="]|^$')
_DEEPEST = 64
_MOST_LINES = 4_000_000  # the largest plan.Trial known has 2 million
_MOST_FLAWS = 20
_MOST_KNOWN = 50_000
_LONGEST_QUOTE = 1000  # lines
_LONGEST_REST = 4096  # characters behind the first value of a line
_LONGEST_NUMBER = 64


@dataclass(frozen=True)
class Stop:
    """A line that was passed over, or where a text ended before it was whole."""

    line: int
    reason: str


class Block:
    """What stands between braces: keys with one value or several, in their order."""

    __slots__ = ("_entries", "whole")

    def __init__(self) -> None:
        self._entries: dict[str, Union[Value, list[Value]]] = {}
        self.whole = True  # closed, and no line in it was passed over

    def add(self, key: str, value: Value) -> None:
        """Append an entry; a key may come more than once."""
        there = self._entries.get(key)
        if there is None:
            self._entries[key] = value
        elif isinstance(there, list):
            there.append(value)
        else:
            self._entries[key] = [there, value]

    def all(self, key: str) -> list[Value]:
        """Every value of a key."""
        there = self._entries.get(key)
        if there is None:
            return []
        return there if isinstance(there, list) else [there]

    def blocks(self, *path: str) -> list[Block]:
        """The blocks at the end of a path of keys; of each key, all."""
        here: list[Block] = [self]
        for key in path:
            here = [value for block in here for value in block.all(key) if isinstance(value, Block)]
        return here

    def block(self, *path: str) -> Optional[Block]:
        """The first block at the end of a path, or None."""
        return next(iter(self.blocks(*path)), None)

    def members(self, *path: str) -> list[Block]:
        """The blocks of a list, whatever they are called (``#0``, ``Beam``); the list lies at the end of a path."""
        return [value for block in self.blocks(*path) for _, value in block if isinstance(value, Block)]

    def text(self, key: str) -> Optional[str]:
        """A value as text without blanks around it; None where it is absent or empty."""
        value = self._single(key)
        return value.strip() or None if isinstance(value, str) else None

    def number(self, key: str) -> Optional[float]:
        """A value as a number; None where it is absent or none."""
        return _number(self._single(key))

    def whole_number(self, key: str) -> Optional[int]:
        """A value as a whole number; None where it is absent or none."""
        value = self.number(key)
        return int(value) if value is not None and value == int(value) else None

    def flag(self, key: str) -> Optional[bool]:
        """A value of 0 or 1 as a truth; None where it is absent or something else."""
        value = self.number(key)
        return bool(value) if value in (0, 1) else None

    def numbers(self, key: str) -> Optional[array[float]]:
        """The numbers of a table, or None."""
        value = self._single(key)
        return value if isinstance(value, array) else None

    def binary(self, key: str) -> Optional[int]:
        r"""The number of the file that a value refers to (``\XDR:12\``), or None."""
        value = self._single(key)
        found = _BINARY.fullmatch(value.strip()) if isinstance(value, str) else None
        return int(found[1]) if found else None

    def _single(self, key: str) -> Optional[Value]:
        there = self._entries.get(key)
        return there[0] if isinstance(there, list) else there

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        for key, there in self._entries.items():
            if isinstance(there, list):
                yield from ((key, value) for value in there)
            else:
                yield key, there

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True)
class Parsed:
    """A text's content, the lines that were passed over, and where reading ended if that was before its end."""

    content: Block
    stop: Optional[Stop] = None
    flaws: tuple[Stop, ...] = ()


def decoded(data: bytes) -> str:
    """The characters of a text: UTF-8 where it is that, else Latin-1; the trailer of bytes does not count."""
    data = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = error.start
    if 0 <= data.rfind(b"/*") < bad or bad >= len(data) - 3:  # bytes of the trailer, or a character cut off at the end
        return data[:bad].decode("utf-8") + data[bad:].decode("latin-1")
    return data.decode("latin-1")


def parse(data: bytes) -> Parsed:
    """Read a text of keys, values and blocks."""
    text = decoded(data)
    if text.count("\n") > _MOST_LINES:
        return Parsed(Block(), Stop(_MOST_LINES, "it has more lines than any plan"))
    return _Reader(text.split("\n")).read()


def header(data: bytes) -> Block:
    """Read an image's header: ``key = value;`` or ``key : value`` on each line."""
    found = Block()
    for line in decoded(data).split("\n"):
        bare = line.strip()
        says = _SAYS.fullmatch(bare)
        key, holds, value = bare.partition("=")
        if says:
            found.add(says[1], says[2].strip())
        elif holds:
            found.add(key.rstrip(), value.strip("; \t").strip('"'))
    return found


def number(text: str) -> Optional[float]:
    """A text as a finite number, or None."""
    return _number(text)


def _number(value: Optional[Value]) -> Optional[float]:
    bare = value.strip() if isinstance(value, str) else ""
    if len(bare) > _LONGEST_NUMBER or not _NUMBER.fullmatch(bare):
        return None
    found = float(bare)
    return found if math.isfinite(found) else None


def _usual(line: str) -> Optional[_Usual]:
    """A line's key and its value; no value where a block begins, no key where one ends; None where it is more."""
    line = line.strip()
    if line == "};":
        return "", None
    key, equals, value = line.partition(" = ")
    key = key.rstrip()
    if equals and value[-1] == ";" and not _ODD.search(key):
        value = value[:-1].strip()
        if value[:1] != '"':
            return None if _SIGNS.search(value) else (key.replace(" ", ""), value)
        if value.find('"', 1) == len(value) - 1 and "\\" not in value:
            return key.replace(" ", ""), value[1:-1]
    elif line[-3:] == " ={" and line[-4:] != "] ={" and not _ODD.search(line[:-3]):
        return line[:-3].rstrip(), None
    return None


class _Reader:
    """One text, line by line; a quoted text may go on over lines, a comment too."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines if lines[-1] else lines[:-1]
        self._at = 0
        self._whole = Block()
        self._open = [self._whole]
        self._flaws: list[Stop] = []
        self._stop: Optional[Stop] = None

    def read(self) -> Parsed:
        """Go through all lines; what a usual line says is kept, because most lines come many times."""
        lines, count, blocks = self._lines, len(self._lines), self._open
        known: dict[str, _Usual] = {}
        entries = self._whole._entries
        at = 0
        while at < count and self._stop is None:
            line = lines[at]
            at += 1
            usual = known.get(line)
            if usual is None:
                usual = _usual(line)
                if usual is None:
                    self._at = at
                    self._unusual(line.strip())
                    at = self._at
                    entries = blocks[-1]._entries
                    continue
                if len(known) < _MOST_KNOWN:
                    known[line] = usual
            key, value = usual
            if value is not None:
                if key in entries:
                    blocks[-1].add(key, value)
                else:
                    entries[key] = value
            else:
                self._at = at
                if key:
                    self._block(key, "")
                else:
                    self._close()
                entries = blocks[-1]._entries
        if self._stop is None and len(blocks) > 1:
            self._at = count
            self._end(f"it ends inside {len(blocks) - 1} open blocks")
        return Parsed(self._whole, self._stop, tuple(self._flaws))

    def _unusual(self, line: str) -> None:
        """A line that holds several values, a quoted text of several lines or a comment, or is damaged."""
        while line and self._stop is None:
            rest = self._statement(line).lstrip("; \t")
            if len(rest) > _LONGEST_REST:
                self._end("a line holds far too much")
            line = rest

    def _statement(self, line: str) -> str:
        """Take the first value, brace or comment of a line; what is behind it is given back."""
        if line[0] == "}":
            self._close()
            return line[1:]
        if line.startswith("//"):
            return ""
        if line.startswith("/*"):
            return self._behind_comment(line[2:])
        key, equals, text = (part.strip() for part in line.partition("="))
        if not equals or not key or any(sign in key for sign in '{};"'):
            self._pass_over(line, "a line is neither a value nor a block")
            return ""
        key = key.replace(" ", "")
        if text.startswith("{"):
            return self._block(key, text[1:].lstrip())
        if text.startswith('"'):
            return self._quoted(key, text[1:])
        end = min((at for at in map(text.find, (";", "//", "/*", "{", "}")) if at >= 0), default=len(text))
        if text[end : end + 1] in ("{", "}"):
            self._pass_over(line, "a value holds a brace")
            return ""
        self._open[-1].add(key, text[:end].rstrip())
        return text[end:]

    def _close(self) -> None:
        if len(self._open) == 1:
            self._end("a brace is closed that was not opened")
        else:
            self._open.pop()

    def _block(self, key: str, rest: str) -> str:
        """A block begins; ``rest`` is what stands behind its brace in the same line."""
        if key.endswith("[]"):
            return self._table(key, rest)
        if len(self._open) > _DEEPEST:
            self._end("blocks are nested too deep")
            return ""
        block = Block()
        self._open[-1].add(key, block)
        self._open.append(block)
        return rest

    def _table(self, key: str, rest: str) -> str:
        """The numbers up to the closing brace of a table."""
        lines, begin = self._lines, self._at
        at = begin
        if "}" not in rest:
            while at < len(lines) and "}" not in lines[at]:
                at += 1
            if at == len(lines):
                self._at = at
                self._end("it ends inside a table of numbers")
                return ""
            at += 1
        self._at = at
        parts = [rest, *lines[begin:at]]
        parts[-1], _, behind = parts[-1].partition("}")
        found = numbers("\n".join(parts), ",")
        if found is None:  # without commas at the ends of lines, or with comments
            bare = _without_comments("\n".join(part.partition("//")[0] for part in parts))
            found = numbers(",".join(_BETWEEN.split(bare.strip(", \t\r\n"))), ",")
        if found is None:
            self._end("a table holds something else than numbers")
        else:
            self._open[-1].add(key, found)
        return behind.strip()

    def _quoted(self, key: str, text: str) -> str:
        """A quoted text, which may hold braces, backslashes, semicolons and ends of lines."""
        bare = text.rstrip("; \t")
        closes = _CLOSES.match(text) if len(text) < _LONGEST_REST else None
        if bare.endswith('"') and not (closes and text[closes.end() :].lstrip().startswith(("//", "/*"))):
            self._open[-1].add(key, _plain(bare[:-1]))
            return ""
        if closes:
            self._open[-1].add(key, _plain(closes[1]))
            return text[closes.end() :]
        parts = [text]
        for number, line in enumerate(self._lines[self._at : self._at + _LONGEST_QUOTE], self._at + 1):
            bare = line.strip()
            if _NEXT.fullmatch(bare[:_LONGEST_REST]):
                break  # the next value: the quote was lost
            parts.append(bare)
            if bare.endswith(('"', '";')):
                self._at = number
                self._open[-1].add(key, _plain("\n".join(parts).rstrip(";")[:-1]))
                return ""
        self._pass_over("", "a quoted text does not end")
        return ""

    def _behind_comment(self, text: str) -> str:
        """What stands behind a comment that has begun; the trailer of bytes need not end."""
        while "*/" not in text:
            if self._at >= len(self._lines):
                return ""
            text = self._lines[self._at]
            self._at += 1
        return text.partition("*/")[2].strip()

    def _pass_over(self, line: str, reason: str) -> None:
        """Leave a line out and go on, unless it may have opened or closed a block."""
        if "{" in line or "}" in line or len(self._flaws) >= _MOST_FLAWS:
            self._end(reason)
            return
        self._flaws.append(Stop(self._at, reason))
        self._spoil()

    def _end(self, reason: str) -> None:
        self._stop = Stop(self._at, reason)
        self._spoil()

    def _spoil(self) -> None:
        for block in self._open:
            block.whole = False


def _without_comments(text: str) -> str:
    parts = text.split("/*")
    return parts[0] + "".join(part.partition("*/")[2] for part in parts[1:])


def numbers(text: str, between: Optional[str]) -> Optional[array[float]]:
    """The finite numbers of a text, or None where something else is in it."""
    bare = text.strip(", \t\r\n") if between else text
    if not bare:
        return array("d")
    if "_" in bare:
        return None
    try:
        found = array("d", list(map(float, bare.split(between))))
    except ValueError:
        return None
    return found if math.isfinite(sum(found)) or all(map(math.isfinite, found)) else None


def _plain(text: str) -> str:
    r"""A quoted text as it was meant: Pinnacle writes \" for a quote and \\ for a backslash."""
    return text.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\") if "\\" in text else text
