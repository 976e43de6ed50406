"""The machines that a plan's folder describes (``plan.Pinnacle.Machines``), or the archive's ``Physics`` folder.

Trays: a machine has no table of trays; an energy has ``DefaultTrayFactor``, a beam its own ``TrayFactor``.
Wedges: ``WedgeList/Wedge``; its four orientations have codes (``TopToBottomCode`` = "15-OUT").
"""

from __future__ import annotations

from typing import Optional

from .records import Energy, Leaf, Machine, Scale, Wedge
from .text import Block

_ORIENTATIONS = ("LeftToRight", "RightToLeft", "TopToBottom", "BottomToTop")
_ENERGIES = (("PhotonEnergyList", "Photons"), ("ElectronEnergyList", "Electrons"), ("StereoEnergyList", "Stereo"))


def machines(content: Block) -> tuple[Machine, ...]:
    """The machines of a text: each in a block (``#0``, ``Machine``), in a list of them, or its keys at the top."""
    if content.text("Name") is not None:
        found = [content]
    else:
        found = [block for block in content.members() if block.text("Name") is not None]
        if not found:
            found = [block for above in content.members() for block in above.members() if block.text("Name")]
    return tuple(_machine(block) for block in found)


def _machine(block: Block) -> Machine:
    leaves = block.block("MultiLeaf")
    if leaves is not None and block.flag("HasMLC") is False:
        leaves = None
    return Machine(
        name=block.text("Name") or "",
        version=block.text("VersionTimestamp"),
        source_axis_distance=block.number("SAD"),
        leaves=_leaves(leaves) if leaves is not None else (),
        leaves_along_left_right=leaves.flag("AlignedWithLeftRightJaw") if leaves is not None else None,
        energies=tuple(
            _energy(energy, modality)
            for key, modality in _ENERGIES
            for energy in block.members(key)
            if energy.text("Name") is not None
        ),
        wedges=tuple(_wedge(wedge) for wedge in block.members("WedgeList") if wedge.text("Name") is not None),
        manufacturer=leaves.text("Vendor") if leaves is not None else None,
        model=block.text("MachineType"),
        leaves_negated=leaves.flag("NegateLeafCoordinates") if leaves is not None else None,
        gantry_scale=_scale(block.block("GantryAngle")),
        collimator_scale=_scale(block.block("CollimatorAngle")),
        couch_scale=_scale(block.block("CouchAngle")),
        left_right_jaw_distance=block.number("SourceToLeftRightJawDistance"),
        top_bottom_jaw_distance=block.number("SourceToTopBottomJawDistance"),
        leaf_distance=leaves.number("SourceToMLCDistance") if leaves is not None else None,
        block_tray_distance=block.number("SourceToBlockTrayDistance"),
    )


def _scale(block: Optional[Block]) -> Optional[Scale]:
    """How an angle is counted; None where one half of it is not said."""
    if block is None:
        return None
    twelve, clockwise = block.number("TwelveOClockAngle"), block.flag("ClockwiseIncreases")
    return None if twelve is None or clockwise is None else Scale(twelve, clockwise)


def _leaves(block: Block) -> tuple[Leaf, ...]:
    """The leaf pairs from ``LeafPairList``; none at all where one of them is not described whole."""
    found = []
    for pair in block.members("LeafPairList"):
        centre, width = pair.number("YCenterPosition"), pair.number("Width")
        if centre is None or width is None or width <= 0:
            return ()
        found.append(Leaf(-centre if pair.flag("NegateLeafCoordinate") else centre, width))
    return tuple(found)


def _energy(block: Block, modality: str) -> Energy:
    factor = block.block("PhysicsData", "OutputFactor")
    return Energy(
        name=block.text("Name") or "",
        value=block.number("Value"),
        modality=modality,
        dose_per_mu_at_calibration=factor.number("DosePerMuAtCalibration") if factor is not None else None,
        default_tray_factor=block.number("DefaultTrayFactor"),
    )


def _wedge(block: Block) -> Wedge:
    codes = ((side, _either(block, f"{side}Code", f"{side}Label")) for side in _ORIENTATIONS)
    return Wedge(
        name=block.text("Name") or "",
        identifier=block.text("ManufacturerCode"),
        angle=block.number("NominalAngle"),
        dynamic=block.flag("IsDynamic"),
        material=block.text("Material"),
        codes=tuple((side, code) for side, code in codes if code is not None),
        universal=block.flag("OkForUniversalWedge"),
    )


def _either(block: Block, *keys: str) -> Optional[str]:
    return next((text for text in map(block.text, keys) if text is not None), None)
