"""What people have chosen of patients in quarantine: one file in the work folder of the cohort."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..budget import Budget
from ..errors import BadArchive, ConfigError
from ..locks import FileLock
from ..shelf.disk import make_folder, write_text
from .config import Settings

_FORMAT = 1
_LARGEST = 1 << 26  # bytes
_WAIT = 10.0  # seconds, while another command writes its choice


@dataclass(frozen=True)
class Choice:
    """The objects that a patient goes on with, by their UIDs; ``says`` is how the notes tell it."""

    uids: frozenset[str]
    says: str = "chosen by a person"


def path_of(settings: Settings) -> Path:
    """Where the choices lie."""
    return settings.work / "choices.json"


def of(settings: Settings, patient: Union[str, int]) -> Optional[Choice]:
    """What a person chose for exactly this patient; None where nobody did."""
    path = path_of(settings)
    try:
        known = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _read(path, known.st_mtime_ns, known.st_size, known.st_ino).get(str(patient))


def record(settings: Settings, patient: Union[str, int], uids: Iterable[str]) -> None:
    """Write down what a person chose, in the place of what was chosen before.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        The ID.
    uids
        Of the series of images, the structure sets, plans and doses.
    """
    path = path_of(settings)
    lock = FileLock(make_folder(settings.work) / "choices.lock")
    if not lock.acquire(Budget(_WAIT)):
        raise ConfigError(f"another command writes to {path}. Wait until it has ended, then choose again.")
    try:
        found = _written(path) if path.exists() else {}
        found[str(patient)] = sorted(uids)
        write_text(path, json.dumps({"format": _FORMAT, "patients": found}, indent=1))
    finally:
        lock.release()


@functools.lru_cache(maxsize=4)
def _read(path: Path, *state: int) -> dict[str, Choice]:
    """The choices, read once for each state of the file."""
    return {patient: Choice(frozenset(uids)) for patient, uids in _written(path).items()}


def _written(path: Path) -> dict[str, list[str]]:
    found: Any = None
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
        if found["format"] == _FORMAT and all(_is_text(uid) for uids in found["patients"].values() for uid in uids):
            return dict(found["patients"])
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        found = None
    raise BadArchive(
        f"{path} is not what qa-fetch writes. Put it back from a copy; without it every choice has to be made again."
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)
