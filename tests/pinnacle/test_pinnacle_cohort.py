"""A cohort of Pinnacle patients: what is converted from their archives is linked, built and measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantom import Course, write

from qa_fetch.cohort import Cohort, volumes
from qa_fetch.cohort.config import settings


@pytest.mark.parametrize("version", ["7.4", "16.0"])
def test_a_pinnacle_archive_becomes_a_cohort(tmp_path: Path, version: str) -> None:
    """Straight from the tar: images, structures, plan and dose belong together, and the dose is where it was."""
    (tmp_path / "tars").mkdir()
    truth = write(Course(version=version, beams=("static",), identifier="PH0001"), tmp_path / "tars" / "a.tar")
    cohort = Cohort(
        settings(
            {
                "folder": str(tmp_path / "cohort"),
                "archive": f"pinnacle:{tmp_path / 'tars'}",
                "profile": "CRDP",
                "slices_drop_below": 1,
                "suspicious_max_dose_lower_bound": 0.1,
                "suspicious_max_dose_upper_bound": 1000,
                "approval": "ignore",
            }
        )
    )
    assert [one.patient for one in cohort.ids()] == ["PH0001"]
    for report in (cohort.summarise(), cohort.verify(), cohort.build(where="threads"), cohort.dvh(where="threads")):
        assert (report.done, report.failed) == (1, 0), [row.error for row in report.failures()]
    (standing,) = cohort.patients()
    assert (standing.status, standing.ready) == ("SUCCESS", True), standing
    loaded, plan = cohort.patient("PH0001"), truth.patient.plans[0]
    assert sorted(loaded.roi_names) == sorted(contours.name for contours in plan.contours if contours.contours)
    dose = plan.trials[0].dose()
    assert dose is not None and loaded.dose is not None
    planes, rows, columns = np.meshgrid(dose.z[2:-2:3], dose.y[2:-2:5], dose.x[2:-2:5], indexing="ij")
    points = np.stack([columns, rows, planes], axis=-1).reshape(-1, 3)
    wanted = dose.values[2:-2:3, 2:-2:5, 2:-2:5].ravel()
    built = volumes.dose(next((tmp_path / "cohort" / "data" / "PH0001" / "RTDOSE").iterdir()))
    np.testing.assert_allclose(built.at(points), wanted, rtol=5e-4, atol=1e-3 * dose.values.max())
