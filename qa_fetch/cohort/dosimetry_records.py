"""What the doses do to a patient's regions, as the step ``dvh`` leaves it for pages and tables: ``dosimetry.json``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ..errors import BadArchive
from ..shelf.disk import make_folder, write_text
from .folders import PatientFolder

_FORMAT = 1
_LARGEST = 1 << 27  # bytes
_NAME = "dosimetry.json"


@dataclass(frozen=True)
class Compared:
    """A value of ours beside that of the planning system.

    ``what`` is ``volume``, ``min``, ``mean``, ``max``, ``D95%``, ``D50%`` or ``D2%``; ``said`` is a sentence where
    the two disagree. What cannot be compared is in the notes of ``Dosimetry`` instead.
    """

    what: str
    ours: float
    theirs: float
    unit: str
    agrees: bool
    said: str = ""
    source: str = ""  # "ROIVolume" or "DVHSequence"
    plan: str = ""  # the label of the plan whose dose holds the DVHSequence


@dataclass(frozen=True)
class RoiDose:
    """What a region has: volume in cc, doses in Gy, all None where it has no dose.

    The curve is that of the share (%) with a dose (Gy) or more: doses ascend, shares never do. All shares, also those
    of ``d95`` and ``d2``, are of the part that lies inside of the dose grid; ``cautions`` says where that is not all.
    """

    structures: str
    number: int
    name: str
    kind: str
    colour: Optional[tuple[int, int, int]]
    volume_cc: float
    mean: Optional[float]
    median: Optional[float]
    min: Optional[float]
    max: Optional[float]
    d95: Optional[float]
    d2: Optional[float]
    curve_gy: tuple[float, ...]
    curve_percent: tuple[float, ...]
    cautions: tuple[str, ...]  # sentences
    tps: tuple[Compared, ...]
    suggested_name: str = ""  # by TG-263; empty where the name is one already or no rule is sure


@dataclass(frozen=True)
class PlanDose:
    """What one plan of several does to a region, Gy; all None where it has no dose there."""

    plan: str  # its UID
    label: str
    structures: str
    number: int
    mean: Optional[float]
    min: Optional[float]
    max: Optional[float]
    d95: Optional[float]
    d2: Optional[float]


@dataclass(frozen=True)
class Dosimetry:
    """Everything of a patient.

    ``prescription_gy`` and ``fractions`` are those of all plans together, None where a plan does not say.
    ``highest_gy`` is the highest dose of the whole grid. ``metrics`` have the keys ``structures``, ``number``, ``roi``,
    ``metric``, ``value``, ``unit``, ``reason`` and ``cautions``; ``constraints`` those of ``constraints.Judged.row``
    and ``structures``; ``eqd2`` has ``structures``, ``number``, ``roi``, ``alpha_beta``, ``mean``, ``min``, ``max``,
    ``d95`` and ``d2``.
    """

    patient: str
    prescription_gy: Optional[float]
    fractions: Optional[int]
    highest_gy: Optional[float]
    rois: tuple[RoiDose, ...]
    metrics: tuple[dict[str, Any], ...]
    constraints: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]  # sentences: ROIs without contours, prescriptions that are not known, ...
    plans: tuple[PlanDose, ...] = ()  # only where there are several
    eqd2: tuple[dict[str, Any], ...] = ()
    built: str = ""  # the mark of the built.json that it was worked out from

    def write(self, folder: PatientFolder) -> Path:
        """Write it, at once or not at all."""
        target = make_folder(folder.dosimetry) / _NAME
        write_text(target, json.dumps({"format": _FORMAT, **asdict(self)}, allow_nan=False))
        return target

    @classmethod
    def read(cls, folder: PatientFolder) -> Optional[Dosimetry]:
        """That of a patient; None where there is none.

        Raises
        ------
        BadArchive
            The file holds something else.
        """
        try:
            with (folder.dosimetry / _NAME).open("rb") as file:
                found = json.loads(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            found = None
        try:
            return _from_json(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadArchive(
                f"{_NAME} below {folder.root.parent} is not what qa-fetch writes. Remove it, then run: "
                "qa-fetch cohort dvh."
            ) from None


def _from_json(found: Any) -> Dosimetry:
    if found.pop("format") != _FORMAT:
        raise ValueError
    found["rois"] = tuple(_roi(each) for each in found["rois"])
    found["plans"] = tuple(PlanDose(**each) for each in found["plans"])
    for key in ("metrics", "constraints", "eqd2"):
        found[key] = tuple(dict(each) for each in found[key])
    found["notes"] = tuple(map(str, found["notes"]))
    return Dosimetry(**found)


def _roi(each: dict[str, Any]) -> RoiDose:
    each["colour"] = None if each["colour"] is None else tuple(each["colour"])
    for key in ("curve_gy", "curve_percent"):
        each[key] = tuple(map(float, each[key]))
        if not all(map(math.isfinite, each[key])):
            raise ValueError
    each["cautions"] = tuple(map(str, each["cautions"]))
    each["tps"] = tuple(Compared(**one) for one in each["tps"])
    return RoiDose(**each)
