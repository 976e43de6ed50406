"""Answering a query: narrow with SQL on the columns, then decide on the header of each object.

An entity of a level is answered when one of its objects fits, with what that object says. Where a query names nothing
but attributes of its own level and those above, only the objects that speak for their entity are looked at, so that
its cost grows with the answers and not with the objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

from django.db import connection
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from .. import matching
from . import headers
from .answers import Plan, encoded
from .narrowing import OBJECTS, Narrowing
from .query import COMPUTED, UNIQUE, Query, empty

_AT_ONCE = 200
_ENTITY = {"PATIENT": "t.patient_id", "STUDY": "s.study_id", "SERIES": "i.series_id"}
_LISTS = ("ModalitiesInStudy", "SOPClassesInStudy")


class Stored(NamedTuple):
    """An object that is to be sent: what it is, and how it is stored."""

    SOPInstanceUID: str
    SOPClassUID: str
    TransferSyntaxUID: str
    size: int


class _Row(NamedTuple):
    """What answering needs of an object."""

    SOPInstanceUID: str
    header: bytes
    implicit: bool
    left_out: str
    series: int
    study: int
    patient: int

    def entity(self, level: str) -> Any:
        """The key of what it belongs to on a level."""
        return self.SOPInstanceUID if level == "IMAGE" else getattr(self, level.lower())


_ROW = 'i."SOPInstanceUID", i.header, i.implicit, i.left_out, i.series_id, s.study_id, t.patient_id'
_STORED = ", ".join(f'i."{name}"' for name in Stored._fields)


class Searcher:
    """Looks up objects in the index on behalf of one node.

    Parameters
    ----------
    ae_title
        What the node is called.
    path
        Where the object with a UID lies.
    extra
        The tags whose values this node's index holds beside its columns.
    """

    def __init__(self, ae_title: str, path: Callable[[str], Path], extra: Sequence[int] = ()) -> None:
        self._ae_title = ae_title
        self._path = path
        self._extra = frozenset(extra)

    def answers(self, query: Query) -> Iterator[Dataset]:
        """One answer for each entity of the query's level that fits."""
        narrowing = Narrowing.of(query.wanted, self._extra)
        answered: Any = None
        for row in self._rows(narrowing, query):
            if row.entity(query.level) != answered:
                candidate = self._candidate(row, query)
                if candidate is not None:
                    answered = row.entity(query.level)
                    yield self._answer(candidate, query)

    def encoded_answers(self, query: Query, transfer_syntax: str) -> Iterator[bytes]:
        """The same as they go over the wire, without a look at what SQL has decided where that is possible."""
        narrowing = Narrowing.of(query.wanted, self._extra)
        plan = Plan(query, self._ae_title, transfer_syntax)
        answered: Any = None
        for row in self._rows(narrowing, query):
            if row.entity(query.level) == answered:
                continue
            encoding = None
            if plan.possible and narrowing.exact:
                computed = {tag: _as_text(value) for tag, value in _computed(row, query)}
                encoding = plan.encode(bytes(row.header), bool(row.implicit), row.left_out, computed)
            if encoding is None:
                candidate = self._candidate(row, query)
                if candidate is None:
                    continue
                encoding = encoded(self._answer(candidate, query), transfer_syntax)
            answered = row.entity(query.level)
            yield encoding

    def objects(self, query: Query) -> list[Stored]:
        """The objects that a C-MOVE or C-GET asks for, those of one sort together."""
        narrowing = Narrowing.of(query.wanted, self._extra)
        select = f"SELECT {_STORED} FROM {OBJECTS} WHERE {narrowing.where}"
        order = 'ORDER BY i."SOPClassUID", i."TransferSyntaxUID", i.id'
        with connection.cursor() as cursor:
            cursor.execute(f"{select} {order}", narrowing.parameters)
            found = [Stored(*values) for values in cursor.fetchall()]
        if narrowing.exact:
            return found
        rows = self._select(narrowing, "", "i.id")
        fitting = {row.SOPInstanceUID for row in rows if self._candidate(row, query) is not None}
        return [each for each in found if each.SOPInstanceUID in fitting]

    def _rows(self, narrowing: Narrowing, query: Query) -> Iterator[_Row]:
        """The objects that may fit, those of one entity after each other."""
        if query.level == "IMAGE":
            return self._select(narrowing, "", "i.id")
        spoken = f" AND i.speaks_for_{query.level.lower()}" if query.is_about_entities else ""
        return self._select(narrowing, spoken, f"{_ENTITY[query.level]}, i.id")

    def _select(self, narrowing: Narrowing, more: str, order: str) -> Iterator[_Row]:
        # Where the database can, the rest of a long answer waits there and not in this process.
        with connection.chunked_cursor() as cursor:
            cursor.execute(
                f"SELECT {_ROW} FROM {OBJECTS} WHERE {narrowing.where}{more} ORDER BY {order}", narrowing.parameters
            )
            while rows := cursor.fetchmany(_AT_ONCE):
                yield from (_Row(*values) for values in rows)

    def _candidate(self, row: _Row, query: Query) -> Optional[Dataset]:
        """What an object says of what is asked for; None where it does not fit."""
        candidate = headers.read(bytes(row.header), bool(row.implicit), query.tags)
        long = query.tags & headers.tags(row.left_out) if row.left_out else None
        if long:
            headers.add_long(candidate, self._path(row.SOPInstanceUID), long)
        candidate.RetrieveAETitle = self._ae_title
        candidate.InstanceAvailability = "ONLINE"
        for tag, value in _computed(row, query):
            candidate[tag] = DataElement(tag, dictionary_VR(tag), value)
        return candidate if matching.matches(query.wanted, candidate) is True else None

    def _answer(self, candidate: Dataset, query: Query) -> Dataset:
        answer = Dataset()
        for key in query.keys:
            answer.add(_answered(candidate, key))
        unique = UNIQUE[query.level]
        if unique in candidate:
            answer.add(candidate[unique])
        answer.QueryRetrieveLevel = query.level
        answer.RetrieveAETitle = self._ae_title
        if "SpecificCharacterSet" in candidate:
            answer.SpecificCharacterSet = candidate.SpecificCharacterSet
        return answer


def _answered(candidate: Dataset, key: DataElement) -> DataElement:
    if key.tag in candidate:
        return candidate[key.tag]
    return empty(key.tag, key.VR)


def _computed(row: _Row, query: Query) -> Iterator[tuple[int, Union[int, list[str]]]]:
    """What no object has and this archive computes, as far as it is asked for."""
    for key in query.keys:
        if key.keyword not in COMPUTED:
            continue
        level, expression = COMPUTED[key.keyword]
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {expression} FROM {OBJECTS} WHERE {_ENTITY[level]} = %s", [row.entity(level)])
            values = [found for (found,) in cursor.fetchall()]
        yield int(key.tag), sorted(set(values) - {""}) if key.keyword in _LISTS else int(values[0])


def _as_text(value: Union[int, list[str]]) -> bytes:
    text = str(value) if isinstance(value, int) else "\\".join(value)
    return text.encode("utf-8", "surrogateescape")
