"""What the pages show in their tests: made up, but as a clinic's archive looks."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import node_client as client
import node_objects as objects
import pydicom.config
import pytest
from node_objects import item, uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess

CT = "1.2.840.10008.5.1.4.1.1.2"
HOSTILE = "<script>alert(1)</script>"
HOSTILE_ATTRIBUTE = "\"'><img src=x onerror=alert(2)>"


@cache
def portal(rows: int = 384, columns: int = 512, wide: int = 60) -> bytes:
    """A square field with a ball in it, as an imager of a linear accelerator sees it."""
    outside = array("H", [2000 + (7 * x) % 90 for x in range(columns)])
    middle = range(columns // 2 - wide, columns // 2 + wide)
    lines = []
    for y in range(rows):
        line = array("H", outside)
        if abs(y - rows // 2) < wide:
            for x in middle:
                ball = math.hypot(x - columns // 2 - 3, y - rows // 2 + 2) < wide / 5
                line[x] = 30000 if ball else 42000 - 9 * abs(x - columns // 2)
        lines.append(line.tobytes())
    return b"".join(lines)


@cache
def slice_of_a_phantom(number: int, across: int = 128) -> bytes:
    """A disc of water with two inserts, in Hounsfield units."""
    pixels = array("h", [-1000]) * (across * across)
    for y in range(across):
        for x in range(across):
            if math.hypot(x - across / 2, y - across / 2) < across * 0.42:
                insert = (
                    300 if math.hypot(x - 45, y - 50) < 9 else -120 if math.hypot(x - 84, y - 70) < 6 + number else 0
                )
                pixels[y * across + x] = insert + (x * 7 + y * 13) % 17 - 8
    return pixels.tobytes()


def beam(number: int, name: str, gantry: float, **more: Any) -> Dataset:
    """A beam with one control point, or an arc with two."""
    jaws = [
        item(RTBeamLimitingDeviceType="ASYMX", LeafJawPositions=[-50.0, 50.0]),
        item(RTBeamLimitingDeviceType="ASYMY", LeafJawPositions=[-100.0, 100.0]),
    ]
    point = item(
        ControlPointIndex=0,
        NominalBeamEnergy=6.0,
        DoseRateSet=600.0,
        GantryAngle=gantry,
        GantryRotationDirection="CW" if "to" in more else "NONE",
        BeamLimitingDeviceAngle=15.0,
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=0.0,
        BeamLimitingDevicePositionSequence=Sequence(jaws),
    )
    points = [point]
    if "to" in more:
        points.append(item(ControlPointIndex=1, GantryAngle=more["to"], GantryRotationDirection="NONE"))
    return item(
        BeamNumber=number,
        BeamName=name,
        BeamType="DYNAMIC" if "to" in more else "STATIC",
        TreatmentDeliveryType="TREATMENT",
        RadiationType="PHOTON",
        TreatmentMachineName="TB1",
        NumberOfWedges=0,
        ControlPointSequence=Sequence(points),
    )


def plan(patient: int = 1, study: int = 1, label: str = "WL_6X", **values: Any) -> Dataset:
    """A plan with two static beams and an arc."""
    beams = [beam(1, "G000", 0.0), beam(2, "G090", 90.0), beam(3, "Arc", 181.0, to=179.0)]
    doses = [item(ReferencedBeamNumber=number, BeamMeterset=mu) for number, mu in ((1, 100.0), (2, 100.0), (3, 412.75))]
    group = item(FractionGroupNumber=1, NumberOfFractionsPlanned=20, ReferencedBeamSequence=Sequence(doses))
    return objects.plan(
        patient,
        study,
        label,
        **{
            "BeamSequence": Sequence(beams),
            "FractionGroupSequence": Sequence([group]),
            "ReviewerName": "Curie^Marie",
            "ReviewDate": "20251102",
            "PlanIntent": "MACHINE_QA",
            "StudyDescription": "Winston-Lutz",
            "SeriesDescription": "Plans",
            **values,
        },
    )


def image(patient: int = 1, study: int = 1, number: int = 1, **values: Any) -> Dataset:
    """A portal image that looks like one."""
    shape = {"Rows": 384, "Columns": 512, "PixelData": portal()}
    words = {"StudyDescription": "Winston-Lutz", "SeriesDescription": "MV images"}
    return objects.image(patient, study, 2, number, **{**shape, **words, **values})


def ct(number: int) -> Dataset:
    """A slice of a phantom; its class is not RT, all else is like the other objects."""
    values = {
        "SOPClassUID": CT,
        "SOPInstanceUID": uid(3, 1, 5, number),
        "Modality": "CT",
        "StudyDescription": "Phantom",
        "SeriesDescription": "CBCT 2 mm",
        "RTImageLabel": "",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "GantryAngle": "",
        "ReferencedRTPlanSequence": Sequence([]),
        "Rows": 128,
        "Columns": 128,
        "PixelRepresentation": 1,
        "WindowCenter": "40",
        "WindowWidth": "400",
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "PixelData": slice_of_a_phantom(number % 5),
    }
    return objects.image(3, 1, 5, number, **{"PatientName": "Phantom^Catphan", **values})


def hostile() -> list[Dataset]:
    """Objects whose every text is an attack on a page."""
    texts = {
        "PatientName": f"{HOSTILE}^{HOSTILE_ATTRIBUTE}",
        "PatientID": HOSTILE_ATTRIBUTE,
        "StudyDescription": HOSTILE,
        "SeriesDescription": HOSTILE,
        "StudyID": HOSTILE_ATTRIBUTE,
        "AccessionNumber": HOSTILE,
        "PatientSex": "<b>",
        "PatientBirthDate": "<i>",
    }
    bad_plan = plan(
        4, 1, HOSTILE, **{**texts, "ApprovalStatus": HOSTILE, "ReviewerName": HOSTILE, "PlanIntent": HOSTILE}
    )
    bad_plan.BeamSequence[0].BeamName = HOSTILE
    bad_plan.BeamSequence[1].TreatmentMachineName = HOSTILE_ATTRIBUTE
    bad_image = image(4, 1, 1, **{**texts, "RTImageLabel": HOSTILE, "ImageType": HOSTILE, "Modality": HOSTILE})
    return [bad_plan, bad_image]


@contextmanager
def running(options: NodeOptions) -> Iterator[NodeProcess]:
    """A node that holds everything."""
    with pytest.MonkeyPatch.context() as patch, NodeProcess(options) as node:
        for mode in ("reading_validation_mode", "writing_validation_mode"):
            patch.setattr(pydicom.config.settings, mode, pydicom.config.IGNORE)
        store(node.port)
        yield node


def store(port: int) -> None:
    """Send everything to a node, from three sources."""
    course = [plan(), *(image(number=number) for number in (1, 2, 3, 4))]
    course += [plan(1, 2, "PDIP_10X", ApprovalStatus="UNAPPROVED"), image(1, 2, 1)]
    assert set(client.store(port, *course, calling="ARIA")) == {0}
    _send(port, "CBCT", *(ct(number) for number in range(1, 61)))
    second = plan(2, 1, "WL_6X", PatientName="M\u00fcller^J\u00f6rg", SpecificCharacterSet="ISO_IR 100")
    _send(port, "<b>BAD</b>", second, *hostile())
    changed = image(number=1, RTImageLabel="another")
    assert client.store(port, changed, calling="ARIA") == [0x0111]


def _send(port: int, calling: str, *datasets: Dataset) -> None:
    contexts = [(each, [part10.EXPLICIT_LITTLE]) for each in (CT, objects.RTPLAN, objects.RTIMAGE)]
    with client.association(port, contexts, calling=calling) as opened:
        for each in datasets:
            data = objects.encoded(each)
            assert client.send(opened, str(each.SOPClassUID), str(each.SOPInstanceUID), data) == 0
