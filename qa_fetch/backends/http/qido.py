"""Questions to a DICOMweb archive (QIDO-RS): how each is put, and all of its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import quote, urlencode

from ...budget import Budget
from ...errors import BadArchive, Incomplete
from ...matching import Value
from ...part10 import clean_uid
from ..levels import UNIQUE, above, level_of
from .client import Client
from .values import from_dicom_json

_JSON = "application/dicom+json"
_MOST_ROWS = 500_000
_ENDS = {"STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}
# The attributes that every server has to match (PS3.18 table 10.6.1-5); some refuse a question with any other.
_STANDARD = frozenset(
    "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID "
    "StudyInstanceUID StudyID Modality SeriesInstanceUID SeriesNumber SOPClassUID SOPInstanceUID InstanceNumber".split()
)


@dataclass
class Learned:
    """What this process has found out about an archive."""

    relational: Optional[bool] = None
    standard_only: bool = False
    ignores_offset: bool = False
    counts: bool = True  # whether it says how many objects a study or series has


def single(value: Value) -> bool:
    """Whether a key names one entity and not several or any."""
    return isinstance(value, str) and bool(value) and not set(value) & set("*?\\,")


def path(level: str, keys: Mapping[str, Value]) -> str:
    """The address for a level, below the study and series that the keys name."""
    parts = [""]
    for upper in above(level):
        value = keys.get(UNIQUE[upper])
        if upper in _ENDS and isinstance(value, str) and single(value):
            if upper == "SERIES" and len(parts) == 1:
                break  # there is no address for a series without its study
            parts += [_ENDS[upper], quote(value.strip(), safe="")]
    return "/".join([*parts, _ENDS[level]])


def ask(
    client: Client,
    learned: Learned,
    level: str,
    keys: Mapping[str, Value],
    returned: Sequence[str],
    budget: Budget,
    give_up: Callable[[Any], bool],
) -> Optional[list[Any]]:
    """Every page of the answers to one question; None when a row of the first page made ``give_up`` true."""
    where = path(level, keys)
    named = _named(level, keys, where)
    parameters = _parameters(level, keys, returned, set(named), learned.standard_only)
    wanted = {*returned, *keys, *(UNIQUE[upper] for upper in (*above(level), level)), "SOPClassUID"}
    rows: list[Any] = []
    seen: set[str] = set()
    while True:
        page, more = _page(client, where, parameters, len(rows), budget)
        found = [from_dicom_json(row, wanted) for row in page]
        if not rows and any(map(give_up, found)):
            return None
        new = {clean_uid(row.get(UNIQUE[level]) or "") for row in found} - seen
        if rows and page and not new:
            learned.ignores_offset = True
        else:
            rows += found
        seen |= new
        if more and not new:
            raise Incomplete(
                f"{client.name} shows only the first {len(seen)} answers to a question. Narrow it, or raise its limit.",
                retriable=False,
                missing=[],
            )
        if not new or not more and (learned.ignores_offset or single(keys.get(UNIQUE[level]))):
            break
        if len(rows) > _MOST_ROWS:
            raise BadArchive(f"{client.name} has no end of answers, so none is used. Narrow the question.")
    for row in rows:
        for keyword, value in named.items():
            if not row.get(keyword):
                setattr(row, keyword, value)
    return rows


def shown(
    client: Client, learned: Learned, level: str, keys: Mapping[str, Value], first: int, most: int, budget: Budget
) -> int:
    """How many of so many answers an archive shows from a number on, counted from 1."""
    where = path(level, keys)
    parameters = _parameters(level, keys, [], set(_named(level, keys, where)), learned.standard_only)
    return len(_page(client, where, [*parameters, ("limit", str(most))], first - 1, budget)[0])


def _page(
    client: Client, where: str, parameters: Sequence[tuple[str, str]], offset: int, budget: Budget
) -> tuple[list[Any], bool]:
    """The answers from a number on, and whether the archive says that there are more."""
    asked = [*parameters, ("offset", str(offset))] if offset else parameters
    query = f"?{urlencode(asked, quote_via=quote, safe='')}" if asked else ""
    with client.request("query", "GET", where + query, budget, accept=_JSON, fine=(200, 204)) as answer:
        page = None if answer.status == 204 else answer.json()
        warnings = [value.strip() for value in answer.headers.get_all("Warning") or ()]
    if page is not None and not isinstance(page, list):
        raise BadArchive(
            f"{client.name} answered a query with JSON that is no list, so it is not used. "
            "Report it to its administrator."
        )
    return page or [], any(text.startswith("299") and "fuzzy" not in text.lower() for text in warnings)


def _named(level: str, keys: Mapping[str, Value], where: str) -> dict[str, str]:
    """The UIDs that stand in the address, which some servers leave out of their answers."""
    uppers = [upper for upper in above(level) if upper in _ENDS][: (where.count("/") - 1) // 2]
    return {UNIQUE[upper]: str(keys[UNIQUE[upper]]).strip() for upper in uppers}


def _parameters(
    level: str, keys: Mapping[str, Value], returned: Sequence[str], named: set[str], standard_only: bool
) -> list[tuple[str, str]]:
    """What archives match wrongly or not at all is asked for, and matched on our side."""
    sent: list[tuple[str, str]] = []
    levels = (*above(level), level)
    for keyword, value in keys.items():
        text = _text(keyword, value)
        known = keyword in _STANDARD or not standard_only
        if text and known and keyword not in named and (level_of(keyword) in levels or keyword == "ModalitiesInStudy"):
            sent.append((keyword, text))
    if not standard_only:
        asked = dict.fromkeys([*returned, *keys])
        sent += [("includefield", keyword) for keyword in asked if keyword not in named]
    return sent


def _text(keyword: str, value: Value) -> str:
    """A key as it is sent; empty for what is better matched on our side."""
    if keyword == "ImageType" or isinstance(value, Mapping) or value is None:
        return ""
    if isinstance(value, (str, int, float)):
        text = str(value)
        return "" if set(text) & set(",\\") else text
    parts = [str(part) for part in value]
    return ",".join(parts) if keyword.endswith("UID") else ""
