"""PDCP's list of patients: ``ids,orthanc_ids``."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from ...bulk.progress import OnProgress, Progress
from ...errors import BadArchive, Incomplete
from ...shelf.disk import make_folder, write_text
from ..columns import orthanc_identifier
from ..config import Settings
from .source import Listed, Source, in_order, source_of

_COLUMNS = ("ids", "orthanc_ids")
_FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")  # what a spreadsheet would compute, and the mark against that


def ids(settings: Settings, *, on_progress: Optional[OnProgress] = None) -> list[Listed]:
    """Ask the archive for all its patients, and write ``link_to_ids``.

    Parameters
    ----------
    settings
        Of the cohort.
    on_progress
        Called once, when all are known.
    """
    return _asked(settings, source_of(settings), on_progress)


def listed(settings: Settings, source: Source) -> list[Listed]:
    """The patients in ``link_to_ids``; the archive is asked where there is no such file yet."""
    if settings.link_to_ids.is_file():
        return read(settings.link_to_ids)
    return _asked(settings, source, None)


def _asked(settings: Settings, source: Source, on_progress: Optional[OnProgress]) -> list[Listed]:
    begun = time.monotonic()
    found = source.patients()
    write(settings.link_to_ids, found)
    if on_progress is not None:
        count, seconds = len(found), time.monotonic() - begun
        on_progress(Progress(count, 0, 0, 0, count, 0, seconds, 0.0, 0.0, ""))
    return found


def write(path: Path, found: Iterable[Listed]) -> None:
    """Write the list; an ID that a spreadsheet would compute has a ``'`` before it, which ``read`` takes away."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for one in found:
        lines.writerow([f"'{one.patient}" if one.patient.startswith(_FORMULA) else one.patient, one.identifier])
    try:
        make_folder(path.parent)
        write_text(path, text.getvalue().encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise Incomplete(
            f"the list of patients cannot be written to {path} ({error.strerror}). "
            "Free space there or give another link_to_ids.",
            retriable=False,
        ) from error


def read(path: Path) -> list[Listed]:
    """The list, ours or PDCP's; further columns do not matter, and IDs stay texts with their leading zeros.

    Raises
    ------
    BadArchive
        It is no such list, or names a patient twice with different identifiers.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if "ids" not in (lines.fieldnames or ()):
                raise BadArchive(f"{path} is no list of patients: it has no column ids. Run: qa-fetch cohort ids.")
            found = in_order((_one(line) for line in lines), str(path))
    except OSError as error:
        raise Incomplete(
            f"the list of patients {path} cannot be read ({error.strerror}). Check the path and its permissions."
        ) from error
    except (UnicodeDecodeError, csv.Error):
        raise BadArchive(f"{path} is no list of patients: it is not CSV in UTF-8. Run: qa-fetch cohort ids.") from None
    if len({one.patient for one in found}) < len(found):
        raise BadArchive(
            f"{path} gives a patient two identifiers, so it does not say which is meant. Run: qa-fetch cohort ids."
        )
    return found


def _one(line: dict[str, str]) -> Listed:
    text = (line["ids"] or "").strip("\0 ")
    identifier = (line.get("orthanc_ids") or "").strip()
    if text.startswith("'") and text[1:].startswith(_FORMULA):
        text = text[1:]
    if text.endswith(".0") and identifier == orthanc_identifier(text[:-2]):
        text = text[:-2]  # pandas makes numbers with a fraction of a column with gaps
    return Listed(text, identifier or orthanc_identifier(text))
