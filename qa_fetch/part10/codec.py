"""Data sets as pydicom has them, and back; the only home of the differences between pydicom's versions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Optional, Union

from ..errors import BadArchive
from .files import file_meta
from .uids import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLEMENTATION_NAME, IMPLEMENTATION_UID, IMPLICIT_LITTLE
from .walking import Buffer, deflated, walk

_WORDS = frozenset(("OW", "OF", "OL", "OD", "OV"))  # values of more than a byte that pydicom keeps as bytes
_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))  # what is in the object's character set
# What pydicom lets through when bytes are not what they claim to be; damaged files raise any of them.
_PYDICOM_RAISES = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read(source: Union[Path, BinaryIO], *, headers_only: bool = False, keywords: Optional[Sequence[str]] = None) -> Any:
    """A file as a pydicom Dataset; BadArchive where pydicom cannot read it."""
    import pydicom
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        return pydicom.dcmread(
            source,
            stop_before_pixels=headers_only,
            specific_tags=list(keywords) if keywords is not None else None,
        )
    except (InvalidDicomError, BytesLengthException, *_PYDICOM_RAISES) as error:
        name = source.name if isinstance(source, Path) else "the data"
        raise BadArchive(f"{name} is not a readable DICOM file. Leave it out, or fetch it again.") from error


def write(dataset: Any, target: Union[Path, BinaryIO], transfer_syntax: str = EXPLICIT_LITTLE) -> None:
    """Write a new object as a Part-10 file, with a new ``file_meta``; for objects made here, not for received ones."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite
    from pydicom.uid import UID

    _refuse_to_swap(dataset, transfer_syntax)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME.decode()
    dataset.file_meta = meta
    _set_encoding(dataset, transfer_syntax)
    whole: dict[str, Any] = {"enforce_file_format": True} if _pydicom_major() >= 3 else {"write_like_original": False}
    dcmwrite(target, dataset, **whole)


def encode(dataset: Any, transfer_syntax: str) -> bytes:
    """A data set's bytes in one of the four uncompressed transfer syntaxes, without preamble or group 2."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    _refuse_to_swap(dataset, transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE
    buffer.is_little_endian = transfer_syntax != EXPLICIT_BIG
    before = _get_encoding(dataset)
    try:
        write_dataset(buffer, dataset)  # pydicom 2 leaves the buffer's encoding on the data set
    finally:
        _put_encoding(dataset, before)
    encoded: bytes = buffer.getvalue()
    return deflated(encoded) if transfer_syntax == DEFLATED else encoded


def decode(data: bytes, transfer_syntax: str) -> Any:
    """A data set from its bytes in one of the uncompressed transfer syntaxes; BadArchive where they are none."""
    from pydicom.errors import BytesLengthException
    from pydicom.filereader import read_dataset

    walk(data, transfer_syntax, "an encoded data set")  # pydicom takes what is cut short for what it was meant to be
    try:
        return read_dataset(BytesIO(data), transfer_syntax == IMPLICIT_LITTLE, transfer_syntax != EXPLICIT_BIG)
    except (BytesLengthException, *_PYDICOM_RAISES) as error:
        raise BadArchive("an encoded data set cannot be read. Report it to its sender.") from error


def transcode(dataset: Buffer, transfer_syntax: str, to: str) -> bytes:
    """A data set in another of the uncompressed encodings; BadArchive where that cannot be done faithfully."""
    from pydicom.errors import BytesLengthException

    decoded = read(BytesIO(file_meta("1.2", "1.2", transfer_syntax) + dataset))
    try:
        _read_values(decoded)
        return encode(decoded, to)
    except (BytesLengthException, *_PYDICOM_RAISES) as error:
        raise BadArchive(
            "an object cannot be turned into the encoding that its receiver takes. Convert it first (DCMTK: dcmconv)."
        ) from error


class _AsItCame(bytes):
    """Text that pydicom writes without having read it."""

    def encode(self, encodings: Sequence[str]) -> bytes:
        """What pydicom asks of a PersonName."""
        return bytes(self)


def _read_values(dataset: Any) -> None:
    """Have pydicom read the values, which it else copies as they stand in another encoding, but not the text.

    Text that does not fit the character set that the object declares would be read as U+FFFD, and written so.
    """
    from pydicom.dataelem import DataElement, RawDataElement

    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.value:
            vr = raw.VR if raw.VR not in (None, "UN") else _vr_of(tag)
            if vr in _TEXT or vr == "UN":
                dataset[tag] = DataElement(tag, vr, _AsItCame(raw.value), already_converted=True)
                continue
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                _read_values(item)


def _vr_of(tag: Any) -> str:
    """What the standard says of a tag; UN for private elements, which pydicom would read by a dictionary of its own."""
    from pydicom.datadict import get_entry

    try:
        return str(get_entry(tag)[0])
    except KeyError:
        if tag.element == 0:
            return "UL"  # a group's length
        return "LO" if tag.is_private_creator else "UN"


def _refuse_to_swap(dataset: Any, transfer_syntax: str) -> None:
    """pydicom rewrites numbers in another byte order, but copies words of pixels as they are: silently other values."""
    encoding = getattr(dataset, "original_encoding", None) or (None, getattr(dataset, "read_little_endian", None))
    if encoding[1] is None or encoding[1] == (transfer_syntax != EXPLICIT_BIG):
        return
    if any(element.VR in _WORDS and element.value for element in dataset.iterall()):
        raise BadArchive(
            "an object's pixels cannot be turned from one byte order into the other. "
            "Convert the file to Explicit VR Little Endian first (DCMTK: dcmconv +te)."
        )


def _set_encoding(dataset: Any, transfer_syntax: str) -> None:
    """pydicom 2 wants these attributes, pydicom 3 deprecates them in favour of the file meta."""
    _put_encoding(dataset, (transfer_syntax == IMPLICIT_LITTLE, transfer_syntax != EXPLICIT_BIG))


def _get_encoding(dataset: Any) -> tuple[Any, Any]:
    return (None, None) if _pydicom_major() >= 3 else (dataset.is_implicit_VR, dataset.is_little_endian)


def _put_encoding(dataset: Any, encoding: tuple[Any, Any]) -> None:
    if _pydicom_major() < 3:
        dataset.is_implicit_VR, dataset.is_little_endian = encoding


def _pydicom_major() -> int:
    import pydicom

    return int(pydicom.__version__.split(".")[0])
