"""Orthanc through its own REST interface."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, QAFetchError, Refused
from ..matching import Value, query
from ..shelf import Claim, Reference
from . import Local, Sent, Step
from .http import limits, objects
from .http.arrival import receive
from .http.client import Client, log, no_objects
from .http.coding import codings
from .http.multipart import Whole
from .http.steps import steps
from .http.upload import examine, is_over, problem_of, single
from .http.values import from_orthanc
from .levels import UNIQUE, above, check_level, chosen, level_of

_LEVELS = {"PATIENT": "Patient", "STUDY": "Study", "SERIES": "Series", "IMAGE": "Instance"}
_CHILDREN = {
    "NumberOfPatientRelatedStudies": ("PATIENT", "Studies"),
    "NumberOfStudyRelatedSeries": ("STUDY", "Series"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "Instances"),
}
# What Orthanc keeps of an instance in its index; for anything else it has to read the object's own header.
_KEPT = frozenset("InstanceCreationDate InstanceCreationTime InstanceNumber SOPInstanceUID".split())
_PIECE = 1 << 18
_FEW = 2  # instances of a series whose headers are asked for one by one
# How its statistics and its addresses call what is of a level.
_COUNTS = {"PATIENT": "CountPatients", "STUDY": "CountStudies", "SERIES": "CountSeries", "IMAGE": "CountInstances"}
_ADDRESSES = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}


class OrthancBackend:
    """An Orthanc, asked in as few requests as its version allows."""

    relational = True

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self.name = archive.name
        self._client = Client(archive)
        self._codings = codings(archive["url"])
        self._limits = limits.known(archive["url"])
        self._client.warn()

    # --- asking

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Entities of a level that fit the keys."""
        level = check_level(level)
        query(level, keys, returned)  # a typing slip in a keyword is refused before anything is asked
        wanted = {*returned, *keys, *(UNIQUE[upper] for upper in (*above(level), level))}
        sent = _sent(level, keys)
        question = {
            "Level": _LEVELS[level],
            "Query": sent,
            "Expand": True,
            "RequestedTags": sorted(wanted - set(_CHILDREN)),  # Orthanc 1.11 and later answers with them
        }
        found = self._listed("/tools/find", question, budget)
        total, reaches = partial(self._total, level, budget), partial(self._reaches, level, budget)
        if not self._limits.whole(level, sent, len(found), total, reaches):
            found = self._below(level, limits.scope(level, sent), budget)
        if not all("RequestedTags" in one for one in found):
            self._complete(level, found, wanted, budget)
        rows = [_row(level, one, wanted) for one in found]
        return chosen(rows, level, keys)

    def _listed(self, path: str, question: Any, budget: Budget) -> list[Any]:
        answer = self._client.ask("query", "GET" if question is None else "POST", path, budget, question)
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise BadArchive(
                f"{self.name} answered {path} with something that is no list of resources. "
                "Check that url is the root of an Orthanc's REST interface."
            )
        return answer

    def _reaches(self, level: str, budget: Budget, keys: limits.Keys, number: int) -> bool:
        """Whether a question has at least so many answers."""
        question = {"Level": _LEVELS[level], "Query": keys, "Since": number - 1, "Limit": 1}
        return bool(self._client.ask("query", "POST", "/tools/find", budget, question))

    def _total(self, level: str, budget: Budget, within: limits.Keys) -> Optional[int]:
        """How many entities of a level Orthanc has within a patient, study or series, or at all; no limit cuts that."""
        try:
            told = [
                self._client.ask("query", "GET", f"{path}/statistics", budget)
                for path in (self._paths(within, budget) if within else [""])
            ]
        except Refused as error:
            if error.status not in (403, 404, 405):
                raise
            return None  # an account that may not ask: there is nothing to compare with
        counts: list[Any] = [one.get(_COUNTS[level]) if isinstance(one, dict) else None for one in told]
        return sum(counts) if all(isinstance(one, int) for one in counts) else None

    def _below(self, level: str, within: limits.Keys, budget: Budget) -> list[Any]:
        """All entities of a level within a patient, study or series, whether they fit or not; no limit cuts that."""
        if not within:
            raise limits.partial_answer(self.name)
        found: list[Any] = []
        for path in self._paths(within, budget):
            found += self._listed(f"{path}/{_ADDRESSES[level]}", None, budget)
        return found

    def _paths(self, within: limits.Keys, budget: Budget) -> list[str]:
        """The addresses of the patient, study or series that a key names."""
        keyword, value = list(within.items())[-1]
        level = next(level for level, unique in UNIQUE.items() if unique == keyword)
        return [f"/{_ADDRESSES[level]}/{_safe(one)}" for one in self._looked_up(str(value), _LEVELS[level], budget)]

    def _complete(self, level: str, found: list[Any], wanted: set[str], budget: Budget) -> None:
        """Older Orthancs answer with a level's own main tags: bring the rest from above, below or the objects."""
        if level == "IMAGE":
            if wanted - _KEPT:
                self._add_headers(found, budget)
            return
        uppers = {"SERIES": "ParentStudy"}.get(level)
        if uppers:
            parents = self._bulk("Study", (one.get(uppers) for one in found), budget)
            for one in found:
                parent = parents.get(str(one.get(uppers)), {})
                one["RequestedTags"] = {**_tags(parent, "MainDicomTags"), **_tags(parent, "PatientMainDicomTags")}
        if level == "STUDY" and "ModalitiesInStudy" in wanted:
            series = self._bulk("Series", (child for one in found for child in _children(one, "Series")), budget)
            for one in found:
                kinds = {
                    _tags(series.get(child, {}), "MainDicomTags").get("Modality") for child in _children(one, "Series")
                }
                one["RequestedTags"] = {"ModalitiesInStudy": "\\".join(sorted(kind for kind in kinds if kind))}

    def _bulk(self, level: str, identifiers: Iterable[Any], budget: Budget) -> dict[str, Any]:
        wanted = sorted({one for one in identifiers if isinstance(one, str)})
        if not wanted:
            return {}
        question = {"Resources": wanted, "Level": level, "Metadata": False}
        try:
            listed = self._listed("/tools/bulk-content", question, budget)
        except Refused as error:
            if error.status not in (404, 405):
                raise
            # Before Orthanc 1.9.4: one by one.
            kind = "studies" if level == "Study" else "series"
            listed = [self._client.ask("query", "GET", f"/{kind}/{one}", budget) for one in wanted]
        return {str(one.get("ID")): one for one in listed if isinstance(one, dict)}

    def _add_headers(self, found: list[Any], budget: Budget) -> None:
        """The objects' own headers: series by series, or one by one where few of a series are wanted."""
        series: dict[str, list[Any]] = {}
        for one in found:
            series.setdefault(str(one.get("ParentSeries")), []).append(one)
        jobs = []
        for identifier, members in series.items():
            if len(members) > _FEW:
                jobs.append(partial(self._headers_of, identifier, members, budget))
            else:
                jobs += [partial(self._header_of, one, budget) for one in members]
        objects.run(jobs, lambda: False)

    def _headers_of(self, series: str, members: list[Any], budget: Budget) -> None:
        try:
            headers = self._client.ask("query", "GET", f"/series/{_safe(series)}/instances-tags?short", budget)
        except BadArchive:  # too large at once, or one of the series spoils it
            headers = None
            for one in members:
                self._header_of(one, budget)
        for one in members:
            if isinstance(headers, dict) and isinstance(headers.get(one.get("ID")), dict):
                one["RequestedTags"] = headers[one["ID"]]

    def _header_of(self, one: Any, budget: Budget) -> None:
        header = self._client.ask("query", "GET", f"/instances/{_safe(one.get('ID'))}/tags?short", budget)
        if isinstance(header, dict):
            one["RequestedTags"] = header

    # --- fetching

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects into the claim, over several connections."""
        jobs = [partial(self._fetch, reference, claim, budget) for reference in references]
        objects.run(jobs, lambda: budget.spent or claim.failure is not None)
        if claim.failure is not None:
            raise claim.failure
        log.info("%s: %d objects retrieved", self.name, claim.arrived)

    def _fetch(self, reference: Reference, claim: Claim, budget: Budget) -> None:
        """One object, under the identifier that Orthanc makes of its UIDs; looked up where that is another."""
        if reference.patient and reference.study and reference.series:
            try:
                return self._file(_identifier(reference), claim, budget)
            except Refused as error:
                if error.status != 404:
                    raise
        for one in self._looked_up(reference.instance, "Instance", budget):
            self._file(_safe(one), claim, budget)

    def _looked_up(self, identifier: str, kind: str, budget: Budget) -> list[str]:
        answer = self._client.ask("query", "POST", "/tools/lookup", budget, identifier.encode())
        listed = answer if isinstance(answer, list) else []
        return [one["ID"] for one in listed if isinstance(one, dict) and one.get("Type") == kind and "ID" in one]

    def _file(self, identifier: str, claim: Claim, budget: Budget) -> None:
        path = f"/instances/{identifier}/file"
        asked, began = self._codings.choose(), time.monotonic()
        with self._client.request(
            "retrieve", "GET", path, budget, accept="application/dicom, */*", coding=asked
        ) as answer:
            answer.check_plain()
            if answer.content_type not in ("application/dicom", "application/octet-stream"):
                raise no_objects(self.name, answer.content_type)
            if not answer.body.delimited:
                raise BadArchive(
                    f"{self.name} does not say where an object ends, so it is not used. Report it to its administrator."
                )
            try:
                receive(Whole(answer.body, answer.body.announced), claim, self.name)
            except BadArchive:
                if claim.failure is not None or claim.spoilt is None:
                    raise
            self._codings.note(asked, answer.body.count, time.monotonic() - began)

    # --- sending, testing, closing

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files over several connections; each is accounted for."""
        problems: dict[Path, str] = dict.fromkeys(files, f"{self.name} was not asked, since it failed before")
        over: list[str] = []

        def send(path: Path) -> None:
            if over:
                problems[path] = over[0]
                return
            try:
                problems[path] = self._store_one(path, budget)
            except OSError as error:
                problems[path] = f"{path.name} cannot be read: {error.strerror}"
            except QAFetchError as error:
                problems[path] = problem_of(error)
                if is_over(error):
                    over.append(problem_of(error))

        objects.run([partial(send, path) for path in problems], lambda: False)
        return [Sent(path, problem) for path, problem in problems.items()]

    def _store_one(self, path: Path, budget: Budget) -> str:
        upload = single(examine(path))
        with self._client.request("upload", "POST", "/instances", budget, upload=upload) as answer:
            said = answer.json()
        status = said.get("Status") if isinstance(said, dict) else None
        if status == "Success" or (status == "AlreadyStored" and self._has(_safe(said.get("ID")), path, budget)):
            return ""
        if status == "AlreadyStored":
            return (
                f"{self.name} has an object under the UID of {path.name} that is not the same byte for byte, and keeps "
                "that one. Compare the two before you replace it there"
            )
        if status == "FilteredOut":
            return f"{self.name} keeps no objects like {path.name}: a filter of its own refuses them"
        return f"{self.name} did not say that it has stored {path.name}; its log may say why"

    def _has(self, identifier: str, path: Path, budget: Budget) -> bool:
        """Whether what lies there under an object's UIDs is this object: Orthanc does not look before it says so."""
        accept = "application/dicom, */*"
        with tempfile.TemporaryFile() as there, path.open("rb") as here:
            with self._client.request(
                "retrieve", "GET", f"/instances/{identifier}/file", budget, accept=accept
            ) as answer:
                answer.check_plain()
                with memoryview(bytearray(_PIECE)) as piece:
                    while count := answer.body.readinto(piece):
                        there.write(piece[:count])
            there.flush()
            with part10.opened(there, f"what {self.name} has") as one, part10.opened(here, path.name) as other:
                if one.transfer_syntax == other.transfer_syntax and one.dataset == other.dataset:
                    return True
                return _plain(one) == _plain(other)  # Orthanc may write sequences or the whole in its own way

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try the connection step by step."""

        def try_query() -> str:
            said = self._client.ask("query", "GET", "/system", budget)
            version = said.get("Version") if isinstance(said, dict) else None
            if not isinstance(version, str):
                raise BadArchive(f"{self.name} does not say that it is an Orthanc. Check url.")
            return f"it is Orthanc {version[:20]}"

        yield from steps(self, self._client, budget, patient, try_query)

    def close(self) -> None:
        """Nothing to do: connections stay open for the next call for some seconds, and are then closed."""


def _sent(level: str, keys: Mapping[str, Value]) -> dict[str, str]:
    """The keys that Orthanc matches well; the others are matched on our side alone."""
    levels = (*above(level), level)
    sent = {}
    for keyword, value in keys.items():
        text = _text(keyword, value)
        if text and level_of(keyword) in levels:
            sent[keyword] = text
    return sent


def _text(keyword: str, value: Value) -> str:
    if keyword in ("ImageType", "ModalitiesInStudy", "SOPClassesInStudy") or keyword.startswith("NumberOf"):
        return ""
    if isinstance(value, (str, int, float)):
        text = str(value)
        return text if text.isascii() and "\\" not in text else ""
    if isinstance(value, Mapping) or value is None:
        return ""
    return "\\".join(str(part) for part in value) if keyword.endswith("UID") else ""


def _row(level: str, one: Mapping[str, Any], wanted: set[str]) -> Any:
    said: dict[str, Any] = {}
    for part in ("PatientMainDicomTags", "MainDicomTags", "RequestedTags"):
        said.update(_tags(one, part))
    for keyword, (own, children) in _CHILDREN.items():
        if own == level and keyword in wanted and isinstance(one.get(children), list):
            said[keyword] = str(len(one[children]))
    return from_orthanc(said, {*wanted, "SOPClassUID"})


def _tags(one: Any, part: str) -> dict[str, Any]:
    found = one.get(part) if isinstance(one, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _children(one: Any, name: str) -> list[str]:
    found = one.get(name)
    return [child for child in found if isinstance(child, str)] if isinstance(found, list) else []


def _plain(whole: part10.Part10) -> bytes:
    """A data set as pydicom writes it; as it is where that is not possible, as with compressed pixels."""
    try:
        return part10.transcode(whole.dataset, whole.transfer_syntax, part10.EXPLICIT_LITTLE)
    except BadArchive:
        return bytes(whole.dataset)


def _safe(identifier: Any) -> str:
    """An identifier as it may stand in an address: Orthanc's are hexadecimal digits and hyphens."""
    text = str(identifier)
    if not text or set(text) - set("0123456789abcdef-"):
        raise BadArchive("an identifier that Orthanc gave is none of its own. Report it to its administrator.")
    return text


def _identifier(reference: Reference) -> str:
    """What Orthanc calls an instance: a digest of patient, study, series and instance."""
    parts = (reference.patient.strip(), reference.study, reference.series, reference.instance)
    digest = hashlib.sha1("|".join(parts).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))
