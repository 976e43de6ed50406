"""PS3.15 Table E.1-1, and the free text outside it: what is done with an attribute, by options and class of object.

``ps315.csv``, ``rt_text.csv`` and ``sop_classes.csv`` beside this file are the tables themselves, meant to be read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Optional

SAFE_PRIVATE = "retain-safe-private"
UIDS = "retain-uids"
FULL_DATES = "retain-longitudinal-full-dates"
MODIFIED_DATES = "retain-longitudinal-modified-dates"
GRAPHICS = "clean-graphics"

# PS3.16 CID 7050. The two options about pixels are told by whoever cleaned them.
BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")
BLANKED_CODE = ("113101", "Clean Pixel Data Option")  # of objects, not of profiles
OPTION_CODES = {
    GRAPHICS: ("113103", "Clean Graphics Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    UIDS: ("113110", "Retain UIDs Option"),
    SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
}

_FOLDER = Path(__file__).parent
_TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")


class Action(Enum):
    """What is done with an attribute; a sequence that is neither removed nor emptied has its items rewritten."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"
    CLEAN = "clean"
    REPLACE = "replace"


_LETTERS = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "K": Action.KEEP,
    "C": Action.CLEAN,
}


@dataclass(frozen=True)
class Row:
    """One attribute: the letters of the basic profile, mildest first, and those of the options."""

    tag: str
    keyword: str
    vr: str
    basic: tuple[str, ...]
    required: Mapping[str, frozenset[str]]
    options: Mapping[str, str]

    def action(self, options: Collection[str], kinds: Optional[frozenset[str]]) -> Action:
        """What is done with it under some options in an object of these kinds; None for a class nobody knows."""
        letters = {self.options[option] for option in options if option in self.options}
        if "K" in letters and not (MODIFIED_DATES in options and MODIFIED_DATES in self.options):
            return Action.KEEP  # a date that one option keeps and another one moves is moved
        return _LETTERS["C"] if letters else self._basic(kinds)

    def _basic(self, kinds: Optional[frozenset[str]]) -> Action:
        """The mildest letter with which the object stays valid: of X/Z/D the last is valid everywhere."""
        letter = self.basic[-1] if kinds is None else self._needed(kinds)
        return Action.UID if letter == "D" and self.vr == "UI" else _LETTERS[letter]

    def _needed(self, kinds: frozenset[str]) -> str:
        for letter in (*reversed(self.basic[1:]), *(self.required.keys() - set(self.basic))):
            wanted = self.required.get(letter)
            if wanted is not None and ("*" in wanted or not wanted.isdisjoint(kinds)):
                return letter
        return self.basic[0]


@lru_cache(maxsize=1)
def rows() -> Mapping[int, Row]:
    """Every attribute with a tag of its own, the standard's and ours."""
    found = {}
    for row in (*_rows("ps315.csv"), *_rows("rt_text.csv")):
        tag = _TAG.fullmatch(row.tag)
        if tag:
            found[int(tag[1] + tag[2], 16)] = row
    return found


@lru_cache(maxsize=1)
def repeating_rows() -> Mapping[str, Row]:
    """The rows of curves and overlays, by ``50xx,xxxx``, ``60xx,3000`` and ``60xx,4000``."""
    return {row.tag.strip("()"): row for row in _rows("ps315.csv") if row.tag[1] in "56" and "x" in row.tag}


@lru_cache(maxsize=1)
def keywords() -> Mapping[str, int]:
    """The tags of the table's attributes by their keywords."""
    return {row.keyword: tag for tag, row in rows().items()}


@lru_cache(maxsize=1)
def _sop_classes() -> Mapping[str, frozenset[str]]:
    return {row["SOP Class UID"]: frozenset(row["Kinds"].split()) for row in read("sop_classes.csv")}


def kinds_of(sop_class: str) -> Optional[frozenset[str]]:
    """What an object of this class is, in the words of the column Required; None for a class that is not known."""
    return _sop_classes().get(sop_class)


def read(name: str) -> Iterator[dict[str, str]]:
    """The rows of one of this folder's tables by its head; lines that start with # are remarks."""
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _rows(name: str) -> Iterator[Row]:
    columns = {option.replace("-", " "): option for option in OPTION_CODES}
    for row in read(name):
        yield Row(
            row["Tag"],
            row["Keyword"],
            row["VR"],
            tuple(row["Basic"].replace("*", "").split("/")),
            dict(_required(row.get("Required") or "")),
            {columns[head.lower()]: letter for head, letter in row.items() if letter and head.lower() in columns},
        )


def _required(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """``Z: sr kos; D: step``: the letter that objects of some kinds need, * for all of them."""
    for part in filter(None, text.split(";")):
        letter, _, kinds = part.partition(":")
        yield letter.strip(), frozenset(kinds.split())
