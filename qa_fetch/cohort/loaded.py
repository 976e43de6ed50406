"""What a patient is in memory: images, dose and masks on one grid; also as PDCP's dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ..errors import Ambiguous, NotFound
from .built import Built
from .grids import Volume
from .sparse import Box


@dataclass(frozen=True, eq=False)
class LoadedRoi:
    """A region that has a mask: ``images.values[roi.box][roi.values]`` are its voxels.

    ``unreached`` is the share of them, 0 to 1, whose dose is not known; None where the patient has no dose.
    """

    structures: str  # the SOPInstanceUID of its structure set
    number: int
    name: str
    kind: str  # PTV, ORGAN, ...
    colour: Optional[tuple[int, int, int]]
    box: Box
    values: NDArray[np.bool_]  # in the box
    volume_cc: Optional[float]  # of the fractions of voxels: nearer to the truth than their number
    unreached: Optional[float] = None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A patient whose images, masks and dose lie on one grid, ``[slice, row, column]``, slices along their normal.

    ``dose`` is the sum over all plans, in Gy. Where one of their grids does not reach, the sum is not known: ``known``
    is False there, and ``dose`` 0. ``warnings`` says, in sentences, what could not be loaded.
    """

    patient: str
    built: Built
    images: Volume
    dose: Optional[Volume]
    known: Optional[NDArray[np.bool_]]
    rois: tuple[LoadedRoi, ...]
    version: str
    StudyDate: Union[int, str]
    StructureSetDate: Union[int, str]
    warnings: tuple[str, ...] = ()

    @property
    def roi_names(self) -> list[str]:
        """The names of the regions, in the order of ``mask0``, ``mask1`` ...; a name may be there twice."""
        return [roi.name for roi in self.rois]

    def roi(self, which: Union[int, str], structures: Optional[str] = None) -> LoadedRoi:
        """A region by its ROINumber or its name.

        Parameters
        ----------
        which
            The number, or the name as it is written.
        structures
            The SOPInstanceUID of its structure set, where there are several.

        Raises
        ------
        NotFound
            No region with a mask is called so.
        Ambiguous
            Several are; ``candidates`` has them.
        """
        found = [roi for roi in self.rois if which in (roi.number, roi.name) and structures in (None, roi.structures)]
        if not found:
            raise NotFound(f"There is no mask of ROI {which!r}. The names of those there are stand in roi_names.")
        if len(found) > 1:
            raise Ambiguous(
                f"{len(found)} masks are those of ROI {which!r}. Ask by ROINumber, and give the structure set's UID.",
                candidates=[(roi.structures, roi.number, roi.name) for roi in found],
            )
        return found[0]

    def mask(self, which: Union[int, str], structures: Optional[str] = None) -> NDArray[np.bool_]:
        """The mask of a region, asked for as in ``roi``, on the whole grid."""
        return self.whole(self.roi(which, structures))

    def whole(self, roi: LoadedRoi) -> NDArray[np.bool_]:
        """The mask of one of ``rois`` on the whole grid."""
        found = np.zeros(self.images.grid.shape, dtype=np.bool_)
        found[roi.box] = roi.values
        return found

    def as_dict(self) -> dict[str, Any]:
        """PDCP's dictionary of a patient.

        ``ct_image`` and ``dose_data`` (Gy; only where the profile has dose) are arrays of one shape
        ``[slice, row, column]``; ``roi_masks["mask0"]`` ... are masks of 0 and 1 of the same shape, in the order of
        ``roi_names``; ``PixelSpacing`` is that of columns, rows and slices in mm; ``StudyDate`` is a number where PDCP
        has one, ``StructureSetDate`` a text, and both are ``missing`` where nobody wrote them. All masks at once may
        take much memory: ``rois`` and ``mask`` take little.
        """
        found: dict[str, Any] = {"ct_image": self.images.values}
        if self.dose is not None:
            found["dose_data"] = self.dose.values
        found["roi_names"] = self.roi_names
        found["roi_masks"] = {f"mask{at}": self.whole(roi).view(np.uint8) for at, roi in enumerate(self.rois)}
        found["PixelSpacing"] = tuple(float(step) for step in self.images.grid.spacing[::-1])
        found["StudyDate"] = self.StudyDate
        found["StructureSetDate"] = str(self.StructureSetDate)
        found["version"] = self.version
        return found
