"""Synthetic Pinnacle archives of known truth: ``write(Course(...), path)`` gives what must come out in DICOM.

Written from the facts of the format and independent of the reader in qa_fetch.pinnacle: the two check each other.
"""

from __future__ import annotations

import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from phantom_course import DESIGNS, SORTS, BeamSpec, Course, bench
from phantom_images import others, slice_places, write_set
from phantom_text import (
    Lines,
    block,
    encoded,
    machine,
    numbered,
    patient_file,
    plan_info,
    point,
    roi,
    rois_head,
    says,
    setup,
    version_block,
)
from phantom_trial import write_trial
from phantom_truth import Array, Contours, Images, Mark, Patient, Plan, Triple, Truth, in_dicom

__all__ = ["FALLBACK", "SORTS", "BeamSpec", "Course", "Truth", "bench", "packed", "write"]

FALLBACK = (127, 127, 127)  # of inverse_grey and of colours nobody knows
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
_ROI_COLOURS = ("green", "red", "inverse_grey", "blue", "mauve_of_nobody", "yellow")
_ROI_TYPES = ("EXTERNAL", "PTV", "ORGAN", "AVOIDANCE", "GTV", "ORGAN")
_ROI_NAMES = ("BODY", "PTV_60", "Heart L", "Cord prv 5mm", "GTV", "Bone")
# cm in the plans' coordinates; neither the first nor the one that is called so is the isocentre
POINTS: dict[str, tuple[Triple, str, str]] = {
    "CT center": ((0.5, 1.0, -0.25), "yellow", "yellow"),
    "Isocenter old": ((-4.0, 2.5, 1.25), "green", "inverse_grey"),
    "iso 1": ((1.25, -0.75, 0.55), "red", "red"),
    "ref 2": ((2.15, 0.35, -0.4), "blue", "blue"),
    "marker": ((-3.35, -2.05, 0.85), "yellow", "mauve_of_nobody"),
}  # where, and in which colour: an ordinary and an odd one
_TRAILERS = {"Patient": b"~\x13", "plan.Points": b"[*", "plan.Pinnacle.Machines": b"\xfc\xfe"}


def write(course: Course, path: Path) -> Truth:
    """Write an archive: a tar, a compressed tar (``.tar.gz``) or, without such an ending, a folder."""
    path = Path(path)
    if path.name.endswith((".tar", ".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
            truth = _write_folder(course, Path(temporary))
            packed(Path(temporary), path)
        return Truth(path, truth)
    path.mkdir(parents=True, exist_ok=True)
    return Truth(path, _write_folder(course, path))


def packed(folder: Path, path: Path) -> Path:
    """Pack a folder as an archive, compressed where its name says so; the same bytes for the same content."""
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                member = tarfile.TarInfo(file.relative_to(folder).as_posix())
                member.size = file.stat().st_size
                with file.open("rb") as content:
                    tar.addfile(member, content)
    return path


def _write_folder(course: Course, root: Path) -> tuple[Patient, ...]:
    above = "Institution_1/Mount_0" if not course.old() else "Mount_0"
    patients = tuple(_write_patient(course, root, above, number) for number in range(course.patients))
    lite = [
        block(
            "PatientLite",
            says("PatientID", 10000 + number),
            says("PatientPath", patient.folder),
            says("MountPoint", "Mount_0"),
            says("DirSize", 100.5),
        )
        for number, patient in enumerate(patients)
    ]
    institution = [
        says("InstitutionID", 1),
        says("InstitutionPath", "Institution_1"),
        says("PinnInstitutionPath", "Institution_1"),
        says("Name", "Phantom Hospital"),
        *block("PatientLiteList", *lite),
        *block("MountPointList", block("SimpleString", says("String", "Mount_0"))),
        *version_block(course, program="Launch Pad: "),
    ]
    (root / "Institution").write_bytes(encoded(institution, course, b"J"))
    return patients


def _write_patient(course: Course, root: Path, above: str, number: int) -> Patient:
    inside = f"{above}/Patient_{number + 1}"
    folder = root / inside
    folder.mkdir(parents=True)
    identifier = course.identifier if number == 0 else f"{course.identifier}_{number + 1}"
    name = f"{course.last_name}^{course.first_name}^{course.middle_name}".rstrip("^")
    sets: list[Lines] = []
    images: list[Images] = []
    for index, modality in enumerate(("CT", "MR") if course.mr else ("CT",)):
        entry, found = write_set(course, folder, index, modality, number, identifier, name)
        sets.append(entry)
        images.append(found)
    beside = others(course, folder, images[0], identifier, name)
    plans = tuple(_write_plan(course, folder, inside, plan) for plan in range(course.plans))
    text = patient_file(course, identifier, inside, sets, [plan.name for plan in plans])
    (folder / "Patient").write_bytes(encoded(text, course, _TRAILERS["Patient"]))
    kept = tuple((modality, uid, f"{inside}/{path}") for modality, uid, path in beside)
    return Patient(inside, identifier, name, "19610203", "F", tuple(images), plans, kept)


def _write_plan(course: Course, patient: Path, inside: str, number: int) -> Plan:
    folder = patient / f"Plan_{number}"
    folder.mkdir()
    name = f"PLAN_{number + 1}"
    shift = course.shift()
    points = {label: _moved(place, number, course.long_values) for label, (place, _, _) in POINTS.items()}
    colours = {label: odd if course.odd_colours else plain for label, (_, plain, odd) in POINTS.items()}
    marks = tuple(
        Mark(label, _triple(in_dicom(place, course.position, shift)), colours[label], _rgb(colours[label]))
        for label, place in points.items()
    )
    lines = [line for label, place in points.items() for line in point(course, label, place, colours[label])]
    _text(folder, "plan.Points", lines, course)
    _text(folder, "plan.PatientSetup", setup(course), course)
    _text(folder, "plan.PlanInfo", plan_info(course, number, name), course)
    contours, rois = _rois(course, number)
    (folder / "plan.roi").write_bytes(rois)
    used = dict.fromkeys(spec.machine for spec in course.specs())
    described = [label for label in used if course.machines is None or label in course.machines]
    if described:
        machines = numbered(machine(course, DESIGNS[label]) for label in described)
        _text(folder, "plan.Pinnacle.Machines", machines, course)
    trials, texts, first = [], [], 1
    for index in range(course.trials):
        text, trial, first = write_trial(course, folder, number, index, first, marks, points)
        texts += text
        trials.append(trial)
    _text(folder, "plan.Trial", texts, course)
    return Plan(number, name, f"{inside}/Plan_{number}", shift, contours, marks, tuple(trials))


def _text(folder: Path, name: str, lines: Lines, course: Course) -> None:
    (folder / name).write_bytes(encoded(lines, course, _TRAILERS.get(name, b"")))


def _moved(place: Triple, plan: int, long_values: bool) -> Triple:
    """The points of each further plan lie a little elsewhere."""
    more = 0.000123456789 if long_values else 0.0
    x, y, z = place
    return round(x + 0.15 * plan + more, 12), round(y - 0.1 * plan - more, 12), round(z + more, 12)


def _rgb(colour: str) -> tuple[int, int, int]:
    return COLOURS.get(colour, FALLBACK)


def _triple(values: Array) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])


def _rois(course: Course, plan: int) -> tuple[tuple[Contours, ...], bytes]:
    """The regions of a plan: their truth, and the text of ``plan.roi``."""
    size = course.sizes()
    places = slice_places(course, size.ct)
    found = []
    parts = [rois_head(course)]
    for number in range(size.rois):
        name = _ROI_NAMES[number] if number < len(_ROI_NAMES) else f"ROI_{number + 1}"
        colour, kind = _ROI_COLOURS[number % len(_ROI_COLOURS)], _ROI_TYPES[number % len(_ROI_TYPES)]
        digits = 12 if course.long_values else 4
        curves = _curves(tuple(places.tolist()), number, plan, size.contours, size.points, digits)
        parts.append(roi(name, colour, kind, [np.vstack([curve, curve[:1]]) for curve in curves], number))
        turned = tuple(in_dicom(curve, course.position, course.shift()) for curve in curves)
        found.append(Contours(name, colour, _rgb(colour), kind, turned))
    return tuple(found), "".join(parts).encode(course.encoding)


@lru_cache(maxsize=64)
def _curves(
    places: tuple[float, ...], number: int, plan: int, count: int, points: int, digits: int
) -> tuple[Array, ...]:
    """The contours of a region, cm: no two planes alike, and none like its mirror image.

    Parameters
    ----------
    places
        The slices.
    number, plan
        Which region of which plan.
    count, points
        How many contours, of how many points.
    digits
        How many digits behind the point the archive has.
    """
    angle = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    paired = number % 3 == 2  # two contours in a plane
    first = (number * 2 + 1) % max(1, len(places) - count)
    found = []
    for index in range(count):
        radius = (1.4 + 0.17 * (number % 6) + 0.04 * (index % 9)) * (
            1 + 0.3 * np.cos(angle) + 0.2 * np.sin(2 * angle) + 0.02 * np.sin(5 * angle)
        )
        x = 0.8 * (number % 5) - 2.0 + 0.1 * plan + radius * np.cos(angle)
        y = 0.6 * (number % 4) - 0.5 + 0.8 * radius * np.sin(angle)
        if paired and index % 2:
            x, y = 0.3 * x - 5.0, 0.4 * y + 1.5
        z = np.full(points, places[first + (index // 2 if paired else index)])
        found.append(np.round(np.stack([x, y, z], axis=1), digits))
    return tuple(found)
