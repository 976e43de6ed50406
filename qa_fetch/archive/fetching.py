"""From references to files on the shelf, each checked against what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

from .. import part10
from ..backends import Backend, Converting
from ..budget import Budget
from ..errors import BadArchive, Incomplete, NotFound, QAFetchError
from ..shelf import Claim, Reference, Shelf
from .images import Images, Plan, plan_from
from .plans import LONGEST_LABEL, PLAN_KEYWORDS, choose, is_uid
from .readable import readable
from .sessions import Image, Wanted, image
from .told import Telling
from .when import parse_date

Progress = Callable[[int, int], None]

_HEADER_KEYWORDS = (
    "PatientID",
    "Modality",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "SeriesDate",
    "SeriesTime",
    "ReferencedRTPlanSequence",
)


class Fetcher:
    """Brings objects of one archive onto the shelf and reads what is needed of them."""

    def __init__(
        self,
        backend: Backend,
        shelf: Shelf,
        archive: str,
        on_progress: Optional[Progress],
        fetch_plan: Callable[[Plan], Path],
        telling: Telling,
    ) -> None:
        self.backend = backend
        self.shelf = shelf
        self.archive = archive
        self.transferred: set[str] = set()
        self._on_progress = on_progress
        self._fetch_plan = fetch_plan
        self.telling = telling

    def bring(
        self,
        references: Sequence[Reference],
        budget: Budget,
        *,
        says: str,
        plan: Optional[Plan] = None,
        wanted: Optional[Wanted] = None,
        patient: str = "",
        whole_series: bool = False,
    ) -> Images:
        """Objects as a set of files; raises unless every one of them is there and is what was asked for."""
        uids = [reference.instance for reference in references]
        self.place(references, budget, whole_series=whole_series)
        since = self._since(references, budget)
        try:
            folder = self.shelf.gather(uids, says, since)
        except Incomplete as error:
            if not error.retriable:
                raise
            # Somebody changed or removed a kept file between two calls: fetch it once more.
            self.place(references, budget)
            folder = self.shelf.gather(uids, says, since)
        keywords = [*_HEADER_KEYWORDS, *(wanted.kind.attributes if wanted else ()), "ExposureSequence", "KVP"]

        read_headers: Callable[[], list[Any]] = partial(_headers, folder.files, keywords)
        owner = wanted.patient if wanted is not None else patient
        if owner or wanted is not None:
            headers = read_headers()
            self._check(headers, owner, wanted)
            read_headers = partial(list, headers)
        from_shelf = self.transferred.isdisjoint(uids)
        self.telling.brought(says, len(uids), transferred=not from_shelf)
        return Images(folder, read_headers, archive=self.archive, plan=plan, from_shelf=from_shelf, says=says)

    def place(self, references: Sequence[Reference], budget: Budget, *, whole_series: bool = False) -> None:
        """Make sure that objects are on the shelf; ``transferred`` gathers which had to be brought there."""
        for uid, since in self._since(references, budget).items():
            self.shelf.outdate(uid, since)
        if all(self.shelf.has(reference.instance) for reference in references):
            return
        with self.shelf.claim(references, budget, whole_series=whole_series) as claim:
            missing = claim.missing  # another process may have brought them while we waited for the claim
            if not missing:
                return
            self.transferred.update(reference.instance for reference in missing)
            if self._on_progress is not None:
                report = self._on_progress
                claim.on_arrival = lambda: report(min(claim.arrived, len(missing)), len(missing))
            try:
                self.backend.retrieve(missing, claim, budget)
            except QAFetchError as error:
                if claim.missing:
                    raise self._partly(error, claim, len(missing), budget) from error
            if claim.missing:
                raise self._partly(None, claim, len(missing), budget)

    def where_else(self, budget: Budget) -> str:
        """What to do where a patient is not found, if the archive has more to say of that than others."""
        return self.backend.where_else(budget) if isinstance(self.backend, Converting) else ""

    def _since(self, references: Sequence[Reference], budget: Budget) -> dict[str, int]:
        """Since when objects that are made here are as they would be made now (ns since 1970)."""
        backend = self.backend
        if not isinstance(backend, Converting) or not backend.converts:
            return {}
        return {reference.instance: backend.since(reference, budget) for reference in references}

    def _partly(self, error: Optional[QAFetchError], claim: Claim, total: int, budget: Budget) -> QAFetchError:
        """What to raise when not everything came: the archive's own failure, or how far it got."""
        missing = [reference.instance for reference in claim.missing]
        arrived = total - len(missing)
        if claim.spoilt is not None:
            return BadArchive(f"{self.archive}: {claim.spoilt.message}", missing=missing)
        if error is not None and (arrived == 0 or not error.retriable):
            return error
        if budget.spent:
            return Incomplete(
                f"{self.archive} has sent {arrived} of {total} objects within {budget}. "
                "Call again to go on from there, or allow more with budget=.",
                missing=missing,
            )
        if error is not None:
            return Incomplete(
                f"{self.archive} sent {arrived} of {total} objects before it failed. "
                f"Call again to fetch the rest; if it fails again, run: qa-fetch echo {self.archive}.",
                missing=missing,
            )
        return Incomplete(
            f"{self.archive} sent {arrived} of {total} objects and called it complete. "
            "Call again to fetch the rest; if they never come, its log says why.",
            missing=missing,
        )

    def look(self, images: Sequence[Image], budget: Budget) -> None:
        """Replace the rows of images by their own headers: the archive's answers did not say enough."""
        self.place([found.reference for found in images], budget)
        for found in images:
            found.row = self.header(found.reference.instance)
            found.whole = True

    def header(self, uid: str) -> Any:
        """The header of an object that is on the shelf."""
        return readable(part10.read(self.shelf.object_path(uid), headers_only=True), header=True)

    def _check(self, headers: Sequence[Any], patient: str, wanted: Optional[Wanted]) -> None:
        """What arrived must be what was asked for, whatever the archive's answers said."""
        for header in headers:
            if patient and str(header.get("PatientID") or "").strip() != patient:
                raise BadArchive(
                    f"{self.archive} sent an object of another patient than the one asked for, so none is used. "
                    "Report it to its administrator."
                )
            if wanted is not None and not wanted.fits(header, whole=True):
                raise BadArchive(
                    f"{self.archive} described an object otherwise than it is (kind or plan), so none is used. "
                    "Report it to its administrator."
                )

    # --- plans

    def plans(self, patient: str, budget: Budget, *, label: Optional[str] = None) -> list[Plan]:
        """The plans of a patient as the archive describes them; a label narrows the question, and is checked here."""
        keys = {"PatientID": patient, "Modality": "RTPLAN"}
        if label is not None and is_uid(label):
            keys["SOPInstanceUID"] = label
        elif label is not None and label.isascii() and not set(label) & set("*?\\") and len(label) <= LONGEST_LABEL:
            keys["RTPlanLabel"] = label
        found = []
        for row in self.backend.find("IMAGE", keys, PLAN_KEYWORDS, budget):
            plan = plan_from(row, replace(image(row).reference, patient=patient), self._fetch_plan)
            if not plan.label or not row.get("PatientID"):  # an answer that does not say, so the plan itself must
                plan = self.complete(plan, budget)
                if str(self.header(plan.uid).get("PatientID") or "").strip() != patient:
                    continue
            found.append(plan)
        return [plan for plan in found if label is None or label in (plan.label, plan.uid)]

    def plan(
        self, patient: str, label: Optional[str], budget: Budget, *, pick: Optional[str], approved: Optional[bool]
    ) -> Plan:
        """The one plan that is meant, or an error that lists the candidates."""
        plans = self.plans(patient, budget, label=label) or self.plans(patient, budget)
        where_else = "" if plans else self.where_else(budget)
        if where_else:
            raise NotFound(f"{self.archive} shows no plan for this patient. {where_else}")
        return choose(
            plans,
            label,
            archive=self.archive,
            pick=pick,
            approved=approved,
            complete=lambda plan: self.complete(plan, budget),
            by_name=isinstance(self.backend, Converting) and self.backend.converts,
        )

    def complete(self, plan: Plan, budget: Budget) -> Plan:
        """The plan as its own header describes it."""
        self.place([plan.reference], budget)
        return plan_from(self.header(plan.uid), plan.reference, self._fetch_plan)

    def recalled(self, fields: Sequence[str]) -> Plan:
        """A plan as it was written down with an answer: nothing need be fetched for that."""
        reference = Reference(*fields[:5])
        label, day, approval, name, course, clock = fields[5:]
        return Plan(
            reference.instance, label, parse_date(day), approval, name, course, reference, clock, self._fetch_plan
        )

    def plan_file(self, plan: Plan, budget: Budget) -> Path:
        """The plan's file, in a folder of its own."""
        return self.bring([plan.reference], budget, says=f"plan {plan.label}", patient=plan.reference.patient).files[0]


def _headers(files: Sequence[Path], keywords: Sequence[str]) -> list[Any]:
    """What files say about themselves."""
    return [readable(part10.read(path, headers_only=True, keywords=keywords), header=True) for path in files]
