"""What was built of a patient, and from what: written last, so that a folder without it is not done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ..errors import BadArchive
from ..shelf.disk import write_text
from .folders import PatientFolder

_FORMAT = 1
_LARGEST = 1 << 26  # bytes


@dataclass(frozen=True)
class BuiltRoi:
    """A region; ``file`` and ``box`` are None where it has no mask, and ``why`` says why.

    ``box`` is around it in the images: first and last-but-one slice, row and column, as slices in Python have them.
    """

    number: int
    name: str
    kind: str
    colour: Optional[tuple[int, int, int]]
    file: Optional[str]  # relative to the patient's folder
    box: Optional[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]
    volume_cc: Optional[float]  # of the mask's fractions
    tps_volume_cc: Optional[float]  # ROIVolume, of the planning system
    warnings: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class BuiltSet:
    """A structure set and its regions."""

    uid: str
    file: str
    rois: tuple[BuiltRoi, ...]


@dataclass(frozen=True)
class BuiltPlan:
    """A plan; ``prescription_gy`` and ``fractions`` are None where ``reasons`` say why."""

    uid: str
    file: str
    label: str
    approval: str
    prescription_gy: Optional[float]
    fractions: Optional[int]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuiltDose:
    """A dose; ``plan`` is the UID of the plan that it is of, or None."""

    uid: str
    file: str
    nifti: str
    plan: Optional[str]
    highest_gy: float


@dataclass(frozen=True)
class Built:
    """Everything of a patient; all files relative to its folder."""

    patient: str
    rules: str  # a mark of the settings and of what was chosen: another one means building again
    modality: str
    series: str
    study: str
    frame_of_reference: str
    images: tuple[str, ...]  # along the normal of the images
    instances: tuple[str, ...]  # their SOPInstanceUIDs
    nifti: str
    structures: tuple[BuiltSet, ...]
    plans: tuple[BuiltPlan, ...]
    doses: tuple[BuiltDose, ...]
    made: tuple[tuple[str, int], ...] = ()  # every file that the build made, and its size
    notes: tuple[str, ...] = ()  # what it noted on the way, since notes are written anew more often than it is done

    def write(self, folder: PatientFolder) -> Path:
        """Write it, at once or not at all."""
        write_text(folder.built, json.dumps({"format": _FORMAT, **asdict(self)}))
        return folder.built

    @classmethod
    def read(cls, folder: PatientFolder) -> Optional[Built]:
        """What was built of a patient; None where nothing was, or not to the end.

        Raises
        ------
        BadArchive
            The file holds something else.
        """
        try:
            with folder.built.open("rb") as file:
                found = json.loads(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            found = None
        try:
            return _from_json(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadArchive(
                f"built.json of a patient in {folder.root.parent} is not what qa-fetch writes. "
                "Move the patient's folder away, then run the build again."
            ) from None


def _from_json(found: Any) -> Built:
    if found.pop("format") != _FORMAT:
        raise ValueError
    for key in ("images", "instances"):
        found[key] = tuple(found[key])
    found["structures"] = tuple(
        BuiltSet(each["uid"], each["file"], tuple(map(_roi, each["rois"]))) for each in found["structures"]
    )
    found["plans"] = tuple(BuiltPlan(**{**each, "reasons": tuple(each["reasons"])}) for each in found["plans"])
    found["doses"] = tuple(BuiltDose(**each) for each in found["doses"])
    found["made"] = tuple((str(name), int(size)) for name, size in found.get("made", ()))
    found["notes"] = tuple(map(str, found.get("notes", ())))
    return Built(**found)


def _roi(each: dict[str, Any]) -> BuiltRoi:
    colour, box = each["colour"], each["box"]
    each["colour"] = None if colour is None else tuple(colour)
    each["box"] = None if box is None else tuple(tuple(ends) for ends in box)
    return BuiltRoi(**{**each, "warnings": tuple(each["warnings"])})
