"""What becomes of one value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Final, Optional, Union

from .charset import Charset
from .dates import capped_age, is_over_89, moved_date, moved_moment
from .dictionary import OF_KINDS, TEXT, TIMES
from .keyed import Key
from .profile import Profile
from .table import UIDS, Action
from .text import Scrubber

CHARACTER_SET, SOP_CLASS = 0x00080005, 0x00080016
NAME, PATIENT_ID, _BIRTH_DATE = 0x00100010, 0x00100020, 0x00100030
# What a list of character sets is made of, misspelt or not; anything else may be a name.
_CHARACTER_SETS: Final = re.compile(rb"(ISO|IR|GBK?|UTF|2022|18030|[0-9]{1,3}(?![0-9])|[ _\\\0-])*\Z")
_LATIN_1: Final = b"ISO_IR 100"  # as which text of unknown character sets is read
_CLOCK: Final = re.compile(r"[0-9]{2}:?([0-9]{2}:?([0-9]{2}(\.[0-9]{1,6})?)?)?\Z")
_NUMBERS: Final = re.compile(rb"(?:[ ]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ ]*(?:\\|\0?\Z))*\Z")
_SIGNS_OF_NUMBERS: Final = b"0123456789+-.eE \\\0"
_CONTROLS: Final = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # ESC calls character sets
_FEW: Final = 64  # bytes
_BLANKS: Final = dict.fromkeys(map(ord, "\t\n\f\r"))
_LONG_ENOUGH: Final = 6  # digits of an ID that is no measured value by chance

_DUMMIES: Final[Mapping[bytes, bytes]] = {
    b"AS": b"001Y",
    b"DA": b"19000101",
    b"DS": b"0",
    b"DT": b"19000101000000",
    b"IS": b"0",
    b"TM": b"000000",
    b"UR": b"urn:removed",
    **dict.fromkeys((b"AT", b"FL", b"OF", b"OL", b"SL", b"UL"), bytes(4)),
    **dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), bytes(8)),
    **dict.fromkeys((b"OB", b"OW", b"SS", b"UN", b"US"), bytes(2)),
}
_DUMMY_TEXT: Final = b"REMOVED"


_UTF_8: Final = Charset.of(b"ISO_IR 192")


class Gone:
    """An element that is not there any more."""


GONE: Final = Gone()
New = Union[bytes, Gone, None]  # another value, no element, or as it was


@dataclass(frozen=True)
class Subject:
    """Everything of one patient that rewriting needs.

    Parameters
    ----------
    code
        What stands for PatientID and PatientName.
    days
        By how much dates move.
    scrubber
        What takes the patient's strings out of text.
    last_day
        The last day on which an object of the patient was made, which tells how old the patient has become.
    """

    code: str
    days: int
    scrubber: Scrubber
    last_day: str = ""


@dataclass
class Told:
    """What was done to one object: how often each action met each attribute, and text that may need a look."""

    actions: Counter[tuple[int, str]] = field(default_factory=Counter)
    warnings: list[tuple[int, str]] = field(default_factory=list)


class Values:
    """Decides about the values of one object."""

    def __init__(self, subject: Subject, key: Key, profile: Profile, study_date: str) -> None:
        self.told = Told()
        self._subject, self._key, self._profile = subject, key, profile
        self._study_date = study_date
        self._moves = profile.dates == "shift"
        self._keeps_uids = UIDS in profile.options

    def new(self, action: Action, tag: int, vr: bytes, raw: bytes, charset: Charset, in_dummy: bool = False) -> New:
        """What becomes of a value that is no sequence, and a note of it."""
        if tag == CHARACTER_SET:
            return None if _CHARACTER_SETS.match(raw) else _LATIN_1
        if vr == b"UN" and raw and not (action is Action.KEEP or tag >> 16 & 1 or _is_text(raw, charset)):
            action = Action.REMOVE  # nobody can look through it; of private elements the profile has said so
        done, new = self._decided(action, tag, vr, raw, charset, in_dummy)
        if new is not None and new != raw:
            self.told.actions[tag, done.name] += 1
        return new

    def _decided(
        self, action: Action, tag: int, vr: bytes, raw: bytes, charset: Charset, in_dummy: bool
    ) -> tuple[Action, New]:
        """What is really done, which may be milder than what was asked for, and what comes of it."""
        if action is Action.REPLACE:
            return action, charset.encode(self._profile.replacements[tag])
        if action is Action.REMOVE:
            return action, GONE
        if tag in (NAME, PATIENT_ID):
            return Action.DUMMY, self._subject.code.encode("ascii")
        if not raw:
            return action, None  # of nothing there is nothing to clean; an empty attribute stays one
        if action is Action.EMPTY:
            return action, b""
        if action is Action.UID:
            return action, self._mapped(raw)
        if action is Action.DUMMY or (in_dummy and vr in TEXT and vr != b"CS"):
            return Action.DUMMY, self._mapped(raw) if vr == b"UI" else _DUMMIES.get(vr, _DUMMY_TEXT)
        if action is Action.KEEP and vr in TIMES:
            return action, self._as_it_was(vr, raw)
        if vr == b"UI" and not (self._keeps_uids or tag in OF_KINDS):
            return Action.UID, self._mapped(raw)  # what the table does not list may refer to what it lists
        return Action.CLEAN, self._cleaned(tag, vr, raw, charset)

    def _cleaned(self, tag: int, vr: bytes, raw: bytes, charset: Charset) -> New:
        """A value that stays, without what identifies in it."""
        if vr in TEXT:
            return self._text(tag, vr, raw, charset)
        if vr in TIMES:
            return self._time(tag, vr, raw)
        if vr == b"AS":
            day, last_day = self._study_date, self._subject.last_day
            return _each(raw, lambda age: capped_age(age, day, last_day)) or GONE
        if vr == b"UI":
            new = self._mapped(raw)
            return new if new != raw.rstrip(b" \0") and self._subject.scrubber.in_bytes(raw) else None
        if vr in (b"DS", b"IS"):
            return self._number(raw)
        if vr in (b"OB", b"UN") and _is_text(raw, charset):
            read = self._text(tag, vr, raw, charset)
            return GONE if self._subject.scrubber.in_bytes(read if isinstance(read, bytes) else raw) else read
        return GONE if self._subject.scrubber.in_bytes(raw) else None

    def _number(self, raw: bytes) -> New:
        """Numbers in digits: what is none, or is the very ID of the patient, goes."""
        is_suspicious = any(number in raw for number in self._subject.scrubber.long_numbers)
        if not is_suspicious and (len(raw) <= _FEW or not raw.translate(None, _SIGNS_OF_NUMBERS)):
            if len(raw) > _FEW or _NUMBERS.match(raw):  # a contour has thousands, which are not looked at one by one
                return None

        def same(value: str) -> Optional[str]:
            is_id = len(value) >= _LONG_ENOUGH and not self._subject.scrubber.text(value)
            return value if _NUMBERS.match(value.encode("latin-1")) and not is_id else None

        changed = _each(raw, same)
        return None if changed.split(b"\\") == [one.strip(b" \0") for one in raw.split(b"\\")] else changed

    def _text(self, tag: int, vr: bytes, raw: bytes, charset: Charset) -> New:
        text, scrubber = charset.decode(raw, vr), self._subject.scrubber
        is_strict = self._profile.dates != "keep"
        if vr == b"CS":
            cleaned = scrubber.coded(text, strict=is_strict)
        elif vr == b"PN":
            return None if text.strip(" \0") == self._subject.code else _DUMMY_TEXT
        else:
            cleaned = scrubber.text(text, strict=is_strict, uid=self._key.uid)
            if scrubber.looks_like_a_name(cleaned):
                self.told.warnings.append((tag, cleaned))
        new: New = None
        if cleaned != text:
            if not cleaned.strip():
                return GONE if vr in (b"OB", b"UN") else _DUMMY_TEXT
            new = raw = charset.encode(cleaned)
        if raw.isascii() or charset is _UTF_8:
            return new
        again = self._misdeclared(tag, vr, raw)
        return new if again is None else again

    def _misdeclared(self, tag: int, vr: bytes, raw: bytes) -> New:
        """Text that is UTF-8, whatever its character set says: some systems write it so, and every reader shows it."""
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return self._text(tag, vr, raw, _UTF_8)

    def _time(self, tag: int, vr: bytes, raw: bytes) -> New:
        if self._profile.dates == "keep":
            return self._as_it_was(vr, raw)
        if not self._moves:
            return _DUMMIES[vr]
        if vr == b"TM":  # days move, hours stay
            return None if _are_times(vr, raw) else b""
        days = self._subject.days
        if tag == _BIRTH_DATE and is_over_89(raw.decode("latin-1"), self._subject.last_day):
            return b""
        if vr == b"DA":
            return _each(raw, lambda value: moved_date(value, days))
        return _each(raw, lambda value: moved_moment(value, days))

    def _as_it_was(self, vr: bytes, raw: bytes) -> New:
        """A date or time that is kept; what is none, and holds a name, goes."""
        return GONE if not _are_times(vr, raw) and self._subject.scrubber.in_bytes(raw) else None

    def _mapped(self, raw: bytes) -> bytes:
        if b"\\" in raw:
            return _each(raw, self._key.uid)
        value = raw.decode("latin-1").strip(" \0")  # most of them, by far: structure sets refer to every slice
        return self._key.uid(value).encode("ascii") if value else b""


def _is_text(raw: bytes, charset: Charset) -> bool:
    """Whether bytes of which nobody says what they are can be read."""
    if _CONTROLS.search(raw.rstrip(b"\0")):
        return False
    return raw.isascii() or any(
        one.decode(raw.rstrip(b"\0"), b"UT").translate(_BLANKS).isprintable() for one in (charset, _UTF_8)
    )


def _each(raw: bytes, change: Callable[[str], Optional[str]]) -> bytes:
    """Each value of a multi-valued attribute changed; one that is not what it should be becomes empty."""
    values = raw.decode("latin-1").rstrip(" \0").split("\\")
    changed = [change(value.strip(" \0")) or "" if value.strip(" \0") else "" for value in values]
    return "\\".join(changed).encode("ascii")


def _are_times(vr: bytes, raw: bytes) -> bool:
    """Whether each value is what its VR says."""
    values = (one.strip(" \0") for one in raw.decode("latin-1").split("\\"))
    return all(_CLOCK.match(one) if vr == b"TM" else moved_moment(one, 0) for one in values if one)
