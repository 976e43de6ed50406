"""Where pymedphys 0.41 is known to be wrong: a difference of these values says nothing against our conversion.

The difference is shown all the same; see KNOWLEDGE.md for where each of these was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

from ..records import Machine, Trial
from .objects_read import Dose
from .parameters import Beam
from .results import Line

_MOVED = (
    "pymedphys does not know that archives before version 9 have their plans in other coordinates than their images"
)

_NO_FACTORS = "pymedphys leaves the collimator's output factor, trays and wedges out of monitor units"
_MINUS = (
    "pymedphys takes -1 for the dose of a monitor unit: of electrons, and where the archive describes several "
    "machines, none or another version"
)
_LOOK = "look one up in the planning system"


@dataclass(frozen=True)
class Scene:
    """What an object belongs to, as far as it decides which deficits there can be."""

    position: str = ""  # HFS, HFP, FFS, FFP
    version: Optional[float] = None
    dicom_images: bool = False  # the archive holds the images as DICOM files
    units: Mapping[tuple[int, float], float] = field(default_factory=dict)  # what its formula gives: see of_trial

    @property
    def moved(self) -> bool:
        """Whether plan and images have different coordinates."""
        return self.version is not None and self.version < 9 and self.dicom_images


def of_trial(trial: Trial, machines: tuple[Machine, ...]) -> dict[tuple[int, float], float]:
    """The monitor units that its formula gives each beam: with the machine's dose (1), and with -1 instead (-1)."""
    doses = {
        (machine.name, energy.name): energy.dose_per_mu_at_calibration
        for machine in machines
        for energy in machine.energies
    }
    found = {}
    for beam in trial.beams:
        info = beam.monitor_units
        if info is None or info.prescription_dose is None or not info.normalized_dose:
            continue
        for factor, dose in ((1.0, doses.get((beam.machine or "", beam.energy or ""))), (-1.0, -1.0)):
            if dose:
                found[beam.index + 1, factor] = info.prescription_dose / (info.normalized_dose * dose)
    return found


def of_dose(scene: Scene, ours: Dose) -> list[str]:
    """What is wrong with its dose."""
    found = []
    x, y, z = (float(axis[1] - axis[0]) if axis.size > 1 else 0.0 for axis in (ours.x, ours.y, ours.z))
    if scene.position in ("FFS", "FFP"):
        found.append("pymedphys mirrors doses of patients who lie feet first")
    if abs(x - y) > 1e-3:
        found.append("pymedphys exchanges the distances of rows and columns, and here they are not the same")
    if abs(x - z) > 1e-3:
        found.append("pymedphys takes the distance of planes from that of columns, and here they are not the same")
    if scene.moved:
        found.append(_MOVED)
    return found


def of_structures(scene: Scene) -> list[str]:
    """What is wrong with its contours."""
    return [_MOVED] if scene.moved else []


def of_images(scene: Scene) -> list[str]:
    """What is wrong with its images."""
    if scene.dicom_images:
        return []
    return [
        "pymedphys makes images from .img files with 24 HU too little, rows and columns exchanged, and at a place that "
        "it works out from their size"
    ]


def image_references(scene: Scene) -> Optional[str]:
    """What is wrong with the images that its contours name."""
    if scene.position in ("FFS", "FFP"):
        return "pymedphys looks for the image of a contour on the wrong side of patients who lie feet first"
    return None


def of_beam(scene: Scene, ours: Beam, theirs: Beam, lines: list[Line]) -> list[Line]:
    """The lines of a beam with what is wrong with the values that differ."""
    found = []
    for line in lines:
        value = line.what.split(": ", 1)[1].split(",")[0]
        rule = None if line.agrees else _BEAM.get(value)
        reason = rule(scene, ours) if rule is not None else None
        if value == "monitor units" and not line.agrees:
            reason = _units(scene, ours.number, theirs.values.get("monitor units"))
        found.append(line if reason is None else replace(line, known=(reason,)))
    return found


def _units(scene: Scene, number: int, theirs: Optional[float]) -> Optional[str]:
    """Only where it is the very number that its formula gives: another one would be news."""
    for factor, reason in ((1.0, _NO_FACTORS), (-1.0, _MINUS)):
        expected = scene.units.get((number, factor))
        if expected is not None and theirs is not None and abs(theirs - expected) <= 1e-3 * abs(expected):
            return reason
    return None


def _isocentre(scene: Scene, beam: Beam) -> str:
    return "pymedphys guesses the isocentre from the names of points; the beam names another one"


def _angle(scene: Scene, beam: Beam) -> str:
    if _moves(beam):
        return "pymedphys writes the angle of the last control point at the first, and none at the others"
    return f"pymedphys copies angles as the machine shows them, we turn them to IEC 61217 by its scales; {_LOOK}"


def _leaves(scene: Scene, beam: Beam) -> Optional[str]:
    if len(beam.settings) > 2:
        return "pymedphys writes the leaves of the last control point at all of them"
    return _leaf_order(scene, beam)


def _leaf_order(scene: Scene, beam: Beam) -> Optional[str]:
    return f"pymedphys turns leaves and jaws as if every machine counted them in one way; {_LOOK}"


def _weights(scene: Scene, beam: Beam) -> str:
    return "pymedphys takes each beam's weights from the first beam's"


def _count(scene: Scene, beam: Beam) -> Optional[str]:
    return "pymedphys writes one control point too many for an arc" if _moves(beam) else None


def _boundaries(scene: Scene, beam: Beam) -> str:
    return "pymedphys writes the boundaries of one collimator of 60 leaf pairs for every machine"


def _wedges(scene: Scene, beam: Beam) -> str:
    return "pymedphys knows wedges by a part of their name only and drops or misnames all others"


def _never(scene: Scene, beam: Beam) -> str:
    return "pymedphys never writes this"


def _fractions(scene: Scene, beam: Beam) -> str:
    return "pymedphys writes one fraction group, with the number of fractions of the last beam"


def _moves(beam: Beam) -> bool:
    angles = {setting.values.get("gantry") for setting in beam.settings}
    return len(angles) > 1


_BEAM: dict[str, Callable[[Scene, Beam], Optional[str]]] = {
    "isocentre": _isocentre,
    **dict.fromkeys(("gantry", "collimator", "couch"), _angle),
    "leaves": _leaves,
    **dict.fromkeys(("X jaws", "Y jaws"), _leaf_order),
    "weight": _weights,
    "control points": _count,
    "gantry direction": _angle,
    "leaf boundaries": _boundaries,
    "wedges": _wedges,
    **dict.fromkeys(("applicator", "blocks"), _never),
    "fractions": _fractions,
}
