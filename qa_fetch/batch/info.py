"""What is written beside the images: a table of each series, and the log of the run, as PACSMAN writes them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

COLUMNS = (
    "StudyDate StudyTime SeriesDescription PatientID ProtocolName StudyInstanceUID PatientName PatientBirthDate "
    "SeriesInstanceUID DeviceSerialNumber Modality ImageType SeriesNumber StudyDescription AccessionNumber "
    "SequenceName AcquisitionDate"
).split()
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table; the file has its name only when it is whole."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([harmless(row.get(column, "")) for column in columns])
    partial.replace(path)


def write_info(folder: Path, facts: Mapping[str, str]) -> Path:
    """The table of one series, beside its folder and called like it."""
    path = folder.with_name(f"{folder.name}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, COLUMNS, [facts])
    return path
