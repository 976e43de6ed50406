"""QIDO-RS: searching for studies, series and objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from pydicom.tag import Tag

from .... import part10
from ....backends.levels import level_of
from ... import headers
from ...models import Instance
from ...query import LEVELS, Query
from .. import here
from .answering import base, json_list, json_media
from .dicom_json import Json, encoded_to_json
from .held import check_uids, quoted, series_address, study_address
from .questions import SERIES_COUNTS, STUDY_COUNTS, Question, question, simple

_LEVEL, _RETRIEVE_URL, _CHARACTER_SET = "00080052", "00081190", "00080005"


def studies(request: HttpRequest) -> HttpResponseBase:
    """Search for studies."""
    return _search(request, "STUDY", {})


def series(request: HttpRequest, **uids: str) -> HttpResponseBase:
    """Search for series, everywhere or in a study."""
    return _search(request, "SERIES", uids)


def instances(request: HttpRequest, **uids: str) -> HttpResponseBase:
    """Search for objects, everywhere, in a study or in a series."""
    return _search(request, "IMAGE", uids)


def _search(request: HttpRequest, level: str, uids: Mapping[str, str]) -> HttpResponseBase:
    media_type = json_media(request)
    check_uids(uids)
    keywords = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
    asked = question(request, level, {keywords[name]: uid for name, uid in uids.items()})
    more = {"Warning": asked.warning} if asked.warning else {}
    rows = _rows(asked, base(request))
    first = next(rows, None)
    if first is None:
        return HttpResponse(status=204, headers=more)
    return json_list(request, itertools.chain([first], rows), media_type, **more)


def _rows(asked: Question, root: str) -> Iterator[Json]:
    above = _Above(asked.above)
    for answer in itertools.islice(_answers(asked.query), asked.first, asked.end):
        above.complete(answer)
        if asked.everything:
            _add_everything(answer, asked.level)
        address = study_address(_text(answer, "StudyInstanceUID"))
        if asked.level != "STUDY":
            address = series_address(_text(answer, "StudyInstanceUID"), _text(answer, "SeriesInstanceUID"))
        if asked.level == "IMAGE":
            address += f"/instances/{quoted(_text(answer, 'SOPInstanceUID'))}"
        answer[_RETRIEVE_URL] = {"vr": "UR", "Value": [root + address]}
        yield dict(sorted(answer.items()))


def _answers(query: Query) -> Iterator[Json]:
    for encoded in here.searcher().encoded_answers(query, part10.EXPLICIT_LITTLE):
        answer = encoded_to_json(encoded, part10.EXPLICIT_LITTLE, lambda where: None)
        answer.pop(_LEVEL, None)
        yield answer


def _text(answer: Json, keyword: str) -> str:
    """The first value of an attribute; empty where it has none."""
    return str(answer.get(_name(keyword), {}).get("Value", [""])[0] or "")


@cache
def _name(keyword: str) -> str:
    return f"{int(Tag(keyword)):08X}"


class _Above:
    """What is computed of the studies and series that answers belong to, once for each of them."""

    def __init__(self, keywords: tuple[str, ...]) -> None:
        self._keywords = frozenset(keywords)
        self._known: dict[tuple[str, str, str], Json] = {}

    def complete(self, answer: Json) -> None:
        """Add it to an answer."""
        for level, unique, keywords in (
            ("STUDY", "StudyInstanceUID", STUDY_COUNTS),
            ("SERIES", "SeriesInstanceUID", SERIES_COUNTS),
        ):
            wanted = [keyword for keyword in keywords if keyword in self._keywords]
            if wanted:
                answer.update(self._of(level, unique, answer, wanted))

    def _of(self, level: str, unique: str, answer: Json, keywords: list[str]) -> Json:
        place = (level, _text(answer, unique), _text(answer, "PatientID"))
        if place not in self._known:
            found = list(_answers(simple(level, {unique: place[1]}, [*keywords, "PatientID"])))
            # The same UID under two patients is two studies.
            same = [row for row in found if _text(row, "PatientID") == place[2]]
            row = next(iter(same or found), {})
            self._known[place] = {name: row[name] for name in map(_name, keywords) if name in row}
        return self._known[place]


def _add_everything(answer: Json, level: str) -> None:
    """Add what an object of the entity says of it; for an object, everything but its long values."""
    levels = LEVELS[: LEVELS.index(level) + 1]
    row = _speaker(answer, level).values_list("header", "implicit").first()
    if row is None:
        return
    syntax = part10.IMPLICIT_LITTLE if row[1] else part10.EXPLICIT_LITTLE
    for name, field in encoded_to_json(bytes(row[0]), syntax, lambda where: None).items():
        if level == "IMAGE" or level_of(headers.keyword_of(int(name, 16))) in levels:
            if len(answer.get(name, {})) < 2:
                answer[name] = field
    if _CHARACTER_SET in answer:  # JSON is Unicode, whatever the object was written in
        answer[_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}


def _speaker(answer: Json, level: str) -> QuerySet[Any]:
    columns = {
        "STUDY": ("series__study__StudyInstanceUID", "StudyInstanceUID"),
        "SERIES": ("series__SeriesInstanceUID", "SeriesInstanceUID"),
        "IMAGE": ("SOPInstanceUID", "SOPInstanceUID"),
    }
    column, keyword = columns[level]
    uid, patient = _text(answer, keyword), _text(answer, "PatientID")
    rows = Instance.objects.filter(**{column: uid}).order_by("pk")
    if level == "IMAGE" or not patient:
        return rows
    same = rows.filter(series__study__patient__PatientID=patient)
    return same if same.exists() else rows
