"""What every source of summaries does, whatever archive it asks, and which one is for a cohort."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from ...archive import Archive
from ...archive.readable import readable
from .. import columns
from ..access import archive_of
from ..columns import orthanc_identifier
from ..config import Settings

log = logging.getLogger("qa_fetch.cohort")

Row = dict[str, str]
# What pydicom raises for a value that is not what its VR says.
_UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)


class Listed(NamedTuple):
    """A patient: the PatientID, and the identifier that Orthanc has or would have for it."""

    patient: str
    identifier: str


class Source(Protocol):
    """Where summaries come from; several threads may ask one source."""

    name: str

    def patients(self) -> list[Listed]:
        """Every patient that the archive has."""
        ...

    def rows(self, listed: Listed, modalities: Collection[str]) -> list[Row]:
        """One row for each object of these modalities; all of them, or an error."""
        ...


def source_of(settings: Settings) -> Source:
    """The source for the archive of a cohort: the fastest that there is for its kind."""
    archive: Archive = archive_of(settings)
    if archive.config.kind == "orthanc":
        from .orthanc import OrthancSource

        return OrthancSource(archive, settings.CONNECTIONS)
    if archive.config.kind == "folder" and not archive.config["also"]:
        from .folder import FolderSource

        return FolderSource(archive)
    from .archive import ArchiveSource

    return ArchiveSource(archive, whole=not settings.profile.plan)


def in_order(found: Iterable[Listed], name: str) -> list[Listed]:
    """Patients by their IDs, each once; those without an ID are left out, and how many they are is logged.

    An empty PatientID is no name of one person: what lies under it may be of several.
    """
    unique = dict.fromkeys(Listed(one.patient.strip("\0 "), one.identifier) for one in found)
    nameless = [one for one in unique if not one.patient]
    if nameless:
        log.warning("%s: what has no PatientID is left out, since it may be of several patients.", name)
    return sorted((one for one in unique if one.patient), key=lambda one: (len(one.patient), one.patient))


def header_of(dataset: Any) -> dict[str, Any]:
    """The values of a header, without those that cannot be read; these are looked for only where one stops it all."""
    from pydicom.errors import BytesLengthException

    try:
        return columns.simplified(dataset)
    except (BytesLengthException, *_UNREADABLE):
        return columns.simplified(readable(dataset))


def row(header: Mapping[str, Any], patient: str, study: Mapping[str, Any], series: Mapping[str, Any]) -> Row:
    """The row of an object of an archive that is no Orthanc, with the identifiers that an Orthanc would give.

    Parameters
    ----------
    header
        As Orthanc's simplified tags.
    patient
        The PatientID.
    study, series
        What the archive says of them.
    """
    uids = [str(header.get(key) or "") for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    if header.get("FrameIncrementPointer"):  # pydicom writes a tag as (3004, 000c)
        header = {**header, "FrameIncrementPointer": re.sub("[() ]", "", header["FrameIncrementPointer"]).lower()}
    place = {
        "InstanceIdentifier": orthanc_identifier(patient, *uids),
        "OrthancId": orthanc_identifier(patient),
        "PatId": patient,
        "StudyId": study.get("StudyID"),
        "StudyIdentifier": orthanc_identifier(patient, uids[0]),
        "StudyDescription": study.get("StudyDescription"),
        "SeriesIdentifier": orthanc_identifier(patient, *uids[:2]),
        "SeriesDescription": series.get("SeriesDescription"),
        "SeriesDate": series.get("SeriesDate"),
    }
    return columns.row(header, place)


def along(rows: list[Row]) -> list[Row]:
    """The rows of a series by InstanceNumber, whatever order they came in."""

    def place(found: Row) -> tuple[bool, float, str]:
        number = columns.number(found["InstanceNumber"])
        return number is None, number or 0.0, found["SOPInstanceUID"]

    return sorted(rows, key=place)
