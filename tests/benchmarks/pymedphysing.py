"""Worker, also of a Python without qa_fetch: a Pinnacle archive converted by pymedphys, every trial of every plan."""

from __future__ import annotations

import logging
import tarfile
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from .jobs import serve
from .memory_used import peak


def _export(archive: str, to: str) -> dict[str, Any]:
    from pymedphys.pinnacle import PinnacleExport  # type: ignore[import-not-found,unused-ignore]

    warnings.simplefilter("ignore")
    quiet = logging.getLogger("pymedphys in a benchmark")
    quiet.setLevel(logging.CRITICAL)  # it would tell of every file
    Path(to).mkdir()
    with tempfile.TemporaryDirectory() as unpacked:
        begun = time.process_time()
        with tarfile.open(archive) as tar:  # it reads folders only; its command unpacks as this does
            tar.extractall(unpacked)
        (patient,) = (path.parent for path in Path(unpacked).rglob("Patient"))
        course = PinnacleExport(str(patient), quiet)
        for image in course.images:
            course.export_image(image=image, export_path=to)
        for plan in course.plans:
            for number, trial in enumerate(plan.trials):
                plan.active_trial = trial["Name"]
                plan.generate_uids()  # else each trial has the UIDs, and the files, of the first
                if number == 0:
                    course.export_struct(plan=plan, export_path=to)
                course.export_plan(plan=plan, export_path=to)
                course.export_dose(plan=plan, export_path=to)
        return {"cpu": time.process_time() - begun, "peak": peak()}


if __name__ == "__main__":
    serve({"export": _export})
