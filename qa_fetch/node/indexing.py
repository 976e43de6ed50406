"""Describing objects in the index: as few statements an object as can be, since senders wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from django.db import connection, transaction

from .. import part10
from . import headers
from .models import Conflict, ExtraValue, Instance, Patient, ReferencedPlan, Series, Study
from .query import LEVELS, SPOKEN

_REMEMBERED = 10_000  # entities
_FIELDS = [field for field in Instance._meta.concrete_fields if not field.primary_key]
_ENTITY = {"PATIENT": "series__study__patient", "STUDY": "series__study", "SERIES": "series"}
_Entities = tuple[int, int, int]  # keys of patient, study and series


@dataclass(frozen=True)
class Described:
    """An object as it goes into the index."""

    identity: part10.Identity
    header: headers.Header
    transfer_syntax: str
    size: int
    digest: str
    stored: datetime
    source: str = ""
    seconds: float = 0.0


class Indexer:
    """Writes the index; for one thread at a time, and one process, since it remembers what it has written."""

    def __init__(self) -> None:
        self._entities: dict[tuple[str, str, str], _Entities] = {}
        self._spoken: dict[tuple[str, int], set[tuple[Any, ...]]] = {}

    def digest_of(self, uid: str) -> Optional[str]:
        """The digest of the object with this UID, if it is in the index."""
        with connection.cursor() as cursor:
            cursor.execute(_KNOWN, [uid])
            found = cursor.fetchone()
        return None if found is None else str(found[0])

    def add(self, new: Described) -> None:
        """Describe an object that is not in the index yet."""
        place = (new.header.PatientID, new.identity.study, new.identity.series)
        known = self._entities.get(place)
        with transaction.atomic():
            # A transaction on SQLite that reads before it writes fails where another one has written meanwhile.
            entities = known or _entities_of(*place)
            speaks = {level: self._is_new(level, key, new.header.columns) for level, key in zip(LEVELS, entities)}
            _insert(new, entities[2], speaks)
        self._remember(place, entities, new.header.columns)

    def add_conflict(self, new: Described) -> None:
        """Note an object that came under the UID of another one."""
        row = Conflict(
            SOPInstanceUID=new.identity.sop_instance,
            digest=new.digest,
            size=new.size,
            source=new.source,
            stored=new.stored,
        )
        with transaction.atomic():
            Conflict.objects.bulk_create([row], ignore_conflicts=True)

    def forget(self) -> None:
        """Look everything up again: somebody else has changed the index."""
        self._entities.clear()
        self._spoken.clear()

    def _is_new(self, level: str, key: int, columns: dict[str, Any]) -> bool:
        """Whether no object of an entity has these values of the attributes of its level yet."""
        known = self._spoken.get((level, key))
        if known is None:
            spoken = Instance.objects.filter(**{_ENTITY[level]: key, f"speaks_for_{level.lower()}": True})
            known = self._spoken[level, key] = set(spoken.values_list(*_SAID[level]))
        return _said(level, columns) not in known

    def _remember(self, place: tuple[str, str, str], entities: _Entities, columns: dict[str, Any]) -> None:
        if len(self._entities) > _REMEMBERED:
            self.forget()
        self._entities[place] = entities
        for level, key in zip(LEVELS, entities):
            self._spoken.setdefault((level, key), set()).add(_said(level, columns))


_SAID = {
    level: tuple(keyword for above in LEVELS[: place + 1] for keyword in SPOKEN[above])
    for place, level in enumerate(LEVELS)
}


def _said(level: str, columns: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(columns[keyword] for keyword in _SAID[level])


def _quoted(name: str) -> str:
    return str(connection.ops.quote_name(name))


_TABLE = _quoted(Instance._meta.db_table)
_KNOWN = f"SELECT digest FROM {_TABLE} WHERE {_quoted('SOPInstanceUID')} = %s"


def _inserting(model: Any, columns: Sequence[str]) -> str:
    names = ", ".join(map(_quoted, columns))
    return f"INSERT INTO {_quoted(model._meta.db_table)} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"


_INSERT = _inserting(Instance, [field.column for field in _FIELDS])
_INSERT_PLAN = _inserting(ReferencedPlan, ["instance_id", "ReferencedSOPInstanceUID"])
_INSERT_EXTRA = _inserting(ExtraValue, ["instance_id", "tag", "value"])


def _insert(new: Described, series: int, speaks: dict[str, bool]) -> None:
    """Insert the rows of an object. Django's own way of it costs several times as much."""
    values = {
        "series": series,
        "SOPInstanceUID": new.identity.sop_instance,
        "SOPClassUID": new.identity.sop_class,
        "TransferSyntaxUID": new.transfer_syntax,
        "size": new.size,
        "digest": new.digest,
        "stored": connection.ops.adapt_datetimefield_value(new.stored),
        "seconds": new.seconds,
        "source": new.source,
        "header": new.header.encoded,
        "implicit": new.header.implicit,
        "left_out": new.header.left_out,
        **{f"speaks_for_{level.lower()}": spoken for level, spoken in speaks.items()},
        **new.header.columns,
    }
    row = [values[field.name] for field in _FIELDS]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(_INSERT, row)
            key = cursor.lastrowid
        else:
            cursor.execute(f"{_INSERT} RETURNING id", row)
            key = cursor.fetchone()[0]
        for uid in new.header.plans:
            cursor.execute(_INSERT_PLAN, [key, uid])
        for tag, value in new.header.extra:
            cursor.execute(_INSERT_EXTRA, [key, tag, value])


def _entities_of(patient_id: str, study_uid: str, series_uid: str) -> _Entities:
    """The keys of the patient, the study and the series of an object, which are made where they are missing."""
    patient = _key_of(Patient, PatientID=patient_id)
    study = _key_of(Study, patient_id=patient, StudyInstanceUID=study_uid)
    return patient, study, _key_of(Series, study_id=study, SeriesInstanceUID=series_uid)


def _key_of(model: Any, **names: Any) -> int:
    model.objects.bulk_create([model(**names)], ignore_conflicts=True)
    return int(model.objects.values_list("pk", flat=True).get(**names))
