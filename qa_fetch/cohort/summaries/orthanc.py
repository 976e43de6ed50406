"""Summaries from Orthanc's REST interface: a patient in three requests and one for each series."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Optional

from ...archive import Archive
from ...backends.http import objects
from ...backends.http.client import Client
from ...backends.http.coding import codings
from ...budget import Budget
from ...errors import BadArchive, Incomplete, NotFound, Refused
from .. import columns
from .source import Listed, Row, along, in_order

_IDENTIFIER = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{8}){4}")
# Values that may be longer than the 256 letters which Orthanc otherwise shows of one.
_LONG = "ignore-length=GridFrameOffsetVector,RTPlanDescription,ImageType,SoftwareVersions"
_TAGS = f"simplify&{_LONG}"


class OrthancSource:
    """An Orthanc; the requests of all threads together keep to the number of connections."""

    def __init__(self, archive: Archive, connections: int) -> None:
        self.name = archive.name
        self._client = Client(archive.config)
        self._codings = codings(archive.config["url"])
        self._seconds: float = archive.config["budget"]
        self._free = threading.BoundedSemaphore(connections)
        self._version: Optional[str] = None
        self._client.warn()

    def patients(self) -> list[Listed]:
        """Every patient, in one request unless they are too many for one."""
        budget = Budget(self._seconds)
        self._check_version(budget)
        try:
            found = self._listed("/patients?expand", budget)
        except BadArchive:  # too large at once
            found = self._one_by_one(budget)
        return in_order((_patient(one) for one in found), self.name)

    def _one_by_one(self, budget: Budget) -> list[Any]:
        answer = self._ask("/patients", budget)
        listed = [_identifier(one) for one in answer] if isinstance(answer, list) else []
        found: dict[str, Any] = {}

        def ask(identifier: str) -> None:
            found[identifier] = self._ask(f"/patients/{identifier}", budget)

        objects.run([partial(ask, identifier) for identifier in listed], lambda: budget.spent)
        if budget.spent and len(found) < len(listed):
            raise Incomplete(
                f"{self.name} named {len(found)} of its {len(listed)} patients within {budget}. Raise TIMEOUT."
            )
        return list(found.values())  # one that was deleted meanwhile is none

    def rows(self, listed: Listed, modalities: Collection[str]) -> list[Row]:
        """One row for each object of these modalities."""
        budget = Budget(self._seconds)
        self._check_version(budget)
        identifier = _identifier(listed.identifier)
        try:
            studies = {str(one.get("ID")): one for one in self._listed(f"/patients/{identifier}/studies", budget)}
            everything = self._listed(f"/patients/{identifier}/series", budget)
        except Refused as error:
            if error.status != 404:
                raise
            raise NotFound(
                f"{self.name} has no patient under the identifier that the list of patients gives. "
                "Run: qa-fetch cohort ids."
            ) from None
        for study in studies.values():
            _check_patient(study, listed.patient, self.name)
        series = [one for one in everything if _tags(one).get("Modality") in modalities]
        headers: dict[str, Mapping[str, Any]] = {}
        jobs = [partial(self._headers, one, headers, budget) for one in series]
        objects.run(jobs, lambda: budget.spent)
        return [row for one in series for row in self._rows(one, studies, headers, listed)]

    def _rows(
        self, series: Any, studies: Mapping[str, Any], headers: Mapping[str, Mapping[str, Any]], listed: Listed
    ) -> list[Row]:
        study = studies.get(str(series.get("ParentStudy")))
        wanted = _instances(series)
        if study is None or not all(one in headers for one in wanted):
            raise self._changed()
        tags, above = _tags(series), _tags(study)
        place = {
            "OrthancId": listed.identifier,
            "PatId": listed.patient,
            "StudyId": above.get("StudyID"),
            "StudyIdentifier": study.get("ID"),
            "StudyDescription": above.get("StudyDescription"),
            "SeriesIdentifier": series.get("ID"),
            "SeriesDescription": tags.get("SeriesDescription"),
            "SeriesDate": tags.get("SeriesDate"),
        }
        return along([columns.row(headers[one], {**place, "InstanceIdentifier": one}) for one in wanted])

    def _headers(self, series: Any, headers: dict[str, Mapping[str, Any]], budget: Budget) -> None:
        """The headers of a series at once; object by object where they are too large for that, or not all there."""
        found: Any = None
        identifier, wanted = _identifier(series.get("ID")), _instances(series)
        try:
            found = self._ask(f"/series/{identifier}/instances-tags?{_TAGS}", budget)
        except BadArchive:
            found = None
        except Refused as error:
            if error.status != 404:
                raise
        if not isinstance(found, dict):
            found = {}
        headers.update({one: found[one] for one in wanted if isinstance(found.get(one), dict)})
        jobs = [partial(self._header, one, headers, budget) for one in wanted if one not in headers]
        objects.run(jobs, lambda: budget.spent)

    def _header(self, instance: str, headers: dict[str, Mapping[str, Any]], budget: Budget) -> None:
        found = self._ask(f"/instances/{instance}/tags?{_TAGS}", budget)
        if not isinstance(found, dict):
            raise self._not_its_own()
        headers[instance] = found

    def _check_version(self, budget: Budget) -> None:
        """Once: a server that is no Orthanc says so in a sentence, and not in a table full of holes."""
        if self._version is None:
            said = self._ask("/system", budget)
            version = said.get("Version") if isinstance(said, dict) else None
            if not isinstance(version, str):
                raise BadArchive(f"{self.name} does not say that it is an Orthanc. Check ipport.")
            self._version = version

    def _listed(self, path: str, budget: Budget) -> list[Any]:
        found = self._ask(path, budget)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._not_its_own()
        return found

    def _ask(self, path: str, budget: Budget) -> Any:
        with self._free:
            asked, began = self._codings.choose(), time.monotonic()
            with self._client.request("query", "GET", path, budget, coding=asked) as answer:
                found = answer.json()
                self._codings.note(asked, answer.body.count, time.monotonic() - began)
        return found

    def _changed(self) -> Incomplete:
        return Incomplete(
            f"{self.name} did not give every header of a patient: it changed meanwhile, or the time ran out. "
            "Run again, with a larger TIMEOUT where that does not help."
        )

    def _not_its_own(self) -> BadArchive:
        return BadArchive(
            f"{self.name} answered with something that no Orthanc says. "
            "Check that ipport is the root of an Orthanc's REST interface."
        )


def _patient(one: Any) -> Listed:
    identifier = _identifier(one.get("ID") if isinstance(one, dict) else None)
    return Listed(str(_tags(one).get("PatientID") or ""), identifier)


def _check_patient(study: Any, patient: str, name: str) -> None:
    """The list of patients may be old, or of another Orthanc: nobody gets another one's objects."""
    above = study.get("PatientMainDicomTags")
    told = str(above.get("PatientID") or "").strip("\0 ") if isinstance(above, dict) else ""
    if told != patient:
        raise BadArchive(
            f"the list of patients gives a patient an identifier that is another one's at {name}. "
            "Run: qa-fetch cohort ids."
        )


def _tags(one: Any) -> Mapping[str, Any]:
    found = one.get("MainDicomTags") if isinstance(one, dict) else None
    return found if isinstance(found, dict) else {}


def _instances(series: Any) -> list[str]:
    found = series.get("Instances")
    return [_identifier(one) for one in found] if isinstance(found, list) else []


def _identifier(value: Any) -> str:
    """An identifier as it may stand in an address."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise BadArchive("an identifier is none that Orthanc gives. Run: qa-fetch cohort ids.")
    return value
