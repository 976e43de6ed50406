"""Reading a query file: every row is checked, and all mistakes are named at once, before anything is asked."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, Optional, Union

from ..errors import ConfigError
from .columns import NEW_IDS, Column, Wrong, column, value
from .workbook import Workbook

_CHUNK = 65_536  # characters of one line that are looked at; csv itself refuses cells of twice that
_MOST_COLUMNS = 256
_FIRST = 10  # mistakes or repeated rows that a sentence names

Line = tuple[int, dict[int, str]]  # where it stands, and what its cells hold that are not empty


class Row(NamedTuple):
    """What one row asks for: its number among the rows, where it stands, DICOM keyword to value, and its new ID."""

    number: int
    line: int
    keys: dict[str, Union[str, list[str]]]
    new_id: Optional[str] = None


class Mistake(NamedTuple):
    """What is wrong, and where; ``row`` is 0 for the header, and ``column`` is empty for a whole row."""

    row: int
    line: int
    column: str
    text: str

    def __str__(self) -> str:
        place = f"row {self.row} (line {self.line})" if self.row else f"line {self.line}"
        return f"{place}, {self.column}: {self.text}" if self.column else f"{place}: {self.text}"


class Rows(list[Row]):
    """The rows of a query file without those that repeat another, and what the user should know about them."""

    notes: tuple[str, ...] = ()


class Checked:
    """A query file that was found to be without mistakes; going through it reads it again and holds no row."""

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        reading = _Reading(self.path)
        self.count = sum(1 for _ in reading.rows())
        self.notes = reading.finish()

    def __iter__(self) -> Iterator[Row]:
        reading = _Reading(self.path)
        for row in reading.rows():
            if reading.mistakes:
                reading.finish()  # somebody has changed the file since
            yield row
        reading.finish()


def read(path: Union[str, Path]) -> Rows:
    """The rows of a query file (CSV as Excel and others write it, or ``.xlsx``).

    Raises
    ------
    ConfigError
        The file cannot be read, or has mistakes: ``.mistakes`` lists all of them, the text names the first ten.
    """
    reading = _Reading(Path(path))
    rows = Rows(reading.rows())
    rows.notes = reading.finish()
    return rows


class _Reading:
    """One way through a query file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self._notes: list[str] = []
        self._value = lru_cache(maxsize=4096, typed=True)(value)  # days and modalities come again and again
        self._seen: dict[bytes, int] = {}
        self._new_ids: dict[bytes, tuple[str, int]] = {}
        self._owners: dict[bytes, tuple[bytes, int]] = {}
        self._repeats: list[tuple[int, int]] = []
        self._unnamed: set[int] = set()
        self._header_wrong = self._last_names = False

    def rows(self) -> Iterator[Row]:
        """The rows without mistakes; afterwards ``mistakes`` has the others'."""
        try:
            yield from self._rows()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"{self.path} cannot be read ({reason}). Check the path and its permissions.") from None
        except UnicodeError:
            raise ConfigError(f"{self.path} is not the text that it begins as. Save it as CSV UTF-8.") from None

    def finish(self) -> tuple[str, ...]:
        """What the user should know; ConfigError when there are mistakes."""
        if self.mistakes:
            raise ConfigError(_sentence(self.path, self.mistakes), mistakes=tuple(self.mistakes))
        if self._repeats:
            first = [f"row {again} (as row {first})" for again, first in self._repeats[:_FIRST]]
            more = len(self._repeats) - len(first)
            listed = ", ".join(first) + (f" and {more} more" if more else "")
            self._notes.append(f"{len(self._repeats)} of its rows repeat others and are fetched once: {listed}.")
        if self._last_names:
            self._notes.append("PatientName is asked as PACSMAN does, as *DOE; write DOE* to find DOE^JOHN as well.")
        return tuple(self._notes)

    def _rows(self) -> Iterator[Row]:
        lines = self._lines()
        place, names = next(lines, (0, {}))
        if not names:
            raise ConfigError(
                f"{self.path} is empty. Write the names of columns, such as PatientID, into its first line."
            )
        columns = self._columns(place, names)
        number, empty = 0, list[tuple[int, int]]()
        for place, cells in lines:
            number += 1
            if not cells:
                empty.append((number, place))
                continue
            for which, line in empty:  # those at the end of a table say nothing, and Excel likes to write them
                self._wrong(which, line, "", "all its cells are empty; fill in one of them or delete the row")
            empty.clear()
            row = self._row(number, place, cells, columns)
            if row is not None:
                yield row
        if not self.mistakes and number == len(empty):
            raise ConfigError(f"{self.path} has no rows. Write what to fetch below its first line.")

    def _lines(self) -> Iterator[Line]:
        with self.path.open("rb") as file:
            start = file.read(8)
            if start.startswith(b"PK\x03\x04"):
                workbook = Workbook(self.path)
                yield from workbook.rows()
                self._notes += workbook.notes
                for line, reason in workbook.mistakes:
                    self._wrong(0, line, "", reason)
                return
            if start == codecs.decode("d0cf11e0a1b11ae1", "hex"):
                raise ConfigError(f"{self.path} is an old or a locked Excel file. Save it as .xlsx without a password.")
            encoding = _encoding(file)
            file.seek(0)
            if encoding in ("cp1252", "latin-1"):
                self._notes.append("It is not UTF-8 and was read as Windows-1252: check names with accents.")
            with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
                yield from self._parsed(_physical(text))

    def _parsed(self, lines: Iterator[str]) -> Iterator[Line]:
        """The lines of a CSV file, whatever separates its cells."""
        before, header = 0, ""
        for header in lines:
            bare = header.strip().strip('"')
            if bare and not (bare[:4].lower() == "sep=" and len(bare) <= 5):  # Excel's own way to say what separates
                break
            before += 1
        else:
            return
        # A name of a column holds none of these, so the one that is there most often separates.
        delimiter = max(",;\t|", key=header.count)
        reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True)
        while True:
            line = before + reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error:
                text = "its quotes do not match; put a cell that holds quotes into quotes, and double those in it"
                self._wrong(0, line, "", text)
                continue
            if cells is None:
                return
            filled = {position: cell for position, cell in enumerate(cells) if cell and not cell.isspace()}
            if filled or len(cells) > 1:
                yield line, filled

    def _columns(self, line: int, names: dict[int, str]) -> dict[int, Column]:
        """The columns that can be asked for, in alphabetical order, by their position."""
        found: dict[int, Column] = {}
        wrong: list[Mistake] = []
        if len(names) > _MOST_COLUMNS:
            raise ConfigError(f"{self.path} has more than {_MOST_COLUMNS} columns. Keep those that say what to fetch.")
        for position, name in sorted(names.items()):
            try:
                asked = column(name.strip().lstrip("\ufeff"))
            except Wrong as error:
                wrong.append(Mistake(0, line, f"column {position + 1}", str(error)))
                continue
            twice = next((other for other, known in found.items() if known == asked), None)
            if twice is not None:
                text = f"{asked.name} is already column {twice + 1}; keep one of them"
                wrong.append(Mistake(0, line, f"column {position + 1}", text))
                continue
            found[position] = asked
        if not found and not any("did you mean" in mistake.text for mistake in wrong):
            # Perhaps these are somebody's data, so they are not named.
            raise ConfigError(
                f"{self.path} names no columns in its first line. Write names such as StudyDate,PatientID there."
            )
        self.mistakes += wrong
        self._header_wrong = bool(wrong)
        self._unnamed.update(names.keys() - found.keys())
        return dict(sorted(found.items(), key=lambda item: item[1].name))

    def _row(self, number: int, line: int, cells: dict[int, str], columns: dict[int, Column]) -> Optional[Row]:
        """What a row asks for; None when it has a mistake, or repeats another."""
        keys: dict[str, Union[str, list[str]]] = {}
        known = len(self.mistakes)
        self._beyond(number, line, cells, columns)
        for position, asked in columns.items():
            if position not in cells:
                continue
            try:
                found = self._value(asked, cells[position])
            except Wrong as error:
                self._wrong(number, line, asked.name, str(error))
                continue
            keys[asked.name] = list(found) if isinstance(found, tuple) else found
        new_id = keys.pop(NEW_IDS, None)
        if len(self.mistakes) > known:
            return None
        if not keys:
            if not self._header_wrong:  # else what it says may stand under a name that is not known
                self._wrong(number, line, "", "nothing says what to fetch; fill in another cell or delete the row")
            return None
        name = str(keys.get("PatientName", "*"))
        self._last_names |= "^" not in name and not name.endswith("*")
        row = Row(number, line, keys, new_id if isinstance(new_id, str) else None)
        return row if self._agrees(row) and not self._repeated(row) else None

    def _beyond(self, number: int, line: int, cells: dict[int, str], columns: dict[int, Column]) -> None:
        """A value that no column claims is a mistake, said once per column."""
        for position in cells.keys() - columns.keys() - self._unnamed:
            self._unnamed.add(position)
            text = "this cell has a value and its column no name; name it, or quote cells that hold a separator"
            self._wrong(number, line, f"column {position + 1}", text)

    def _agrees(self, row: Row) -> bool:
        """Whether no row before gave the same patient another new ID, or another patient the same one."""
        if row.new_id is None:
            return True
        patient = row.keys.get("PatientID", "*")
        exact = isinstance(patient, str) and not set(patient) & set("*?")
        subject = _digest([("PatientID", patient)] if exact else row.keys.items())
        other, first = self._new_ids.setdefault(subject, (row.new_id, row.number))
        if other != row.new_id:
            self._wrong(row.number, row.line, NEW_IDS, f"row {first} gives the same patient another one; keep one")
            return False
        if not exact:
            return True
        # Letter case does not tell: folders are called after new IDs, and those of Windows do not know it.
        owner, first = self._owners.setdefault(_digest([(NEW_IDS, row.new_id.casefold())]), (subject, row.number))
        if owner != subject:
            text = f"row {first} gives another patient the same one; give each patient one of its own"
            self._wrong(row.number, row.line, NEW_IDS, text)
        return owner == subject

    def _repeated(self, row: Row) -> bool:
        first = self._seen.setdefault(_digest([*row.keys.items(), (NEW_IDS, row.new_id or "")]), row.number)
        if first != row.number:
            self._repeats.append((row.number, first))
        return first != row.number

    def _wrong(self, row: int, line: int, column: str, text: str) -> None:
        self.mistakes.append(Mistake(row, line, column, text))


def _digest(keys: Iterable[tuple[str, Union[str, list[str]]]]) -> bytes:
    """16 bytes that stand for what is asked, since a million rows are not kept to compare them."""
    text = "\0".join(f"{name}\0{asked if isinstance(asked, str) else chr(1).join(asked)}" for name, asked in keys)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def _sentence(path: Path, mistakes: list[Mistake]) -> str:
    if len(mistakes) == 1:
        return f"{path} has a mistake and nothing was asked: {mistakes[0]}. Correct it and run again."
    first = "; ".join(f"[{count}] {mistake}" for count, mistake in enumerate(mistakes[:_FIRST], 1))
    more = f"; and {len(mistakes) - _FIRST} more" if len(mistakes) > _FIRST else ""
    return f"{path} has {len(mistakes)} mistakes and nothing was asked: {first}{more}. Correct them and run again."


def _encoding(file: IO[bytes]) -> str:
    """How a text is written: by its first bytes, else UTF-8 if all of it is, else as Windows does."""
    file.seek(0)
    start = file.read(4)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(start) == 4 and 0 in start:  # a table begins with Latin letters
        nulls = tuple(byte == 0 for byte in start)
        known = {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
        if nulls in known:
            return known[nulls]
    for encoding in ("utf-8", "cp1252"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _physical(text: IO[str]) -> Iterator[str]:
    """The lines of a text, with no more than a part of one that is too long."""
    while line := text.readline(_CHUNK):
        if len(line) == _CHUNK and line[-1] not in "\r\n":
            quotes = 0
            while rest := text.readline(_CHUNK):
                quotes += rest.count('"')
                if rest[-1] in "\r\n":
                    break
            # The control character has the row refused; a cell in quotes still ends where it did.
            line += "\1" + '"' * (quotes % 2)
        # Before Python 3.11 csv gives up at a NUL; this character is refused in a cell just the same.
        yield line.replace("\0", "\1")
