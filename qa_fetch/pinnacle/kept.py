"""DICOM files that an archive keeps: what they are, whose they are, and their bytes with the patient's identity."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Optional

from .. import part10
from ..errors import BadArchive
from ..part10.encoding import Encoding
from .making import Encoded, Notes
from .objects import UNICODE, bare_name, identifier, person
from .records import Patient
from .sources import Source

_LARGEST = 512 << 20  # bytes of one object; an image of one slice has half a megabyte
_CHARACTER_SET, _NAME, _ID, _BIRTH, _SEX = 0x00080005, 0x00100010, 0x00100020, 0x00100030, 0x00100040
_KEYWORDS: Final = {
    0x00080016: "class",
    0x00080018: "instance",
    0x00080020: "date",
    0x00080030: "time",
    0x00080050: "accession",
    0x00080060: "modality",
    0x00185100: "position",
    0x0020000D: "study",
    0x0020000E: "series",
    0x00200010: "study_id",
    0x00200032: "corner",
    0x00200037: "axes",
    0x00200052: "frame",
    0x00280030: "spacing",
    _NAME: "name",
    _ID: "id",
    _BIRTH: "birth",
    _SEX: "sex",
}
_PREAMBLE: Final = b"\0" * 128 + b"DICM"
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_TAGS: Final = {"id": _ID, "name": _NAME, "birth": _BIRTH, "sex": _SEX}
_IDENTITY: Final = {"id": "PatientID", "name": "PatientName", "birth": "PatientBirthDate", "sex": "PatientSex"}
_COMPARED: Final = ("id", "name", "birth")  # what tells patients apart


@dataclass(frozen=True)
class Kept:
    """A DICOM file of the archive, without its pixels."""

    path: str
    sop_class: str
    sop_instance: str
    values: dict[str, str]
    rows: int
    columns: int

    def says(self, what: str) -> Optional[str]:
        """A value, None where it is empty."""
        return self.values.get(what) or None

    def numbers(self, what: str, count: int) -> Optional[tuple[float, ...]]:
        """The numbers of a value, None where they are not so many."""
        try:
            found = tuple(float(part) for part in self.values.get(what, "").split("\\"))
        except ValueError:
            return None
        return found if len(found) == count else None


def look(source: Source, path: str) -> Kept:
    """What a file is; BadArchive where it is no whole DICOM object."""
    syntax, data = _opened(source, path)
    identity = part10.check(data, _plain(syntax))
    values, sizes = {}, {_ROWS: 0, _COLUMNS: 0}
    raw = {element.tag: bytes(data[element.value : element.end]) for element in _header(data, syntax)}
    codec = _codec(raw.get(_CHARACTER_SET, b""))
    for tag, name in _KEYWORDS.items():
        values[name] = raw.get(tag, b"").decode(codec, "replace").strip("\0 ")
    for tag in sizes:
        sizes[tag] = int.from_bytes(raw.get(tag, b""), "big" if syntax == part10.EXPLICIT_BIG else "little")
    return Kept(path, identity.sop_class, identity.sop_instance, values, sizes[_ROWS], sizes[_COLUMNS])


def differing(kept: Kept, patient: Patient, notes: Notes) -> tuple[str, ...]:
    """The keywords of the identity in which a file is not what the archive says of its patient."""
    ours = _ours(patient, notes)
    theirs = {**kept.values, "name": bare_name(kept.values["name"])}
    return tuple(keyword for key, keyword in _IDENTITY.items() if ours[key] and bare_name(ours[key]) != theirs[key])


def another(kept: Kept, patient: Patient, notes: Notes) -> bool:
    """Whether a file is another patient's, by all that can be compared.

    The same number is the same patient, whatever happened to the name. With another number, or none, the name and the
    birth date have to speak for the patient, and neither against: what is not known does not speak.
    """
    ours, theirs = _ours(patient, notes), kept.values
    known = {key for key in _COMPARED if ours[key] and theirs[key]}
    agree = {key for key in known if _loose(key, ours[key]) == _loose(key, theirs[key])}
    if "id" in agree or not known:
        return False
    return not agree or bool((known - agree) - {"id"})


def taken(source: Source, kept: Kept, patient: Patient, notes: Notes) -> Encoded:
    """A file byte for byte, or with the patient's own identity where it has another; BadArchive where it cannot be."""
    syntax, data = _opened(source, kept.path)
    identity = part10.check(data, _plain(syntax))
    if (identity.sop_class, identity.sop_instance) != (kept.sop_class, kept.sop_instance):
        raise BadArchive("a DICOM file changed while it was read. Convert the archive again.")
    wrong = differing(kept, patient, notes)
    if wrong:
        ours = _ours(patient, notes)
        changed = _corrected(
            data, syntax, {_TAGS[key]: ours[key] for key, keyword in _IDENTITY.items() if keyword in wrong}
        )
        whole = _meta(kept, syntax) + (part10.deflated(changed) if syntax == part10.DEFLATED else changed)
    else:
        whole = _bytes(source, kept.path)
        if whole[128:132] != b"DICM":
            whole = _meta(kept, syntax) + whole
    return Encoded(kept.says("modality") or "OT", kept.sop_class, kept.sop_instance, whole)


def begins(source: Source, path: str, *, bare: bool = True) -> bool:
    """Whether a file begins as a DICOM file does, or as a ``bare`` data set without a file's preamble."""
    with source.open(path) as file:
        start = file.read(132)
    return start[128:] == b"DICM" or (bare and start[:2] in (b"\x02\x00", b"\x08\x00"))


def _meta(kept: Kept, syntax: str) -> bytes:
    return part10.file_meta(kept.sop_class, kept.sop_instance, syntax)


def _bytes(source: Source, path: str) -> bytes:
    size = source.size(path)
    if size > _LARGEST:
        raise BadArchive(f"a DICOM file has more than {_LARGEST >> 20} MB. Leave it out.")
    with source.open(path) as file:
        data = file.read()
    if len(data) != size:
        raise BadArchive("a DICOM file is cut short. Fetch the archive again from where it was kept.")
    return _PREAMBLE + data if data[:2] == b"\x02\x00" else data  # a file header without what stands before it


def _opened(source: Source, path: str) -> tuple[str, memoryview]:
    """Transfer syntax and data set of a file, which may lack its preamble; what is deflated comes unpacked."""
    data = _bytes(source, path)
    if data[128:132] != b"DICM":
        if data[:2] != b"\x08\x00":
            raise BadArchive("a file is no DICOM file. Leave it out.")
        explicit = re.fullmatch(b"[A-Z]{2}", data[4:6])
        return (part10.EXPLICIT_LITTLE if explicit else part10.IMPLICIT_LITTLE), memoryview(data)
    file = part10.split(data, "a DICOM file")
    if file.transfer_syntax == part10.DEFLATED:
        return part10.DEFLATED, memoryview(part10.inflated(file.dataset))
    return file.transfer_syntax, file.dataset


def _header(data: memoryview, syntax: str) -> Iterable[part10.Element]:
    """The elements at the top level; behind the pixels nothing is looked for."""
    return (element for element in part10.elements(data, _plain(syntax)) if element.tag < 0x7FE00000)


def _plain(syntax: str) -> str:
    return part10.EXPLICIT_LITTLE if syntax == part10.DEFLATED else syntax


def _codec(character_set: bytes) -> str:
    """Python's name for the first of an object's character sets; none that is known is ASCII."""
    from pydicom.charset import python_encoding

    first = character_set.decode("ascii", "replace").split("\\")[0].strip("\0 ")
    return str(python_encoding.get(first, "ascii"))


def _ours(patient: Patient, notes: Notes) -> dict[str, str]:
    return {
        "id": identifier(patient, notes),
        "name": person(patient, notes),
        "birth": patient.birth_date or "",
        "sex": patient.sex or "",
    }


def _loose(key: str, value: str) -> str:
    """A value for comparison where only its look may differ: the first two parts of a name, in small letters."""
    if key != "name":
        return value.casefold()
    parts = [re.sub(r"[\W_]+", " ", part).strip() for part in bare_name(value).casefold().split("^")]
    return "^".join(parts[:2])


def _corrected(data: memoryview, syntax: str, new: dict[int, str]) -> bytes:
    """A data set in which only these elements of the identity are other: all else keeps its bytes."""
    encoding = Encoding.of(_plain(syntax))
    found = list(part10.elements(data, _plain(syntax)))
    declared = next((bytes(data[each.value : each.end]) for each in found if each.tag == _CHARACTER_SET), b"")
    codec = _codec_for("".join(new.values()), declared)
    vrs = {_NAME: b"PN", _ID: b"LO", _BIRTH: b"DA", _SEX: b"CS"}
    made = {tag: encoding.element(tag, vrs[tag], text.encode(codec)) for tag, text in new.items()}
    if codec == "utf-8":
        made[_CHARACTER_SET] = encoding.element(_CHARACTER_SET, b"CS", UNICODE.encode())
    parts = [(each.tag, bytes(data[each.start : each.end])) for each in found if each.tag not in made]
    return b"".join(element for _, element in sorted([*parts, *made.items()], key=lambda part: part[0]))


def _codec_for(text: str, declared: bytes) -> str:
    """How to write a text into an object of these character sets; BadArchive where they have no such letters."""
    if text.isascii():
        return "ascii"
    sets = declared.decode("ascii", "replace").strip("\0 ")
    if sets in ("", "ISO_IR 6", "ISO_IR 192"):  # plain ASCII, as its other text is then, is UTF-8 too
        return "utf-8"
    codec = "ascii" if "\\" in sets else _codec(declared)
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        raise BadArchive(
            "a DICOM file's character set has no letters for the patient's name. Convert the file to ISO_IR 192."
        ) from None
    return codec
