"""The first sheet of an Excel workbook as text, read piece by piece and without trust."""

from __future__ import annotations

import errno
import posixpath
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Callable, Union
from xml.parsers import expat

from ..errors import ConfigError
from .cells import Moment

_PIECE = 1 << 18
_LARGEST_PART = 8 << 20  # bytes of what describes the workbook
_LARGEST_SHEET = 1 << 30  # bytes; the cells of one row at a time are kept
_LARGEST_TEXTS = 256 << 20  # bytes of the texts that cells share, which have to be kept
_LONGEST = 32_768  # characters; Excel itself stops one short of it
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))  # built-in number formats
_NO_LETTERS_OF_A_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')  # literal text, colours, padding
_LAST_COLUMN = 16_383
_NAMED_COLUMNS = 1_024  # more have no name that a query file may have
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,  # a member with a password
    ValueError,
    OverflowError,
    OSError,  # EINVAL: a place that lies before the file
)

Handler = Callable[[str, dict[str, str]], None]


class _TooLarge(Exception):
    """A part unpacks to more than any query file needs."""


class Workbook:
    """An ``.xlsx`` file; ``notes`` and ``mistakes`` (a line and a text) are complete once its rows were read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.mistakes: list[tuple[int, str]] = []

    def rows(self) -> Iterator[tuple[int, dict[int, str]]]:
        """Where each row stands that is not empty, and its cells that are not, by their position."""
        try:
            with zipfile.ZipFile(self.path) as parts:
                yield from self._rows(parts)
        except _TooLarge:
            raise ConfigError(f"{self.path} is too large for a query file. Save its first sheet as CSV.") from None
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise ConfigError(f"{self.path} cannot be read as an Excel workbook. Save it again, or as CSV.") from None

    def _rows(self, parts: zipfile.ZipFile) -> Iterator[tuple[int, dict[int, str]]]:
        contents = _Contents(parts)
        if contents.others:
            self.notes.append("Only the first sheet of the workbook was read.")
        reader = _Sheet(_shared_texts(parts, contents), _formats(parts, contents), contents.since_1904)
        for _ in _parse(parts, contents.sheet, reader.begin, reader.end, reader.text.add, _LARGEST_SHEET):
            yield from reader.taken()
        if reader.hidden:
            self.notes.append(f"{reader.hidden} of its rows are hidden in the sheet and count all the same.")
        self.mistakes += [
            (line, "its cells are merged with those of other rows; unmerge them and fill in each row")
            for line in sorted(reader.merged)
        ]


class _Texts:
    """The texts that cells share, as one block of memory."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._ends = array("Q", [0])

    def append(self, text: str) -> None:
        self._block += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._block))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError
        return self._block[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogatepass")


class _Text:
    """The text of one cell, from the elements that it is said to be in; cut where Excel allows no more."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.within = self._phonetic = False

    def begin(self, name: str) -> None:
        if name == "rPh":
            self._phonetic = True  # how it is pronounced
        elif name in ("v", "t") and not self._phonetic:
            self.within = True

    def add(self, piece: str) -> None:
        if self.within and self._length < _LONGEST:
            self._pieces.append(piece)
            self._length += len(piece)

    def end(self, name: str) -> None:
        self.within = False
        if name == "rPh":
            self._phonetic = False

    def __str__(self) -> str:
        return "".join(self._pieces)[:_LONGEST]


class _Sheet:
    """Takes the events of a sheet's XML and makes rows of them."""

    def __init__(self, texts: _Texts, formats: list[Union[str, int]], since_1904: bool) -> None:
        self._texts, self._formats, self._since_1904 = texts, formats, since_1904
        self._done: list[tuple[int, dict[int, str]]] = []
        self._cells: dict[int, str] = {}
        self._line = 0
        self._position = -1
        self._cell: dict[str, str] = {}
        self._formula = self._row_hidden = False
        self.text = _Text()
        self.hidden = 0
        self.merged: set[int] = set()

    def taken(self) -> list[tuple[int, dict[int, str]]]:
        """The rows that are complete; each is given once."""
        done, self._done = self._done, []
        return done

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "row":
            self._line = int(attributes["r"][:9]) if "r" in attributes else self._line + 1
            self._position, self._cells = -1, {}
            self._row_hidden = attributes.get("hidden") in ("1", "true")
        elif name == "c":
            self._position = _position(attributes["r"]) if "r" in attributes else self._position + 1
            if self._position > _LAST_COLUMN:
                raise ValueError
            self._cell, self._formula = attributes, False
            self.text.clear()
        elif name == "f":
            self._formula = True
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        else:
            self.text.begin(name)

    def end(self, name: str) -> None:
        """An element ends."""
        self.text.end(name)
        if name == "c":
            found = self._found()
            if found and not found.isspace():
                self._cells[self._position] = found if self._position < _NAMED_COLUMNS else found[:1]
        elif name == "row" and self._cells:
            self._done.append((self._line, self._cells))
            self.hidden += self._row_hidden

    def _found(self) -> str:
        """What the cell holds, as its reader sees it."""
        sort, raw = self._cell.get("t", "n"), str(self.text)
        if not raw and sort != "str":
            return "#CALC!" if self._formula else ""  # a formula that nobody has calculated; "str" is a text of none
        if sort == "s":
            return self._texts[int(raw)]
        if sort == "b":
            return "TRUE" if raw.strip() == "1" else "FALSE"
        if sort == "d":
            return Moment(raw.strip())
        if sort in ("str", "e", "inlineStr"):
            return _unescaped(raw)
        style = int(self._cell.get("s", "0"))
        shape = self._formats[style] if 0 <= style < len(self._formats) else 0
        return _number(raw, shape, self._since_1904) if raw.strip() else ""

    def _merge(self, cells: str) -> None:
        lines = [int(digits) for digits in re.findall("[0-9]{1,9}", cells)]
        if len(set(lines)) > 1:
            self.merged.add(min(lines))


def _number(raw: str, shape: Union[str, int], since_1904: bool) -> str:
    """A number as text: a date where it is shown as one, without .0, with the zeros before it that are shown."""
    try:
        number = Decimal(raw.strip())
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite() or abs(number.adjusted()) > 400:
        raise ValueError
    if shape == "date":
        return _date(number, since_1904)
    if number != number.to_integral_value():
        return repr(float(number))
    if abs(number) >= 10**15:
        return f"{number:E}"  # Excel keeps 15 digits, so the others are lost: refused as a shortened number
    return str(int(number)).zfill(shape if isinstance(shape, int) else 0)


def _date(number: Decimal, since_1904: bool) -> str:
    """A serial number as ISO writes it: a date, a time of day, or both."""
    days = int(number)
    seconds = round((number - days) * 86400)
    clock = timedelta(seconds=seconds)
    if not 0 <= days < 2958466 or (days == 60 and not since_1904):
        return str(number)  # no day of the calendar: 29 February 1900 never was
    if days == 0 and not since_1904:
        return Moment((datetime.min + clock).time().isoformat())
    first = date(1904, 1, 1) if since_1904 else date(1899, 12, 31) if days < 60 else date(1899, 12, 30)
    moment = datetime.combine(first, datetime.min.time()) + timedelta(days=days) + clock
    return Moment(moment.date().isoformat() if not seconds else moment.isoformat(sep=" "))


def _position(reference: str) -> int:
    """``0`` for ``A7``, ``27`` for ``AB1``."""
    letters = re.match("([A-Z]{1,3})[0-9]{1,9}$", reference)
    if letters is None:
        raise ValueError
    number = 0
    for letter in letters.group(1):
        number = number * 26 + ord(letter) - 64
    return number - 1


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code.group(1), 16)), text)


class _Contents:
    """Where the parts of a workbook lie, and what it says about all of its sheets."""

    def __init__(self, parts: zipfile.ZipFile) -> None:
        self.since_1904 = False
        self._sheets: list[str] = []
        self._targets: dict[str, str] = {}  # by identifier, and by what it is
        _read(parts, "xl/workbook.xml", self._workbook)
        _read(parts, "xl/_rels/workbook.xml.rels", self._relation)
        found = [self._targets[sheet] for sheet in self._sheets if sheet in self._targets]
        self.sheet, self.others = found[0], len(found) > 1
        self.styles, self.texts = self._targets.get("/styles"), self._targets.get("/sharedStrings")

    def _workbook(self, name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr":
            self.since_1904 = attributes.get("date1904") in ("1", "true")
        elif name == "sheet" and attributes.get("state", "visible") == "visible":
            self._sheets.append(attributes["id"])

    def _relation(self, name: str, attributes: dict[str, str]) -> None:
        sort = re.search("/(worksheet|styles|sharedStrings)$", attributes.get("Type", ""))
        if name == "Relationship" and sort:
            # A name inside the workbook, never one on this machine.
            target = posixpath.normpath(posixpath.join("/xl", attributes["Target"])).lstrip("/")
            self._targets[attributes["Id"] if sort.group(1) == "worksheet" else sort.group()] = target


def _formats(parts: zipfile.ZipFile, contents: _Contents) -> list[Union[str, int]]:
    """By a cell's style: "date" where its number is shown as a date or time, else to how many digits it is filled."""
    codes: dict[int, str] = {}
    formats: list[Union[str, int]] = []
    inside = False

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        if name == "numFmt":
            codes[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside = True
        elif name == "cellStyles":
            inside = False
        elif name == "xf" and inside:
            formats.append(shape(int(attributes.get("numFmtId", "0"))))

    def shape(number: int) -> Union[str, int]:
        code = codes.get(number, "")
        if number in _DATES or re.search("[dmyhs]", _NO_LETTERS_OF_A_DATE.sub("", code).lower()):
            return "date"
        return len(code) if re.fullmatch("0{1,64}", code) else 0

    if contents.styles:
        _read(parts, contents.styles, begin)
    return formats


def _shared_texts(parts: zipfile.ZipFile, contents: _Contents) -> _Texts:
    texts, text = _Texts(), _Text()

    def begin(name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            text.clear()
        text.begin(name)

    def end(name: str) -> None:
        text.end(name)
        if name == "si":
            texts.append(_unescaped(str(text)))

    if contents.texts:
        for _ in _parse(parts, contents.texts, begin, end, text.add, _LARGEST_TEXTS):
            continue
    return texts


def _read(parts: zipfile.ZipFile, part: str, begin: Handler) -> None:
    """Go through a small part."""
    for _ in _parse(parts, part, begin, lambda name: None, lambda piece: None, _LARGEST_PART):
        continue


def _parse(
    parts: zipfile.ZipFile,
    part: str,
    begin: Handler,
    end: Callable[[str], None],
    text: Callable[[str], None],
    largest: int,
) -> Iterator[None]:
    """Go through the XML of a part and pause after each piece of it.

    Parameters
    ----------
    parts, part
        The workbook, and what of it.
    begin, end, text
        Called with the names of elements (without their name spaces), their attributes, and their text.
    largest
        How many bytes it may unpack to.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def begins(name: str, attributes: dict[str, str]) -> None:
        begin(name.rpartition(" ")[2], {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    def refuse(*facts: Any) -> None:
        raise ValueError  # no workbook has a document type, and entities come with one

    parser.StartElementHandler = begins
    parser.EndElementHandler = lambda name: end(name.rpartition(" ")[2])
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    if parts.getinfo(part).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError
    read = 0
    with parts.open(part) as unpacked:
        while piece := unpacked.read(_PIECE):
            read += len(piece)
            if read > largest:
                raise _TooLarge
            parser.Parse(piece, False)
            yield
    parser.Parse(b"", True)
    yield
