"""Where things are: from Pinnacle's coordinates (cm, as the patient lies) to DICOM's (mm, of the patient)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadArchive
from .making import ImageSeries
from .records import ImageSet, Triple

# The sign of x, y and z for each way in which a patient may lie.
POSITIONS: Final[dict[str, tuple[int, int, int]]] = {
    "HFS": (1, -1, -1),
    "HFP": (-1, 1, -1),
    "FFS": (-1, -1, 1),
    "FFP": (1, 1, 1),
}
NO_SHIFT: Final[Triple] = (0.0, 0.0, 0.0)
FIRST_WITHOUT_SHIFT: Final = 9.0  # the version from which a plan's coordinates are those of its DICOM images
_SAME = 0.05  # mm; an edge that is reached within this is not crossed


def signs(position: str) -> tuple[int, int, int]:
    """The sign of x, y and z for a patient's position; BadArchive where Pinnacle's axes are not known for it."""
    if position not in POSITIONS:
        raise BadArchive(
            "the patient's position is none of HFS, HFP, FFS and FFP, so nothing can be placed. "
            "Export this plan from the planning system."
        )
    return POSITIONS[position]


def to_dicom(points: ArrayLike, position: str, shift: Triple = NO_SHIFT) -> NDArray[np.float64]:
    """Points of Pinnacle (cm, n x 3, or one of three numbers) in DICOM's coordinates (mm).

    Parameters
    ----------
    points
        x, y and z in their last axis.
    position
        HFS, HFP, FFS or FFP.
    shift
        What is added to get into the images' coordinates: ``ImageSeries.shift`` for all that a plan says.
    """
    scale = np.array(signs(position), dtype=np.float64) * 10
    with np.errstate(over="ignore"):  # what becomes infinite lies outside of every image, and is told as that
        placed: NDArray[np.float64] = np.asarray(points, dtype=np.float64) * scale + np.array(shift) + 0.0  # never -0.0
    return placed


def orientation(position: str) -> tuple[int, int, int, int, int, int]:
    """ImageOrientationPatient of images whose columns go up in Pinnacle's x and whose rows go down in its y."""
    x, y, _ = signs(position)
    return (x, 0, 0, 0, -y, 0)


def origin(image_set: ImageSet) -> Optional[tuple[float, float]]:
    """x and y (cm) of an image set's lowest voxel: as its DICOM export has them where it says so, else as it stands."""
    return image_set.start_dicom or (image_set.start[:2] if image_set.start else None)


def shift(
    image_set: ImageSet, position: str, low: Sequence[float], *, start: Optional[Sequence[float]] = None
) -> Optional[Triple]:
    """From the coordinates of an image set's header to those of its DICOM images (mm); None where it says too little.

    Parameters
    ----------
    image_set
        With x_start and y_start, which plans before version 9 count from.
    position
        HFS, HFP, FFS or FFP.
    low
        The centre of the lowest voxel of the DICOM images: x and y.
    start
        x and y to count from instead.
    """
    start = start or image_set.start
    if start is None or image_set.dimension is None or image_set.pixel is None:
        return None
    far = [start[i] + (image_set.dimension[i] - 1) * image_set.pixel[i] for i in range(2)]
    lowest = to_dicom([(*start[:2], 0.0), (*far, 0.0)], position).min(axis=0)
    return (float(low[0] - lowest[0]), float(low[1] - lowest[1]), 0.0)


def inside(series: ImageSeries, points: ArrayLike, margin: float = _SAME) -> bool:
    """Whether all points lie in the volume of the images.

    Parameters
    ----------
    series
        The images, with the outer edges of their volume.
    points
        In DICOM's coordinates (mm), n x 3.
    margin
        By how much they may lie outside, mm.
    """
    here = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    low, high = np.array(series.low) - margin, np.array(series.high) + margin
    return bool(np.all((here >= low) & (here <= high)))
