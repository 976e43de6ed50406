"""What is unusual about a patient among the others, by robust z-scores; what disagrees with the planning system."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, Optional

from ..roles import TARGETS, role
from .style import amount
from .subject import USABLE, Subject

FEWEST = 8  # values, to say what is usual
FARTHEST = 3.5  # robust standard deviations, the limit of Iglewicz and Hoaglin
_OF_MAD = 1.4826  # a standard deviation of what is spread normally, in median absolute deviations
_OF_TPS = 4.0  # what a disagreement with the planning system weighs at least


class Outlier(NamedTuple):
    """One thing that is unusual; the weight is its robust z-score."""

    weight: float
    sentence: str


@dataclass(frozen=True)
class Figures:
    """The numbers of one patient that are compared with those of others."""

    patient: str
    slices: Optional[float] = None
    highest_gy: Optional[float] = None
    targets: tuple[tuple[str, float], ...] = ()  # names, and their D95 in % of the prescription
    volumes: tuple[tuple[str, float], ...] = ()  # names, and cc
    against_tps: tuple[Outlier, ...] = ()


@dataclass
class _Measure:
    """One sort of number over all patients; ``least`` is a spread that is always usual."""

    least: float
    sentence: str
    digits: int
    logarithmic: bool = False
    values: list[tuple[str, str, float]] = field(default_factory=list)  # patient, name, value

    def outliers(self) -> Iterable[tuple[str, Outlier]]:
        numbers = [math.log(value) if self.logarithmic else value for _, _, value in self.values]
        if len(numbers) < FEWEST:
            return
        middle, scores = scored(numbers, self.least)
        usual = amount(math.exp(middle) if self.logarithmic else middle, self.digits)
        for (patient, name, value), score in zip(self.values, scores):
            if abs(score) > FARTHEST:
                said = self.sentence.format(
                    name=name.strip(), value=amount(value, self.digits), usual=usual, number=len(numbers)
                )
                yield patient, Outlier(abs(score), said)


def scored(values: Sequence[float], least: float) -> tuple[float, list[float]]:
    """The median of values, and how many robust standard deviations each is from it.

    ``least`` is the smallest standard deviation that is believed: where nearly all values are the same, the rest
    should not count as far away.
    """
    middle = median(values)
    spread = max(_OF_MAD * median(abs(value - middle) for value in values), least)
    return middle, [(value - middle) / spread for value in values]


def figures(subject: Subject) -> Optional[Figures]:
    """The numbers of a patient; None of one who is not usable, and says nothing about those who are."""
    built, dosimetry = subject.built, subject.dosimetry
    if subject.state != USABLE or built is None:
        return None
    rx = positive(dosimetry.prescription_gy) if dosimetry is not None else None
    rois = dosimetry.rois if dosimetry is not None else ()
    highest = dosimetry.highest_gy if dosimetry is not None else None
    wanted = [(roi.name, positive(roi.d95)) for roi in rois if role(roi.kind, roi.name) in TARGETS]
    sizes: list[tuple[str, Optional[float]]] = [(roi.name, positive(roi.volume_cc)) for roi in rois]
    if dosimetry is None:
        sizes = [(roi.name, positive(roi.volume_cc)) for each in built.structures for roi in each.rois]
    return Figures(
        subject.patient,
        float(len(built.images)),
        positive(highest),
        tuple((name, d95 / rx * 100) for name, d95 in wanted if d95 is not None and rx is not None),
        tuple((name, volume) for name, volume in sizes if volume is not None),
        tuple(_against_tps(subject)),
    )


def of_all(everybody: Iterable[Figures]) -> dict[str, list[Outlier]]:
    """What is unusual about each patient, the most unusual patient first, and of each patient what weighs most."""
    slices = _Measure(3, "The images have {value} slices; the median of {number} patients is {usual}.", 0)
    doses = _Measure(0.5, "The highest dose is {value} Gy; the median of {number} patients is {usual} Gy.", 1)
    targets = _Measure(
        1.0,
        "{name} has a D95 of {value} % of the prescription; the median of {number} targets is {usual} %.",
        1,
    )
    volumes: dict[str, _Measure] = {}
    found: dict[str, list[Outlier]] = {}
    for one in everybody:
        if one.against_tps:
            found[one.patient] = list(one.against_tps)
        if one.slices is not None:
            slices.values.append((one.patient, "", one.slices))
        if one.highest_gy is not None:
            doses.values.append((one.patient, "", one.highest_gy))
        targets.values += [(one.patient, name, value) for name, value in one.targets]
        for name, value in one.volumes:
            measure = volumes.setdefault(name.strip().casefold(), _of_volumes())
            measure.values.append((one.patient, name, value))
    for measure in (targets, doses, slices, *volumes.values()):
        for patient, outlier in measure.outliers():
            found.setdefault(patient, []).append(outlier)
    for outliers in found.values():
        outliers.sort(reverse=True)
    return dict(sorted(found.items(), key=lambda item: -item[1][0].weight))


def _of_volumes() -> _Measure:
    sentence = "{name} has {value} cc; the median of {number} ROIs of this name is {usual} cc."
    return _Measure(0.1, sentence, 1, logarithmic=True)  # a tenth more or less is usual


def _against_tps(subject: Subject) -> Iterable[Outlier]:
    for roi in subject.dosimetry.rois if subject.dosimetry is not None else ():
        for each in roi.tps:
            ours, theirs = finite(each.ours), finite(each.theirs)
            if each.agrees or theirs is None:
                continue
            apart = abs((ours or 0.0) - theirs) / max(abs(theirs), 0.01)
            said = (
                f"{roi.name}: {each.what} is {amount(ours, 2, each.unit)} here and "
                f"{amount(theirs, 2, each.unit)} in the planning system."
            )
            yield Outlier(_OF_TPS + min(apart * 10, 100.0), said)


def finite(value: object) -> Optional[float]:
    """A number that can be calculated with."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def positive(value: object) -> Optional[float]:
    """The same, above 0."""
    found = finite(value)
    return found if found is not None and found > 0 else None
