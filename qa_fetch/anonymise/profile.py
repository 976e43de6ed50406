"""Which rule every attribute has: the standard's table under a choice of options, and a site's own rules over it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional, Union

from .profile_file import Creators, Settings, named_profile, private_tag, settings_of
from .table import (
    BASIC_CODE,
    FULL_DATES,
    MODIFIED_DATES,
    OPTION_CODES,
    SAFE_PRIVATE,
    UIDS,
    Action,
    kinds_of,
    read,
    repeating_rows,
    rows,
)

_DATE_OPTIONS = {"remove": None, "shift": MODIFIED_DATES, "keep": FULL_DATES}
_BIRTH_DATE, _METHOD = 0x00100030, 0x00120063


@dataclass(frozen=True)
class Profile:
    """Rules for every attribute, by the class of the object it stands in.

    ``dates`` is "remove", "shift" or "keep"; ``pixels`` is the table of that name as the profile's file has it.
    """

    name: str
    options: frozenset[str]
    dates: str
    replacements: Mapping[int, str]
    pixels: Mapping[str, Any]
    _attributes: Mapping[int, Action] = field(repr=False)
    _repeating: Mapping[str, Action] = field(repr=False)
    _creators: Creators = field(repr=False)
    _cache: dict[Optional[frozenset[str]], dict[int, Action]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, source: Union[str, Path]) -> Profile:
        """The profile ``basic`` or ``research-rt``, or the one that a TOML file describes."""
        path = named_profile(source)
        settings = settings_of(path)
        date_option = _DATE_OPTIONS[settings.dates]
        options = settings.options | ({date_option} if date_option else set())
        return cls(
            path.stem,
            frozenset(options),
            settings.dates,
            settings.replacements,
            settings.pixels,
            {tag: action for tag, action in settings.attributes.items() if not _stays(tag, action, settings.dates)},
            {**_overlays(options), **settings.repeating},
            _private_rules(options, settings),
        )

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """What DeidentificationMethodCodeSequence says: the profile and each option, by code."""
        return (BASIC_CODE, *(code for option, code in OPTION_CODES.items() if option in self.options))

    @property
    def method(self) -> str:
        """What DeidentificationMethod says: who did it, and the profile."""
        return f"qa_fetch {self.name}"[:64].encode("ascii", "replace").decode("ascii")

    @property
    def told(self) -> tuple[str, frozenset[str]]:
        """What an object says of the rules by which it was made: the method, and the codes."""
        method = self.replacements.get(_METHOD, self.method)
        return method.strip(), frozenset(code for code, _ in self.codes)

    def rules(self, sop_class: str) -> Mapping[int, Action]:
        """Every tag that has a rule in objects of this class; the same mapping for every class of its kind."""
        kinds = kinds_of(sop_class)
        found = self._cache.get(kinds)
        if found is None:
            found = {tag: row.action(self.options, kinds) for tag, row in rows().items()}
            found.update(self._attributes)
            self._cache[kinds] = found
        return found

    def repeating(self, tag: int) -> Optional[Action]:
        """The rule of a curve's or overlay's attribute, groups 50xx and 60xx; None where it has none."""
        if tag >> 24 == 0x50:
            return self._repeating["50xx,xxxx"]
        if tag >> 24 != 0x60:
            return None
        data = self._repeating["60xx,3000"]
        # Rows and columns of an overlay that is gone are an overlay that is not valid; they go with it.
        return data if data is Action.REMOVE else self._repeating.get(f"60xx,{tag & 0xFFFF:04X}")

    def private(self, creator: str, tag: int) -> Optional[tuple[Action, bytes]]:
        """The rule of a private element (its group, and the last byte of its number) and its VR, b"" where the file's
        own counts; None where it goes, as all of them do that nobody called safe."""
        of_creator = self._creators.get(creator, {})
        rule = of_creator.get(tag) or of_creator.get(None)
        if rule is not None and rule == (Action.CLEAN, b"UI"):
            return Action.KEEP if UIDS in self.options else Action.UID, b"UI"
        return rule

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # quicker made anew than sent to another process


def _stays(tag: int, action: Action, dates: str) -> bool:
    """Whether a date of birth that is to be moved would stay as it is, since no date is moved."""
    return tag == _BIRTH_DATE and action is Action.CLEAN and dates != "shift"


def _overlays(options: Set[str]) -> dict[str, Action]:
    """What the options say of curves and overlays. What a bitmap shows cannot be cleaned of words: it is left out."""
    found = {pattern: row.action(options, None) for pattern, row in repeating_rows().items()}
    return {**found, "60xx,3000": Action.REMOVE}


def _private_rules(options: Set[str], settings: Settings) -> Creators:
    """The elements called safe, where that option is on, and the site's own."""
    found: dict[str, dict[Optional[int], tuple[Action, bytes]]] = {}
    sources = [_safe_private()] if SAFE_PRIVATE in options else []
    for source in (*sources, settings.creators):
        for creator, elements in source.items():
            # A rule for the whole creator: what was said of single elements of it no longer counts.
            before = {} if None in elements else found.get(creator, {})
            found[creator] = {**before, **elements}
    return found


@lru_cache(maxsize=1)
def _safe_private() -> Creators:
    """The elements of ``private.csv``: thought to be safe, and cleaned all the same."""
    found: dict[str, dict[Optional[int], tuple[Action, bytes]]] = {}
    for row in read("private.csv"):
        rule = (Action.CLEAN, row["vr"].encode("ascii"))
        found.setdefault(row["creator"], {})[private_tag(row["tag"])] = rule
    return found
