"""Whether every configured archive answers, for a list that says so in plain words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ..archive import Archive
from ..backends import first_failure
from ..config import Config
from ..errors import QAFetchError
from .results import Results


def connections(patient: str = "") -> Results:
    """For each configured archive ``ok``, or the sentence that says what is wrong; all are tried at the same time."""
    names = Config.load().archive_names()
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        return Results(zip(names, pool.map(lambda name: _connection(name, patient), names)))


def _connection(name: str, patient: str) -> str:
    try:
        return first_failure(Archive(name).echo(patient)) or "ok"
    except QAFetchError as error:
        return error.message
