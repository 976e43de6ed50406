"""An object's header as the index keeps it: its small elements, in one encoding, so that queries never open files."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Optional

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from .. import matching, part10

# What pydicom raises where a value is not what its VR says; such an element is left out, the object itself is kept.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    struct.error,
)
_LONGEST = 8192  # bytes of one element; anything longer is read from the file on the rare query that asks for it
_PIXELS = 0x7FE0
_CHARACTER_SET = 0x00080005
_FREE_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_START = part10.file_meta("1.2", "1.2", part10.EXPLICIT_LITTLE)

TEXT, NAME, NUMBER, DATE, TIME = "text", "name", "number", "date", "time"

# The columns of Instance that hold an attribute of that name, and how its value is written there.
COLUMNS = {
    **dict.fromkeys(("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), DATE),
    **dict.fromkeys(("InstanceCreationDate", "RTPlanDate"), DATE),
    **dict.fromkeys(("SeriesNumber", "InstanceNumber", "GantryAngle"), NUMBER),
    **dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), TIME),
    **dict.fromkeys(("InstanceCreationTime", "RTPlanTime"), TIME),
    **dict.fromkeys(("PatientSex", "AccessionNumber", "StudyID", "StudyDescription", "Modality"), TEXT),
    **dict.fromkeys(("SeriesDescription", "ImageType", "RTImageLabel", "RTPlanLabel", "ApprovalStatus"), TEXT),
    **dict.fromkeys(("PrimaryDosimeterUnit",), TEXT),
    **dict.fromkeys(("PatientName",), NAME),
}


@dataclass(frozen=True)
class Header:
    """What the index keeps of one object."""

    encoded: bytes
    left_out: str
    columns: dict[str, Any]
    PatientID: str
    plans: tuple[str, ...]


def build(file: BinaryIO) -> Header:
    """Read the header of a Part-10 file; BadArchive when pydicom cannot."""
    file.seek(0)
    kept, long = _small_elements(part10.read(file, headers_only=True))
    if not _is_ascii(kept):
        kept.SpecificCharacterSet = "ISO_IR 192"
    encoded = _encoded(kept)
    columns = {keyword: _column(kept, keyword, kind) for keyword, kind in COLUMNS.items()}
    columns["PatientNameFolded"] = columns["PatientName"].casefold()
    return Header(encoded, " ".join(long), columns, _column(kept, "PatientID", TEXT), _plans(kept))


def decode(encoded: bytes) -> Dataset:
    """The data set that ``build`` encoded."""
    header: Dataset = part10.read(io.BytesIO(_START + encoded))
    return header


def tags(listed: str) -> frozenset[int]:
    """The tags in ``Header.left_out``."""
    return frozenset(int(tag, 16) for tag in listed.split())


def add_long(header: Dataset, path: Path, wanted: Iterable[int]) -> None:
    """Fetch elements that ``build`` left out from the object's file."""
    stored = part10.read(path, headers_only=True, keywords=[f"{tag:08X}" for tag in wanted])
    for tag in wanted:
        try:
            read_values(stored[tag])
        except UNREADABLE:
            continue
        header.add(stored[tag])
    if not _is_ascii(header):
        header.SpecificCharacterSet = "ISO_IR 192"


def plain_date(text: str) -> str:
    """``2025.11.03`` (the ACR-NEMA form) as the digits that sort."""
    return text.replace(".", "").replace("-", "")


def read_values(element: DataElement) -> None:
    """Convert an element and all that is nested in it; raises one of ``UNREADABLE`` where a value is not one."""
    for item in element.value if element.VR == "SQ" else ():
        for nested in item:
            read_values(nested)


def _small_elements(source: Dataset) -> tuple[Dataset, list[str]]:
    kept, long = Dataset(), []
    for tag, raw in list(source.items()):
        if tag.group >= _PIXELS or tag.element == 0 or tag == _CHARACTER_SET:
            continue
        if _is_long(raw.value):
            long.append(f"{int(tag):08X}")
            continue
        try:
            element = source[tag]
            read_values(element)
            too_long = element.VR == "SQ" and _is_long(_alone(element))
        except UNREADABLE:
            continue
        if too_long:
            long.append(f"{int(tag):08X}")
        else:
            kept.add(element)
    return kept, long


def _is_long(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) > _LONGEST


def _alone(element: DataElement) -> bytes:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.add(element)
    return part10.encode(dataset, part10.EXPLICIT_LITTLE)


def _encoded(kept: Dataset) -> bytes:
    try:
        return part10.encode(kept, part10.EXPLICIT_LITTLE)
    except UNREADABLE:
        for element in list(kept):
            try:
                _alone(element)
            except UNREADABLE:
                del kept[element.tag]
    return part10.encode(kept, part10.EXPLICIT_LITTLE)


def _is_ascii(dataset: Dataset) -> bool:
    return all(
        _is_ascii_text(element) if element.VR != "SQ" else all(_is_ascii(item) for item in element.value)
        for element in dataset
    )


def _is_ascii_text(element: DataElement) -> bool:
    return element.VR not in _FREE_TEXT or all(str(value).isascii() for value in matching.values(element))


def _column(header: Dataset, keyword: str, kind: str) -> Any:
    found = [str(value).strip(" \0") for value in matching.values(header[keyword])] if keyword in header else []
    if kind == NUMBER:
        return _number(found)
    text = "\\".join(found)
    return plain_date(text) if kind == DATE else text


def _number(found: list[str]) -> Optional[float]:
    try:
        number = float(found[0]) if found else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _plans(header: Dataset) -> tuple[str, ...]:
    items: Iterable[Dataset] = header.get("ReferencedRTPlanSequence") or ()
    uids = (part10.clean_uid(item.get("ReferencedSOPInstanceUID") or "") for item in items)
    return tuple(dict.fromkeys(uid for uid in uids if uid))
