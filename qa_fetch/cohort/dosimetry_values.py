"""Everything that the doses of one patient do to the regions, worked out from the DICOM files that were built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np

from .. import part10
from ..errors import BadArchive, Incomplete, NotFound
from . import comparing, constraints, contours, dvh, names, reading, summing, volumes
from .built import Built, BuiltDose
from .comparing import Told
from .constraints import Constraint, Judged
from .contours import Region
from .dosimetry_records import Compared, Dosimetry, PlanDose, RoiDose
from .dvh import Dvh
from .folders import PatientFolder
from .grids import Floats, Grid
from .metrics import Metric
from .summing import Phase, Summed

_DIGITS = 4
_GEOMETRY = (
    "ImageOrientationPatient ImagePositionPatient PixelSpacing SliceThickness Rows Columns FrameOfReferenceUID".split()
)


@dataclass(frozen=True)
class Asked:
    """What is wanted beside PDCP's columns; ``prescription`` (Gy) goes before those of the plans."""

    metrics: tuple[Metric, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    alpha_beta: Optional[float] = None
    prescription: Optional[float] = None


class WorkedOut(NamedTuple):
    """What is known of a patient, and PDCP's rows of it."""

    dosimetry: Dosimetry
    rows: list[dict[str, Any]]
    prescribed: bool


class _Dose(NamedTuple):
    phase: Phase
    plan: str  # its UID
    label: str
    told: Told


class _Found(NamedTuple):
    """A region and its histograms."""

    structures: str
    region: Region
    summed: Summed

    @property
    def total(self) -> Dvh:
        return self.summed.total

    def named(self) -> dict[str, Any]:
        return {"structures": self.structures, "number": self.region.number, "roi": self.region.name}


def mark(folder: PatientFolder) -> str:
    """The mark of what was built of a patient; empty where nothing was."""
    try:
        return hashlib.sha256(folder.built.read_bytes()).hexdigest()[:32]
    except FileNotFoundError:
        return ""


def worked_out(folder: PatientFolder, built: Built, asked: Asked) -> WorkedOut:
    """All values of a patient.

    Parameters
    ----------
    folder, built
        Of the patient.
    asked
        What is wanted.

    Raises
    ------
    NotFound
        A file is gone.
    BadArchive
        Doses or structures cannot be read; what is wrong with one region is in the notes instead.
    """
    before = mark(folder)
    _all_there(folder, built)
    images = grid_of(folder, built)
    doses = [_dose(folder, built, each) for each in built.doses]
    notes = [text for each in doses for text in each.told.notes]
    rx, fractions = _prescribed(built, asked, notes)
    without: list[tuple[str, Region]] = []
    found = list(_regions(folder, built, (doses, images), asked, (notes, without)))
    notes += _without_eqd2(doses, asked)
    patients = _Patient(found, doses, [each.uid for each in built.structures])
    notes += patients.not_compared()
    whole = dvh.whole(summing.added([each.phase.dose for each in doses])) if doses else None
    dosimetry = Dosimetry(
        patient=built.patient,
        prescription_gy=rx,
        fractions=fractions,
        highest_gy=None if whole is None or whole.max is None else round(whole.max, _DIGITS),
        rois=tuple(_roi(each, tuple(patients.compared(each))) for each in found),
        metrics=tuple(_metrics(found, asked.metrics, rx, whole)),
        constraints=tuple(_judged((found, without), asked.constraints, rx, whole)),
        notes=tuple(dict.fromkeys(notes)),
        plans=tuple(_plans(found, doses)) if len(doses) > 1 else (),
        eqd2=tuple(_eqd2(found, asked.alpha_beta)),
        built=before,
    )
    cgy = None if rx is None else rx * 100
    rows = [each.total.row(built.patient, each.region.name, cgy) for each in found]
    return WorkedOut(dosimetry, rows, rx is not None)


def _all_there(folder: PatientFolder, built: Built) -> None:
    """Refuse a patient of whom only the NIfTI files are left, which is all that loading looks at."""
    files = [*built.images[:1], *built.images[-1:]]
    files += [*(each.file for each in built.structures), *(each.file for each in built.doses)]
    gone = sum(not reading.inside(folder.root, file).is_file() for file in files)
    if gone:
        raise NotFound(
            f"{gone} of the DICOM files that this patient was built from {'are' if gone > 1 else 'is'} not there any "
            "more. Run: qa-fetch cohort build."
        )


def grid_of(folder: PatientFolder, built: Built) -> Grid:
    """The grid of the images, from the headers of the first and the last of them."""
    first, last = (
        part10.read(reading.inside(folder.root, built.images[which]), headers_only=True, keywords=_GEOMETRY)
        for which in (0, -1)
    )
    try:
        turned = np.array(first.ImageOrientationPatient, dtype=np.float64)
        low, high = (np.array(each.ImagePositionPatient, dtype=np.float64) for each in (first, last))
        down, across = (float(value) for value in first.PixelSpacing)
        normal = np.cross(turned[:3], turned[3:])
        normal /= np.linalg.norm(normal)
        count = len(built.images)
        apart = float((high - low) @ normal) / (count - 1) if count > 1 else float(first.SliceThickness)
        shape = (count, int(first.Rows), int(first.Columns))
    except (AttributeError, TypeError, ValueError):
        apart = 0.0
    if not apart > 0:
        raise BadArchive("The images that were built do not say where they lie any more. Run the build again.")
    steps: Floats = np.array([normal * apart, turned[3:] * down, turned[:3] * across])
    return Grid(shape, low, steps, built.frame_of_reference or None, built.instances)


def _dose(folder: PatientFolder, built: Built, each: BuiltDose) -> _Dose:
    data = part10.read(reading.inside(folder.root, each.file))
    plan = next((plan for plan in built.plans if plan.uid == each.plan), None)
    told = comparing.told(data)
    phase = Phase(volumes.dose(data), None if plan is None else plan.fractions)
    return _Dose(phase, each.plan or "", "" if plan is None else plan.label, told)


def _prescribed(built: Built, asked: Asked, notes: list[str]) -> tuple[Optional[float], Optional[int]]:
    """Dose (Gy) and fractions of all plans together; None where one does not say.

    Parameters
    ----------
    built
        With the plans.
    asked
        May hold another dose.
    notes
        Get the reasons.
    """
    rx, fractions = asked.prescription, None
    if built.plans and all(plan.fractions is not None for plan in built.plans):
        fractions = sum(plan.fractions or 0 for plan in built.plans)
    if rx is not None:
        return rx, fractions
    if not built.plans:
        notes.append("There is no plan, so no prescription is known. Give it yourself where you need it.")
        return None, fractions
    notes += [f"Plan {plan.label}: {reason}" for plan in built.plans for reason in plan.reasons]
    if any(plan.prescription_gy is None for plan in built.plans):
        return None, fractions
    return sum(plan.prescription_gy or 0.0 for plan in built.plans), fractions


def _regions(
    folder: PatientFolder,
    built: Built,
    given: tuple[list[_Dose], Grid],
    asked: Asked,
    said: tuple[list[str], list[tuple[str, Region]]],
) -> Iterator[_Found]:
    """The histograms of all regions; what cannot have one is noted.

    Parameters
    ----------
    folder, built
        Of the patient.
    given
        The doses, and the grid of the images.
    asked
        May ask for EQD2.
    said
        The notes, which get what is wrong with a region, and the list that gets such regions.
    """
    (doses, images), (notes, without) = given, said
    if not doses:
        return
    phases = [each.phase for each in doses]
    for each in built.structures:
        found = contours.structures(reading.inside(folder.root, each.file))
        notes += found.warnings
        for region in found.regions:
            if region.fault is not None:
                notes.append(f"ROI {region.number} ({region.name}) has no DVH: {region.fault}.")
                without.append((each.uid, region))
                continue
            try:
                yield _Found(each.uid, region, summing.of(region, phases, images, asked.alpha_beta))
            except (BadArchive, Incomplete) as error:
                notes.append(error.message)
                without.append((each.uid, region))


def _without_eqd2(doses: Sequence[_Dose], asked: Asked) -> Iterator[str]:
    if asked.alpha_beta is not None and any(each.phase.fractions is None for each in doses):
        yield (
            "EQD2 was not worked out, since the number of fractions of a dose is not known. "
            "Look for what its plan says of them."
        )


class _Patient:
    """Which histograms of the planning system belong to which regions."""

    def __init__(self, found: Sequence[_Found], doses: Sequence[_Dose], structures: Sequence[str]) -> None:
        self._found, self._doses = found, doses
        self._meant = [comparing.apply_to(each.told, structures) for each in doses]

    def compared(self, found: _Found) -> Iterator[Compared]:
        """A region beside what the planning system says of it."""
        yield from comparing.volumes(found.region, found.total)
        for each, meant, part in zip(self._doses, self._meant, found.summed.parts):
            for histogram in each.told.histograms if meant == found.structures else ():
                if histogram.number == found.region.number and not part.outside_cc:
                    yield from comparing.doses(part, histogram, each.label)

    def not_compared(self) -> Iterator[str]:
        """What of the planning system's belongs to nothing here."""
        for each, meant in zip(self._doses, self._meant):
            if each.told.histograms and meant is None:
                yield (
                    "The DVHs in a dose are those of a structure set that is not among these, or names none, so they "
                    "were not compared."
                )
        for found in self._found:
            for each, meant, part in zip(self._doses, self._meant, found.summed.parts):
                numbers = [one.number for one in each.told.histograms] if meant == found.structures else []
                if found.region.number in numbers and part.outside_cc:
                    yield (
                        f"ROI {found.region.number} ({found.region.name}) was not compared with the planning system's "
                        "DVH, since a part of it lies outside of the dose grid."
                    )


# Records


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, _DIGITS)


def _main(found: Dvh) -> dict[str, Optional[float]]:
    values = {"mean": found.mean, "min": found.min, "max": found.max, "d95": found.D(95), "d2": found.D(2)}
    return {key: _rounded(value) for key, value in values.items()}


def _roi(found: _Found, tps: tuple[Compared, ...]) -> RoiDose:
    region, total = found.region, found.total
    gray, percent = total.curve()
    return RoiDose(
        structures=found.structures,
        number=region.number,
        name=region.name,
        kind=region.interpreted_type or "",
        colour=region.colour,
        volume_cc=round(total.volume_cc, _DIGITS),
        median=_rounded(total.median),
        curve_gy=tuple(float(value) for value in np.round(gray, _DIGITS)),
        curve_percent=tuple(float(value) for value in np.round(percent, _DIGITS)),
        cautions=tuple(caution.text for caution in total.cautions),
        tps=tps,
        suggested_name=names.suggested(region.name) or "",
        **_main(total),
    )


def _plans(found: Sequence[_Found], doses: Sequence[_Dose]) -> Iterator[PlanDose]:
    for each in found:
        for dose, part in zip(doses, each.summed.parts):
            yield PlanDose(dose.plan, dose.label, each.structures, each.region.number, **_main(part))


def _eqd2(found: Sequence[_Found], alpha_beta: Optional[float]) -> Iterator[dict[str, Any]]:
    for each in found:
        if each.summed.eqd2 is not None:
            yield {**each.named(), "alpha_beta": alpha_beta, **_main(each.summed.eqd2)}


def _whole(found: Sequence[_Found], structures: str, whole: Optional[Dvh]) -> Optional[Dvh]:
    """The histogram of the patient's outline, else of the whole dose: what ``CI`` needs."""
    outlines = [
        each.total
        for each in found
        if each.structures == structures and (each.region.interpreted_type or "").upper() == "EXTERNAL"
    ]
    return outlines[0] if len(outlines) == 1 and outlines[0].inside_cc > 0 else whole


def _metrics(
    found: Sequence[_Found], metrics: Sequence[Metric], rx: Optional[float], whole: Optional[Dvh]
) -> Iterator[dict[str, Any]]:
    """Each metric of each region.

    Parameters
    ----------
    found, metrics
        The regions, and what is asked of them.
    rx
        Gy.
    whole
        The histogram of the whole dose.
    """
    for each in found:
        cautions = " ".join(caution.text for caution in each.total.cautions)
        around = _whole(found, each.structures, whole)
        for metric in metrics:
            value = metric.value(each.total, rx, around)
            yield {
                **each.named(),
                "metric": metric.text,
                "value": _rounded(value.number),
                "unit": value.unit,
                "reason": value.reason or "",
                "cautions": cautions,
            }


def _judged(
    regions: tuple[Sequence[_Found], Sequence[tuple[str, Region]]],
    wanted: Sequence[Constraint],
    rx: Optional[float],
    whole: Optional[Dvh],
) -> Iterator[dict[str, Any]]:
    """Each constraint on each region that it means; on none, where no structure set has one.

    Parameters
    ----------
    regions
        Those with histograms, and those without, of which nothing can be said.
    wanted
        What they have to keep to.
    rx
        Gy.
    whole
        The histogram of the whole dose.
    """
    found, without = regions
    sets = dict.fromkeys([*(each.structures for each in found), *(structures for structures, _ in without)])
    for constraint in wanted:
        rows: list[dict[str, Any]] = []
        for structures in sets:
            of_set = [(each.region.name, each.total) for each in found if each.structures == structures]
            judged = constraints.check([constraint], of_set, rx, _whole(found, structures, whole))
            judged = [one for one in judged if one.roi is not None]
            for its, region in without:
                if its == structures and constraint.fits(region.name):
                    judged.append(Judged(constraint, region.name, None, None, constraints.NO_DVH, ()))
            rows += [{**one.row(), "structures": structures} for one in judged]
        yield from rows or [{**one.row(), "structures": ""} for one in constraints.check([constraint], [], rx)]
