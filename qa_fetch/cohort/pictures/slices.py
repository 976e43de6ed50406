"""The step ``slices``: the central slices of every region, as PDCP keeps them and as pictures, and the three planes."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ... import part10
from ...bulk import Done, Item, Report
from ...bulk.progress import OnProgress
from ...errors import ConfigError, Incomplete
from ...shelf.disk import make_folder, write_atomically
from .. import loading
from ..codes import SUCCESS, Code
from ..config import Settings
from ..folders import PatientFolder
from ..grids import Floats
from ..loading import Loaded, LoadedRoi
from ..notes import Notes, stem
from ..steps import run_step
from .drawing import Outline, Scene, picture
from .drawing import thumbnail as small
from .overlays import around, named, on_region, said, scenes
from .palette import Colour, of_built, own, window
from .planes import AXIAL, VIEWS, Cuts, View, centroid

_BOX: Final = (420, 420)  # pixels of a region's picture
_ROOM, _LEAST = 40.0, 160.0  # mm around a region, and mm that are shown at least
_PDCP: Final = "xyz"  # PDCP's letters for the first, second and third axis of its arrays: slices, rows and columns


def slices(
    settings: Settings,
    patients: Optional[Sequence[Union[str, int]]] = None,
    *,
    axes: Sequence[str] = ("z",),
    workers: Optional[int] = None,
    where: str = "processes",
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Make the pictures of all patients that were built, and of none twice while nothing has changed.

    Parameters
    ----------
    settings
        Of the cohort.
    patients
        Their IDs; by default all that were built and are not excluded.
    axes
        As for ``central``.
    workers, where, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    wanted = [view.letter for view in _views(axes)]
    if patients is None:
        names = [patient for patient in loading.built_patients(settings) if _excluded(settings, patient) is None]
    else:
        names = list(dict.fromkeys(map(str, patients)))
    items = [
        Item(patient, {"patient": patient, "axes": wanted, "built": _mark(PatientFolder.of(settings, patient))})
        for patient in names
    ]
    return run_step(
        "slices",
        settings,
        items,
        partial(_work, settings),
        where=where,
        workers=workers,
        intact=partial(_intact, settings),
        on_progress=on_progress,
        cancelled=cancelled,
    )


def central(settings: Settings, patient: Union[str, int], axes: Sequence[str] = ("z",)) -> list[Path]:
    """The central slices of every region of a patient that has a voxel; the files.

    ``pictures/slices/<n>--<ROI>--<plane>.png`` is the plane through the middle of the region, or the nearest one that
    it is on. ``roiimages_<x|y|z>`` and ``roidetails_<x|y|z>`` hold what PDCP keeps, for the axis of the stored images
    that is nearest to the patient's: the slice with most voxels of the region, and nothing but the region in it; and
    nine numbers: its middle along slices, rows and columns, counted in voxels from 0, the length of that and its three
    cosines, how many voxels it has, and the index of that slice. PDCP calls slices ``x``, rows ``y`` and columns
    ``z``, so ``z`` of the patient gives ``roiimages_x`` of axial images, where PDCP's ``generate_slices_patient_rois``
    with 0, for depth, has put them.

    Parameters
    ----------
    settings
        Of the cohort.
    patient
        The ID.
    axes
        Through which of the patient's axes slices are cut: ``z`` axial, ``y`` coronal, ``x`` sagittal.
    """
    views = _views(axes)
    return _central(PatientFolder.of(settings, str(patient)), loading.load(settings, str(patient)), views, settings)


# The step


def _work(settings: Settings, payload: Mapping[str, Any]) -> Done:
    patient = str(payload["patient"])
    excluded = _excluded(settings, patient)
    if excluded is not None:
        return Done(detail={"status": excluded.outcome, "code": excluded.name})
    folder = PatientFolder.of(settings, patient)
    loaded = loading.load(settings, patient)
    files = _central(folder, loaded, _views(payload["axes"]), settings)
    for scene in scenes(loaded):
        files.append(_put(folder.pictures / f"{scene.plane.view.name}.png", picture(scene), settings))
        if scene.plane.view is AXIAL:
            files.append(_put(folder.pictures / "thumbnail.png", small(scene), settings))
    return Done(bytes=sum(file.stat().st_size for file in files), detail={"status": SUCCESS, "files": len(files)})


def _intact(settings: Settings, payload: Any, detail: Any) -> bool:
    """Whether the pictures are still there."""
    if detail.get("status") != SUCCESS:
        return False  # whether the patient is still excluded is seen at once
    pictures = PatientFolder.of(settings, str(payload["patient"])).pictures
    return all((pictures / f"{name}.png").is_file() for name in (*(view.name for view in VIEWS), "thumbnail"))


def _excluded(settings: Settings, patient: str) -> Optional[Code]:
    notes = Notes.read(settings.patientnotesdir, patient)
    return None if notes is None else notes.excluded_by


def _mark(folder: PatientFolder) -> str:
    """Another one where another thing was built; empty where nothing was."""
    try:
        return hashlib.sha256(folder.built.read_bytes()).hexdigest()[:32]
    except OSError:
        return ""


def _views(axes: Sequence[str]) -> tuple[View, ...]:
    known = {view.letter: view for view in VIEWS}
    wrong = [axis for axis in axes if axis not in known]
    if wrong or not axes:
        raise ConfigError(f"slices cannot be cut through the axes {list(axes)!r}. Give some of x, y and z.")
    return tuple(known[axis] for axis in dict.fromkeys(axes))


# The files of a region


def _central(folder: PatientFolder, loaded: Loaded, views: Sequence[View], settings: Settings) -> list[Path]:
    cuts = Cuts(loaded.images.grid)
    limits = window(loaded.images)
    name = stem(loaded.patient)
    shades = of_built(loaded.built)
    written: list[Path] = []
    for view in views:
        axis = cuts.axes[view.through]
        letter = _PDCP[axis]
        images, details = folder.root / f"roiimages_{letter}", folder.root / f"roidetails_{letter}"
        drawn = folder.pictures / "slices"
        mine: list[Path] = []
        for number, roi in enumerate(loaded.rois, 1):
            if not roi.values.any():
                continue
            middle = centroid(roi.box, roi.values)
            called = part10.plain(roi.name) or "roi"
            image, facts = _of_pdcp(loaded, roi, middle, axis)
            for where, kind, array in ((images, "images", image), (details, "details", facts)):
                path = where / f"{name}--{number}--{called}--{letter}--{kind}.npy"
                mine.append(_put(path, _saved(array), settings))
            colour = shades.get((roi.structures, roi.number)) or own(roi.colour)
            scene = _scene(cuts, view, loaded, roi, middle, limits, colour)
            mine.append(_put(drawn / f"{number}--{called}--{view.name}.png", picture(scene, _BOX), settings))
        _forget(images, f"{name}--*--{letter}--images.npy", mine)
        _forget(details, f"{name}--*--{letter}--details.npy", mine)
        _forget(drawn, f"*--{view.name}.png", mine)
        written += mine
    return written


def _of_pdcp(loaded: Loaded, roi: LoadedRoi, middle: Floats, axis: int) -> tuple[NDArray[Any], Floats]:
    """The slice that has most voxels of a region, the first of them, with nothing else in it; and PDCP's numbers."""
    others = tuple(number for number in range(3) if number != axis)
    index = int(np.argmax(np.count_nonzero(roi.values, axis=others)))
    whole = np.take(loaded.images.values, roi.box[axis].start + index, axis)
    one, other = (roi.box[number] for number in others)
    image = np.zeros_like(whole)
    image[one, other] = np.where(np.take(roi.values, index, axis), whole[one, other], 0)
    length = float(np.linalg.norm(middle))
    cosines = middle / length if length else np.full(3, np.nan)  # the first voxel lies in no direction
    count = np.count_nonzero(roi.values)
    return image, np.array([*middle, length, *cosines, count, roi.box[axis].start + index], dtype=np.float64)


def _scene(
    cuts: Cuts,
    view: View,
    loaded: Loaded,
    roi: LoadedRoi,
    middle: Floats,
    limits: tuple[float, float],
    colour: Colour,
) -> Scene:
    """The plane through the middle of a region, and what lies around it.

    Parameters
    ----------
    cuts, view
        Of the plane.
    loaded, roi, middle
        The patient, the region, and its middle along slices, rows and columns.
    limits
        What is black and white.
    colour
        Of the outline.
    """
    point = on_region(cuts, view, cuts.grid.points(middle[None])[0], roi)
    plane, mask = cuts.plane(view, point, loaded.images.values), cuts.mask(view, point, roi.box, roi.values)
    outline = Outline(named(roi), colour, mask)
    part = around(plane, mask, _ROOM, _LEAST)
    return Scene(plane, limits, view.name.capitalize(), said(plane, loaded.images), (outline,), part=part)


def _saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _put(path: Path, content: bytes, settings: Settings) -> Path:
    """Write a file, at once or not at all."""
    try:
        make_folder(path.parent)
        write_atomically(path, [content], temporary=path.with_name(f".{path.name}.{os.getpid()}.part"))
    except OSError as error:
        raise Incomplete(
            f"pictures cannot be written below {settings.datadirectory} ({error.strerror}). "
            "Free space there or give another folder.",
            retriable=False,
        ) from error
    return path


def _forget(folder: Path, pattern: str, kept: Sequence[Path]) -> None:
    """Remove what an earlier build left of regions that are there no more."""
    names = {path.name for path in kept if path.parent == folder}
    for path in folder.glob(pattern):
        if path.name not in names:
            path.unlink(missing_ok=True)
