"""Harvested strings as the bytes they may be in: any case, any encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Optional

from .charset import CODECS
from .folding import WORD, folded, spellings
from .patterns import day
from .trie import Trie
from .vocabulary import DICOM, PARTICLES, TITLES, identifies, is_distinctive

_SHORTEST = 4  # bytes; fewer are found in any pixels
_LETTERS, _LETTERS_BEFORE, _LONGEST_WORD = re.compile(rb"[a-z]+"), re.compile(rb"[a-z]+\Z"), 20
_IN_A_NUMBER, _IN_A_NUMBER_BEFORE, _UNLIKELY = re.compile(rb"\.?[0-9]"), re.compile(rb"[0-9]\.?\Z"), 8
_ENCODINGS: Final = ("utf_16_le", "utf_16_be", "euc_jp", *sorted(set(CODECS.values())))
_FIRST: Final = (b"\x1b$B", b"\x1b$(D")


def of_names(names: Iterable[str]) -> Iterator[str]:
    """What to look for of names: each word, and all of them together."""
    for name in names:
        for group in name.split("="):
            parts = [word for word in WORD.findall(group) if folded(word) not in TITLES]
            whole = [group, *(between.join(parts) for between in (" ", "", "_", ", "))] if len(parts) > 1 else []
            for text in (*parts, *whole):
                if identifies(text) and folded(text) not in PARTICLES:
                    yield text
                    yield from spellings(text)


def of_numbers(numbers: Iterable[str]) -> Iterator[str]:
    """What to look for of numbers: as they are, and without separators."""
    for number in numbers:
        yield number
        yield "".join(WORD.findall(number))


def of_dates(dates: Iterable[str]) -> Iterator[str]:
    """What to look for of birth dates: the spellings that machines write."""
    for born in filter(None, map(day, dates)):
        year, month, number = f"{born:%Y}".zfill(4), f"{born:%m}", f"{born:%d}"
        for between in ("", "-", ".", "/"):
            yield between.join((year, month, number))
            yield between.join((number, month, year))


def of_places(places: Iterable[str]) -> Iterator[str]:
    """What to look for of institutions: as they are, and the words that only they have."""
    for place in places:
        yield place
        yield from (word for word in WORD.findall(place) if len(word) > _SHORTEST and is_distinctive(folded(word)))


def found_in(data: bytes, pattern: re.Pattern[bytes]) -> bool:
    """Whether small bytes hold one of the strings, except where anybody's files have them.

    That is inside words of the vocabulary ("rost" in "prostate"), and short numbers as parts of longer ones.
    """
    for found in pattern.finditer(data):
        start, end = found.span()
        if found.group().isdigit() and end - start < _UNLIKELY:
            if not _IN_A_NUMBER_BEFORE.search(data, max(0, start - 2), start) and not _IN_A_NUMBER.match(data, end):
                return True
            continue  # four digits are in any thousand of coordinates and in any hundred of UIDs
        before = _LETTERS_BEFORE.search(data, max(0, start - _LONGEST_WORD), start)
        behind = _LETTERS.match(data, end, end + _LONGEST_WORD)
        around = (before.group() if before else b"") + found.group() + (behind.group() if behind else b"")
        if around == found.group() or around.decode("latin-1") not in DICOM:
            return True
    return False


def compiled(texts: Iterable[str]) -> Optional[re.Pattern[bytes]]:
    """One expression for all of them, to be searched in bytes whose ASCII letters are small."""
    rows = {encoded.lower() for text in texts for encoded in _encoded(text.strip())}
    return Trie(
        [re.escape(chr(byte)) for byte in row] for row in rows if len(row) >= _SHORTEST and len(set(row)) > 1
    ).compiled_for_bytes()


def _encoded(text: str) -> Iterator[bytes]:
    if len(text) < _SHORTEST and text.isascii():
        return
    for spelt in {text, text.lower(), text.upper(), text.title()}:
        if spelt.isascii():
            yield from (spelt.encode(encoding) for encoding in ("ascii", "utf_16_le", "utf_16_be"))
            continue
        for encoding in _ENCODINGS:
            try:
                raw = spelt.encode(encoding, "strict")
            except UnicodeEncodeError:
                continue
            for escape in _FIRST:
                raw = raw.replace(escape, b"")
            yield raw.replace(b"\x1b(B", b"")
