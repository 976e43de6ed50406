"""Part-10 files: from the bytes of the wire to the disk and back; the only home of pydicom's version differences."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional, Union

from .errors import BadArchive

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

IMPLEMENTATION_UID = "2.25.8572683078037849131607500903248866208"
IMPLEMENTATION_NAME = b"QA_FETCH"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*\Z")
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_WORDS = frozenset(("OW", "OF", "OL", "OD", "OV"))  # values of more than a byte that pydicom keeps as bytes
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
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 64  # sequences nested deeper than this are an attack, not a treatment
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)


@dataclass(frozen=True)
class Identity:
    """What an object says it is."""

    sop_class: str
    sop_instance: str
    study: str
    series: str


_IDENTITY_TAGS = {
    (0x0008, 0x0016): "sop_class",
    (0x0008, 0x0018): "sop_instance",
    (0x0020, 0x000D): "study",
    (0x0020, 0x000E): "series",
}


def clean_uid(value: object) -> str:
    """A UID without the NUL or spaces that some peers leave around it."""
    return str(value).strip("\0 \t\r\n")


def file_stem(uid: str) -> str:
    """A name for files that hold this UID: the UID where it is one, else a digest, so a peer never chooses a path."""
    if len(uid) <= 64 and _UID.match(uid):
        return uid
    return "x-" + hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Preamble, DICM and group 2 for a data set that is kept exactly as it came."""

    def element(number: int, vr: bytes, value: bytes) -> bytes:
        if len(value) > 0xFFFE:
            raise BadArchive("an object has a UID of more than 65534 characters. Leave it out.")
        value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
        if vr == b"OB":
            return struct.pack("<HH2sHL", 2, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    group = b"".join(
        (
            element(0x0001, b"OB", b"\x00\x01"),
            element(0x0002, b"UI", sop_class.encode("ascii", "replace")),
            element(0x0003, b"UI", sop_instance.encode("ascii", "replace")),
            element(0x0010, b"UI", transfer_syntax.encode("ascii", "replace")),
            element(0x0012, b"UI", IMPLEMENTATION_UID.encode()),
            element(0x0013, b"SH", IMPLEMENTATION_NAME),
        )
    )
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(group)) + group


class _Encoding(NamedTuple):
    """How the elements of a transfer syntax are laid out."""

    explicit: bool
    tag: struct.Struct
    short: struct.Struct
    long: struct.Struct

    @classmethod
    def of(cls, explicit: bool, order: str) -> _Encoding:
        return cls(explicit, struct.Struct(order + "HH"), struct.Struct(order + "H"), struct.Struct(order + "L"))


_IMPLICIT_LITTLE = _Encoding.of(False, "<")
_EXPLICIT_LITTLE = _Encoding.of(True, "<")
_EXPLICIT_BIG = _Encoding.of(True, ">")
_ENCODINGS = {IMPLICIT_LITTLE: _IMPLICIT_LITTLE, EXPLICIT_BIG: _EXPLICIT_BIG}  # all others are explicit little endian


class _Broken(Exception):
    """The walk cannot go on; the text says why and what to do."""


_CUT_SHORT = "is cut short: it ends in the middle of an element. Fetch or export it again."
_TOO_DEEP = f"nests sequences deeper than {_DEEPEST} levels. Leave it out, or export it again from its source."
_GARBLED = "is garbled: something stands between the items of a sequence. Export it again from its source."


class _Walker:
    """Steps over the elements of an encoded data set without interpreting any value it does not need."""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def element(self, at: int, encoding: _Encoding) -> tuple[tuple[int, int], bytes, int, int]:
        """Tag, VR, where the value starts and how long it says it is."""
        try:
            group, number = encoding.tag.unpack_from(self.data, at)
            if group == 0xFFFE or not encoding.explicit:
                return (group, number), b"", at + 8, encoding.long.unpack_from(self.data, at + 4)[0]
            vr = bytes(self.data[at + 4 : at + 6])
            if vr in _LONG_VRS:
                return (group, number), vr, at + 12, encoding.long.unpack_from(self.data, at + 8)[0]
            return (group, number), vr, at + 8, encoding.short.unpack_from(self.data, at + 6)[0]
        except struct.error:
            raise _Broken(_CUT_SHORT) from None

    def end_of(self, vr: bytes, start: int, length: int, encoding: _Encoding, depth: int = 0) -> int:
        """Where the element after this one begins."""
        if length != _UNDEFINED:
            if start + length > len(self.data):
                raise _Broken(_CUT_SHORT)
            return start + length
        if depth >= _DEEPEST:
            raise _Broken(_TOO_DEEP)
        # An element of undefined length and VR UN holds implicit little-endian items (PS3.5 6.2.2).
        return self._end_of_items(start, _IMPLICIT_LITTLE if vr == b"UN" else encoding, depth + 1)

    def _end_of_items(self, at: int, encoding: _Encoding, depth: int) -> int:
        while True:
            tag, vr, start, length = self.element(at, encoding)
            if tag == _SEQUENCE_END:
                return start
            if tag != _ITEM:
                raise _Broken(_GARBLED)
            if length == _UNDEFINED:
                at = self._end_of_item(start, encoding, depth)
            else:
                at = self.end_of(vr, start, length, encoding)

    def _end_of_item(self, at: int, encoding: _Encoding, depth: int) -> int:
        while True:
            tag, vr, start, length = self.element(at, encoding)
            if tag == _ITEM_END:
                return start
            at = self.end_of(vr, start, length, encoding, depth)


def check(data: Union[bytes, memoryview], transfer_syntax: str) -> Identity:
    """Walk an encoded data set from end to end and say what it is; BadArchive when it is cut short or nameless."""
    if transfer_syntax == DEFLATED:
        data = _inflated(data)
    walker, encoding = _Walker(memoryview(data)), _ENCODINGS.get(transfer_syntax, _EXPLICIT_LITTLE)
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(walker.data):
            tag, vr, start, length = walker.element(at, encoding)
            at = walker.end_of(vr, start, length, encoding)
            if tag in _IDENTITY_TAGS:
                found[_IDENTITY_TAGS[tag]] = clean_uid(bytes(walker.data[start:at]).decode("ascii", "replace"))
    except _Broken as broken:
        raise BadArchive(f"an object {broken}") from None
    if not found.get("sop_instance") or not found.get("sop_class"):
        raise BadArchive("an object has no SOP Class or SOP Instance UID. Export it again from its source.")
    return Identity(found["sop_class"], found["sop_instance"], found.get("study", ""), found.get("series", ""))


def _inflated(data: Union[bytes, memoryview]) -> bytes:
    try:
        return zlib.decompress(data, -zlib.MAX_WBITS)
    except zlib.error:
        raise BadArchive("an object's deflated data cannot be unpacked. Fetch or export it again.") from None


@dataclass(frozen=True)
class Part10:
    """A Part-10 file split where its data set begins."""

    transfer_syntax: str
    dataset: memoryview

    def identity(self) -> Identity:
        """Check the data set and say what it is."""
        return check(self.dataset, self.transfer_syntax)


def split(data: Union[bytes, memoryview], name: str) -> Part10:
    """Find the data set behind the preamble and group 2 of a file's bytes; ``name`` is for the message only."""
    view = memoryview(data)
    if bytes(view[128:132]) != b"DICM":
        raise BadArchive(f"{name} is not a DICOM Part-10 file. Leave it out, or convert it first.")
    walker, at, end, syntax = _Walker(view), 132, 0, ""
    try:
        while at < len(view):
            if syntax == DEFLATED and at == end:
                break  # packed bytes may look like one more element of group 2
            tag, vr, start, length = walker.element(at, _EXPLICIT_LITTLE)
            if tag[0] != 2:
                break
            at = walker.end_of(vr, start, length, _EXPLICIT_LITTLE)
            if tag == (2, 0x0000) and length == 4:
                end = at + int.from_bytes(view[start:at], "little")
            if tag == (2, 0x0010):
                syntax = clean_uid(bytes(view[start:at]).decode("ascii", "replace"))
    except _Broken:
        raise BadArchive(f"{name} is cut short in its file header. Fetch or export it again.") from None
    if not syntax:
        raise BadArchive(f"{name} does not say its transfer syntax. Export it again from its source.")
    return Part10(syntax, view[at:])


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
    if transfer_syntax != DEFLATED:
        return encoded
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(encoded) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def _refuse_to_swap(dataset: Any, transfer_syntax: str) -> None:
    """pydicom rewrites numbers in another byte order, but copies words of pixels as they are: silently other values."""
    encoding = getattr(dataset, "original_encoding", None) or (None, getattr(dataset, "read_little_endian", None))
    if encoding[1] is None or encoding[1] == (transfer_syntax != EXPLICIT_BIG):
        return
    if any(element.VR in _WORDS and element.value for element in dataset):
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
