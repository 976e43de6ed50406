"""An object's header as the index keeps it: its small elements as they came, so that queries never open files."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .. import matching, part10
from ..errors import BadArchive, ConfigError

# What pydicom raises where a value is not what its VR says; such an element says nothing, the object itself is kept.
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
_PIXELS = 0x7FE00000
_CHARACTER_SET = 0x00080005
_PLANS, _REFERENCED = 0x300C0002, 0x00081155

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
_PATIENT_ID = 0x00100020
_COLUMN_OF = {int(Tag(keyword)): (keyword, COLUMNS[keyword]) for keyword in COLUMNS}
_NO_VALUES = {keyword: None if kind == NUMBER else "" for keyword, kind in COLUMNS.items()}


@dataclass(frozen=True)
class Header:
    """What the index keeps of one object."""

    encoded: bytes  # the small elements, in implicit or explicit little endian
    implicit: bool
    left_out: str
    columns: dict[str, Any]
    PatientID: str
    plans: tuple[str, ...]
    extra: tuple[tuple[str, str], ...]


def build(data: part10.Buffer, transfer_syntax: str, extra: Sequence[int] = ()) -> Header:
    """Make the header of an object of its data set; ``extra`` are further tags whose values are wanted."""
    if transfer_syntax == part10.DEFLATED:
        data, transfer_syntax = part10.inflated(data), part10.EXPLICIT_LITTLE
    implicit = transfer_syntax == part10.IMPLICIT_LITTLE
    view = memoryview(data)
    kept: dict[int, part10.Element] = {}
    long: list[str] = []
    for element in part10.elements(view, transfer_syntax):
        if element.tag >= _PIXELS:
            break  # what comes behind them is padding and signatures
        if not element.tag & 0xFFFF:
            continue
        if element.end - element.value > _LONGEST:
            long.append(f"{element.tag:08X}")
        else:
            kept[element.tag] = element
    encoded = b"".join([view[each.start : each.end] for each in kept.values()])
    if transfer_syntax == part10.EXPLICIT_BIG:
        swapped = part10.transcode(encoded, transfer_syntax, part10.EXPLICIT_LITTLE)
        return replace(build(swapped, part10.EXPLICIT_LITTLE, extra), left_out=" ".join(long))
    values = _Values(view, kept, implicit)
    columns = dict(_NO_VALUES)
    for tag, (keyword, kind) in _COLUMN_OF.items():
        if tag in kept:
            columns[keyword] = _column(values.of(tag), kind)
    columns["PatientNameFolded"] = str(columns["PatientName"]).casefold()
    return Header(
        encoded,
        implicit,
        " ".join(long),
        columns,
        _column(values.of(_PATIENT_ID), TEXT),
        values.plans(),
        tuple((f"{tag:08X}", _column(values.of(tag), TEXT)) for tag in extra if tag in kept),
    )


class _Values:
    """The values of the elements of one data set."""

    def __init__(self, view: memoryview, kept: Mapping[int, part10.Element], implicit: bool) -> None:
        self._view = view
        self._kept = kept
        self._implicit = implicit

    def of(self, tag: int) -> list[str]:
        """The values of an element as text without padding; none where pydicom cannot read them."""
        element = self._kept.get(tag)
        if element is None:
            return []
        raw = bytes(self._view[element.value : element.end])
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii").strip("\0 ")
            return [part.strip("\0 ") for part in text.split("\\")] if text else []
        try:
            return [str(value).strip("\0 ") for value in matching.values(self._decoded(tag)[tag])]
        except (BadArchive, *UNREADABLE):
            return []

    def plans(self) -> tuple[str, ...]:
        """The plans that the object refers to."""
        sequence = self._kept.get(_PLANS)
        if sequence is None or sequence.vr not in (b"SQ", b""):
            return ()
        syntax = part10.IMPLICIT_LITTLE if self._implicit else part10.EXPLICIT_LITTLE
        found: dict[str, None] = {}
        for item in part10.items(self._view[sequence.value : sequence.end], syntax):
            for element in part10.elements(item, syntax):
                if element.tag == _REFERENCED:
                    raw = bytes(item[element.value : element.end])
                    found[storable(part10.clean_uid(raw.decode("ascii", "replace")))] = None
        return tuple(uid for uid in found if uid)

    def _decoded(self, tag: int) -> Dataset:
        found: Dataset = _decoded(self._view, self._kept, (_CHARACTER_SET, tag), self._implicit)
        return found


def _decoded(view: memoryview, kept: Mapping[int, part10.Element], tags: Iterable[int], implicit: bool) -> Dataset:
    parts = [view[kept[tag].start : kept[tag].end] for tag in sorted(tags) if tag in kept]
    syntax = part10.IMPLICIT_LITTLE if implicit else part10.EXPLICIT_LITTLE
    dataset: Dataset = part10.decode(b"".join(parts), syntax)
    return dataset


def read(encoded: bytes, implicit: bool, wanted: Iterable[int]) -> Dataset:
    """Some elements of a header that ``build`` encoded; what pydicom cannot read is left out."""
    view = memoryview(encoded)
    kept = {
        element.tag: element
        for element in part10.elements(view, part10.IMPLICIT_LITTLE if implicit else part10.EXPLICIT_LITTLE)
    }
    dataset = readable(_decoded(view, kept, {_CHARACTER_SET, *wanted}, implicit))
    if "SpecificCharacterSet" in dataset:  # its values are text by now, and every text can be written in this one
        dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def readable(dataset: Dataset) -> Dataset:
    """Take away the elements whose values are none."""
    for tag in list(dataset.keys()):
        try:
            read_values(dataset[tag])
        except UNREADABLE:
            del dataset[tag]
    return dataset


def tags(listed: str) -> frozenset[int]:
    """The tags in ``Header.left_out``."""
    return frozenset(int(tag, 16) for tag in listed.split())


def add_long(header: Dataset, path: Path, wanted: Iterable[int]) -> None:
    """Fetch elements that ``build`` left out from the object's file."""
    stored = part10.read(path, headers_only=True, keywords=[f"{tag:08X}" for tag in (*wanted, _CHARACTER_SET)])
    for element in readable(stored):
        header.add(element)


def plain_date(text: str) -> str:
    """``2025.11.03`` (the ACR-NEMA form) as the digits that sort."""
    return text.replace(".", "").replace("-", "")


def read_values(element: DataElement) -> None:
    """Convert an element and all that is nested in it; raises one of ``UNREADABLE`` where a value is not one."""
    for item in element.value if element.VR == "SQ" else ():
        for nested in item:
            read_values(nested)


def tag_of(name: str) -> int:
    """The tag of an attribute that is named by its keyword or as ``ggggeeee``; ConfigError where there is none."""
    found = tag_for_keyword(name)
    if found is None:
        try:
            found = int(name.replace(",", ""), 16) if len(name.replace(",", "")) == 8 else None
        except ValueError:
            found = None
    if found is None or _vr_of(int(found)) == "SQ":
        raise ConfigError(
            f"the node's options: node.extra names {name!r}; expected a DICOM keyword such as StationName, or a tag "
            "such as 00081010, of an attribute that is no sequence."
        )
    return int(found)


@lru_cache(maxsize=4096)
def keyword_of(tag: int) -> str:
    """The keyword of a tag; empty for private ones."""
    return str(dictionary_keyword(tag)) if dictionary_has_tag(tag) else ""


def storable(text: str) -> str:
    """Text as a column takes it: PostgreSQL refuses NUL, which some peers have inside their values."""
    return text.replace("\0", "\ufffd")


def _vr_of(tag: int) -> str:
    return str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"


def _column(found: Sequence[str], kind: str) -> Any:
    if kind == NUMBER:
        return _number(found)
    text = storable("\\".join(found))
    return plain_date(text) if kind == DATE else text


def _number(found: Sequence[str]) -> Optional[float]:
    try:
        number = float(found[0]) if found else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


NOTHING = Header(b"", False, "", dict(_NO_VALUES), "", (), ())
