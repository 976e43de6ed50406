"""What all objects that are made from an archive have in common: patient, study, frame of reference, equipment."""

from __future__ import annotations

import math
import re
from datetime import date
from io import BytesIO
from typing import Any, Final, Optional

from .. import __version__, part10
from .making import Encoded, ImageSeries, Left, Notes, Work
from .records import Patient

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
UNICODE: Final = "ISO_IR 192"
SHORT, LONG, NAME = 16, 64, 64  # characters of the VRs SH and CS, LO, and of one group of PN

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST_DECIMAL = 16
# 2020-01-01 10:00:00, 8/20/2002 (Pinnacle writes the month first), 20020820; the time may be absent.
_MOMENT = re.compile(
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d\d?)[-/.](?P<day>\d\d?)"
    r"|(?P<us_month>\d\d?)/(?P<us_day>\d\d?)/(?P<us_year>\d{4})"
    r"|(?P<short_year>\d{4})(?P<short_month>\d\d)(?P<short_day>\d\d))"
    r"(?:[ T]+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d*)?)?)?"
)


def base(
    work: Work,
    series: ImageSeries,
    modality: str,
    sop_class: str,
    sop_instance: str,
    series_uid: str,
) -> Any:
    """A new pydicom Dataset with what every object of a patient says; the caller adds what is its own.

    Parameters
    ----------
    work
        Whose object it is; what does not fit into its element is cut and noted there.
    series
        The images that it belongs to: study, frame of reference, the date of the scan.
    modality, sop_class, sop_instance, series_uid
        What the object is.
    """
    from pydicom.dataset import Dataset

    patient, notes = work.patient, work.notes
    data = Dataset()
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = sop_instance
    data.StudyDate = series.study_date or ""
    data.StudyTime = series.study_time or ""
    data.AccessionNumber = fitted(series.accession_number, SHORT, notes, "the accession number")
    data.Modality = modality
    data.Manufacturer = ""
    data.ReferringPhysicianName = ""
    data.SoftwareVersions = f"qa_fetch {__version__}"
    data.PatientName = person(patient, notes)
    data.PatientID = identifier(patient, notes)
    data.PatientBirthDate = patient.birth_date or ""
    data.PatientSex = patient.sex or ""
    data.StudyInstanceUID = series.study
    data.SeriesInstanceUID = series_uid
    data.StudyID = fitted(series.study_id, SHORT, notes, "the number of the study (StudyID)")
    data.SeriesNumber = None
    data.FrameOfReferenceUID = series.frame
    data.PositionReferenceIndicator = ""
    return data


def encoded(dataset: Any) -> Encoded:
    """The bytes of a finished object's file."""
    if not _is_ascii(dataset):
        dataset.SpecificCharacterSet = UNICODE
    buffer = BytesIO()
    part10.write(dataset, buffer)
    return Encoded(str(dataset.Modality), str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), buffer.getvalue())


def person(patient: Patient, notes: Notes) -> str:
    """The patient's name as PatientName: last, first and middle with ^ between them."""
    parts = [
        re.sub(r"[\^=]+", " ", plain(part)).strip()
        for part in (patient.last_name, patient.first_name, patient.middle_name)
    ]
    return fitted("^".join(parts).rstrip("^"), NAME, notes, "the patient's name")


def bare_name(name: str) -> str:
    """The alphabetic group of a PatientName without what is empty at its end."""
    return name.split("=")[0].rstrip("^ ")


def identifier(patient: Patient, notes: Notes) -> str:
    """The patient's number as PatientID; none rather than a part of one."""
    number = plain(patient.medical_record_number)
    if len(number) > LONG:
        warn_once(notes, "PatientID", f"the archive's number has more than {LONG} characters; it is left out")
        return ""
    return number


def plain(text: Optional[str]) -> str:
    """A value that may stand in an element: nothing that DICOM or a terminal would take for more than a letter."""
    return _CONTROL.sub(" ", text or "").replace("\\", "/").strip()


def fitted(text: Optional[str], longest: int, notes: Notes, what: str) -> str:
    """A value in the length that its element allows; what is cut is noted.

    Parameters
    ----------
    text
        The archive's value.
    longest
        ``SHORT``, ``LONG`` or ``NAME``.
    notes
        Where it is noted.
    what
        What the value is, without the value: "the name of ROI 3 of plan 0".
    """
    value = plain(text)
    if len(value) <= longest:
        return value
    warn_once(notes, what, f"it is longer than {longest} characters and has been cut")
    return value[:longest].rstrip()


def decimal(value: float) -> str:
    """A number for an element of VR DS: as exact as sixteen characters allow."""
    if not math.isfinite(value):
        raise ValueError("a number that is not finite has no decimal string")
    shortest = repr(float(value + 0.0))
    if shortest.endswith(".0"):
        shortest = shortest[:-2]
    if len(shortest) <= _LONGEST_DECIMAL:
        return "0" if shortest == "-0" else shortest
    texts = (f"{value:.{digits}g}" for digits in range(16, 8, -1))  # -1.234567890e-300 has ten digits at most
    return next(text for text in texts if len(text) <= _LONGEST_DECIMAL)


def moment(text: Optional[str]) -> tuple[Optional[str], Optional[str]]:
    """Date and time of a scan as DICOM writes them, from the ways in which headers do; None where it is unsure."""
    found = _MOMENT.fullmatch(plain(text))
    if not found:
        return None, None
    year, month, day = (
        int(found[each] or found[f"us_{each}"] or found[f"short_{each}"]) for each in ("year", "month", "day")
    )
    if found["us_day"] and day <= 12 and day != month:
        return None, None  # elsewhere the day comes first
    try:
        day_of_scan = date(year, month, day).strftime("%Y%m%d")
    except ValueError:
        return None, None
    hour, minute, second = (int(found[each] or 0) for each in ("hour", "minute", "second"))
    if found["hour"] is None or hour > 23 or minute > 59 or second > 59:
        return day_of_scan, None
    return day_of_scan, f"{hour:02}{minute:02}{second:02}"


def warn_once(notes: Notes, what: str, reason: str) -> None:
    """A warning that holds for many objects, once."""
    if Left(what, reason) not in notes.warnings:
        notes.warn(what, reason)


def _is_ascii(dataset: Any) -> bool:
    return all(
        str(value).isascii()
        for element in dataset.iterall()
        if element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
        for value in ([element.value] if element.VM <= 1 else element.value)
    )
