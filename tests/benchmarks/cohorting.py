"""Worker: what a cohort is measured with is drawn, and fetched, summarised, masked and sampled by us."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .jobs import serve
from .memory_used import peak

_ACQUIRED = datetime(2025, 11, 3, 17, 5)
_SIDE, _LONG, _DOSE = 500.0, 450.0, (250.0, 250.0, 300.0)  # mm of the images and of the dose
TARGET = 1  # the region of 100 cc
PATIENT = "BENCH-COHORT"


# What is drawn


def _scan(folder: str, name: str, slices: int, rows: int) -> dict[str, Any]:
    """A CT whose pixels are those of one: air around a body with noise, so that it compresses as one does."""
    import numpy as np
    from peers import course

    noise = np.random.default_rng(9)
    series = course.new_series(f"{PATIENT}-{name}", "series")
    down, across = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : rows * 1j]
    body = (across / 0.8) ** 2 + (down / 0.6) ** 2 < 1
    Path(folder).mkdir()
    for number in range(1, slices + 1):
        made = course.ct_slice(series, _ACQUIRED, number, rows=2)
        values = np.where(body, 1064 + noise.normal(0, 15, body.shape), 24 + noise.normal(0, 3, body.shape))
        made.Rows = made.Columns = rows
        made.PixelData = values.astype("<u2").tobytes()
        course.write(made, Path(folder))
    return {"study": series.study_uid, "series": series.uid}


def _patient(folder: str, name: str, chains: int, slices: int) -> dict[str, Any]:
    """A patient of many objects: small slices, and structure sets as long as such are."""
    import course_truth
    from truth_rois import Roi
    from truth_scenarios import quick
    from truth_shapes import Disc, column

    def drawn(planes: Any, thickness: float) -> tuple[Roi, ...]:
        organs = (column((Disc(0, 0, 3 + number / 2),), planes[::3], thickness) for number in range(10))
        return tuple(Roi(number, f"PTV {number}", "ORGAN", body) for number, body in enumerate(organs, 1))

    count = 0
    for number in range(chains):
        course = quick(rois=drawn, slices=slices, patient=f"{PATIENT}-{name}", chain=str(number))
        made = course_truth.make(replace(course, columns=20, rows=18, spacing=(1.2, 1.2, 2.0)))
        count += len(course_truth.save(made.datasets, Path(folder) / str(number)))
    return {"patient": f"{PATIENT}-{name}", "objects": count}


def _regions(planes: Any, thickness: float) -> Any:
    """Twenty regions: targets, rings, long and large ones, and tiny ones."""
    from truth_rois import Roi
    from truth_shapes import Box, Disc, ball, column

    def between(low: float, high: float) -> Any:
        return planes[(planes >= low) & (planes <= high)]

    balls = (
        ((4.0, -3.0, 6.0), 28.79),
        ((4.0, -3.0, 6.0), 4.924),
        ((-30.0, -20.0, -20.0), 45.0),
        ((40.0, 0.0, -60.0), 55.0),
        ((-60.0, 40.0, -90.0), 25.0),
        ((60.0, 40.0, -90.0), 25.0),
        ((-30.0, -60.0, 100.0), 6.0),
        ((30.0, -60.0, 100.0), 6.0),
        ((0.0, 30.0, 90.0), 18.0),
        ((0.0, -10.0, 40.0), 12.0),
    )
    columns = (
        ((Disc(0, 60, 5),), -140, 140),
        ((Disc(-8, 5, 34), Disc(-8, 5, 27, -1)), -60, 60),
        ((Disc(-80, 0, 38), Disc(80, 0, 38)), -100, 100),
        ((Disc(-80, 0, 38),), -100, 100),
        ((Disc(80, 0, 38),), -100, 100),
        ((Box(0, 0, 360, 240),), -400, 400),
        ((Disc(0, -10, 100),), -120, 60),
        ((Disc(0, -40, 15),), -60, 130),
        ((Disc(20, 20, 30),), -30, 30),
        ((Disc(-20, 20, 30), Disc(30, -30, 12)), -45, 75),
    )
    bodies = [ball(centre, radius, planes, thickness) for centre, radius in balls]
    bodies += [column(pieces, between(*ends), thickness) for pieces, *ends in columns]
    return tuple(Roi(number, f"ROI {number}", "ORGAN", body) for number, body in enumerate(bodies, 1))


def _course(folder: str, rows: int, slices: int, voxels: int) -> dict[str, Any]:
    """A CT, its structure set and a dose; their paths, and what is true of each region."""
    import course_truth
    from pydicom.dataset import Dataset
    from truth_course import Course
    from truth_frame import Lattice

    class Large(Course):
        def grid(self) -> Lattice:
            across, up, along = (size / voxels for size in _DOSE)
            return Lattice((voxels, voxels, voxels), (across, up, along), (0.4, -0.3, 0.0))

    spacing = (_SIDE / rows, _SIDE / rows, _LONG / slices)
    course = Large(patient=f"{PATIENT}-RT", columns=rows, rows=rows, slices=slices, spacing=spacing)
    course = replace(course, rois=_regions(course.ct().axis(2), spacing[2]))
    made = course_truth.make(course)
    planes = {round(float(image.ImagePositionPatient[2]), 2): image.SOPInstanceUID for image in made.of("CT")}
    (structures,) = made.of("RTSTRUCT")
    for roi in structures.ROIContourSequence:
        for ring in roi.ContourSequence:  # rt-utils wants to be told which slice each contour lies on
            named = Dataset()
            named.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
            named.ReferencedSOPInstanceUID = planes[round(float(ring.ContourData[2]), 2)]
            ring.ContourImageSequence = [named]
    files = {path.stem: path for path in course_truth.save(made.datasets, Path(folder))}
    exact = {str(roi.number): made.truth.dvh(roi.number) for roi in course.regions()}
    return {
        "ct": str(files[str(made.of("CT")[0].SOPInstanceUID)].parent),
        "structures": str(files[str(structures.SOPInstanceUID)]),
        "dose": str(files[str(made.of("RTDOSE")[0].SOPInstanceUID)]),
        "volumes": {number: found.volume_cc() for number, found in exact.items()},
        "d95": exact[str(TARGET)].d(95),
        "d2": exact[str(TARGET)].d(2),
    }


# What we do


def _fetch(address: str, series: str, to: str) -> dict[str, Any]:
    from qa_fetch import Archive

    archive = Archive(address, shelf=to, budget=600)
    begun = time.perf_counter()
    images = archive.fetch(series=series)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "peak": peak(), "files": [str(path) for path in images.files]}


def _summarise(url: str, patient: str, to: str) -> dict[str, Any]:
    from qa_fetch.cohort import columns, summaries
    from qa_fetch.cohort.config import settings

    cohort = settings({"folder": to, "ipport": url, "possibilities": ["ptv"]}, folder=Path(to))
    begun = time.perf_counter()
    report = summaries.summarise(cohort, patients=[patient], workers=1)
    seconds = time.perf_counter() - begun
    if not report.complete:
        raise RuntimeError(f"not summarised: {report}")
    rows = columns.read(columns.path_of(cohort.imagesummaries, patient, "SUCCESS"))
    return {"seconds": seconds, "peak": peak(), "rows": len(rows)}


def _masks(ct: str, structures: str, dose: str) -> dict[str, Any]:
    """From files to whole masks, each let go when its voxels have been counted."""
    from qa_fetch.cohort import contours, masks, volumes

    del dose
    begun, found, shared = time.perf_counter(), {}, {}
    images = volumes.images(sorted(Path(ct).iterdir()))
    for region in contours.structures(Path(structures)).regions:
        made = masks.mask(region, images.grid)
        found[str(region.number)] = int(made.whole().sum()) * images.grid.voxel_cc
        shared[str(region.number)] = made.volume_cc
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "volumes": found, "shared": shared}


def _dvh(ct: str, structures: str, dose: str) -> dict[str, Any]:
    """From files to histograms; the images, which the masks have been made on, are read before."""
    from qa_fetch.cohort import contours, dvh, volumes

    grid = volumes.images(sorted(Path(ct).iterdir())).grid
    begun = time.perf_counter()
    gray = volumes.dose(Path(dose))
    regions = contours.structures(Path(structures)).regions
    found = {region.number: dvh.of(region, gray, grid) for region in regions}
    said = {str(number): (each.volume_cc, each.D(95), each.D(2), each.mean) for number, each in found.items()}
    seconds = time.perf_counter() - begun
    volume, d95, d2, _ = said[str(TARGET)]
    return {"seconds": seconds, "peak": peak(), "volumes": {str(TARGET): volume}, "d95": d95, "d2": d2}


if __name__ == "__main__":
    serve(
        {
            "scan": _scan,
            "patient": _patient,
            "course": _course,
            "fetch": _fetch,
            "summarise": _summarise,
            "masks": _masks,
            "dvh": _dvh,
        }
    )
