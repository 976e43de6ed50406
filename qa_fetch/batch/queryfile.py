"""Reading a query file: every row is checked, and all mistakes are named at once, before anything is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ..errors import ConfigError
from ..sheet import Sheet, Wrong
from .columns import NEW_IDS, Column, column, value

_MOST_COLUMNS = 256
_FIRST = 10  # mistakes or repeated rows that a sentence names


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
        self._sheet = Sheet(path, lambda line, text: self._wrong(0, line, "", text))
        self._notes = self._sheet.notes
        self._value = lru_cache(maxsize=4096, typed=True)(value)  # days and modalities come again and again
        self._seen: dict[bytes, int] = {}
        self._new_ids: dict[bytes, tuple[str, int]] = {}
        self._owners: dict[bytes, tuple[bytes, int]] = {}
        self._repeats: list[tuple[int, int]] = []
        self._unnamed: set[int] = set()
        self._header_wrong = self._last_names = False

    def rows(self) -> Iterator[Row]:
        """The rows without mistakes; afterwards ``mistakes`` has the others'."""
        lines = self._sheet.lines()
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
