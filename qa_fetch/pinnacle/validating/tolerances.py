"""How far two values may lie apart and still agree; the report says them."""

from __future__ import annotations

from typing import Final

DISTANCE: Final = 0.1  # mm, between contours, points, jaws and leaves
ANGLE: Final = 0.05  # degrees
AREA: Final = 0.005  # of a region's area
UNITS: Final = 0.002  # of monitor units
WEIGHT: Final = 0.001  # of a beam's whole meterset
DOSE: Final = 0.005  # of the highest dose, at every voxel or as the highest
HOUNSFIELD: Final = 0.5
CUTOFF: Final = 10.0  # per cent of the highest dose, below which gamma is not computed
GAMMAS: Final = ((3.0, 3.0), (1.0, 1.0))  # per cent and mm
PASSED: Final = 0.995  # of the voxels, by each of them

SAID: Final = (
    ("contours", f"within {DISTANCE} mm everywhere, their area within {100 * AREA:g} %"),
    ("dose", f"its maximum within {100 * DOSE:g} %, gamma of {100 * PASSED:g} % of the voxels at most 1"),
    ("gamma", f"3 %/3 mm and 1 %/1 mm of the maximum, above {CUTOFF:g} % of it"),
    ("plan", f"{ANGLE}°, {DISTANCE} mm, {100 * UNITS:g} % of the monitor units"),
    ("images", "every voxel, its place within 0.01 mm"),
)
