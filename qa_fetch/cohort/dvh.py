"""Dose-volume histograms: what dose each part of a region has, and PDCP's columns of it.

Dx is the lowest dose of the *hottest* x % (PDCP counted from the other end), Vx what has x or more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, Optional, Union

import numpy as np
from numpy.typing import NDArray

from . import sampling
from .contours import Region
from .grids import Floats, Grid, Volume
from .masks import Mask

_TINY: Final = 1.0  # cc
_CLIPPED: Final = 1e-4  # of the volume
_PLACES: Final = (1 << 26) - 1  # the last bits of a dose that may hold a place: 100 Gy stay exact to 1e-6 Gy
_SAME_DOSE: Final = 1e-5  # Gy: what rounding makes of a dose that is even


class Caution(NamedTuple):
    """Why values are to be taken with care: ``tiny``, ``clipped``, ``outside``, ``gaps``, ``frame`` or ``drawn``."""

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Dvh:
    """The doses in a region, Gy ascending, and the volume (cc) that has each; what has no dose is in neither.

    Shares in % are of the part with a dose: ``cautions`` says where that is not all of ``volume_cc``.
    """

    doses: Floats
    weights: Floats
    volume_cc: float
    cautions: tuple[Caution, ...] = ()

    @cached_property
    def inside_cc(self) -> float:
        """The volume that lies inside of the dose grid."""
        return float(self.weights.sum())

    @property
    def outside_cc(self) -> float:
        """The volume that lies outside of it."""
        outside = self.volume_cc - self.inside_cc
        return outside if outside > _CLIPPED * self.volume_cc else 0.0

    @cached_property
    def mean(self) -> Optional[float]:
        """Gy; None without any dose."""
        return float(self.doses @ self.weights) / self.inside_cc if self.inside_cc > 0 else None

    @property
    def median(self) -> Optional[float]:
        """Gy; None without any dose."""
        return self.D(50)

    @property
    def min(self) -> Optional[float]:
        """Gy; None without any dose."""
        return float(self.doses[0]) if self.inside_cc > 0 else None

    @property
    def max(self) -> Optional[float]:
        """Gy; None without any dose."""
        return float(self.doses[-1]) if self.inside_cc > 0 else None

    def D(self, volume: float, unit: str = "%") -> Optional[float]:
        """The lowest dose (Gy) of the hottest ``volume`` (% or cc); None where the region has not so much."""
        cc = self.inside_cc * volume / 100 if unit == "%" else volume
        if self.inside_cc <= 0 or not 0 <= cc <= self.inside_cc * (1 + 1e-9):
            return None
        return float(self._dose_of(np.array([cc]))[0])

    def V(self, dose: float, unit: str = "%") -> Optional[float]:
        """How much (% or cc) has ``dose`` (Gy) or more; None without any dose."""
        if self.inside_cc <= 0:
            return None
        cc = float(self._volume_of(np.array([dose]))[0])
        return cc / self.inside_cc * 100 if unit == "%" else cc

    def row(self, patient_id: str, roi_name: str, prescription_cgy: Optional[float] = None) -> dict[str, Any]:
        """PDCP's columns: doses in Gy, volumes in % but ``volume`` in cc; None where there is no dose.

        Parameters
        ----------
        patient_id, roi_name
            Whose region it is, and what it is called.
        prescription_cgy
            The prescribed dose in cGy; without it there are no columns V%.
        """
        known = self.inside_cc > 0
        found: list[Any] = [patient_id, roi_name, round(self.volume_cc, 3)]
        found += [round(value, 3) if value is not None else None for value in (self.mean, self.median)]
        found += [round(value, 3) if value is not None else None for value in (self.min, self.max)]
        levels = [_steps(70)]
        if prescription_cgy is not None:
            levels.append(_steps(130) * prescription_cgy / 10_000)
        for asked in levels:
            found += _rounded(self._volume_of(asked) / self.inside_cc * 100) if known else [None] * len(asked)
        shares = _steps(100)
        found += _rounded(self._dose_of(shares / 100 * self.inside_cc)) if known else [None] * len(shares)
        return dict(zip(columns(prescription_cgy is not None), found))

    def curve(self, points: int = 400) -> tuple[Floats, Floats]:
        """At most so many doses (Gy), ascending from 0, and the share (%) that has each or more, never rising."""
        if self.inside_cc <= 0:
            return np.empty(0), np.empty(0)
        doses = np.unique(np.concatenate([[0.0], np.linspace(self.doses[0], self.doses[-1], points - 1)]))
        return doses, self._volume_of(doses) / self.inside_cc * 100

    def assuming(self, dose: float) -> Dvh:
        """The histogram of all of it, were this the dose of what lies outside of the grid."""
        if not self.outside_cc:
            return self
        at = int(np.searchsorted(self.doses, dose))
        return replace(
            self, doses=np.insert(self.doses, at, dose), weights=np.insert(self.weights, at, self.outside_cc)
        )

    @cached_property
    def _up_to(self) -> Floats:
        """The volume before each point and after the last."""
        return np.concatenate([[0.0], np.cumsum(self.weights)])

    def _dose_of(self, cc: Floats) -> Floats:
        middles = self._up_to[1:] - self.weights / 2  # a point stands for doses to both sides of its own
        return np.asarray(np.interp(self._up_to[-1] - cc, middles, self.doses))

    def _volume_of(self, doses: Floats) -> Floats:
        at = np.searchsorted(self.doses, doses - _SAME_DOSE)
        return np.asarray(self._up_to[-1] - self._up_to[at])


def columns(prescribed: bool) -> list[str]:
    """The names of PDCP's columns in their order; those of V% only where there is a prescription."""
    found = ["patient_id", "roi_name", "volume", "mean_dose", "median_dose", "min_dose", "max_dose"]
    found += [f"VGy_{float(dose)}" for dose in _steps(70)]
    if prescribed:
        found += [f"V%_{float(share)}" for share in _steps(130)]
    return found + [f"D{float(share)}" for share in _steps(100)]


def of(roi: Union[Region, Mask], dose: Volume, images: Optional[Grid] = None) -> Dvh:
    """The histogram of a region; BadArchive or Incomplete where its contours enclose nothing that is sure.

    Parameters
    ----------
    roi
        As contours, or as a mask: with contours the edge is exact, with a mask it is that of voxels.
    dose
        Gy.
    images
        On which contours were drawn: how thick a plane is. Without them that is how far planes usually lie apart.
    """
    sampled = points(roi, [dose], images)
    return of_points(roi, [dose], sampled, sampled.doses[0])


def points(roi: Union[Region, Mask], doses: Sequence[Volume], images: Optional[Grid] = None) -> sampling.Sampled:
    """The points of a region, and what each of several doses is there.

    Parameters
    ----------
    roi, images
        As for ``of``.
    doses
        Gy; each on a grid of its own.
    """
    return sampling.of_region(roi, doses, images) if isinstance(roi, Region) else sampling.of_mask(roi, doses)


def of_points(roi: Union[Region, Mask], doses: Sequence[Volume], sampled: sampling.Sampled, values: Floats) -> Dvh:
    """The histogram of what the points of a region have.

    Parameters
    ----------
    roi, doses, sampled
        What ``points`` was given, and what it gave.
    values
        What is counted, for each point; NaN where that is not known.
    """
    inside = ~np.isnan(values)
    if inside.all():
        known, weights = values, sampled.weights
    else:
        known, weights = values[inside], sampled.weights[inside]
    ascending, order = _ascending(known)
    found = Dvh(ascending, weights[order], sampled.volume_cc)
    said = [Caution("drawn", text) for text in roi.warnings]
    frames = {roi.frame_of_reference if isinstance(roi, Region) else roi.grid.frame_of_reference}
    frames |= {dose.grid.frame_of_reference for dose in doses}
    if len(frames - {None}) > 1:
        text = "The ROI is in another frame of reference than the dose. Check that they belong together."
        said.append(Caution("frame", text))
    return replace(found, cautions=(*said, *_cautions(found, sampled.gaps)))


def whole(dose: Volume) -> Dvh:
    """The histogram of all voxels of a dose that is known there."""
    doses = np.sort(dose.values[~np.isnan(dose.values)].astype(np.float64), axis=None)
    return Dvh(doses, np.full(doses.size, dose.grid.voxel_cc), doses.size * dose.grid.voxel_cc)


def _cautions(found: Dvh, gaps: int) -> Iterator[Caution]:
    if found.inside_cc <= 0:
        yield Caution(
            "outside",
            "The ROI lies outside of the dose grid, so it has no doses. Check that both belong together.",
        )
    elif found.outside_cc:
        share = found.outside_cc / found.volume_cc * 100
        yield Caution(
            "clipped",
            f"{share:.3g} % of the ROI lies outside of the dose grid, and the values are those of the rest. "
            "Make the dose grid larger in the planning system where they matter.",
        )
    if found.volume_cc < _TINY:
        yield Caution(
            "tiny",
            f"The ROI has only {found.volume_cc:.2g} cc, so its values depend on how it was drawn. "
            "Compare them with the planning system.",
        )
    if gaps:
        yield Caution(
            "gaps",
            f"The ROI is not drawn on {gaps} plane{'s' * (gaps > 1)} between the others, which count as empty. "
            "Check it where it should be one piece.",
        )


def _ascending(doses: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Doses in their order, less than 1e-6 Gy off, and where each came from.

    Each one's place is put into its last bits, so that plain numbers are sorted: that takes a fifth of the time.
    """
    places = (1 << max(doses.size - 1, 1).bit_length()) - 1
    if places > _PLACES:
        order = np.argsort(doses, kind="stable")
        return doses[order], order
    packed = (doses.astype(np.float64).view(np.int64) & ~places) | np.arange(doses.size)
    packed.view(np.float64).sort()
    return (packed & ~places).view(np.float64), packed & places


def _steps(end: int) -> Floats:
    return np.arange(1, 2 * end + 1) / 2


def _rounded(values: Floats) -> list[float]:
    return [float(value) for value in np.round(values, 3)]
