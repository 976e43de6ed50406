"""Small RT objects made up for the tests, without numpy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID

from qa_fetch import part10

RTIMAGE = "1.2.840.10008.5.1.4.1.1.481.1"
RTPLAN = "1.2.840.10008.5.1.4.1.1.481.5"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
ROOT = "1.2.826.0.1.3680043.10.1234"


def uid(*numbers: int) -> str:
    """A UID that says where it stands."""
    return ".".join((ROOT, *(str(number) for number in numbers)))


def item(**values: Any) -> Dataset:
    """A sequence item."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _object(sop_class: str, patient: int, study: int, series: int, number: int, **values: Any) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(uid(patient, study, series, number))
    dataset.StudyInstanceUID = UID(uid(patient, study))
    dataset.SeriesInstanceUID = UID(uid(patient, study, series))
    dataset.PatientID = f"QA{patient}"
    dataset.PatientName = f"Machine{patient}^QA"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyDate = f"2025110{study}"
    dataset.StudyTime = "101500"
    dataset.StudyID = str(study)
    dataset.AccessionNumber = ""
    dataset.SeriesNumber = series
    dataset.InstanceNumber = number
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def plan(patient: int = 1, study: int = 1, label: str = "WL_6X", **values: Any) -> Dataset:
    """An RT plan, series 1 of its study."""
    given = {
        "Modality": "RTPLAN",
        "RTPlanLabel": label,
        "RTPlanDate": "20251101",
        "RTPlanTime": "080000",
        "ApprovalStatus": "APPROVED",
        "RTPlanGeometry": "PATIENT",
    }
    return _object(RTPLAN, patient, study, 1, 1, **{**given, **values})


def image(patient: int = 1, study: int = 1, series: int = 2, number: int = 1, **values: Any) -> Dataset:
    """An RT image that refers to the plan of its study."""
    reference = item(ReferencedSOPClassUID=RTPLAN, ReferencedSOPInstanceUID=uid(patient, study, 1, 1))
    given = {
        "Modality": "RTIMAGE",
        "ImageType": ["ORIGINAL", "PRIMARY", "PORTAL"],
        "RTImageLabel": f"G{number}",
        "PrimaryDosimeterUnit": "MU",
        "GantryAngle": 90.0 * (number - 1),
        "AcquisitionDate": f"2025110{study}",
        "AcquisitionTime": f"1020{number % 60:02d}",
        "ContentDate": f"2025110{study}",
        "ContentTime": f"1021{number % 60:02d}",
        "InstanceCreationDate": f"2025110{study}",
        "InstanceCreationTime": f"1022{number % 60:02d}",
        "ReferencedRTPlanSequence": Sequence([reference]),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 4,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": bytes(range(32)),
    }
    dataset = _object(RTIMAGE, patient, study, series, number, **{**given, **values})
    dataset["PixelData"].VR = "OW"
    return dataset


def compressed(dataset: Dataset) -> Dataset:
    """The same image with a payload that passes for JPEG 2000."""
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51 not really JPEG 2000 \xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def encoded(dataset: Dataset, transfer_syntax: str = part10.EXPLICIT_LITTLE) -> bytes:
    """The bytes of a data set as they travel."""
    buffer = io.BytesIO()
    part10.write(dataset, buffer, transfer_syntax)
    return bytes(part10.split(buffer.getvalue(), "a synthetic object").dataset)


def file(folder: Path, dataset: Dataset, transfer_syntax: str = part10.EXPLICIT_LITTLE) -> Path:
    """The object as a Part-10 file."""
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    part10.write(dataset, path, transfer_syntax)
    return path


def content() -> list[Dataset]:
    """What the library holds."""
    held = []
    for study in (1, 2):
        held.append(plan(1, study, "WL_6X" if study == 1 else "PDIP_10X"))
        held += [image(1, study, 2, number) for number in (1, 2, 3)]
    held.append(plan(2, 1, "WL_6X", ApprovalStatus="UNAPPROVED"))
    name = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "M\u00fcller^J\u00f6rg"}
    kilovolt = {"PrimaryDosimeterUnit": "MINUTE", "ImageType": ["ORIGINAL", "PRIMARY", "RADIOGRAPH"]}
    held.append(image(2, 1, 2, 1, **name, **kilovolt))
    return held
