"""Wedges, blocks and applicators of a beam as DICOM has them.

A wedge's orientation names two sides of Pinnacle's head, ``WedgeBottomToTop``: its thin end lies at the second (on a
real machine BottomToTop is the linac's Y1-IN and IN, which DICOM counts as 0; RightToLeft is its RIGHT, 90). On a head
that is the other way up (``scales``) it is turned by 180 degrees.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Final, Optional

from .leaves import millimetres
from .objects import LONG, SHORT, plain
from .records import Beam, ControlPoint, Machine, Wedge, WedgeSetting
from .scales import Unsure

_THIN_END: Final = {"top": 0, "left": 90, "bottom": 180, "right": 270}
_ORIENTATION = re.compile(r"(?:wedge)?(?:top|bottom|left|right)to(top|bottom|left|right)", re.IGNORECASE)
_ANGLE = re.compile(r"\d{1,2}(?:\.0*)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*[xX*]\s*(\d+(?:\.\d+)?)")


def wedge_of(beam: Beam) -> Optional[WedgeSetting]:
    """The wedge that a beam uses at one of its control points at least; Unsure where there are several."""
    found = {point.wedge for point in beam.control_points if point.wedge is not None}
    if len(found) > 1:
        raise Unsure("it uses several wedges, or one in several ways")
    return found.pop() if found else None


def wedge_type(setting: WedgeSetting, beam: Beam, machine: Optional[Machine]) -> str:
    """STANDARD, MOTORIZED or DYNAMIC; empty where nothing says which.

    Parameters
    ----------
    setting
        The wedge as the beam uses it.
    beam, machine
        The beam and the machine that it names.
    """
    described = _described(setting, machine)
    if "edw" in setting.name.lower() or (described is not None and described.dynamic):
        return "DYNAMIC"
    if "motor" in (beam.beam_type or "").lower() or (described is not None and described.universal):
        return "MOTORIZED"
    return "STANDARD" if described is not None and described.dynamic is False else ""


def wedges(beam: Beam, machine: Optional[Machine], turned: bool, warn: Callable[[str], None]) -> list[Any]:
    """The items of WedgeSequence: none or one; what is not known of it is empty and reported.

    Parameters
    ----------
    beam, machine
        The beam and the machine that it names.
    turned
        Whether the head is the other way up.
    warn
        Called with what a user should know.
    """
    from pydicom.dataset import Dataset

    setting = wedge_of(beam)
    if setting is None:
        return []
    item = Dataset()
    item.WedgeNumber = 1
    item.WedgeType = wedge_type(setting, beam, machine)
    item.WedgeID = _short(setting.name, warn)
    angle, thin = _angle(setting, machine), _ORIENTATION.fullmatch(setting.orientation or "")
    item.WedgeAngle = angle
    item.WedgeFactor = None
    item.WedgeOrientation = None if thin is None else (_THIN_END[thin[1].lower()] + (180 if turned else 0)) % 360
    unknown = [
        name
        for name, value in (("sort", item.WedgeType or None), ("angle", angle), ("orientation", thin))
        if value is None
    ]
    if unknown:
        warn(f"the archive does not say its wedge's {' and '.join(unknown)}, which stay empty")
    return [item]


def wedge_positions(point: ControlPoint) -> list[Any]:
    """The items of WedgePositionSequence of a control point of a beam with a wedge."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedWedgeNumber = 1
    item.WedgePosition = "OUT" if point.wedge is None else "IN"
    return [item]


def _described(setting: WedgeSetting, machine: Optional[Machine]) -> Optional[Wedge]:
    return next((each for each in machine.wedges if each.name == setting.name), None) if machine is not None else None


def _angle(setting: WedgeSetting, machine: Optional[Machine]) -> Optional[int]:
    """The wedge's angle, degrees: as the beam sets it, else as the machine describes it."""
    if setting.angle is not None and _ANGLE.fullmatch(setting.angle):
        return int(float(setting.angle))
    described = _described(setting, machine)
    angle = described.angle if described is not None else None
    return int(angle) if angle is not None and angle > 0 and angle == int(angle) else None


def blocks(beam: Beam, machine: Optional[Machine], turned: bool, warn: Callable[[str], None]) -> list[Any]:
    """The items of BlockSequence; Unsure where the beam's block cannot be told.

    Parameters
    ----------
    beam, machine
        The beam and the machine that it names.
    turned
        Whether the head is the other way up.
    warn
        Called with what a user should know.
    """
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    shapes = [(point.block_contours, point.block_outside) for point in beam.control_points]
    if beam.use_mlc is not False or not any(contours for contours, _ in shapes):
        return []  # with leaves, contours are what the leaves were fitted to
    contours, outside = shapes[0]
    if any(shape != shapes[0] for shape in shapes):
        raise Unsure("its blocks are not the same at all its control points")
    kind = {"block": "APERTURE", "expose": "SHIELDING"}.get((outside or "").lower())
    if kind is None:
        raise Unsure("nothing says whether its block shields what is inside of its contours or outside of them")
    if kind == "APERTURE" and len(contours) > 1:
        raise Unsure("it has an aperture of several contours")
    tray = machine.block_tray_distance if machine is not None else None
    items = []
    for number, contour in enumerate(contours, 1):
        x, y = contour[0::2], contour[1::2]
        if len(x) != len(y) or len(x) < 3:
            raise Unsure("the contour of its block is not whole")
        if len(x) > 3 and (x[0], y[0]) == (x[-1], y[-1]):
            x, y = x[:-1], y[:-1]
        signs = (-1, 1) if turned else (1, -1)  # contours are drawn with y towards the bottom jaw
        item = Dataset()
        item.SourceToBlockTrayDistance = None if tray is None else millimetres(tray)
        if beam.tray is not None:
            item.BlockTrayID = _short(beam.tray, warn)
        item.BlockType = kind
        item.BlockDivergence = ""
        item.BlockNumber = number
        item.MaterialID = ""
        item.BlockTransmission = None
        item.BlockNumberOfPoints = len(x)
        text = "\\".join(f"{round(v * s * 10, 4) + 0.0:.10g}" for pair in zip(x, y) for v, s in zip(pair, signs))
        item[0x300A0106] = DataElement(0x300A0106, "DS", text, already_converted=True)
        items.append(item)
    return items


def applicators(beam: Beam, warn: Callable[[str], None]) -> list[Any]:
    """The items of ApplicatorSequence of an electron beam.

    Parameters
    ----------
    beam
        The beam.
    warn
        Called with what a user should know.
    """
    from pydicom.dataset import Dataset

    if beam.applicator is None:
        return []
    size = _SIZE.search(beam.applicator)
    if size is None:
        warn("its applicator's name does not say its shape, without which DICOM cannot name it, so it is left out")
        return []
    item = Dataset()
    item.ApplicatorID = _short(beam.applicator, warn)
    item.ApplicatorType = "ELECTRON_SQUARE" if float(size[1]) == float(size[2]) else "ELECTRON_RECT"
    item.ApplicatorDescription = plain(beam.applicator)[:LONG]
    return [item]


def _short(name: str, warn: Callable[[str], None]) -> str:
    """A name for an element of VR SH; what is cut is reported."""
    value = plain(name)
    if len(value) > SHORT:
        warn(f"the name of its wedge, tray or applicator is longer than {SHORT} characters and has been cut")
    return value[:SHORT].rstrip()
