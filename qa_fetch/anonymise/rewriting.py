"""An encoded data set written anew without what identifies; what is not touched is copied as it is."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

from ..errors import BadArchive
from ..part10 import DEFLATED, Buffer, Element
from ..part10.encoding import (
    CUT_SHORT,
    DEEPEST,
    GARBLED,
    IMPLICIT_LITTLE_ENCODING,
    LONG_VRS,
    TOO_DEEP,
    UNDEFINED,
    Broken,
    Encoding,
)
from .charset import Charset
from .dictionary import meant, vr_of
from .keyed import Key
from .profile import Profile
from .table import BLANKED_CODE, Action
from .values import CHARACTER_SET, NAME, PATIENT_ID, Gone, Subject, Told, Values

_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_PIXEL_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OV"))
# The names of what is measured, and its units: without them a number in a report is none.
_CONCEPTS = frozenset((0x0040A043, 0x004008EA))
_NOBODY: tuple[str, Buffer] = ("", b"")
_REMOVE = Action.REMOVE.name
_LONGITUDINAL = {"shift": b"MODIFIED", "remove": b"REMOVED", "keep": b"UNMODIFIED"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_BEGINS_ITEM = b"\xfe\xff\x00\xe0"  # in an element of VR UN, which is little-endian wherever it stands
_Parts = list[Buffer]


@dataclass(frozen=True)
class _Place:
    """Where in a data set the walk is, as far as everything below depends on it."""

    encoding: Encoding
    charset: Charset
    rules: Mapping[int, Action]
    depth: int = 0
    dummy: bool = False  # below a sequence whose content is replaced


class Rewriter:
    """Writes one data set anew.

    Parameters
    ----------
    subject, key, profile
        Whose it is, by which key, and what is to happen.
    sop_class
        What it is, which decides among the actions that the standard allows.
    study_date
        When it was made, for the age of who is older than 89.
    pixels
        What stands instead of its pixels, where regions of them were made black.
    """

    def __init__(
        self,
        subject: Subject,
        key: Key,
        profile: Profile,
        *,
        sop_class: str,
        study_date: str = "",
        pixels: Optional[bytes] = None,
    ) -> None:
        self._values = Values(subject, key, profile, study_date)
        self._subject, self._profile, self._pixels = subject, profile, pixels
        self._rules = profile.rules(sop_class)
        self._view = memoryview(b"")

    @property
    def told(self) -> Told:
        """What was done."""
        return self._values.told

    def rewritten(self, data: Buffer, transfer_syntax: str, top: Sequence[Element]) -> list[Buffer]:
        """The pieces of the data set anew; BadArchive where it is cut short or garbled.

        Parameters
        ----------
        data, transfer_syntax
            The data set, which is not deflated.
        top
            The elements of its top level.
        """
        if transfer_syntax == DEFLATED:
            raise ValueError("a deflated data set has to be unpacked first")
        self._view = memoryview(data)
        try:
            parts = self._whole(Encoding.of(transfer_syntax), top)
        except struct.error:
            raise BadArchive(f"a data set {CUT_SHORT}") from None
        except Broken as broken:
            raise BadArchive(f"a data set {broken}") from None
        actions = self.told.actions
        for tag in (NAME, PATIENT_ID):  # that the source's went first is no matter
            actions[tag, Action.DUMMY.name] += 1
            del actions[tag, _REMOVE]
        return parts

    def _whole(self, encoding: Encoding, top: Sequence[Element]) -> _Parts:
        """The stretches between our own elements, and these."""
        own = self._own(encoding)
        named = next((bytes(self._view[one.value : one.end]) for one in top if one.tag == CHARACTER_SET), b"")
        place = _Place(encoding, Charset.of(named), {**self._rules, **dict.fromkeys(own, Action.REMOVE)})
        parts: _Parts = []
        at, end = 0, len(self._view)
        for tag, element in own.items():
            stop = next((one.start for one in top if one.tag >= tag and one.start >= at), end)
            _, new = self._elements(at, stop, place)
            parts += (*(new or (self._view[at:stop],)), element)
            at = stop
        _, new = self._elements(at, end, place)
        return [*parts, *(new or (self._view[at:],))]

    def _own(self, encoding: Encoding) -> dict[int, bytes]:
        """What every output holds, whatever the source says, in the order of tags."""
        profile, code = self._profile, self._subject.code.encode("ascii")
        codes = [*profile.codes, *([BLANKED_CODE] if self._pixels is not None else [])]
        items = b"".join(
            encoding.element(
                _ITEM,
                b"",
                encoding.element(0x00080100, b"SH", value.encode("ascii"))
                + encoding.element(0x00080102, b"SH", b"DCM")
                + encoding.element(0x00080104, b"LO", meaning.encode("ascii")),
            )
            for value, meaning in codes
        )
        values = [
            (NAME, b"PN", code),
            (PATIENT_ID, b"LO", code),
            (0x00120062, b"CS", b"YES"),
            (0x00120063, b"LO", profile.method.encode("ascii")),
            (0x00120064, b"SQ", items),
            *([(0x00280301, b"CS", b"NO")] if self._pixels is not None else []),
            (0x00280303, b"CS", _LONGITUDINAL[profile.dates]),
        ]
        return {
            tag: encoding.element(tag, vr, value)
            for tag, vr, value in values
            if self._rules.get(tag) is not Action.REPLACE
        }

    def _elements(self, at: int, end: int, place: _Place, *, open_ended: bool = False) -> tuple[int, Optional[_Parts]]:
        """The elements from ``at`` to ``end``, or to their item's delimiter: where they end, and what they become.

        None where nothing changes, which is so for most items of a structure set.
        """
        view, rules, encoding = self._view, place.rules, place.encoding
        explicit, head, long = encoding.explicit, encoding.head.unpack_from, encoding.long.unpack_from
        parts: _Parts = []
        kept = at  # from here on everything is copied as it is
        new: Optional[_Parts]
        while at < end:
            group, number, vr, length = head(view, at)
            tag = group << 16 | number
            value = at + 8
            if not explicit or group == 0xFFFE:
                if open_ended and tag == _ITEM_END:
                    break
                length, vr = long(view, at + 4)[0], vr_of(tag)
            elif vr in LONG_VRS:
                value, length = at + 12, long(view, at + 8)[0]
            if group & 1 and group > 8:
                after, new = self._private_group(at, end, place)
            else:
                after, new = self._element(rules.get(tag), tag, vr, value, length, place)
            if after > end:
                raise Broken(CUT_SHORT)
            if new is not None:
                parts += (view[kept:at], *new)
                kept = after
            if tag == CHARACTER_SET:
                place = replace(place, charset=Charset.of(bytes(view[value:after])))
            at = after
        if open_ended and at >= end:
            raise Broken(CUT_SHORT)
        return at, [*parts, view[kept:at]] if parts else None

    def _element(
        self, action: Optional[Action], tag: int, vr: bytes, value: int, length: int, place: _Place
    ) -> tuple[int, Optional[_Parts]]:
        """Where an element ends and what it becomes with its header; None where it stays, nothing where it goes."""
        encoding = place.encoding
        known = meant(tag, vr)
        if action is None:
            action = self._unlisted(tag, known)
        if known == b"SQ" or (length == UNDEFINED and known == vr == b"UN"):
            return self._sequence(action, tag, vr, value, length, place)
        if known == vr == b"UN" and self._view[value : value + 4] == _BEGINS_ITEM:
            return self._likely_sequence(action, tag, value, length, place)
        after = self._end_of_fragments(value, encoding) if length == UNDEFINED else value + length
        if after > len(self._view):
            raise Broken(CUT_SHORT)
        if tag in _PIXELS and place.depth == 0 and (known if vr == b"UN" else vr) in _PIXEL_VRS:
            return after, self._replaced_pixels(tag, vr, encoding)
        if length == UNDEFINED:
            return after, self._gone(tag)  # fragments of what is no image: nothing that anybody could look through
        new = self._values.new(action, tag, known, bytes(self._view[value:after]), place.charset, place.dummy)
        if new is None:
            return after, None
        return after, [] if isinstance(new, Gone) else [encoding.element(tag, vr, new)]

    def _unlisted(self, tag: int, vr: bytes) -> Action:
        """What happens to an attribute that neither the standard's table nor the profile names."""
        if tag & 0xFFFF == 0:
            return Action.REMOVE  # the length of a group, which is another one now
        repeating = self._profile.repeating(tag) if tag >> 24 in (0x50, 0x60) else None
        return repeating or (Action.DUMMY if vr == b"PN" else Action.CLEAN)

    def _gone(self, tag: int) -> _Parts:
        self.told.actions[tag, _REMOVE] += 1
        return []

    def _replaced_pixels(self, tag: int, vr: bytes, encoding: Encoding) -> Optional[_Parts]:
        if self._pixels is None or tag != 0x7FE00010:
            return None
        self.told.actions[tag, Action.CLEAN.name] += 1
        return [encoding.header(tag, vr, len(self._pixels)), self._pixels]

    def _end_of_fragments(self, at: int, encoding: Encoding) -> int:
        """Where encapsulated pixels end."""
        while True:
            group, number, _, _ = encoding.head.unpack_from(self._view, at)
            length = encoding.long.unpack_from(self._view, at + 4)[0]
            at += 8
            if group << 16 | number == _SEQUENCE_END:
                return at
            if group << 16 | number != _ITEM or length == UNDEFINED:
                raise Broken(GARBLED)
            at += length

    def _sequence(
        self, action: Action, tag: int, vr: bytes, value: int, length: int, place: _Place
    ) -> tuple[int, Optional[_Parts]]:
        """Where a sequence ends and what it becomes: its items rewritten, none, or nothing at all."""
        # An element of VR UN holds implicit little-endian items (PS3.5 6.2.2).
        inner = IMPLICIT_LITTLE_ENCODING if vr == b"UN" and place.encoding.explicit else place.encoding
        dummy = (place.dummy or action is Action.DUMMY) and tag not in _CONCEPTS
        below = _Place(inner, place.charset, self._rules, place.depth + 1, dummy)
        if action in (Action.REMOVE, Action.EMPTY, Action.REPLACE):
            after = self._skipped(value, length, below)
            if action is Action.REMOVE:
                return after, self._gone(tag)
            self.told.actions[tag, Action.EMPTY.name] += 1
            return after, [place.encoding.header(tag, vr, 0)]
        after, parts = self._items(value, length, below)
        if action is Action.DUMMY:
            self.told.actions[tag, Action.DUMMY.name] += 1
        if parts is None:
            return after, None
        return after, [place.encoding.header(tag, vr, _length(length, parts)), *parts]

    def _likely_sequence(
        self, action: Action, tag: int, value: int, length: int, place: _Place
    ) -> tuple[int, Optional[_Parts]]:
        """What begins like a sequence whose VR got lost; where it is none, it goes: nobody could look through it."""
        try:
            return self._sequence(action, tag, b"UN", value, length, place)
        except (Broken, struct.error):
            return value + length, self._gone(tag)

    def _skipped(self, value: int, length: int, place: _Place) -> int:
        """Where a sequence ends of which nothing is kept; what is in it is not told."""
        if length != UNDEFINED:
            return value + length
        self._values.told, told = Told(), self._values.told
        after, _ = self._items(value, length, place)
        self._values.told = told
        return after

    def _items(self, at: int, length: int, place: _Place) -> tuple[int, Optional[_Parts]]:
        """The items of a sequence, with its delimiter where it has one."""
        if place.depth > DEEPEST:
            raise Broken(TOO_DEEP)
        view, encoding = self._view, place.encoding
        end = len(view) if length == UNDEFINED else at + length
        if end > len(view):
            raise Broken(CUT_SHORT)
        parts: _Parts = []
        kept = at
        while at < end:
            group, number, _, _ = encoding.head.unpack_from(view, at)
            size, start = encoding.long.unpack_from(view, at + 4)[0], at + 8
            tag = group << 16 | number
            if tag == _SEQUENCE_END and length == UNDEFINED:
                return start, [*parts, view[kept:start]] if parts else None
            if tag != _ITEM:
                raise Broken(GARBLED)
            if size == UNDEFINED:
                after, new = self._elements(start, end, place, open_ended=True)
            else:
                after, new = self._elements(start, start + size, place)
            if after > end:
                raise Broken(CUT_SHORT)
            if new is not None:
                parts += (view[kept:at], encoding.header(_ITEM, b"", _length(size, new)), *new)
                kept = after
            at = after + 8 if size == UNDEFINED else after
        if length == UNDEFINED:
            raise Broken(CUT_SHORT)
        return at, [*parts, view[kept:at]] if parts else None

    def _private_group(self, at: int, end: int, place: _Place) -> tuple[int, _Parts]:
        """The private elements of one group; creators are written only where something of theirs is kept."""
        begun = self._view[at : at + 2]
        creators: dict[int, tuple[str, Buffer]] = {}
        used: set[int] = set()
        kept: _Parts = []
        while at < end and self._view[at : at + 2] == begun:
            tag, vr, value, length = self._header(at, place.encoding)
            number = tag & 0xFFFF
            if 0x10 <= number <= 0xFF and length != UNDEFINED:
                after = value + length
                name = bytes(self._view[value:after]).decode("latin-1").strip(" \0")
                creators[number] = (name, self._view[at:after])
            else:
                creator = creators.get(number >> 8, _NOBODY)[0]
                after, new = self._private(creator, at, tag, vr, value, length, place)
                kept += new
                if new:
                    used.add(number >> 8)
            if after > end:
                raise Broken(CUT_SHORT)
            at = after
        return at, [*(creators[block][1] for block in sorted(used)), *kept]

    def _header(self, at: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
        """Tag, VR, where the value begins and how long it says it is."""
        group, number, vr, length = encoding.head.unpack_from(self._view, at)
        tag = group << 16 | number
        if not encoding.explicit:
            return tag, vr_of(tag), at + 8, encoding.long.unpack_from(self._view, at + 4)[0]
        if vr in LONG_VRS:
            return tag, vr, at + 12, encoding.long.unpack_from(self._view, at + 8)[0]
        return tag, vr, at + 8, length

    def _private(
        self, creator: str, at: int, tag: int, vr: bytes, value: int, length: int, place: _Place
    ) -> tuple[int, _Parts]:
        """Where a private element ends and what is kept of it: nothing, unless the profile says so."""
        rule = self._profile.private(creator, tag & 0xFFFF00FF) if creator else None
        if rule is None or rule[0] is Action.REMOVE:
            if length != UNDEFINED:
                return value + length, self._gone(tag)
            after, _ = self._element(Action.REMOVE, tag, vr, value, length, place)
            return after, []
        known = rule[1] if rule[1] and vr == b"UN" else meant(tag, vr)
        after, new = self._kept_private(rule[0], tag, vr, known, value, length, place)
        return after, [self._view[at:after]] if new is None else new

    def _kept_private(
        self, action: Action, tag: int, vr: bytes, known: bytes, value: int, length: int, place: _Place
    ) -> tuple[int, Optional[_Parts]]:
        """A private element that the profile keeps: cleaned all the same."""
        if known == b"SQ" or length == UNDEFINED:
            return self._sequence(Action.CLEAN, tag, vr, value, length, place)
        if known == vr == b"UN" and self._view[value : value + 4] == _BEGINS_ITEM:
            return self._likely_sequence(action, tag, value, length, place)
        after = value + length
        if after > len(self._view):
            raise Broken(CUT_SHORT)
        raw = bytes(self._view[value:after])
        new = self._values.new(action, tag, known, raw, place.charset)
        if new is None:
            return after, None
        return after, [] if isinstance(new, Gone) else [place.encoding.element(tag, vr, new)]


def _length(size: int, parts: _Parts) -> int:
    return UNDEFINED if size == UNDEFINED else sum(map(len, parts))
