"""Any archive that offers DICOMweb: QIDO-RS, WADO-RS as one stream, STOW-RS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed, QAFetchError, Refused
from ..matching import Value, matches, query
from ..part10 import clean_uid
from ..shelf import Claim, Reference
from . import Local, Sent, Step
from .http import limits, objects, qido, stow
from .http.arrival import receive
from .http.client import Answer, Client, log, no_objects
from .http.multipart import Multipart, Whole
from .http.steps import steps
from .levels import UNIQUE, above, anchored, check_level, chosen, completed, group_by_series, only, require_anchor

_OBJECTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FEW = 4  # objects of a series that are asked for one by one without asking how many it has
_CANNOT = (400, 404, 405, 414, 422, 501)  # how servers say "not this question"
_ACROSS = ("SERIES", "IMAGE")  # the levels that not every server answers for several studies at once

# What this process has found out about archives.
_learned: dict[str, qido.Learned] = {}


class DicomWebBackend:
    """An archive behind DICOMweb."""

    def __init__(self, archive: ArchiveConfig, local: Local) -> None:
        self.name = archive.name
        self._client = Client(archive)
        self._learned = _learned.setdefault(archive["url"], qido.Learned())
        self._limits = limits.known(archive["url"])
        self._client.warn()

    @property
    def relational(self) -> bool:
        """Whether image queries may leave out study and series; assumed until the archive proves otherwise."""
        return self._learned.relational is not False

    # --- asking

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Entities of a level that fit the keys; walks down the levels where the archive needs that."""
        level = check_level(level)
        query(level, keys, returned)  # a typing slip in a keyword is refused before anything is asked
        if level == "PATIENT":  # QIDO-RS has no patients: its studies name them
            return chosen(self._all("STUDY", keys, [*returned, "PatientID"], budget), level, keys)
        if all(qido.single(keys.get(UNIQUE[upper])) for upper in above(level) if upper != "PATIENT"):
            return chosen(self._all(level, keys, returned, budget), level, keys)
        if self.relational:
            answers = self._across(level, keys, returned, budget)
            if answers is not None and not self._whole(level, keys, answers, budget):
                if not anchored(keys):
                    raise limits.partial_answer(self.name)
                return self._walk(level, keys, returned, budget)
            found = chosen(answers, level, keys) if answers is not None else None
            if found or (found is not None and (self._learned.relational or not anchored(keys))):
                self._learned.relational = True if found else self._learned.relational
                return found
        rows = self._walk(level, keys, returned, budget)
        if rows:
            self._learned.relational = False  # it refused or ignored the question, or found nothing where something is
        return rows

    def _across(
        self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget
    ) -> Optional[list[Any]]:
        """One question for all of a patient; None where the archive cannot answer it."""
        try:
            return self._ask(level, keys, returned, budget)
        except Refused as error:
            if error.status not in _CANNOT or not anchored(keys):
                raise
            return None

    def _all(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Every answer to one question, or Incomplete."""
        rows = self._ask(level, keys, returned, budget) or []
        if not self._whole(level, keys, rows, budget):
            raise limits.partial_answer(self.name)
        return rows

    def _whole(self, level: str, keys: Mapping[str, Value], rows: Sequence[Any], budget: Budget) -> bool:
        """Whether an answer was not cut, as far as the archive's own numbers tell."""
        if not self._learned.counts or self._learned.ignores_offset:
            return True
        total, reaches = partial(self._total, level, budget), partial(self._reaches, level, budget)
        try:
            if self._limits.whole(level, keys, len(_each(level, rows)), total, reaches):
                return True
            # Orthanc answers across studies whatever its limits; what does not can show nothing more there.
            return not all(self._reaches(one, budget, {}, 1) for one in _ACROSS)
        except (Refused, BadArchive, ConnectionFailed) as error:
            if budget.spent:
                raise
            # The answer itself came; only the question whether it was cut did not get through.
            log.info("%s: whether its answers are whole cannot be told: %s", self.name, error)
            self._learned.counts = error.retriable
            return True

    def _reaches(self, level: str, budget: Budget, keys: limits.Keys, number: int) -> bool:
        """Whether a question has at least so many answers."""
        if number > 1 and not self.relational and qido.path(level, keys) in ("/series", "/instances"):
            return False
        return qido.shown(self._client, self._learned, level, keys, number, 1, budget) > 0

    def _total(self, level: str, budget: Budget, within: limits.Keys) -> Optional[int]:
        """How many series or images there are within a patient, study or series, as the rows of those tell."""
        if level == "STUDY":
            return self._studies(within, budget)
        upper = "SERIES" if "SeriesInstanceUID" in within else "STUDY"
        keyword = {"SERIES": "NumberOfStudyRelatedSeries", "IMAGE": f"NumberOf{upper.title()}RelatedInstances"}[level]
        found = _sum(_each(upper, self._all(upper, within, [keyword], budget)), keyword)
        self._learned.counts = found is not None
        return found

    def _studies(self, within: limits.Keys, budget: Budget) -> Optional[int]:
        """How many studies there are; one more than are shown where their series or images say that some are not."""
        counted = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
        rows = _each("STUDY", self._ask("STUDY", within, counted, budget) or [])
        series, images = (_sum(rows, keyword) for keyword in counted)
        if series is None or images is None:
            self._learned.counts = False
            return None
        if self._reaches("SERIES", budget, within, len(rows) + 1):
            self._limits.learn("STUDY", len(rows) + 1)  # studies and series have one limit
            return len(rows)
        # As many series as studies, and as many as a limit may show: are their images all that there are?
        shown = qido.shown(self._client, self._learned, "IMAGE", within, max(1, images), 2, budget)
        return len(rows) if series <= len(rows) and shown == 1 else len(rows) + 1

    def _ask(
        self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget
    ) -> Optional[list[Any]]:
        """One question; put again without what is beyond the standard where that is refused.

        Archives that ignore the patient list all that they have: the first row of a stranger shows it.
        """
        patient = {"PatientID": keys["PatientID"]} if qido.single(keys.get("PatientID")) else {}
        theirs = query(level, patient)
        below = qido.path(level, keys).count("/") > 1

        def stranger(row: Any) -> bool:
            known = below or level == "STUDY" or self._learned.relational is True
            return not known and bool(patient) and matches(theirs, row) is False

        def put() -> Optional[list[Any]]:
            return qido.ask(self._client, self._learned, level, keys, returned, budget, stranger)

        try:
            return put()
        except Refused as error:
            if error.status == 404 and below:
                return []  # no such study or series
            if error.status not in (400, 422) or self._learned.standard_only:
                raise
        self._learned.standard_only = True
        try:
            return put()
        except QAFetchError:
            self._learned.standard_only = False
            raise

    def _walk(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """The hierarchical way: each level on its own, below each entity found above."""
        require_anchor(self.name, keys)
        parents: list[Any] = []
        for step in (*above(level), level):
            if step == "PATIENT":
                continue
            found = []
            for parent in parents if step != "STUDY" else [None]:
                found += self._below(step, parent, keys, returned, budget)
            parents = found
        return chosen(parents, level, keys)

    def _below(
        self, level: str, parent: Any, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget
    ) -> list[Any]:
        own = {keyword: keys[keyword] for keyword in only(level, keys)}
        asked = only(level, returned)
        chain: dict[str, Value] = {}
        if parent is None:  # the patient's attributes belong to the studies
            chain = {keyword: keys[keyword] for keyword in only("PATIENT", keys)}
            asked += only("PATIENT", returned)
        else:
            for upper in above(level):
                if upper != "PATIENT":
                    chain[UNIQUE[upper]] = clean_uid(parent.get(UNIQUE[upper]) or "")
        rows = chosen(self._all(level, {**chain, **own}, asked, budget), level, {**chain, **own})
        return [completed(row, parent) if parent is not None else row for row in rows]

    # --- fetching

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects into the claim: most of a series as one stream, a few one by one over several connections."""

        def enough() -> bool:
            return budget.spent or claim.failure is not None

        streams, rest = [], []
        for group in group_by_series([self._placed(reference, budget) for reference in references]):
            if len(group) > _FEW and 2 * len(group) >= self._size(group[0], budget):
                streams.append(partial(self._series, group[0], claim, budget))
            else:
                rest += group
        streamed = {reference.instance for reference in references} - {reference.instance for reference in rest}
        try:
            objects.run(streams, enough)
        except Refused as error:
            if error.status not in _CANNOT:
                raise
        rest += [reference for reference in claim.missing if reference.instance in streamed]
        objects.run([partial(self._instance, reference, claim, budget) for reference in rest], enough)
        if claim.failure is not None:
            raise claim.failure
        log.info("%s: %d objects retrieved, %d of them as streams", self.name, claim.arrived, len(streamed))

    def _placed(self, reference: Reference, budget: Budget) -> Reference:
        """A reference with its study and series, without which no object has an address."""
        if reference.study and reference.series:
            return reference
        rows = self.find("IMAGE", {"SOPInstanceUID": reference.instance}, ["SOPInstanceUID"], budget)
        if not rows:
            return reference
        study, series = (clean_uid(rows[0].get(key) or "") for key in ("StudyInstanceUID", "SeriesInstanceUID"))
        return replace(reference, study=study, series=series)

    def _size(self, reference: Reference, budget: Budget) -> int:
        """How many objects a series has; 0 where the archive does not say."""
        keys = {"StudyInstanceUID": reference.study, "SeriesInstanceUID": reference.series}
        try:
            rows = self.find("SERIES", keys, ["NumberOfSeriesRelatedInstances"], budget)
            return int(rows[0].get("NumberOfSeriesRelatedInstances") or 0) if rows else 0
        except (Refused, ValueError, TypeError):
            return 0

    def _series(self, reference: Reference, claim: Claim, budget: Budget) -> None:
        self._objects(_address(reference.study, reference.series), claim, budget)

    def _instance(self, reference: Reference, claim: Claim, budget: Budget) -> None:
        self._objects(_address(reference.study, reference.series, reference.instance), claim, budget)

    def _objects(self, path: str, claim: Claim, budget: Budget) -> None:
        with self._client.request("retrieve", "GET", path, budget, accept=_OBJECTS) as answer:
            answer.check_plain()
            boundary = _boundary(answer)
            if answer.content_type == "multipart/related" and boundary:
                for part in Multipart(answer.body, boundary, self.name):
                    if not self._one(part, claim) or claim.failure is not None:
                        return
            elif answer.content_type == "application/dicom":
                if not answer.body.delimited:
                    raise BadArchive(
                        f"{self.name} does not say where an object ends, so it is not used. "
                        "Report it to its administrator."
                    )
                self._one(Whole(answer.body, answer.body.announced), claim)
            else:
                raise no_objects(self.name, answer.content_type)

    def _one(self, part: Any, claim: Claim) -> bool:
        try:
            receive(part, claim, self.name)
        except BadArchive:
            if claim.failure is not None or claim.spoilt is None:
                raise
        return True  # what is spoilt is missing, and the claim knows why; the others may be whole

    # --- sending, testing, closing

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files in batches; each is accounted for."""
        return stow.send(self._client, files, budget)

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try the connection step by step."""

        def try_query() -> str:
            qido.ask(
                self._client, qido.Learned(), "STUDY", {"StudyInstanceUID": "2.25.1"}, [], budget, lambda row: False
            )
            return "it answers QIDO-RS queries"

        yield from steps(self, self._client, budget, patient, try_query)

    def close(self) -> None:
        """Nothing to do: connections stay open for the next call for some seconds, and are then closed."""


def _each(level: str, rows: Sequence[Any]) -> list[Any]:
    """Every entity once: pages may overlap."""
    return list({clean_uid(row.get(UNIQUE[level]) or ""): row for row in rows}.values())


def _sum(rows: Sequence[Any], keyword: str) -> Optional[int]:
    """What rows count together; None where one of them does not say."""
    counts = [row.get(keyword) for row in rows]
    return sum(map(int, counts)) if all(str(count or "").isdigit() for count in counts) else None


def _address(*uids: str) -> str:
    ends = ("studies", "series", "instances")
    return "".join(f"/{end}/{quote(uid, safe='')}" for end, uid in zip(ends, uids))


def _boundary(answer: Answer) -> str:
    found = str(answer.headers.get_boundary() or "")
    return found if found.isascii() and found.isprintable() and len(found) <= 200 else ""
