"""From an archive's files to records: patients, plans with their trials, image sets.

One missing or damaged file never takes the others with it: it is named in ``damages``, by its path inside the
patient's folder.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Optional

from ..errors import BadArchive, NotFound
from . import entries, machines, rois, text, trials
from .records import Beam, Damage, ImageSet, Machine, Patient, Plan, PlanEntry, Point, Roi, Slice
from .sources import Source, beginning
from .text import Block

_TRIAL = re.compile(rb"^Trial[ \t]*=[ \t]*\{[ \t\r]*\n", re.MULTILINE)
_NAME = re.compile(rb'\s*Name[ \t]*=[ \t]*"([^"\\\r\n]*)"[ \t]*;[ \t\r]*\n')
_VERSION = re.compile(r"\d+(?:\.\d+)?")
_MOST_MACHINES = 1000
_BYTE_ORDERS = {0: "little", 1: "big"}


def patients(source: Source) -> list[Patient]:
    """The patients of an archive: every folder that holds a ``Patient`` file; only those files are read."""
    names = source.names()
    found = []
    for name in names:
        if name == "Patient" or name.endswith("/Patient"):
            folder = name[: -len("/Patient")]
            files = _Files(source, folder)
            content = files.parsed("Patient") or Block()
            inside = (path[len(folder) + 1 if folder else 0 :] for path in names_below(names, folder))
            found.append(entries.patient(content, folder, inside, files.damages))
    return found


def trial_names(source: Source, entry: PlanEntry) -> list[Optional[str]]:
    """The names of a plan's trials; a text of the usual form is not parsed for it."""
    files = _Files(source, entry.folder)
    data = files.data("plan.Trial")
    if data is None:
        return []
    begins = list(_TRIAL.finditer(data))
    named = [_NAME.match(data, each.end()) for each in begins]
    trailer = data.rfind(b"\n/*")
    commented = b"/*" in data[: trailer if trailer >= 0 else len(data)]
    if begins and all(named) and not commented and not data[: begins[0].start()].strip():
        return [text.decoded(each[1]).strip() or None for each in named if each is not None]
    return [block.text("Name") for block in trials.blocks(text.parse(data).content)]


def plan(source: Source, patient: Patient, entry: PlanEntry) -> Plan:
    """Everything that a plan's folder says."""
    files = _Files(source, patient.folder)
    below = f"Plan_{entry.number}"
    if not names_below(source.names(), entry.folder):
        files.damage(below, "the archive has no files of this plan")
        return Plan(entry, None, version_in(entry.version), (), (), (), (), tuple(files.damages))
    setup = files.parsed(f"{below}/plan.PatientSetup")
    content = files.parsed(f"{below}/plan.Trial")
    found = trials.trials(content, entry.folder) if content is not None else ()
    regions, roi_version = _rois(files, f"{below}/plan.roi")
    points = files.parsed(f"{below}/plan.Points")
    for trial in found:
        if not trial.whole:
            files.damage(f"{below}/plan.Trial", f"trial {trial.index} is not whole", loses=False)
        for beam in trial.beams if trial.whole else ():
            if not beam.whole:
                problem = (
                    f"beam {beam.index} of trial {trial.index} has not as many control points or leaves as it says"
                )
                files.damage(f"{below}/plan.Trial", problem, loses=False)
    written = setup.block("ObjectVersion") if setup is not None else None
    versions = [entry.version, written.text("WriteVersion") if written is not None else None, roi_version]
    return Plan(
        entry=entry,
        patient_position=_position(setup, files, below),
        version=_agreed(versions, files, below),
        trials=found,
        rois=regions,
        points=_points(points) if points is not None else (),
        machines=_machines(files, below, [beam for trial in found for beam in trial.beams]),
        damages=tuple(files.damages),
    )


def image_set(source: Source, patient: Patient, number: int) -> ImageSet:
    """An image set: the geometry of its header, its slices, and where its pixels and DICOM files lie."""
    files = _Files(source, patient.folder)
    below = f"ImageSet_{number}"
    data = files.data(f"{below}.header")
    head = text.header(data) if data is not None else Block()
    info = files.parsed(f"{below}.ImageInfo")
    pixels = files.path(f"{below}.img")
    dimension = tuple(head.whole_number(key) for key in ("x_dim", "y_dim", "z_dim"))
    start = head.number("x_start_dicom"), head.number("y_start_dicom")
    order = head.whole_number("byte_order")
    return ImageSet(
        number=number,
        folder=patient.folder,
        modality=head.text("modality"),
        dimension=_counts(*dimension),
        pixel=trials.triple(*(head.number(key) for key in ("x_pixdim", "y_pixdim", "z_pixdim"))),
        start=trials.triple(*(head.number(key) for key in ("x_start", "y_start", "z_start"))),
        start_dicom=None if start[0] is None or start[1] is None else (start[0], start[1]),
        byte_order=_BYTE_ORDERS.get(order) if order is not None else None,
        bytes_per_pixel=head.whole_number("bytes_pix"),
        patient_position=(head.text("patient_position") or "").upper() or None,
        version=head.text("Version"),
        description=head.text("Series_Description"),
        series_uid=head.text("series_UID"),
        study_id=head.text("study_id"),
        series_number=head.whole_number("SeriesNumber"),
        scanned=head.text("SeriesDateTime") or head.text("date"),
        manufacturer=head.text("manufacturer"),
        model=head.text("model"),
        station=head.text("Station_Name"),
        kvp=head.text("KVP"),
        slices=_slices(info, files, f"{below}.ImageInfo") if info is not None else (),
        pixels=pixels if _exactly(source.names(), pixels) else None,
        dicom=tuple(names_below(source.names(), files.path(f"{below}.DICOM"))),
        damages=tuple(files.damages),
    )


def volume_names(source: Source, patient: Patient) -> dict[int, Optional[str]]:
    """By image set, the name under which ROIs say that they were drawn on it (``db_name`` of its header)."""
    files, found = _Files(source, patient.folder), {}
    for entry in patient.image_sets:
        data = files.data(f"ImageSet_{entry.number}.header")
        found[entry.number] = text.header(data).text("db_name") if data is not None else None
    return found


class _Files:
    """The text files of a folder, and what is wrong with them."""

    def __init__(self, source: Source, folder: str) -> None:
        self.source = source
        self.damages: list[Damage] = []
        self._folder = folder

    def path(self, name: str) -> str:
        """A file's path in the archive."""
        return f"{self._folder}/{name}" if self._folder else name

    def damage(self, name: str, problem: str, *, loses: bool = True) -> None:
        """Something is wrong with a file."""
        self.damages.append(Damage(name, problem, loses))

    def data(self, name: str) -> Optional[bytes]:
        """A file's bytes as far as they are there; None and a damage where it is missing."""
        try:
            data, whole = beginning(self.source, self.path(name))
        except NotFound:
            refused = self.source.refused.get(self.path(name))
            self.damage(name, f"it is not read, because {refused}" if refused else "it is missing")
            return None
        except BadArchive:
            refused = self.source.refused.get(self.path(name), "it is far too large")
            self.damage(name, f"it is not read, because {refused}")
            return None
        if not whole:
            self.damage(name, "it is cut short in the archive")
        if not data.strip():
            self.damage(name, "it is empty")
            return None
        return data

    def parsed(self, name: str) -> Optional[Block]:
        """A file's content as far as it can be read; None and a damage where it is missing."""
        data = self.data(name)
        if data is None:
            return None
        parsed = text.parse(data)
        for flaw in parsed.flaws:
            self.damage(name, f"{flaw.reason}, so it is left out (line {flaw.line})")
        if parsed.stop is not None:
            self.damage(name, f"{parsed.stop.reason} (line {parsed.stop.line}), so it is read only up to there")
        return parsed.content


def names_below(names: list[str], folder: str) -> list[str]:
    """The paths below a folder, of all that are sorted."""
    if not folder:
        return names
    return names[bisect_left(names, f"{folder}/") : bisect_left(names, f"{folder}0")]  # "0" comes next to "/"


def _exactly(names: list[str], path: str) -> list[str]:
    at = bisect_left(names, path)
    return [path] if names[at : at + 1] == [path] else []


def _counts(x: Optional[int], y: Optional[int], z: Optional[int]) -> Optional[tuple[int, int, int]]:
    if x is None or y is None or z is None or min(x, y, z) <= 0:
        return None
    return x, y, z


def _slices(info: Block, files: _Files, name: str) -> tuple[Slice, ...]:
    found = []
    for number, block in enumerate(info.blocks("ImageInfo") or info.members()):
        position = block.number("TablePosition")
        if position is None:
            files.damage(name, f"image {number} has no TablePosition, so it is passed over")
            continue
        found.append(
            Slice(
                position=position,
                number=block.whole_number("SliceNumber"),
                instance_uid=block.text("InstanceUID"),
                series_uid=block.text("SeriesUID"),
                study_uid=block.text("StudyInstanceUID"),
                frame_uid=block.text("FrameUID"),
                class_uid=block.text("ClassUID"),
                file_name=block.text("DICOMFileName"),
                acquisition_time=block.text("AcquisitionTime"),
                image_time=block.text("ImageTime"),
            )
        )
    return tuple(found)


def _rois(files: _Files, name: str) -> tuple[tuple[Roi, ...], Optional[str]]:
    data = files.data(name)
    if data is None:
        return (), None
    found = rois.parse(data)
    if found.stopped is not None:
        files.damage(name, f"it ends inside a region (line {found.stopped}), so it is read only up to there")
    for number, roi in enumerate(found.rois):
        if not roi.whole or not all(curve.whole for curve in roi.curves):
            files.damage(name, f"region {number} is not whole", loses=False)
    return found.rois, found.version


def _points(content: Block) -> tuple[Point, ...]:
    return tuple(
        Point(
            name=block.text("Name"),
            position=trials.triple(block.number("XCoord"), block.number("YCoord"), block.number("ZCoord")),
            colour=block.text("Color"),
            interpreted_type=block.text("PoiInterpretedType"),
        )
        for block in content.blocks("Poi") or content.members("PoiList")
    )


def _position(setup: Optional[Block], files: _Files, below: str) -> Optional[str]:
    """HFS, HFP, FFS or FFP (or DICOM's term for a patient on a side) from ``Orientation`` and ``Position``."""
    if setup is None:
        return None
    orientation, position = (setup.text("Orientation") or "").lower(), (setup.text("Position") or "").lower()
    first = "HF" if "head first" in orientation else "FF" if "feet first" in orientation else ""
    sides = {"supine": "S", "prone": "P", "right": "DR", "left": "DL"}
    lies = next((term for word, term in sides.items() if word in position), "")
    if not first or not lies:
        files.damage(f"{below}/plan.PatientSetup", "it does not say how the patient lies")
        return None
    return first + lies


def version_in(told: Optional[str]) -> Optional[float]:
    """The version of the planning system in a text such as "Pinnacle 16.0"."""
    found = _VERSION.search(told or "")
    return float(found[0]) if found else None


def _agreed(told: Iterable[Optional[str]], files: _Files, below: str) -> Optional[float]:
    """The version that the patient's file names for the plan, else that of the plan's own files."""
    found = [version for version in map(version_in, told) if version is not None]
    if len({version < 9 for version in found}) > 1:
        names = " and ".join(str(version) for version in dict.fromkeys(found))
        files.damage(
            below, f"its files name versions {names} of Pinnacle, which count coordinates differently", loses=False
        )
    return found[0] if found else None


def _machines(files: _Files, below: str, beams: Iterable[Beam]) -> tuple[Machine, ...]:
    """The machines of the plan's folder; what beams name and it lacks, from elsewhere in the archive."""
    content = files.parsed(f"{below}/plan.Pinnacle.Machines")
    found = list(machines.machines(content)) if content is not None else []
    wanted = {(beam.machine, beam.machine_version) for beam in beams if beam.machine is not None}
    names = files.source.names()
    places = _exactly(names, files.path(f"{below}/.auto.plan.Pinnacle.Machines"))
    places += [name for name in names if name.endswith("/Pinnacle.Machine")][:_MOST_MACHINES]
    elsewhere = _Files(files.source, "")
    for path in places:
        missing = wanted - {(machine.name, machine.version) for machine in found}
        content = elsewhere.parsed(path) if missing else None
        if content is not None:
            found.extend(each for each in machines.machines(content) if (each.name, each.version) in missing)
    return tuple(found)
