"""Text of a data set from its bytes and back, by its SpecificCharacterSet."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Optional

# Defined terms by their number alone, since many are misspelt ("ISO-IR 100", "ISO_IR_100", "ISO IR 100").
CODECS: Final = {
    "6": "utf_8",  # the default: ASCII; whoever breaks that rule writes UTF-8 or Latin-1 (which is escaped)
    "13": "shift_jis",
    "58": "gb2312",
    "87": "iso2022_jp",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "tis_620",
    "192": "utf_8",
    "203": "iso8859_15",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "GB2312": "gbk",
    "UTF8": "utf_8",
    "LATIN1": "latin_1",
    "ISO88591": "latin_1",
}
_ESCAPES: Final = {  # PS3.3 C.12.1.1.2: the escape that calls a set, by the codec that reads it
    "latin_1": b"\x1b-A",
    "iso8859_2": b"\x1b-B",
    "iso8859_3": b"\x1b-C",
    "iso8859_4": b"\x1b-D",
    "iso8859_5": b"\x1b-L",
    "iso8859_6": b"\x1b-G",
    "iso8859_7": b"\x1b-F",
    "iso8859_8": b"\x1b-H",
    "iso8859_9": b"\x1b-M",
    "iso8859_15": b"\x1b-b",
    "tis_620": b"\x1b-T",
    "shift_jis": b"\x1b)I",
    "iso2022_jp": b"\x1b$B",
    "iso2022_jp_2": b"\x1b$(D",
    "euc_kr": b"\x1b$)C",
    "gb2312": b"\x1b$)A",
}
_CALLED: Final = {escape: codec for codec, escape in _ESCAPES.items()}
_ESCAPE = re.compile(rb"(\x1b(?:-[ABCDFGHLMTb]|\([BJ]|\)I|\$B|\$\(D|\$\)[AC]))")
_IN_PLACE_OF_ASCII: Final = frozenset(("iso2022_jp", "iso2022_jp_2"))  # sets of pairs in G0: there is no ASCII beside
_TO_ASCII: Final = (b"\x1b(B", b"\x1b(J")
_ENDS_NAMES = re.compile(rb"[\\^=\r\n\t\f]")
_ENDS_VALUES = re.compile(rb"[\\\r\n\t\f]")
_ENDS_LINES = re.compile(rb"[\r\n\t\f]")
_ONE_VALUE: Final = frozenset((b"LT", b"ST", b"UT"))
_ANY_ENDS: Final = frozenset("\\^=\r\n\t\f")


_AS_THEY_ARE = "qa_fetch.as_they_are"


def _as_they_are(error: UnicodeError) -> tuple[str, int]:
    """Like surrogateescape, which raises where bytes below 0x80 make no letter of a set of two bytes each."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(
        chr(byte + 0xDC00 if byte > 127 else byte) for byte in error.object[error.start : error.end]
    ), error.end


codecs.register_error(_AS_THEY_ARE, _as_they_are)


@dataclass(frozen=True)
class Charset:
    """One SpecificCharacterSet: the codec that values begin in, and those that escapes may call.

    Bytes that are none of the set's become lone surrogates, as in ``os.fsdecode``: they come back as they were.
    """

    codec: str
    called: tuple[str, ...] = ()

    @staticmethod
    def of(value: bytes) -> Charset:
        """The charset of the raw value of (0008,0005); the default one where it is empty or unknown."""
        return _charset(bytes(value))

    def decode(self, value: bytes, vr: bytes = b"LO") -> str:
        """A raw value as text; ASCII is told apart at once, since almost all values are."""
        if b"\x1b" in value:
            return "".join(self._parts(value, vr))
        if value.isascii():
            return value.decode("ascii")
        return value.decode(self.codec, _AS_THEY_ARE)

    def _parts(self, value: bytes, vr: bytes) -> Iterator[str]:
        ends = _ENDS_NAMES if vr == b"PN" else _ENDS_LINES if vr in _ONE_VALUE else _ENDS_VALUES
        codec = self.codec
        for part in _ESCAPE.split(value):
            if part in _TO_ASCII:
                # Only G0 goes back to ASCII; what was called into G1 stays there.
                codec = self.codec if codec in _IN_PLACE_OF_ASCII else codec
            elif part in _CALLED:
                codec = _CALLED[part]
            elif codec in _IN_PLACE_OF_ASCII:
                yield (_ESCAPES[codec] + part).decode(codec, _AS_THEY_ARE)
            else:
                end = ends.search(part)
                # Behind a delimiter the first set is in force again. If it is ASCII only, a writer forgot the escape.
                cut = end.start() if end and self.codec != "utf_8" else len(part)
                yield part[:cut].decode(codec, _AS_THEY_ARE)
                yield part[cut:].decode(self.codec, _AS_THEY_ARE)
                codec = codec if cut == len(part) else self.codec

    def encode(self, text: str) -> bytes:
        """Text as a raw value; what the set does not have becomes a question mark."""
        if text.isascii():
            return text.encode("ascii")
        if self.called:
            return b"".join(self._encoded(text))
        try:
            return text.encode(self.codec, "surrogateescape")
        except UnicodeEncodeError:
            return b"".join(_in(self.codec, letter) or b"?" for letter in text)

    def _encoded(self, text: str) -> Iterator[bytes]:
        current: Optional[str] = self.codec
        for letter in text:
            if letter.isascii():
                if current in _IN_PLACE_OF_ASCII:
                    yield _TO_ASCII[self.codec == "shift_jis"]
                    current = None
                elif letter in _ANY_ENDS and current != self.codec:
                    current = None  # whether a set is still in force behind a delimiter depends on the VR
                yield letter.encode("ascii")
                continue
            codec, raw = self._best(letter, current)
            if codec != current and raw != b"?":
                if current in _IN_PLACE_OF_ASCII and codec not in _IN_PLACE_OF_ASCII:
                    yield _TO_ASCII[self.codec == "shift_jis"]
                yield _ESCAPES.get(codec, b"")
                current = codec
            elif raw == b"?" and current in _IN_PLACE_OF_ASCII:
                yield _TO_ASCII[self.codec == "shift_jis"]
                current = None
            yield raw
        if current in _IN_PLACE_OF_ASCII:
            yield _TO_ASCII[self.codec == "shift_jis"]

    def _best(self, letter: str, current: Optional[str]) -> tuple[str, bytes]:
        """The set that has a letter, the one in force if it can be, and the letter's bytes in it."""
        ascii_only = self.codec == "utf_8"
        codecs = (*((current,) if current else ()), *(() if ascii_only else (self.codec,)), *self.called)
        for codec in codecs:
            if codec == "utf_8":  # the default set: only bytes that were no text go back as they were
                raw = bytes([ord(letter) - 0xDC00]) if 0xDC80 <= ord(letter) <= 0xDCFF else None
            else:
                raw = _in(codec, letter)
            if raw:
                return codec, raw
        return self.codec, b"?"


@lru_cache(maxsize=4096)
def _in(codec: str, letter: str) -> Optional[bytes]:
    """One letter's bytes in a set without its escapes; None where the set does not have it."""
    try:
        raw = letter.encode(codec, "surrogateescape")
    except UnicodeEncodeError:
        return None
    if codec in _IN_PLACE_OF_ASCII:
        escape = _ESCAPES[codec]
        return raw[len(escape) : -3] if raw.startswith(escape) and raw.endswith(b"\x1b(B") else None
    if codec == "shift_jis" and len(raw) > 1:
        return None  # JIS X 0201 has Katakana only
    return raw


@lru_cache(maxsize=64)
def _charset(value: bytes) -> Charset:
    terms = [_codec(term) for term in value.strip(b" \0").split(b"\\")]
    first = terms[0] or "utf_8"
    if first in _IN_PLACE_OF_ASCII or first in ("euc_kr", "gb2312"):
        # Sets that only escapes can call; written alone, they are meant beside ASCII.
        return Charset("utf_8", tuple(term for term in terms if term))
    called = tuple(dict.fromkeys(term for term in terms[1:] if term and term in _ESCAPES))
    return Charset(first, called)


def _codec(term: bytes) -> Optional[str]:
    name = re.sub(r"[^A-Z0-9]", "", term.decode("latin-1").upper())
    return CODECS.get(re.sub(r"^(ISO2022|ISO)?IR", "", name))
