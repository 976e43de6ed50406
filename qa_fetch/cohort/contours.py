"""Structure sets: regions of interest with their outlines, by ROINumber alone, never by their order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Optional, Union

import numpy as np

from .. import part10
from ..errors import BadArchive
from .grids import Floats

Source = Union[Path, Any]  # a file, or a pydicom Dataset that was read from one

_CONTOUR_DATA: Final = 0x30060050
_SAME_POINT: Final = 0.01  # mm; outlines are compared in whole numbers of it
_CLOSED: Final = frozenset(("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"))
_OPEN: Final = frozenset(("OPEN_PLANAR", "OPEN_NONPLANAR"))

# Why a region has no mask; each is the end of a sentence, and what to do.
_TWICE: Final = (
    "its number stands twice in the structure set, so its contours may be another's. Correct it and export again"
)
_NONE: Final = "it has no contours. Draw it, or leave it out"
_POINT: Final = "it is a point, which has no volume. Leave it out"
_LINE: Final = "its contours are open lines, which enclose nothing. Close them and export again"
_FLAT: Final = "none of its contours has three points, so they enclose nothing. Draw it, or leave it out"
_NO_POINTS: Final = "a contour of it has values that are no points. Export the structure set again"
_CUT: Final = "a contour of it has fewer points than it claims. Export the structure set again"
_UNKNOWN: Final = "a contour of it is of a type that is not known. Export the structure set again"


class Contour(NamedTuple):
    """A closed outline in one plane."""

    points: Floats  # n x 3, mm of the patient
    image: Optional[str]  # the SOPInstanceUID that it was drawn on, where it says so


@dataclass(frozen=True, eq=False)
class Region:
    """A region of interest, as far as it encloses something."""

    number: int
    name: str
    interpreted_type: Optional[str]  # PTV, ORGAN, EXTERNAL, ...
    volume_in_tps: Optional[float]  # cc, as the planning system wrote it
    colour: Optional[tuple[int, int, int]]
    frame_of_reference: Optional[str]
    contours: tuple[Contour, ...]
    fault: Optional[str]  # why it can have no mask: the end of a sentence, and what to do
    warnings: tuple[str, ...]  # sentences


@dataclass(frozen=True, eq=False)
class StructureSet:
    """The regions of an RTSTRUCT, in its order."""

    uid: str
    regions: tuple[Region, ...]
    warnings: tuple[str, ...]  # what belongs to no region


class _Outlines(NamedTuple):
    """What a region's contours are."""

    contours: tuple[Contour, ...] = ()
    fault: Optional[str] = None
    warnings: tuple[str, ...] = ()


class _Unusable(Exception):
    """A region's contours cannot be used; the text is its fault."""


def structures(source: Source) -> StructureSet:
    """The regions of a structure set; one that is damaged takes none of the others with it."""
    data = part10.read(source) if isinstance(source, Path) else source
    uid = str(data.get("SOPInstanceUID", ""))
    if data.get("StructureSetROISequence") is None:
        raise BadArchive(
            f"The structure set {uid} has no StructureSetROISequence, so no ROI has a name. Fetch it again."
        )
    heads = [(_number(item, "ROINumber"), item) for item in data.StructureSetROISequence]
    outlines, observed = _by_number(data, "ROIContourSequence"), _by_number(data, "RTROIObservationsSequence")
    count = Counter(number for number, _ in heads)
    regions = []
    for number, head in heads:
        if number is None:
            continue
        found = _outlines(outlines.get(number, ())) if count[number] == 1 else _Outlines(fault=_TWICE)
        regions.append(_region(number, head, outlines.get(number, ()), observed.get(number, ()), found))
    return StructureSet(uid, tuple(regions), tuple(_strays(count, outlines)))


def _number(item: Any, keyword: str) -> Optional[int]:
    try:
        return int(item.get(keyword))
    except (TypeError, ValueError):
        return None


def _by_number(data: Any, sequence: str) -> dict[Optional[int], list[Any]]:
    found: dict[Optional[int], list[Any]] = defaultdict(list)
    for item in data.get(sequence) or ():
        found[_number(item, "ReferencedROINumber")].append(item)
    return found


def _strays(heads: Counter[Optional[int]], outlines: dict[Optional[int], list[Any]]) -> list[str]:
    """What was left out because nothing says whose it is."""
    said = []
    if heads[None]:
        said.append(f"ROIs without a usable ROINumber were left out: {heads[None]}. Export the structure set again.")
    strays = sum(len(items) for number, items in outlines.items() if number is None or number not in heads)
    if strays:
        said.append(f"Contours that belong to no ROI were left out: {strays} sets. Export the structure set again.")
    return said


def _region(number: int, head: Any, outlines: Sequence[Any], observed: Sequence[Any], found: _Outlines) -> Region:
    """A region from all that is said of its number.

    Parameters
    ----------
    number
        Its ROINumber.
    head, outlines, observed
        Its items of StructureSetROISequence, ROIContourSequence and RTROIObservationsSequence.
    found
        Its contours.
    """
    kinds = {str(item.get("RTROIInterpretedType") or "") for item in observed} - {""}
    return Region(
        number=number,
        name=str(head.get("ROIName") or ""),
        interpreted_type=kinds.pop() if len(kinds) == 1 else None,
        volume_in_tps=_volume(head),
        colour=_colour(outlines),
        frame_of_reference=str(head.get("ReferencedFrameOfReferenceUID") or "") or None,
        contours=found.contours,
        fault=found.fault,
        warnings=found.warnings,
    )


def _volume(head: Any) -> Optional[float]:
    try:
        found = float(head.get("ROIVolume"))
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) and found > 0 else None


def _colour(outlines: Sequence[Any]) -> Optional[tuple[int, int, int]]:
    for item in outlines:
        try:
            red, green, blue = (int(value) for value in item.get("ROIDisplayColor") or ())
        except (TypeError, ValueError):
            continue
        if all(0 <= value <= 255 for value in (red, green, blue)):
            return red, green, blue
    return None


def _outlines(items: Sequence[Any]) -> _Outlines:
    """The closed contours of a region; two that are the same would cancel each other, so one of them counts."""
    try:
        every = [_contour(each) for item in items for each in item.get("ContourSequence") or ()]
    except _Unusable as error:
        return _Outlines(fault=str(error))
    kinds = Counter(kind for kind, _ in every)
    closed = [contour for kind, contour in every if kind in _CLOSED]
    if not closed:
        return _Outlines(fault=_LINE if any(kinds[kind] for kind in _OPEN) else _POINT if kinds["POINT"] else _NONE)
    whole = [contour for contour in closed if len(contour.points) >= 3]
    once = _once(whole)
    if not once:
        return _Outlines(fault=_FLAT)
    reasons = (
        (len(every) - len(closed), "are points or open lines, which enclose nothing, were left out"),
        (len(closed) - len(whole), "have fewer than three points, which enclose nothing, were left out"),
        (len(whole) - len(once), "stand in it a second time were left out"),
    )
    warnings = tuple(f"Contours that {why}: {number}." for number, why in reasons if number)
    return _Outlines(tuple(once), None, warnings)


def _once(contours: Sequence[Contour]) -> list[Contour]:
    """Each outline once, wherever it begins, whichever way round it goes, and whether or not it ends where it began."""
    alike: dict[Any, list[tuple[Contour, Any]]] = defaultdict(list)
    for contour in contours:
        points = np.rint(contour.points / _SAME_POINT).astype(np.int64)
        points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
        alike[len(points), points.sum(axis=0).tobytes()].append((contour, points))  # mostly one, and then that is all
    again = set()
    for group in alike.values():
        known = set()
        for contour, points in group if len(group) > 1 else ():
            edges = _edges(points.tolist())
            if edges in known:
                again.add(id(contour))
            known.add(edges)
    return [contour for contour in contours if id(contour) not in again]


def _edges(points: list[list[int]]) -> tuple[Any, ...]:
    """The edges of an outline in an order of their own."""
    return tuple(sorted(tuple(sorted(map(tuple, ends))) for ends in zip(points, points[1:] + points[:1])))


def _contour(item: Any) -> tuple[str, Contour]:
    kind = str(item.get("ContourGeometricType") or "")
    if kind not in _CLOSED | _OPEN | {"POINT"}:
        raise _Unusable(_UNKNOWN)
    points = _points(item)
    claimed = _number(item, "NumberOfContourPoints")
    if claimed is not None and claimed != len(points):
        raise _Unusable(_CUT if claimed > len(points) else _NO_POINTS)
    named = next(iter(item.get("ContourImageSequence") or ()), None)
    image = str(named.get("ReferencedSOPInstanceUID") or "") if named is not None else ""
    return kind, Contour(points, image or None)


def _points(item: Any) -> Floats:
    """ContourData without an object for each number, of which there may be a million."""
    value = item.get_item(_CONTOUR_DATA).value if _CONTOUR_DATA in item else None
    try:
        if isinstance(value, bytes):
            values = np.array(value.split(b"\\") if value.strip() else [], dtype=np.float64)
        else:
            values = np.array([] if value is None else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise _Unusable(_NO_POINTS) from None
    if values.size % 3 or not np.isfinite(values).all():
        raise _Unusable(_NO_POINTS)
    return values.reshape(-1, 3)
