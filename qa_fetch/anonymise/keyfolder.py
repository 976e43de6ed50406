"""The files that say who is who: read with every entry checked, written so that only their owner reads them.

No sentence here names a patient; entries are told by their number.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from ..budget import Budget
from ..errors import ConfigError, Incomplete
from ..locks import FileLock
from ..part10 import plain
from ..shelf.disk import make_folder, write_text

MOST_DAYS = 36_525  # a century: nobody means more, and dates must stay dates
CODE_RULE = "Use 1 to 64 letters and digits, with . _ - or spaces between them"
OF_ANOTHER = "the code is the ID of another patient. Choose another one."
_LARGEST = 256 << 20  # bytes
_PATIENCE = 30.0  # seconds that another run may take to write
_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9_-])?\Z")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?\Z", re.IGNORECASE)
_DAYS = re.compile(r"[+-]?[0-9]{1,9}\Z")
_SHORT_ID = 4  # characters below which an ID is found in many a code by chance

Entry = tuple[str, str, Any]  # where it stands, the patient or code, and what it says of it


def bare(patient_id: str) -> str:
    """A PatientID without the ``sub-`` of PACSMAN's folders, and without what pads it."""
    return patient_id.strip(" \0\t\r\n").removeprefix("sub-")


def fault_of(code: object, patient: str) -> str:
    """What is wrong with a code for this patient, and what to do; empty where nothing is."""
    if code == "" or (isinstance(code, str) and code.isspace()):
        return f"the code is empty. {CODE_RULE}."
    if not isinstance(code, str) or not _CODE.match(code) or _DEVICE.match(code):
        return f"the code cannot be the name of a folder and a value of DICOM. {CODE_RULE}."
    if code.startswith("sub-"):
        return "the code begins with sub-, which folders get anyway. Leave that out."
    if _holds(code, patient):
        return "the code contains the patient's ID. Choose one that does not."
    return ""


def _holds(code: str, patient: str) -> bool:
    plain, short = (re.sub(r"[\W_]+", "", text).casefold() for text in (code, patient))
    return plain == short or (len(short) >= _SHORT_ID and short in plain)


class Codes:
    """Which code each patient has been given; every entry is checked as it comes."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._codes: dict[str, str] = {}
        self._entries: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry], where: str, *, own: bool = False) -> Codes:
        """The codes of these entries; in our own files a code of the key may hold an ID by chance."""
        codes = cls(where)
        for entry, patient, code in entries:
            codes._add(entry, bare(patient), code, own)
        for patient, code in () if own else codes.items():
            if code in codes._codes:
                raise codes._wrong(codes._entries[patient], OF_ANOTHER)
        return codes

    def _add(self, entry: str, patient: str, code: object, own: bool) -> None:
        if not patient:
            raise self._wrong(entry, "the patient's ID is empty. Write it, or leave the entry out.")
        fault = fault_of(code, "" if own else patient)
        if fault or not isinstance(code, str):
            raise self._wrong(entry, fault)
        if self._codes.setdefault(patient, code) != code:
            first = self._entries[patient]
            raise self._wrong(entry, f"the patient has another code in {first}. Keep one of them.")
        first = self._entries.setdefault(patient, entry)
        owner = self._owners.setdefault(code.casefold(), patient)  # folders of Windows do not tell P1 from p1
        if owner != patient:
            raise self._wrong(
                first,
                f"the code is that of {self._entries[owner]}, which is another patient. "
                "Give each patient a code of its own.",
            )

    def _wrong(self, entry: str, fault: str) -> ConfigError:
        return ConfigError(f"{self.where}, {entry}: {fault}")

    def get(self, patient_id: str) -> Optional[str]:
        """The code of a patient, who may stand there as PACSMAN writes the name of a folder."""
        patient = bare(patient_id)
        return self._codes.get(patient) or self._codes.get(plain(patient))

    def items(self) -> Iterator[tuple[str, str]]:
        """Bare PatientIDs and their codes."""
        return iter(self._codes.items())


class Offsets:
    """By how many days the dates of each patient move, by code or by PatientID."""

    def __init__(self, entries: Iterable[Entry], where: str, *, only_codes: bool = False) -> None:
        self.where = where
        self._days: dict[str, int] = {}
        self._only_codes = only_codes
        for entry, patient, days in entries:
            if self._days.setdefault(bare(patient), _days(days, f"{where}, {entry}")) != int(days):
                raise ConfigError(f"{where}, {entry}: an entry before has another number of days. Keep one of them.")

    def get(self, code: str, patient_id: str) -> Optional[int]:
        """The days of a patient; None where there are none."""
        patient = bare(patient_id)
        names = [bare(code)] if self._only_codes else [bare(code), patient, plain(patient)]
        found = {self._days[name] for name in names if name in self._days}
        if len(found) > 1:
            raise ConfigError(
                f"{self.where} has one number of days for a patient's code and another for the ID. Keep one of them."
            )
        return next(iter(found), None)

    def items(self) -> Iterator[tuple[str, int]]:
        """What stands there, and its days."""
        return iter(self._days.items())


def _days(given: object, where: str) -> int:
    """A number of days; ConfigError where it is none."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    if not whole and not (isinstance(given, str) and _DAYS.match(given.strip())):
        raise ConfigError(f"{where}: the days are not a whole number. Write them as -14.")
    days = int(str(given))
    if days == 0:
        raise ConfigError(f"{where}: the days are 0, which would leave the dates as they are. Give another number.")
    if abs(days) > MOST_DAYS:
        raise ConfigError(f"{where}: the days are more than a century. Give a smaller number.")
    return days


def read_codes(source: Union[Path, Mapping[str, str]]) -> Union[Codes, str]:
    """A list of codes: a ``new_ids.json``, the same as a mapping, or a text file with the one code for everything."""
    if isinstance(source, Mapping):
        return Codes.of(_numbered(source.items()), "new_ids")
    text = _text_of(source)
    if source.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return Codes.of(_json_entries(source, text), source.name)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise ConfigError(
            f"{source.name} has {len(lines)} lines with text, where one code for the only patient is expected. "
            "Write one line, or give a new_ids.json for several patients."
        )
    fault = fault_of(lines[0], "")
    if fault:
        raise ConfigError(f"{source.name}: {fault}")
    return lines[0]


def read_offsets(source: Path) -> Offsets:
    """Day shifts: a ``date_offsets.csv``, PACSMAN's with original IDs too, or a ``day_shift_<project>.json``."""
    text = _text_of(source)
    if source.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return Offsets(_json_entries(source, text), source.name)
    rows = list(table(text, source.name))
    heads = bool(rows) and not _DAYS.match(rows[0][2].strip())
    only_codes = heads and rows[0][1].strip().casefold() == "pseudonym"
    return Offsets(rows[heads:], source.name, only_codes=only_codes)


def table(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """The rows of a CSV with two columns and where each stands; ConfigError where it has others."""
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            raise ConfigError(
                f"{where}, line {reader.line_num}: its quotes do not match. Correct them and run again."
            ) from None
        if row is None:
            return
        cells = [cell.strip() for cell in row]
        while len(cells) > 2 and not cells[-1]:
            cells.pop()
        if not any(cells):
            continue
        if len(cells) != 2:
            raise ConfigError(f"{where}, line {reader.line_num}: two columns are expected. Correct it and run again.")
        yield f"line {reader.line_num}", cells[0], cells[1]


def read_table(source: Path) -> list[tuple[str, str, str]]:
    """The rows of a CSV file with two columns."""
    return list(table(_text_of(source), source.name))


def _text_of(source: Path) -> str:
    try:
        with source.open("rb") as file:
            written = file.read(_LARGEST + 1)
        if len(written) > _LARGEST:
            raise ConfigError(f"{source.name} is larger than {_LARGEST >> 20} MB. Name the file with the list.")
        return written.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{source} cannot be read ({reason}). Check the path and its permissions.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source.name} is not UTF-8 text. Save it as that.") from None


def _numbered(pairs: Iterable[tuple[str, Any]]) -> Iterator[Entry]:
    return ((f"entry {number}", name, value) for number, (name, value) in enumerate(pairs, 1))


def _json_entries(source: Path, text: str) -> Iterator[Entry]:
    """The entries of a JSON object, those under a name that is there twice too."""
    try:
        found = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, tuple):
        raise ConfigError(f"{source.name} is not a JSON object. Check its braces, quotes and commas.")
    return _numbered(found)


def read_own(path: Path) -> Optional[Codes]:
    """The codes of a file that an earlier run wrote; None where there is none."""
    return Codes.of(_json_entries(path, _text_of(path)), path.name, own=True) if path.is_file() else None


def read_own_offsets(path: Path) -> Optional[Offsets]:
    """The same for day shifts."""
    return read_offsets(path) if path.is_file() else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have the files of a folder for oneself; the folder is made where there is none."""
    make_folder(folder)
    with FileLock(folder / ".lock") as lock:
        if not lock.acquire(Budget(_PATIENCE)):
            raise Incomplete(
                f"another run has been writing to {folder} for {_PATIENCE:g} s. Run again when it is done."
            )
        yield


def write_json(path: Path, entries: Mapping[str, Any]) -> None:
    """Write a list in the order of its names, for its owner alone."""
    write_text(path, json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
