"""In how many ways a name, a number, a birth date or an address may be written: rows of steps for a trie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Final, Optional

from .folding import folded, is_dense, spellings
from .vocabulary import PARTICLES, TITLES, identifies, is_distinctive, words

Row = tuple[str, ...]

# What may stand between the parts of a name. None of them is a letter, a digit or a backslash (which parts values).
_BETWEEN: Final = r"[\s^,.;:_/'=()@・、-]{0,3}"
_IN_NUMBER: Final = r"[ .^_/:#-]?"
_IN_DATE: Final = r"[ .,/_年月-]{1,2}"
_MAYBE_IN_DATE: Final = r"[ .,/_年月-]?"
# A look behind at the second letter of a row, so that a row always begins with a letter: `re` skips ahead to those.
_AFTER_NO_LETTER: Final = r"(?<![^\W\d_][\s\S])"
_BEFORE_NO_LETTER: Final = r"(?![^\W\d_])"
_AFTER_NO_SIGN: Final = r"(?<![^\W_][\s\S])"
_BEFORE_NO_SIGN: Final = r"(?![^\W_])"
_AFTER_NO_DIGIT: Final = r"(?<![0-9][\s\S])"
_BEFORE_NO_DIGIT: Final = r"(?![0-9])"

_FOUND_INSIDE = 4  # a name of fewer letters is looked for as a word of its own only
_JOINED_INSIDE = 6  # the same for two names written as one word
_NATIONAL = 9  # digits of a telephone number without the country, as far as that can be said of all countries
_FREE_NUMBER = 6  # a number of so many signs is also found with separators where there were none
MONTHS: Final = (
    "jan january januar janvier gennaio enero ene janv",
    "feb february februar fevrier febbraio febrero fev fevr",
    "mar march marz maerz mars marzo mrz",
    "apr april avril aprile abril avr abr",
    "may mai maggio mayo mag",
    "jun june juni juin giugno junio giu",
    "jul july juli juillet luglio julio juil lug",
    "aug august aout agosto ago",
    "sep sept september septembre settembre septiembre set",
    "oct october oktober octobre ottobre octubre okt ott",
    "nov november novembre noviembre",
    "dec december dezember decembre dicembre diciembre dez dic",
)


def _letters(text: str) -> Row:
    return tuple(re.escape(letter) for letter in text)


def _bounded(row: Sequence[str], after: str = "", before: str = "") -> Row:
    """A row that is found only after and before what is asked for."""
    first, *others = row
    return (first, *((after,) if after else ()), *others, *((before,) if before else ()))


def _joined(parts: Sequence[str], between: str = _BETWEEN) -> Row:
    row: list[str] = []
    for part in parts:
        row += [between, *_letters(part)] if row else _letters(part)
    return tuple(row)


def _word(parts: Sequence[str]) -> Row:
    """Parts of a name, found inside longer words if they are long enough."""
    long_enough = _FOUND_INSIDE if len(parts) == 1 else _JOINED_INSIDE
    whole = "".join(parts)
    if len(whole) >= long_enough or (len(whole) > 1 and is_dense(whole)):
        return _joined(parts)
    return _bounded(_joined(parts), _AFTER_NO_LETTER, _BEFORE_NO_LETTER)


def of_name(value: str) -> Iterator[Row]:
    """A person's name as it may be written: a value of VR PN or one part of it."""
    for group in value.split("="):
        seen = set()
        for spelling in spellings(group):
            if spelling not in seen:
                seen.add(spelling)
                yield from _of_spelling(spelling)


def _of_spelling(name: str) -> Iterator[Row]:
    parts = [_names(part) for part in name.split("^")[:3]]
    for part in parts:
        for word in part:
            if len(word) > 1 and identifies(word) and (len(part) == 1 or word not in PARTICLES):
                yield _word([word])
        if len(part) > 1:
            yield _word(part)
    family, *others = [part for part in parts if part] or [[]]
    given = list(chain.from_iterable(others))
    if not given and len(family) == 2:
        yield from _together(family[:1], family[1:])
        yield from _together(family[1:], family[:1])
    elif given and family:
        yield from _together(family, given)


def _names(part: str) -> list[str]:
    return [word for word in words(part) if word not in TITLES and not word.isdigit()]


def _together(family: list[str], given: list[str]) -> Iterator[Row]:
    """A family name with given names before or behind it, whole or as initials."""
    for first in (given[:1], given):
        if len("".join(family)) > 1 or len("".join(first)) > 1:
            yield _word([*family, *first])
            yield _word([*first, *family])
    initials = [word[0] for word in given if word[0].upper() != word[0]]  # of scripts that have capitals
    if len("".join(family)) > 1:
        for some in (initials[:1], initials, [*given[:1], *initials[1:]]):
            if some:
                yield _with_initials([*some, *family], family, _AFTER_NO_LETTER, "")
                yield _with_initials([*family, *some], family, "", _BEFORE_NO_LETTER)


def _with_initials(parts: list[str], family: list[str], after: str, before: str) -> Row:
    if len("".join(family)) < _FOUND_INSIDE:
        after, before = _AFTER_NO_LETTER, _BEFORE_NO_LETTER
    return _bounded(_joined(parts), after, before)


def of_number(value: str) -> Iterator[Row]:
    """A number of a patient, a study, a telephone: with its separators, with others, or without."""
    parts = words(value)
    signs = "".join(parts)
    if len(signs) < 3:
        return
    written = folded(value).strip()
    if len(signs) < _FOUND_INSIDE:
        for row in (_joined(parts, _IN_NUMBER), _letters(written)):
            yield _bounded(row, _AFTER_NO_SIGN, _BEFORE_NO_SIGN)
        return
    yield _letters(written)
    yield _joined(list(signs), _IN_NUMBER) if len(signs) >= _FREE_NUMBER else _joined(parts, _IN_NUMBER)
    if written.startswith("+") and signs.isdigit() and len(signs) > _NATIONAL:
        for national in ("0" + signs[-_NATIONAL:], signs[-_NATIONAL:]):
            yield _joined(list(national), _IN_NUMBER)
    short = signs.lstrip("0")
    if signs.isdigit() and len(signs) >= _FREE_NUMBER and _FOUND_INSIDE <= len(short) < len(signs):
        if len(short) >= _FREE_NUMBER:
            yield _joined(list(short), _IN_NUMBER)
        else:
            yield _bounded(_letters(short), _AFTER_NO_DIGIT, _BEFORE_NO_DIGIT)


def tiny(value: str) -> Optional[str]:
    """A number of one or two signs, which is only ever taken out where it is all there is."""
    signs = "".join(words(value))
    return signs if 0 < len(signs) < 3 else None


def is_number(value: str) -> bool:
    """Whether a value can be somebody's number; other than a name it may have one sign, unless that is 0."""
    return identifies(value) or (len(tiny(value) or "0") == 1 and (tiny(value) or "0") != "0")


def day(value: str) -> Optional[date]:
    """A birth date as it stands in a data set, also in the form of ACR-NEMA."""
    digits = re.sub(r"[.\-/ ]", "", folded(value).strip(" \0"))
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) if re.match(r"[0-9]{8}\Z", digits) else None
    except ValueError:
        return None


def of_date(value: str) -> Iterator[Row]:
    """A birth date in all usual spellings."""
    born = day(value)
    if not born:
        return
    year, month, number = f"{born:%Y}".zfill(4), f"{born:%m}", f"{born:%d}"
    for order in ((year, month, number), (number, month, year), (month, number, year)):
        yield _joined(order, _MAYBE_IN_DATE)
        yield from _dated(order)
        yield from _dated([part.lstrip("0") for part in order])
    years = year[2:]
    for order in ((years, month, number), (number, month, years), (month, number, years)):
        yield _bounded(_letters("".join(order)), _AFTER_NO_SIGN, _BEFORE_NO_SIGN)
        yield from _dated(order)
        yield from _dated([part.lstrip("0") if part is not years else part for part in order])
    for name in MONTHS[born.month - 1].split():
        for spelt in {number, number.lstrip("0")}:
            ordinals = tuple(spelt + ending for ending in ("", "st", "nd", "rd", "th"))
            for written, short in ((year, False), (years, True)):
                yield from _dated((spelt, name, written), _MAYBE_IN_DATE)
                yield from _dated((written, name, spelt), _IN_DATE if short else _MAYBE_IN_DATE)
            for ordinal in ordinals:
                yield from _dated((name, ordinal, year))
                yield from _dated((ordinal, name, year))


def _dated(parts: Sequence[str], between: str = _IN_DATE) -> Iterator[Row]:
    after = _AFTER_NO_DIGIT if parts[0].isdigit() else _AFTER_NO_LETTER
    yield _bounded(_joined(parts, between), after, "日?" + _BEFORE_NO_DIGIT)


def of_place(value: str) -> Iterator[Row]:
    """The name or address of an institution: as a whole, and each word that only this one has."""
    for spelling in spellings(value):
        parts = words(spelling)
        whole = "".join(parts)
        if len(whole) >= _FOUND_INSIDE and not whole.isdigit():
            yield _joined(parts)
        elif len(whole) > 1:
            yield _bounded(_joined(parts), _AFTER_NO_SIGN, _BEFORE_NO_SIGN)
        for word in parts:
            if is_distinctive(word):
                yield _letters(word) if len(word) > _FOUND_INSIDE else _word_alone(word)


def _word_alone(word: str) -> Row:
    return _letters(word) if is_dense(word) else _bounded(_letters(word), _AFTER_NO_LETTER, _BEFORE_NO_LETTER)
