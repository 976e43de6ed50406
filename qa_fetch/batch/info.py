"""What is written beside the images: a table of each series, and the log of the run, as PACSMAN writes them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..archive import Archive
from ..archive.readable import readable
from ..bulk.report import cell
from ..errors import NotFound
from .selecting import told

COLUMNS = (
    "StudyDate StudyTime SeriesDescription PatientID ProtocolName StudyInstanceUID PatientName PatientBirthDate "
    "SeriesInstanceUID DeviceSerialNumber Modality ImageType SeriesNumber StudyDescription AccessionNumber "
    "SequenceName AcquisitionDate"
).split()
_SIGNED = re.compile(r"[+-](\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def harmless(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    text = str(value)
    return text if _SIGNED.fullmatch(text) else str(cell(text))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table for its owner only; the file has its name only when it is whole."""
    partial = path.with_name(f".{path.name}.tmp")  # what a killed run has left is written over
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in rows:
                writer.writerow([harmless(row.get(column, "")) for column in columns])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_info(folder: Path, facts: Mapping[str, str]) -> Path:
    """The table of one series, beside its folder and called like it."""
    path = folder.with_name(f"{folder.name}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, COLUMNS, [facts])
    return path


def complete_facts(archive: Archive, payload: Mapping[str, Any], file: Optional[Path]) -> tuple[dict[str, str], int]:
    """What the table says of a series, and the bytes that were fetched for it.

    Archives answer for a series what belongs to series; the rest is in each object.

    Parameters
    ----------
    archive
        Who is asked where no object is here.
    payload
        The series, and what the archive has said of it.
    file
        An object of it.
    """
    facts, size = payload["facts"], 0
    lacking = [column for column in COLUMNS if column not in facts]
    if file is not None:
        return {**header(file, lacking), **facts}, size
    of = {"SOPInstanceUID": payload["instances"][0]} if payload["instances"] else {}
    answers = archive.find("IMAGE", {"SeriesInstanceUID": payload["series"], **of, **dict.fromkeys(lacking, "")})
    if not answers:
        raise NotFound(
            f"{archive.name} lists no object of this series, so its table would have gaps. "
            "Run again; if it stays so, its index needs to be looked at."
        )
    facts = {**told(answers[0], lacking), **facts}
    if any(keyword not in answers[0] for keyword in lacking):  # it has not said that the object lacks these
        images = archive.fetch(instance=str(answers[0].SOPInstanceUID))
        facts, size = {**header(images.files[0], lacking), **facts}, images.files[0].stat().st_size
        archive.forget(images)
    return facts, size


def header(file: Path, keywords: Sequence[str]) -> dict[str, str]:
    """What an object says under these keywords, as text."""
    return told(readable(part10.read(file, headers_only=True, keywords=keywords), header=True), keywords)
