"""The table that PDCP keeps of each patient: its columns, how a header fills them, and its files."""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ..errors import BadArchive, Incomplete
from ..shelf.disk import remove_file, write_text
from .notes import stem

MISSING = "missing"
OUTCOMES = ("SUCCESS", "ERROR", "IMAGINGDATANOTFOUND")
WORKED_OUT = ("organs", "len_of_associated_ct_slices", "referenced_ct_series_uid")
INSTANCE = (
    tuple(
        """
    AccessionNumber AcquisitionNumber ApprovalStatus BitsAllocated BitsStored BurnedInAnnotation Columns
    DoseGridScaling DoseSummationType DoseType DoseUnits FractionGroupSequence FrameIncrementPointer
    FrameOfReferenceUID GridFrameOffsetVector HighBit ImageOrientationPatient ImagePositionPatient ImageType
    InstanceCreationDate InstanceCreationTime InstanceCreatorUID InstanceNumber IssuerOfPatientID KVP
    LargestImagePixelValue Manufacturer ManufacturerModelName Modality NumberOfFrames PatientBirthDate PatientID
    PatientName PatientPosition PatientSetupSequence PatientSex PhotometricInterpretation PixelData
    PixelRepresentation PixelSpacing PositionReferenceIndicator RTPlanDate RTPlanDescription RTPlanGeometry
    RTPlanLabel RTPlanName RTPlanTime ReferencedRTPlanSequence ReferencedStructureSetSequence
    ReferencedStudySequence ReferringPhysicianName RescaleIntercept RescaleSlope ReviewDate ReviewerName Rows
    SOPClassUID SOPInstanceUID SamplesPerPixel SeriesInstanceUID SeriesNumber SliceLocation SliceThickness
    SmallestImagePixelValue SoftwareVersions SpecificCharacterSet StationName StructureSetDate StructureSetTime
    StudyDate StudyDescription StudyID StudyInstanceUID StudyTime
    """.split()
    )
    + WORKED_OUT
)
PLACE = (
    "InstanceIdentifier OrthancId PatId StudyId StudyIdentifier StudyDescription SeriesIdentifier SeriesDescription "
    "SeriesDate"
).split()  # what the archive knows of patient, study and series
COLUMNS = tuple(dict.fromkeys((*INSTANCE, *PLACE)))  # StudyDescription once, where the header's would stand
_BLANK = dict.fromkeys(COLUMNS, MISSING)
NEEDED = frozenset(
    (*INSTANCE, "SeriesDescription", "SeriesDate", "StructureSetROISequence", "ReferencedFrameOfReferenceSequence")
) - {"PixelData", *WORKED_OUT}  # the keywords of a header that fill a row
_OF_HEADER = frozenset(INSTANCE) - {"PixelData", *WORKED_OUT}  # pixels are not asked for
_LONGEST_CELL = csv.field_size_limit()  # nobody could read a longer one back
_DEEPEST = 32


def _quoted(mark: str) -> str:
    """A text between these marks, with the escapes that ``repr`` writes and no others."""
    letters = rf"[^{mark}\\\n]*"
    return rf"{mark}{letters}(?:\\(?:[\\'\"nrt]|x[0-9a-f]{{2}}|u[0-9a-f]{{4}}|U000[0-9a-f]{{5}}){letters})*{mark}"


_TOKEN = re.compile(
    rf"\s+|[\[\](){{}}:,]|{_quoted(chr(39))}|{_quoted(chr(34))}|(?:None|True|False)(?!\w)"
    r"|[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,4})?(?![\w.])",
    re.ASCII,
)


def row(header: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, str]:
    """One object's row.

    Parameters
    ----------
    header
        Keywords to values, as Orthanc's simplified tags have them: texts, with sequences as lists of the same.
    place
        What is known of its patient, study and series; the keys are those of ``PLACE``.
    """
    series = _first_series(header)
    images = series.get("ContourImageSequence")
    found = dict(_BLANK)
    found.update({key: _cell(header[key]) for key in header.keys() & _OF_HEADER})
    found["organs"] = str(_organs(header))
    if isinstance(images, list):
        found["len_of_associated_ct_slices"] = str(len(images))
    found["referenced_ct_series_uid"] = _cell(series.get("SeriesInstanceUID"))
    found.update({key: _cell(place.get(key)) for key in PLACE})
    return found


def simplified(dataset: Any) -> dict[str, Any]:
    """A header as Orthanc's simplified tags have it, from a pydicom data set; only what fills a row."""
    return {keyword: _simple(dataset[keyword].value) for keyword in NEEDED if keyword in dataset}


def _simple(value: Any) -> Any:
    if isinstance(value, (list, tuple)) or type(value).__name__ in ("MultiValue", "Sequence"):
        inner = list(value)
        if any(hasattr(item, "iterall") for item in inner):  # items of a sequence
            return [{part.keyword: _simple(part.value) for part in item if part.keyword} for item in inner]
        return [] if type(value).__name__ == "Sequence" else "\\".join(map(str, inner))
    return "" if value is None else str(value)


def orthanc_identifier(*identifiers: str) -> str:
    """The identifier that Orthanc gives a patient, study, series or object: of its PatientID and its UIDs downwards."""
    digest = hashlib.sha1("|".join(identifiers).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def given(cell: Optional[str]) -> str:
    """A cell's text, or nothing where the header has none: ``missing``, empty, or as pandas writes it again."""
    text = (cell or "").strip("\0 ")
    return "" if text in (MISSING, "nan") else text


def number(cell: Optional[str]) -> Optional[float]:
    """A cell's number; None where it holds none."""
    try:
        found = float(given(cell))
    except ValueError:
        return None
    return found if abs(found) < 1e300 else None  # neither endless nor none


def numbers(cell: Optional[str]) -> tuple[float, ...]:
    """A cell's numbers, which a backslash divides; none at all where one of them is not one."""
    found = [number(part) for part in given(cell).split("\\")]
    return tuple(value for value in found if value is not None) if None not in found else ()


def day(cell: Optional[str]) -> Optional[int]:
    """A cell's date as PDCP writes it into its notes, such as 20141222; None where it holds none."""
    text = re.sub(r"\.0\Z", "", given(cell))  # what pandas makes of a column with gaps
    return int(text) if re.fullmatch("[0-9]{8}", text) else None


def literal(cell: Optional[str]) -> list[Any]:
    """A cell's sequence, written as Python writes a list; empty where there is none, ValueError where it is no list.

    The text is looked through before Python's own parser sees it, so that nothing in it can be more than a value.
    """
    text = given(cell)
    if not text:
        return []
    at = depth = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError("this is not a list of texts, numbers and lists")
        depth += (token.group() in "[({") - (token.group() in "])}")
        if not 0 <= depth <= _DEEPEST:
            raise ValueError("this is nested too deeply")
        at = token.end()
    try:
        found = ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("this is not a list of texts, numbers and lists") from None
    if not isinstance(found, list):
        raise ValueError("this is not a list")
    return found


def references(cell: Optional[str], keyword: str = "ReferencedSOPInstanceUID") -> tuple[str, ...]:
    """What the items of a cell's sequence name; ValueError where it is no sequence."""
    items = [item.get(keyword) for item in literal(cell) if isinstance(item, dict)]
    return tuple(dict.fromkeys(given(item) for item in items if isinstance(item, str) and given(item)))


def roi_names(cell: Optional[str]) -> tuple[str, ...]:
    """The names in an ``organs`` cell, empty where a region has none; ValueError where it is no sequence."""
    items = [item for item in literal(cell) if isinstance(item, dict)]
    return tuple(given(name) for item in items for name in item if isinstance(name, str))


def path_of(folder: Path, patient: Union[str, int], outcome: str) -> Path:
    """Where the summary of a patient lies that came out like this."""
    return folder / f"{stem(patient)}_{outcome}.csv"


def find(folder: Path, patient: Union[str, int]) -> Optional[tuple[str, Path]]:
    """The summary of exactly this patient, and how it came out; None where there is none.

    Names are built, never searched for: patient ``1`` has nothing to do with the files of ``12`` and ``1_2``.
    """
    paths = [(outcome, path_of(folder, patient, outcome)) for outcome in OUTCOMES]
    return next(((outcome, path) for outcome, path in paths if path.is_file()), None)


def write(folder: Path, patient: Union[str, int], outcome: str, rows: Iterable[Mapping[str, str]] = ()) -> Path:
    """Write a patient's summary, rows by SeriesNumber descending, and remove what came out otherwise before.

    Only ``SUCCESS`` has rows; the others are a header.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for found in sorted(rows, key=_by_series) if outcome == "SUCCESS" else ():
        cells = [_cell(found.get(column)) for column in COLUMNS]
        if max(map(len, cells)) > _LONGEST_CELL:
            raise BadArchive(
                f"an object has a value of more than {_LONGEST_CELL} characters, which no table holds. Leave it out."
            )
        writer.writerow(cells)
    target = path_of(folder, patient, outcome)
    try:
        if outcome != "SUCCESS":  # a stop between the two must not leave the old rows, which ``find`` would take
            remove_file(path_of(folder, patient, "SUCCESS"))
        write_text(target, text.getvalue().encode("utf-8", "replace").decode("utf-8"))
        for other in OUTCOMES:
            if other != outcome:
                remove_file(path_of(folder, patient, other))
    except OSError as error:
        raise Incomplete(
            f"summaries cannot be written to {folder} ({error.strerror}). Free space there or give another folder.",
            retriable=False,
        ) from error
    return target


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a summary, ours, PDCP's or an interceptor's; columns that it lacks are ``missing``.

    Raises
    ------
    BadArchive
        It is no summary.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            names = next(lines, [])
            lacking = [name for name in ("Modality", "SOPInstanceUID", "SeriesInstanceUID") if name not in names]
            rows = [dict(zip(names, cells)) for cells in lines if cells] if not lacking else []
    except OSError as error:
        raise Incomplete(
            f"a summary in {path.parent} cannot be read ({error.strerror}). Check the folder and its permissions."
        ) from error
    except (UnicodeDecodeError, csv.Error):
        lacking, rows = ["text that is UTF-8 and CSV"], []
    if lacking:
        raise BadArchive(
            f"a summary in {path.parent} is not a table of PDCP: it lacks {lacking[0]}. "
            "Run qa-fetch cohort summarise again for this patient."
        )
    if set(names) <= set(COLUMNS):  # hundreds of thousands of cells, when a rule changes
        return [{**_BLANK, **found} for found in rows]
    return [{column: found.get(column, MISSING) for column in COLUMNS} for found in rows]


def _by_series(found: Mapping[str, str]) -> tuple[bool, float]:
    value = number(found.get("SeriesNumber"))
    return value is None, -(value or 0.0)


def _cell(value: Any) -> str:
    if value is None:
        return MISSING
    text = value if type(value) is str else str(value)  # nearly all are: 170,000 for a patient of 2,000 objects
    return text.replace("\0", "") if "\0" in text else text


def _organs(header: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = header.get("StructureSetROISequence")
    if not isinstance(items, list):
        return []
    regions = [item for item in items if isinstance(item, Mapping)]
    return [{item.get("ROIName") or MISSING: item.get("ROIVolume") or MISSING} for item in regions]


def _first_series(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first series that the first items of a structure set's sequences name."""
    found: Mapping[str, Any] = header
    for keyword in ("ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence"):
        items: Sequence[Any] = found.get(keyword) or ()
        if not isinstance(items, list) or not items or not isinstance(items[0], Mapping):
            return {}
        found = items[0]
    return found
