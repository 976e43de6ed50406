"""What the directory records of a DICOM object say (PS3.3 Annex F).

Which keys a record of each type has is pydicom's table, ``pydicom.fileset.DIRECTORY_RECORDERS``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .. import part10
from ..archive.readable import readable
from ..errors import BadArchive
from .rubbish import RUBBISH

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR itself

_STORAGE = "1.2.840.10008.5.1.4.1.1."
# The types of record by SOP Class (PS3.3 Table F.4-1), of families and of single ones; all others are IMAGE.
_FAMILIES = {
    "9": "WAVEFORM",
    "11": "PRESENTATION",
    "68": "SURFACE SCAN",
    "78": "MEASUREMENT",
    "88": "SR DOCUMENT",
    "104": "ENCAP DOC",
}
_KINDS = {
    "4.2": "SPECTROSCOPY",
    "66": "RAW DATA",
    "66.1": "REGISTRATION",
    "66.2": "FIDUCIAL",
    "66.3": "REGISTRATION",
    "66.5": "SURFACE",
    "66.6": "TRACT",
    "67": "VALUE MAP",
    "77.1.5.3": "STEREOMETRIC",
    "78.6": "SR DOCUMENT",
    "79.1": "SR DOCUMENT",
    "80.1": "MEASUREMENT",
    "88.59": "KEY OBJECT DOC",
    "90.1": "ASSESSMENT",
    "131": "PRESENTATION",
    "481.2": "RT DOSE",
    "481.3": "RT STRUCTURE SET",
    "481.4": "RT TREAT RECORD",
    "481.5": "RT PLAN",
    "481.6": "RT TREAT RECORD",
    "481.7": "RT TREAT RECORD",
    "481.8": "RT PLAN",
    "481.9": "RT TREAT RECORD",
}
_SECOND_GENERATION = ("RTINTENT", "RTSEGANN", "RTRAD")  # modalities, which is how F.5.46 tells them

# Everything that any of the records may be made of.
_ASKED = (
    "SpecificCharacterSet PatientName PatientID StudyDate StudyTime StudyID StudyInstanceUID StudyDescription "
    "AccessionNumber Modality SeriesInstanceUID SeriesNumber SeriesDate InstanceNumber AcquisitionDate ContentDate "
    "ContentTime InstanceCreationDate InstanceCreationTime ImageType NumberOfFrames Rows Columns DoseSummationType "
    "StructureSetLabel StructureSetDate StructureSetTime RTPlanLabel RTPlanDate RTPlanTime TreatmentDate TreatmentTime "
    "PresentationCreationDate PresentationCreationTime ContentLabel ContentDescription ContentCreatorName "
    "ReferencedSeriesSequence BlendingSequence CompletionFlag VerificationFlag VerificationDateTime "
    "VerifyingObserverSequence ConceptNameCodeSequence ContentSequence DataPointRows DataPointColumns "
    "ReferencedImageEvidenceSequence MIMETypeOfEncapsulatedDocument DocumentTitle HL7InstanceIdentifier "
    "UserContentLabel UserContentLongLabel"
).split()

# What a record's own values have to look like; a value of the object that does not is supplied like one that is absent.
_ID = re.compile(r"[^\x00-\x1f\x7f\\]{1,64}\Z")
_DAY = re.compile(r"[0-9]{8}\Z")
_CODE = re.compile(r"[A-Z0-9 _]{1,16}\Z")
_CLOCK = re.compile(r"[0-9]{2}([0-9]{2}){0,2}(\.[0-9]{1,6})?\Z")

LEVELS = ("PATIENT", "STUDY", "SERIES", "object")


class Place(NamedTuple):
    """Where something belongs: its level, what it is known by, and the how-manieth it is of its parent."""

    level: int
    key: str
    number: int
    known: bool


class Record(NamedTuple):
    """A record's encoded elements, and by what it is sorted among its neighbours."""

    encoded: bytes
    order: Any


@dataclass(frozen=True)
class Described:
    """An object that was read from end to end, and those of its attributes that records are made of."""

    name: str
    identity: part10.Identity
    transfer_syntax: str
    header: Any

    @property
    def keys(self) -> tuple[str, str, str, str]:
        """What patient, study, series and object are known by."""
        patient = _text(self.header, "PatientID")
        if not patient:  # of two studies without a patient's ID nobody knows that they are of one patient
            patient = _made_id(self.identity.study)
        elif not _ID.match(patient):
            patient = _made_id(patient)
        return patient, self.identity.study, self.identity.series, self.identity.sop_instance

    def records(self, places: Sequence[Place], file_id: Sequence[str]) -> Iterator[Record]:
        """A record for each place that is new; BadArchive where the object lacks what a record needs."""
        from pydicom.errors import BytesLengthException

        for place in places:
            if not place.known:
                try:
                    yield self._record(place, file_id)
                except (BytesLengthException, *RUBBISH) as error:
                    raise BadArchive(self._lacking(place, str(error))) from error

    def _record(self, place: Place, file_id: Sequence[str]) -> Record:
        from pydicom.dataset import Dataset
        from pydicom.fileset import DIRECTORY_RECORDERS

        kind = LEVELS[place.level] if place.level < 3 else self._kind()
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord = 0
        record.RecordInUseFlag = 0xFFFF
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.DirectoryRecordType = kind
        if place.level == 3:
            record.ReferencedFileID = list(file_id)
            record.ReferencedSOPClassUIDInFile = self.identity.sop_class
            record.ReferencedSOPInstanceUIDInFile = self.identity.sop_instance
            record.ReferencedTransferSyntaxUIDInFile = self.transfer_syntax
        if "SpecificCharacterSet" in self.header:
            record.SpecificCharacterSet = self.header.SpecificCharacterSet
        order = _SUPPLIED[place.level](self.header, place)
        record.update(DIRECTORY_RECORDERS[kind](self.header))
        return Record(part10.encode(record, part10.EXPLICIT_LITTLE), order)

    def _kind(self) -> str:
        modality = self.header.get("Modality")
        if modality in _SECOND_GENERATION:
            return "RADIOTHERAPY"
        if modality == "PLAN":
            return "PLAN"
        if not self.identity.sop_class.startswith(_STORAGE):
            return "IMAGE"
        number = self.identity.sop_class[len(_STORAGE) :]
        return _KINDS.get(number) or _FAMILIES.get(number.partition(".")[0], "IMAGE")

    def _lacking(self, place: Place, said: str) -> str:
        kind = LEVELS[place.level] if place.level < 3 else self._kind()
        named = re.search("'([A-Za-z ]+)' element", said)  # as pydicom words it
        if named is None:
            return f"{self.name} has values of which no {kind} record can be made. Correct it at its source."
        return f"{self.name} lacks {named[1]}, which an object of its kind must have. Correct it at its source."


def describe(path: Path, name: str) -> Described:
    """Read an object to its end, and of it what records are made of; BadArchive, with its name, where that fails."""
    from pydicom.errors import BytesLengthException

    with path.open("rb") as file, part10.opened(file, name) as part:
        found, transfer_syntax = part10.walk(part.dataset, part.transfer_syntax, name), part.transfer_syntax
    identity = part10.Identity(*(found.get(of, "") for of in ("sop_class", "sop_instance", "study", "series")))
    if not all((identity.sop_class, identity.sop_instance, identity.study, identity.series)):
        raise BadArchive(f"{name} lacks one of the UIDs of SOP class, object, series and study. Export it again.")
    try:
        header = readable(part10.read(path, headers_only=True, keywords=_ASKED), header=True)
        _only_of_the_title(header)
    except (BytesLengthException, *RUBBISH) as error:
        raise BadArchive(f"{name} has content that cannot be read. Correct it at its source.") from error
    return Described(name, identity, transfer_syntax, header)


def _only_of_the_title(header: Any) -> None:
    """A document's record shows what modifies its title, not its whole text (F.5.22), and when it was verified last."""
    if "ContentSequence" in header:
        modifiers = [item for item in header.ContentSequence if item.get("RelationshipType") == "HAS CONCEPT MOD"]
        if modifiers:
            header.ContentSequence = modifiers
        else:
            del header.ContentSequence
    if "VerifyingObserverSequence" in header:
        moments = [str(item.get("VerificationDateTime") or "") for item in header.VerifyingObserverSequence]
        if any(moments):
            header.VerificationDateTime = max(moments)


def _made_id(known_by: str) -> str:
    return "NOID-" + hashlib.sha256(known_by.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _supply_patient(header: Any, place: Place) -> str:
    header.PatientID = place.key
    return place.key


def _supply_study(header: Any, place: Place) -> str:
    dates = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
    header.StudyDate = next(
        (value for value in (_text(header, name) for name in dates) if _DAY.match(value)), "19000101"
    )
    header.StudyTime = _text(header, "StudyTime") if _CLOCK.match(_text(header, "StudyTime")) else "000000"
    header.StudyID = _text(header, "StudyID") or str(place.number + 1)
    header.StudyInstanceUID = place.key
    return f"{header.StudyDate} {header.StudyTime}"


def _supply_series(header: Any, place: Place) -> int:
    modality = _text(header, "Modality").upper()
    header.Modality = modality if _CODE.match(modality) else "OT"
    header.SeriesInstanceUID = place.key
    return _supply_number(header, "SeriesNumber", place)


def _supply_object(header: Any, place: Place) -> int:
    return _supply_number(header, "InstanceNumber", place)


def _supply_number(header: Any, keyword: str, place: Place) -> int:
    if not isinstance(header.get(keyword), int) or abs(header.get(keyword)) >= 1 << 31:
        setattr(header, keyword, place.number + 1)
    return int(header.get(keyword))


_SUPPLIED: tuple[Callable[[Any, Place], Any], ...] = (_supply_patient, _supply_study, _supply_series, _supply_object)


def _text(header: Any, keyword: str) -> str:
    return str(header.get(keyword) or "").strip()
