"""Our numbers beside those of the planning system: ROIVolume of a structure set and DVHSequence of a dose.

Two programs never agree to the last digit: they end a region half a slice earlier or later, and look the dose up at
other points. The limits below are what that explains; what is beyond them is worth a look.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Optional

import numpy as np

from .contours import Region
from .dosimetry_records import Compared
from .dvh import Dvh
from .grids import Floats

VOLUME_SHARE: Final = 0.05  # of the volume by which two may differ
VOLUME_CC: Final = 0.1  # or this many cc, for tiny regions
DOSE_SHARE: Final = 0.02  # of the region's highest dose by which two doses may differ
DOSE_GY: Final = 0.5  # or this many Gy, for regions of little dose
_SHARES: Final = (95.0, 50.0, 2.0)  # % at which histograms are compared
_FRACTION: Final = 3.0  # a relative dose: what nowhere is more is a share of the reference
_PERCENT: Final = 10.0  # and what is more somewhere is a percentage
_MOST_BINS: Final = 1_000_000
_RISES: Final = 1e-3  # of the volume by which a cumulative histogram may rise, which is rounding
_DVH_DATA: Final = 0x30040058


class Histogram(NamedTuple):
    """A histogram that a planning system wrote: doses in Gy ascending, and the % of the volume with each or more."""

    number: int  # ROINumber
    volume_cc: Optional[float]
    min: Optional[float]
    mean: Optional[float]
    max: Optional[float]
    doses: Floats
    shares: Floats
    bin_gy: float

    def D(self, share: float) -> float:
        """The lowest dose of the hottest ``share`` %."""
        return float(np.interp(share, self.shares[::-1], self.doses[::-1]))


class Told(NamedTuple):
    """All histograms of a dose, the structure set that they are of where it is named, and what could not be used."""

    structures: Optional[str]
    histograms: tuple[Histogram, ...] = ()
    notes: tuple[str, ...] = ()


class _Unusable(Exception):
    """A histogram cannot be compared; the text is the reason."""


def told(data: Any) -> Told:
    """The DVHSequence of an RTDOSE's data set."""
    named = next(iter(data.get("ReferencedStructureSetSequence") or ()), None)
    structures = None if named is None else str(named.get("ReferencedSOPInstanceUID") or "") or None
    items = list(data.get("DVHSequence") or ())
    found: list[Histogram] = []
    notes: list[str] = []
    unit = _relative(data, items)
    for item in items:
        number = _region_of(item)
        what = "A DVH of the planning system" if number is None else f"The planning system's DVH of ROI {number}"
        try:
            found.append(_histogram(item, unit))
        except _Unusable as error:
            notes.append(f"{what} was not compared: {error}.")
    twice = {number for number, count in Counter(each.number for each in found).items() if count > 1}
    notes += [f"ROI {number} has several DVHs of the planning system, and none was compared." for number in twice]
    once = tuple(each for each in found if each.number not in twice)
    return Told(structures, once, tuple(notes))


def volumes(region: Region, dvh: Dvh) -> Iterator[Compared]:
    """The volume of a region beside ROIVolume."""
    if region.volume_in_tps is not None:
        yield _volume(dvh.volume_cc, region.volume_in_tps, "ROIVolume", "")


def doses(dvh: Dvh, histogram: Histogram, plan: str) -> Iterator[Compared]:
    """A region under one plan beside the planning system's histogram of it.

    Parameters
    ----------
    dvh
        Ours, which has doses everywhere in the region.
    histogram
        Theirs.
    plan
        The label of the plan.
    """
    if histogram.volume_cc is not None:
        yield _volume(dvh.volume_cc, histogram.volume_cc, "DVHSequence", plan)
    highest, lowest, mean = dvh.max, dvh.min, dvh.mean
    if highest is None or lowest is None or mean is None:
        return
    limit = max(DOSE_GY, DOSE_SHARE * highest)
    if histogram.mean is not None:
        yield _dose("mean", mean, histogram.mean, (mean - limit, mean + limit), plan)
    # Extremes depend on how finely one looks: theirs may be those of the middles of voxels, ours never miss a corner.
    for what, ours, theirs, inner in (
        ("min", lowest, histogram.min, dvh.D(98)),
        ("max", highest, histogram.max, dvh.D(2)),
    ):
        if theirs is not None and inner is not None:
            yield _dose(what, ours, theirs, (min(ours, inner) - limit, max(ours, inner) + limit), plan)
    limit += histogram.bin_gy
    for share in _SHARES:
        found = dvh.D(share)
        if found is not None:
            yield _dose(f"D{share:g}%", found, histogram.D(share), (found - limit, found + limit), plan)


def apply_to(found: Told, structures: Sequence[str]) -> Optional[str]:
    """The structure set whose numbers the histograms mean; None where that is none of these, or not sure."""
    if found.structures is None:
        return structures[0] if len(structures) == 1 else None
    return found.structures if found.structures in structures else None


def _volume(ours: float, theirs: float, source: str, plan: str) -> Compared:
    agrees = abs(ours - theirs) <= max(VOLUME_CC, VOLUME_SHARE * ours)
    said = (
        ""
        if agrees
        else (
            f"The contours enclose {ours:.4g} cc, but {source} of the planning system says {theirs:.4g} cc. "
            "Check that the structure set is the one that was planned on, and whole."
        )
    )
    return Compared("volume", ours, theirs, "cc", agrees, said, source, plan)


def _dose(what: str, ours: float, theirs: float, within: tuple[float, float], plan: str) -> Compared:
    """A dose beside theirs.

    Parameters
    ----------
    what, ours, theirs
        Which, and the two, Gy.
    within
        Between what theirs agrees.
    plan
        The label of the plan.
    """
    agrees = within[0] <= theirs <= within[1]
    said = (
        ""
        if agrees
        else (
            f"{what} is {ours:.2f} Gy, but {theirs:.2f} Gy in the DVHSequence of the planning system. "
            "Check that this dose and this structure set belong together, and that the dose is that of the whole plan."
        )
    )
    return Compared(what, ours, theirs, "Gy", agrees, said, "DVHSequence", plan)


# What planning systems write


def _histogram(item: Any, relative: Optional[float]) -> Histogram:
    """One histogram.

    Parameters
    ----------
    item
        Of the DVHSequence.
    relative
        What a relative dose of 1 is in Gy, where that is known.
    """
    number = _region_of(item)
    if number is None:
        raise _Unusable("it is of several ROIs together, of a part of one, or names none")
    gray = _gray(item, relative)
    widths, counted = _pairs(item)
    scaling = _number(item, "DVHDoseScaling")
    scaling = (1.0 if scaling is None else scaling) * gray
    if not scaling > 0:
        raise _Unusable("its DVHDoseScaling is not above 0")
    kind = str(item.get("DVHType") or "").strip().upper()
    if kind not in ("CUMULATIVE", "DIFFERENTIAL"):
        raise _Unusable(f"its DVHType is {_shown(kind)}, which is not supported")
    if kind == "DIFFERENTIAL":
        counted = np.cumsum(counted[::-1])[::-1]
    whole = float(counted[0])
    if not whole > 0 or (np.diff(counted) > _RISES * whole).any():
        raise _Unusable("its DVHData is empty, or rises where it has to fall")
    unit = str(item.get("DVHVolumeUnits") or "").strip().upper()
    if unit not in ("CM3", "PERCENT"):
        raise _Unusable(f"its DVHVolumeUnits are {_shown(unit)}, which are not supported")
    doses = np.concatenate([[0.0], np.cumsum(widths)]) * scaling  # each value is that at the lower end of its bin
    shares = np.append(np.minimum.accumulate(counted), 0.0) / whole * 100
    extremes = (_number(item, f"DVH{which}Dose") for which in ("Minimum", "Mean", "Maximum"))
    low, mean, high = (None if value is None else value * gray for value in extremes)
    if mean is None:
        mean = float(((doses[1:] + doses[:-1]) / 2) @ -np.diff(shares)) / 100
    return Histogram(
        number, whole if unit == "CM3" else None, low, mean, high, doses, shares, float(np.median(widths)) * scaling
    )


def _region_of(item: Any) -> Optional[int]:
    """The one region that a histogram is of."""
    named = list(item.get("DVHReferencedROISequence") or ())
    if len(named) != 1 or str(named[0].get("DVHROIContributionType") or "INCLUDED").strip().upper() != "INCLUDED":
        return None
    number = _number(named[0], "ReferencedROINumber")
    return None if number is None else int(number)


def _gray(item: Any, relative: Optional[float]) -> float:
    """What a dose of 1 in a histogram is in Gy."""
    units = str(item.get("DoseUnits") or "").strip().upper()
    if units == "GY":
        return 1.0
    if units != "RELATIVE":
        raise _Unusable(f"its DoseUnits are {_shown(units)}, which are not supported")
    if relative is None:
        raise _Unusable("its doses are relative, and nothing sure says to what")
    return relative


def _relative(data: Any, items: Sequence[Any]) -> Optional[float]:
    """What a relative dose of 1 is in Gy: the reference or, where doses are per cent of it, a hundredth of that."""
    reference = _number(data, "DVHNormalizationDoseValue")
    if reference is None or not reference > 0:
        return None
    highest = 0.0
    for item in items:
        if str(item.get("DoseUnits") or "").strip().upper() == "RELATIVE":
            try:
                widths, _ = _pairs(item)
            except _Unusable:
                continue
            highest = max(highest, float(widths.sum()) * (_number(item, "DVHDoseScaling") or 1.0))
    if 0 < highest <= _FRACTION:
        return reference
    return reference / 100 if highest > _PERCENT else None


def _pairs(item: Any) -> tuple[Floats, Floats]:
    """The widths of the bins, and what is counted in each."""
    damaged = "its DVHData is damaged"
    raw = item.get_item(_DVH_DATA).value if _DVH_DATA in item else None
    try:
        if isinstance(raw, bytes):  # without an object for each number
            values = np.array(raw.rstrip(b"\0 ").split(b"\\") if raw.strip() else [], dtype=np.float64)
        else:
            values = np.atleast_1d(np.array([] if raw is None else raw, dtype=np.float64))
    except (TypeError, ValueError):
        raise _Unusable(damaged) from None
    if not 2 <= values.size <= 2 * _MOST_BINS or values.size % 2 or not np.isfinite(values).all() or values.min() < 0:
        raise _Unusable(damaged)
    claimed = _number(item, "DVHNumberOfBins")
    if claimed is not None and claimed != values.size // 2:
        raise _Unusable(damaged)
    return values[0::2], values[1::2]


def _number(item: Any, keyword: str) -> Optional[float]:
    try:
        found = float(item.get(keyword))
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _shown(word: str) -> str:
    """A code of a peer, as far as it is one."""
    return word if word.isascii() and word.replace("_", "").isalnum() and len(word) <= 16 else "not a known word"
