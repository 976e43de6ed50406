"""The part of a query that SQL can decide, never stricter than ``matching.matches``, which has the last word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from .. import matching, part10
from . import headers
from .models import ExtraValue, Instance, Patient, ReferencedPlan, Series, Study
from .query import WILDCARDS, text_of

_UNIQUE_KEYS = {
    "PatientID": 'p."PatientID"',
    "StudyInstanceUID": 't."StudyInstanceUID"',
    "SeriesInstanceUID": 's."SeriesInstanceUID"',
    "SOPInstanceUID": 'i."SOPInstanceUID"',
    "SOPClassUID": 'i."SOPClassUID"',
}
_PLAIN_TEXT = frozenset(("AE", "CS", "LO", "SH", "UI", "DA", "AS", "IS"))
_SEVERAL_VALUES = frozenset(("ImageType",))
_LONGEST_DATE = 26
_DAY = re.compile(r"[0-9]{8}\Z")
_RANGE = re.compile(r"[0-9.]*-[0-9.]*\Z")

# An object with the series, the study and the patient that it belongs to.
OBJECTS = (
    f'"{Instance._meta.db_table}" i JOIN "{Series._meta.db_table}" s ON i.series_id = s.id '
    f'JOIN "{Study._meta.db_table}" t ON s.study_id = t.id JOIN "{Patient._meta.db_table}" p ON t.patient_id = p.id'
)


@dataclass
class Narrowing:
    """Conditions that all have to hold; ``exact`` while they decide alone."""

    conditions: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)
    exact: bool = True

    @classmethod
    def of(cls, wanted: Dataset, extra: frozenset[int]) -> Narrowing:
        """What SQL can say about the keys of a query; ``extra`` are the tags that have values of their own."""
        made = cls()
        for key in wanted:
            made._add(key, extra)
        return made

    @property
    def where(self) -> str:
        """The conditions as they follow WHERE."""
        return " AND ".join(self.conditions) or "1 = 1"

    def _and(self, condition: str, *parameters: Any, exact: bool = False) -> None:
        self.conditions.append(condition)
        self.parameters += parameters
        self.exact = self.exact and exact

    def _add(self, key: DataElement, extra: frozenset[int]) -> None:
        texts = [text_of(value) for value in matching.values(key)]
        if key.keyword == "ReferencedRTPlanSequence":
            self._plan(key)
        elif any("\0" in text for text in texts):
            self.exact = False
        elif key.VR == "UI" and key.keyword in _UNIQUE_KEYS:
            uids = [part10.clean_uid(text) for text in texts]
            self._and(f"{_UNIQUE_KEYS[key.keyword]} IN ({_marks(uids)})", *uids, exact=True)
        elif key.keyword == "PatientID":
            self._text(_UNIQUE_KEYS["PatientID"], texts)
        elif key.keyword == "PatientName" and len(texts) == 1:
            self._prefix('i."PatientNameFolded"', _before_wildcards(texts[0].casefold()).rstrip("^= "))
        elif key.keyword in headers.COLUMNS:
            self._column(key.keyword, texts)
        elif int(key.tag) in extra and key.VR in _PLAIN_TEXT and len(texts) == 1:
            self._extra(key, texts)
        else:
            self.exact = False

    def _column(self, keyword: str, texts: Sequence[str]) -> None:
        kind, column = headers.COLUMNS[keyword], f'i."{keyword}"'
        if kind == headers.TEXT:
            self._text(column, texts, several=keyword in _SEVERAL_VALUES)
        elif kind == headers.DATE and len(texts) == 1:
            self._date(column, texts[0])
        elif kind == headers.NUMBER and len(texts) == 1:
            self._number(column, texts[0])
        else:
            self.exact = False

    def _text(self, column: str, texts: Sequence[str], *, several: bool = False) -> None:
        """Text as it is, or its beginning; ``several`` where the attribute may have several values."""
        wild = any(sign in text for text in texts for sign in WILDCARDS)
        if len(texts) > 1 and not wild:
            self._and(f"{column} = %s", "\\".join(texts))
        elif len(texts) > 1 or (wild and several):
            self.exact = False
        elif wild:
            prefix = _before_wildcards(texts[0])
            self._prefix(column, prefix, exact=texts[0] == prefix + "*")
        elif several:  # a single value fits any one of them
            self._and(f"{_position()}({column}, %s) > 0", texts[0])
        else:
            self._and(f"{column} = %s", texts[0], exact=True)

    def _date(self, column: str, text: str) -> None:
        if not _RANGE.match(text):
            day = headers.plain_date(text)
            self._and(f"{column} = %s", day, exact=bool(_DAY.match(day)))
            return
        low, high = (headers.plain_date(end) for end in text.split("-"))
        whole = all(_DAY.match(end) for end in (low, high) if end)
        if low:
            self._and(f"{column} >= %s", low, exact=whole)
        if high:
            self._and(f"{column} <= %s", high.ljust(_LONGEST_DATE, "9"), exact=whole)
        self._and(f"{column} <> ''", exact=whole)

    def _number(self, column: str, text: str) -> None:
        self.exact = False
        try:
            self._and(f"{column} = %s", float(text))
        except ValueError:
            return

    def _prefix(self, column: str, prefix: str, *, exact: bool = False) -> None:
        """Text that begins so; SQLite has no index for its LIKE, and PostgreSQL none for comparing bytes."""
        self.exact = self.exact and exact
        if not prefix:
            return
        if connection.vendor == "sqlite":
            self._and(f"{column} >= %s AND {column} < %s", prefix, prefix + chr(0x10FFFF), exact=exact)
        else:
            self._and(f"{column} LIKE %s", re.sub(r"([\\%_])", r"\\\1", prefix) + "%", exact=exact)

    def _plan(self, key: DataElement) -> None:
        self.exact = False
        items = matching.values(key)
        uids = matching.values(items[0]["ReferencedSOPInstanceUID"]) if "ReferencedSOPInstanceUID" in items[0] else []
        listed = [part10.clean_uid(uid) for uid in uids]
        if listed and not any("\0" in uid for uid in listed):
            # As a subquery, since a join would count an object once for every plan that it names.
            self._and(
                f'i.id IN (SELECT instance_id FROM "{ReferencedPlan._meta.db_table}" '
                f'WHERE "ReferencedSOPInstanceUID" IN ({_marks(listed)}))',
                *listed,
            )

    def _extra(self, key: DataElement, texts: Sequence[str]) -> None:
        inner = Narrowing()
        # Any one of several values has to fit, and SQL sees them as one text.
        several = not dictionary_has_tag(key.tag) or dictionary_VM(key.tag) != "1"
        inner._text("value", texts, several=several)
        self.exact = False
        if inner.conditions:
            self._and(
                f'i.id IN (SELECT instance_id FROM "{ExtraValue._meta.db_table}" WHERE tag = %s AND {inner.where})',
                f"{int(key.tag):08X}",
                *inner.parameters,
            )


def _marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def _position() -> str:
    """What a database calls the place of one text in another."""
    return "strpos" if connection.vendor == "postgresql" else "instr"


def _before_wildcards(pattern: str) -> str:
    return pattern.split("*", 1)[0].split("?", 1)[0]
