"""Worker: synthetic Pinnacle archives are written, converted and migrated by us.

Little is imported here: processes of ours that are started from this one import it again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from .jobs import serve
from .memory_used import peak


def _write(path: str, sort: str, quick: bool) -> dict[str, Any]:
    """An archive of 2 plans with 2 trials of 5 beams, and what must come out of it."""
    import phantom
    from phantom_course import BeamSpec

    course = phantom.bench(arcs=sort == "VMAT")
    if quick:
        beams = [replace(beam, control_points=5) for beam in course.beams if isinstance(beam, BeamSpec)]
        course = replace(course, size="small", beams=tuple(beams[:2]))
    truth = phantom.write(course, Path(path))
    trials = [trial for _, _, trial in truth.trials()]
    doses = [dose.values.max() for dose in (trial.dose() for trial in trials) if dose is not None]
    points = max(field.settings and len(field.settings) for trial in trials for field in trial.fields)
    contours = [len(roi.contours) for plan in truth.patient.plans for roi in plan.contours]
    return {
        "objects": {
            "CT": len(truth.patient.images[0].pictures),
            "RTSTRUCT": len(truth.patient.plans),
            "RTPLAN": len(trials),
            "RTDOSE": len(trials),
        },
        "doses": sorted(map(float, doses)),
        "contours": sum(contours),
        "says": f"{sum(contours):,} contours, {len(trials)} trials of {len(course.beams)} beams "
        f"of {points} control points",
    }


def _collection(folder: str, listed: str, count: int, quick: bool) -> dict[str, Any]:
    """Patients of one plan with two trials of arcs, and their list."""
    import phantom
    from phantom_course import SIZES, Geometry

    whole = SIZES["bench"]
    image = Geometry((256, 256, 80), (0.1953124, 0.1953124, 0.45), whole.ct.start)
    SIZES["patient"] = replace(whole, ct=image, rois=12, contours=60, points=150)
    course = replace(phantom.bench(arcs=True), size="small" if quick else "patient", plans=1)
    Path(folder).mkdir()
    rows, objects = ["patient_id,status"], 0
    for number in range(count):
        identifier = f"PH{number:04}"
        truth = phantom.write(replace(course, identifier=identifier, seed=number + 1), Path(folder, f"{number}.tar"))
        trials = len(truth.plan.trials)
        objects += len(truth.patient.images[0].pictures) + 1 + 2 * trials
        rows.append(f"{identifier},alive")
    Path(listed).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"objects": objects}


def _export(archive: str, to: str) -> dict[str, Any]:
    from qa_fetch.pinnacle.export import export

    begun = time.process_time()
    report = export(archive, to)
    cpu = time.process_time() - begun
    if not report.complete:
        raise RuntimeError(f"left out: {report.skipped}")
    return {"cpu": cpu, "peak": peak()}


def _migrate(listed: str, archives: str, to: str, workers: int) -> dict[str, Any]:
    from qa_fetch.migrate import migrate

    begun = time.perf_counter()
    done = migrate(listed, archives, to=to, workers=workers)
    seconds = time.perf_counter() - begun
    if not done.complete:
        raise RuntimeError(f"not all was migrated: {dict(done.counts)}")
    return {"seconds": seconds, "converted": done.counts["converted"]}


if __name__ == "__main__":
    serve({"write": _write, "collection": _collection, "export": _export, "migrate": _migrate})
