"""The objects of the corpus: every sort of object of an RT course, with strings that identify in every place."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import cycle
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

SOP = "1.2.840.10008.5.1.4.1.1."
CT, STRUCT, PLAN, DOSE, IMAGE, RECORD = (SOP + tail for tail in ("2", "481.3", "481.5", "481.2", "481.1", "481.4"))
REPORT, DOCUMENT, CAPTURE, REGISTRATION, ENHANCED, SELECTION, STATE = (
    SOP + tail for tail in ("88.33", "104.1", "7", "66.1", "2.1", "88.59", "11.1")
)
STAFF = ("Eisenbart^Theodor", "Kowalska^Anna", "Feuerstein^Fridolin")
INSTITUTION, DEPARTMENT = "Inselspital Lausanne", "Radioonkologie Nord"
MACHINE, STATION, SERIAL = "TB_BUNKER7", "TBSTATION7", "SN55021X"
SAFE_CREATOR = "Philips PET Private Group"  # (7053,xx00) of it is safe: PS3.15 Table E.3.10-1
FIRST_DAY = date(2025, 10, 6)
ROWS = 16


@dataclass(frozen=True)
class Person:
    """Who a course is about, and how it is written."""

    id: str
    name: str
    birth: date
    age: str
    charset: Sequence[str]
    texts: Sequence[str]  # what people type where there is room
    accession: str
    root: str = ""  # of the UIDs; it holds the ID

    def uid(self, *names: object) -> str:
        """The UID of these names, which a careless system has built from the patient's ID."""
        number = zlib.crc32("/".join(map(str, names)).encode())
        return f"1.2.826.0.1.3680043.8.498.{self.root}.{number}"


@dataclass
class Author:
    """Writes the objects of one person's course; free text is taken from the person's in turn."""

    person: Person
    made: list[Dataset] = field(default_factory=list)
    _texts: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._texts = cycle(self.person.texts)

    def text(self, most: int = 64) -> str:
        """The next text that identifies, of those that fit."""
        return next(text for text in self._texts if len(text) <= most)

    def uid(self, *names: object) -> str:
        """A UID of this course."""
        return self.person.uid(*names)

    def texts(self, dataset: Dataset, *keywords: str, most: int = 64) -> None:
        """Put identifying text into these attributes."""
        for keyword in keywords:
            setattr(dataset, keyword, self.text(most))

    def base(self, sop_class: str, modality: str, number: int = 1, day: int = 0) -> Dataset:
        """Patient, study, series and equipment, which all objects have, with everything that identifies in them."""
        person, when = self.person, da(FIRST_DAY + timedelta(days=day))
        made = Dataset()
        made.SpecificCharacterSet = list(person.charset) if len(person.charset) > 1 else person.charset[0]
        made.InstanceCreationDate, made.InstanceCreationTime = when, "093000"
        made.SOPClassUID, made.SOPInstanceUID = sop_class, self.uid(modality, sop_class[-4:], number)
        made.StudyDate, made.StudyTime = da(FIRST_DAY), "080000"
        made.SeriesDate, made.SeriesTime = when, "091500.250000"
        made.AccessionNumber, made.Modality, made.Manufacturer = person.accession, modality, "ACME"
        made.InstitutionName, made.InstitutionAddress = INSTITUTION, f"Bahnhofstrasse 4, {INSTITUTION}"
        made.ReferringPhysicianName, made.OperatorsName, made.PhysiciansOfRecord = STAFF[0], STAFF[1], STAFF[2]
        made.StationName, made.InstitutionalDepartmentName = STATION, DEPARTMENT
        made.ManufacturerModelName, made.DeviceSerialNumber, made.SoftwareVersions = "Linac 3", SERIAL, "2.7"
        self.texts(made, "StudyDescription", "SeriesDescription", "PatientComments")
        made.PatientName, made.PatientID, made.IssuerOfPatientID = person.name, person.id, "HOSP-ISSUER"
        made.PatientBirthDate, made.PatientSex, made.PatientAge = da(person.birth), "M", person.age
        made.PatientSize, made.PatientWeight = "1.81", "82.5"
        other = item(PatientID=f"ALT{person.id}", TypeOfPatientID="TEXT", IssuerOfPatientID="HOSP-ISSUER")
        made.OtherPatientIDsSequence = Items([other])
        made.OtherPatientNames, made.PatientMotherBirthName = person.name, person.name.split("^")[0]
        made.PatientTelephoneNumbers = "+41 21 314 55 33"
        made.PatientAddress = "Rue du Bugnon 46, 1011 Lausanne"
        made.ReferencedPatientSequence = Items([referring("1.2.840.10008.3.1.2.1.1", self.uid("patient"))])
        made.StudyInstanceUID, made.SeriesInstanceUID = self.uid("study"), self.uid(modality, sop_class[-4:], "series")
        made.StudyID, made.SeriesNumber, made.InstanceNumber = "S4711", 1, number
        made.RequestAttributesSequence = Items(
            [item(RequestedProcedureID="RP1", ScheduledProcedureStepDescription=self.text())]
        )
        self._private(made)
        self.made.append(made)
        return made

    def _private(self, made: Dataset) -> None:
        """Private elements: text, bytes of unknown VR in two encodings, nested ones, and a safe one."""
        person = self.person
        block = made.private_block(0x0009, f"ACME {person.id}"[:16], create=True)
        block.add_new(0x01, "LO", self.text())
        block.add_new(0x02, "UN", person.name.encode("utf-8"))
        block.add_new(0x03, "UN", person.name.encode("utf-16-le"))
        block.add_new(0x04, "UI", self.uid("study"))
        nested = item(PatientName=person.name, PatientID=person.id, PatientBirthDate=da(person.birth))
        nested.private_block(0x0011, "ACME INNER", create=True).add_new(0x01, "PN", person.name)
        block.add_new(0x05, "SQ", Items([nested]))
        safe = made.private_block(0x7053, SAFE_CREATOR, create=True)
        safe.add_new(0x00, "DS", "1.25")
        safe.add_new(0x03, "ST", self.text())

    def pixels(self, made: Dataset, bits: int = 16, frames: int = 0) -> None:
        """The pixels of an image, which are the same in each run."""
        made.SamplesPerPixel, made.PhotometricInterpretation, made.Rows, made.Columns = 1, "MONOCHROME2", ROWS, ROWS
        made.BitsAllocated = made.BitsStored = bits
        made.HighBit, made.PixelRepresentation = bits - 1, 0
        if frames:
            made.NumberOfFrames = frames
        count = ROWS * ROWS * bits // 8 * (frames or 1)
        start = int(made.InstanceNumber)
        made.add_new("PixelData", "OW", bytes((start * 7 + n * 13) % 251 for n in range(count)))

    def plane(self, made: Dataset, number: int, frame: str = "frame") -> None:
        """Where an image lies."""
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = self.uid(frame), ""
        made.ImagePositionPatient = [-8, -8, 2 * number]
        made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness = [1, 0, 0, 0, 1, 0], [1, 1], 2


def item(**values: Any) -> Dataset:
    """An item with these values."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def referring(sop_class: str, instance: str, **more: Any) -> Dataset:
    """An item that names an object."""
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=instance, **more)


def to(target: Dataset, **more: Any) -> Dataset:
    """An item that names this object."""
    return referring(target.SOPClassUID, target.SOPInstanceUID, **more)


def code(value: str, scheme: str, meaning: str) -> Items:
    """A code sequence of one item."""
    return Items([item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)])


def evidence(*targets: Dataset) -> Items:
    """Study, series and objects, as reports and selections list them."""
    series = [
        item(SeriesInstanceUID=target.SeriesInstanceUID, ReferencedSOPSequence=Items([to(target)]))
        for target in targets
    ]
    return Items([item(StudyInstanceUID=targets[0].StudyInstanceUID, ReferencedSeriesSequence=Items(series))])


def da(day: date) -> str:
    """A day as DICOM has it."""
    return day.strftime("%Y%m%d")
