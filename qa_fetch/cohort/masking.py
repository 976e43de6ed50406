"""The masks of structure sets as files: one for each region, or why it has none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from .. import part10
from ..errors import BadArchive, NotFound
from . import codes, sparse
from .built import BuiltRoi, BuiltSet
from .contours import Region, structures
from .folders import PatientFolder
from .grids import Grid
from .linking.graph import Node
from .masks import mask
from .notes import Notes, stem
from .retrieving import Excluded

_STEP: Final = "XIV: RTSTRUCTS nifti masks generation"
_LONGEST: Final = 80  # letters of a region's name in that of a file
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9.+_-]+")


def masked(sets: Sequence[tuple[Node, Path]], grid: Grid, folder: PatientFolder, notes: Notes) -> tuple[BuiltSet, ...]:
    """Write the masks of structure sets; raises Excluded where there is none at all.

    Parameters
    ----------
    sets
        The structure sets and their files.
    grid
        Of the images, all of which are there.
    folder
        Where they go.
    notes
        Of the patient; they say of each region without a mask why.
    """
    notes.say("retrieval_notes", f"{_STEP}.")
    header, found = sparse.head(grid), []
    for node, file in sets:
        into = folder.masks / part10.file_stem(node.uid)
        into.mkdir(parents=True)
        rois: tuple[BuiltRoi, ...] = ()
        try:
            read = structures(file)
        except BadArchive as error:
            notes.say("retrieval_notes", f"{_STEP}: {error.message}")
        else:
            for said in read.warnings:
                notes.say("retrieval_notes", f"{_STEP}: {said}")
            names = file_names(folder.patient, read.regions)
            rois = tuple(_roi(each, into / name, grid, folder, header) for each, name in zip(read.regions, names))
            for roi in rois:
                _tell(roi, notes)
        found.append(BuiltSet(node.uid, file.relative_to(folder.root).as_posix(), rois))
    if not any(roi.file for one in found for roi in one.rois):
        notes.give(codes.XIV_EXEC_001)
        raise Excluded
    notes.give(codes.XIV_SUCC_001)
    return tuple(found)


def file_names(patient: str, regions: Sequence[Region]) -> list[str]:
    """What the masks of one structure set are called; no two alike, also where letters' case counts for nothing."""
    taken, found = set[str](), list[str]()
    for region in regions:
        name = _NO_LETTERS.sub("_", region.name.strip())[:_LONGEST]
        if not name.strip("_"):
            name = f"ROI_{region.number}"
        if name.casefold() in taken:
            name = f"{name}~{region.number}"
        while name.casefold() in taken:  # one number that stands twice
            name += "~"
        taken.add(name.casefold())
        found.append(f"patient_{stem(patient)}_{name}.nii.gz")
    return found


def _roi(region: Region, path: Path, grid: Grid, folder: PatientFolder, header: bytes) -> BuiltRoi:
    """A region, its mask written.

    Parameters
    ----------
    region
        From the structure set.
    path
        Where its mask goes.
    grid, header
        Of the images, and of every mask on them.
    folder
        Of the patient.
    """
    bare = BuiltRoi(
        number=region.number,
        name=region.name,
        kind=region.interpreted_type or "",
        colour=region.colour,
        file=None,
        box=None,
        volume_cc=None,
        tps_volume_cc=region.volume_in_tps,
        warnings=region.warnings,
    )
    try:
        made = mask(region, grid)
    except (BadArchive, NotFound) as error:
        return replace(bare, why=error.message)
    sparse.nifti(made, path, header)
    slices, rows, columns = ((each.start, each.stop) for each in made.box)
    file = path.relative_to(folder.root).as_posix()
    return replace(bare, file=file, box=(slices, rows, columns), volume_cc=made.volume_cc, warnings=made.warnings)


def _tell(roi: BuiltRoi, notes: Notes) -> None:
    for said in [roi.why] if roi.why else roi.warnings:
        notes.say("retrieval_notes", f"{_STEP}: {roi.name}: {said}")
