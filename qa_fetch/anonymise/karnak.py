"""What the Karnak gateway reads from an object before it anonymises it: a private block with code, album and days."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional, Union

from .. import part10
from ..errors import ConfigError, NotFound, QAFetchError, Refused
from ..part10 import DEFLATED, Buffer, Element
from ..part10.encoding import Encoding
from ..shelf.disk import flush_folder, make_folder
from .charset import Charset
from .keyfolder import bare, locked, read_codes, read_offsets
from .sources import OBJECT, PARTIAL, handfuls, kind_of, paths

CREATOR = "CHUV_DEV_TML"
CODE, ALBUM, SHIFT = 0x01, 0x02, 0x03
_GROUP = 0x000B
_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF
_CHARACTER_SET, _PATIENT_ID = 0x00080005, 0x00100020
_LONGEST = 64  # characters of a LO


@dataclass
class Tagged:
    """What was done: files that have the block now, of how many patients, and which were left."""

    files: int = 0
    patients: int = 0
    others: int = 0
    """Files that are no DICOM objects, DICOMDIRs and links."""
    failed: dict[str, str] = field(default_factory=dict)
    """Objects that have no block now, with the sentence that says why."""


class _Blocks:
    """What the block of each patient says."""

    def __init__(self, new_ids: Union[Path, Mapping[str, str]], album: str, shifts: Optional[Path]) -> None:
        self._album = album
        self._codes = read_codes(new_ids)
        self._list = new_ids.name if isinstance(new_ids, Path) else "new_ids"
        self._shifts = None if shifts is None else read_offsets(shifts)
        self._owners: dict[str, str] = {}

    @property
    def patients(self) -> int:
        """How many patients have been asked for."""
        return len(self._owners)

    def of(self, patient_id: str) -> dict[int, str]:
        """The values by the last byte of their elements; a QAFetchError where something is not known."""
        patient = bare(patient_id)
        if not patient:
            raise NotFound("it has no PatientID, so no code fits. Leave it out, or correct it in its archive.")
        code = self._codes if isinstance(self._codes, str) else self._codes.get(patient)
        if code is None:
            raise NotFound(f"{self._list} has no code for its patient. Add it and run again.")
        if self._owners.get(code, patient) != patient:
            raise ConfigError(
                f"{self._list} gives its code to another patient too. Give each patient a code of its own."
            )
        found = {CODE: code, ALBUM: self._album}
        if self._shifts is not None:
            days = self._shifts.get(code, patient)
            if days is None:
                raise NotFound(f"{self._shifts.where} has no days for its patient. Add them and run again.")
            found[SHIFT] = str(days)
        self._owners[code] = patient
        return found


def tag(
    folder: Path,
    to: Optional[Path] = None,
    *,
    in_place: bool = False,
    new_ids: Union[Path, Mapping[str, str]],
    album_name: str,
    shifts: Optional[Path] = None,
    on_progress: Optional[Callable[[int, int], None]] = None,
) -> Tagged:
    """Write every DICOM object below a folder anew with the private block of the Karnak gateway.

    Each object still says who its patient is: the gateway replaces that by the code. Everything else of it stays as it
    is, byte for byte, and a block from an earlier run is replaced.

    Parameters
    ----------
    folder
        The folder with the objects.
    to
        The folder of the new files, under the same names; made if absent.
    in_place
        Instead of ``to``: replace each file by its new one, in one step.
    new_ids
        The codes, as ``Identities`` takes them.
    album_name
        The album of Kheops that the objects go to.
    shifts
        Day shifts, as ``Identities`` takes offsets; without them the block has none.
    on_progress
        Called with the number of files done, and 0.
    """
    target = _target(folder, to, in_place)
    if not album_name.strip() or not album_name.isprintable() or len(album_name) > _LONGEST or "\\" in album_name:
        raise ConfigError("the album has no name of 1 to 64 printable characters without backslash. Give it one.")
    blocks, done = _Blocks(new_ids, album_name, shifts), Tagged()
    with _partial(target) as partial:
        for handful in handfuls(folder):
            for name, path in paths(folder, handful):
                try:
                    if kind_of(path) != OBJECT:
                        done.others += 1
                        continue
                    _tag_file(path, target / name, partial, blocks)
                    done.files += 1
                except QAFetchError as error:
                    done.failed[name] = QAFetchError(f"{name}: {error.message}").message
                except PermissionError:
                    done.failed[name] = QAFetchError(
                        f"{name}: this user may not read or write it. Change its rights."
                    ).message
                if on_progress:
                    on_progress(done.files + done.others + len(done.failed), 0)
    if not done.files and not done.failed:
        raise NotFound(f"{folder} holds no DICOM object. Name the folder with the DICOM files.")
    done.patients = blocks.patients
    return done


def _target(folder: Path, to: Optional[Path], in_place: bool) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder. Name the folder with the DICOM files.")
    if in_place == (to is not None):
        raise ConfigError("name either a folder for the new files or in place, and not both.")
    if to is None:
        return folder
    if to.exists() and not to.is_dir():
        raise ConfigError(f"{to} is there already and is not a folder. Name another one.")
    here, there = folder.resolve(), to.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(f"{to} and {folder} lie one within the other. Name a folder outside of it, or use in place.")
    return to


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """Where files are until they are whole: what a killed run left there is no object, and goes."""
    partial = target / PARTIAL
    with locked(partial):
        for left in partial.glob("*.tmp"):
            left.unlink()
        yield partial
    shutil.rmtree(partial)


def _tag_file(source: Path, target: Path, partial: Path, blocks: _Blocks) -> None:
    """Write one file anew; its name shows either the old one or the whole new one."""
    descriptor, name = tempfile.mkstemp(suffix=".tmp", dir=partial)
    os.close(descriptor)
    temporary = Path(name)
    try:
        _write(source, temporary, blocks)  # which lets go of the source, that Windows could not replace else
        if source == target:
            shutil.copymode(source, temporary)
        make_folder(target.parent)
        temporary.replace(target)
    except BaseException:  # an interrupt too: nobody else knows of the temporary file
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(target.parent)


def _write(source: Path, temporary: Path, blocks: _Blocks) -> None:
    with source.open("rb") as file, part10.opened(file, "it") as whole, temporary.open("wb") as out:
        data: Buffer = whole.dataset
        syntax = whole.transfer_syntax
        if syntax == DEFLATED:
            data = part10.inflated(data)
        values = blocks.of(_patient_id(data, syntax))
        pieces = with_block(data, syntax, values)
        if syntax == DEFLATED:
            pieces = [part10.deflated(b"".join(pieces))]
        pieces.insert(0, file.read(os.fstat(file.fileno()).st_size - len(whole.dataset)))  # as the file began
        for piece in pieces:
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _patient_id(data: Buffer, syntax: str) -> str:
    view, charset = memoryview(data), Charset.of(b"")
    for element in part10.elements(view, syntax):
        value = bytes(view[element.value : element.end]) if element.tag in (_CHARACTER_SET, _PATIENT_ID) else b""
        if element.tag == _CHARACTER_SET:
            charset = Charset.of(value)
        elif element.tag == _PATIENT_ID:
            return charset.decode(value, b"LO")
        elif element.tag > _PATIENT_ID:
            break
    return ""


def with_block(data: Buffer, transfer_syntax: str, values: Mapping[int, str]) -> list[Buffer]:
    """An encoded data set that is not deflated, in pieces, with these values in the block of the Karnak gateway.

    Parameters
    ----------
    data
        The data set.
    transfer_syntax
        How it is encoded.
    values
        LO values by the last byte of their elements.
    """
    view, character_set = memoryview(data), b""
    pieces: list[Buffer] = []
    group: list[Element] = []
    place, start = None, 0
    for element in part10.elements(view, transfer_syntax):
        if element.tag == _CHARACTER_SET:
            character_set = bytes(view[element.value : element.end])
        if element.tag >> 16 == _GROUP:
            pieces.append(view[start : element.start])
            group.append(element)
            start = element.end
        elif element.tag >> 16 > _GROUP and place is None:
            pieces.append(view[start : element.start])
            start, place = element.start, len(pieces)
    pieces.append(view[start:])
    place = len(pieces) if place is None else place
    pieces[place:place] = _group(view, group, transfer_syntax, character_set, values)
    return pieces


def _group(
    view: memoryview, there: Sequence[Element], syntax: str, character_set: bytes, values: Mapping[int, str]
) -> list[Buffer]:
    """The elements of group 000B in their order: those of others as they are, and ours; a length is left out."""
    creators = {
        one.tag & 0xFF: bytes(view[one.value : one.end]).strip(b" \0")
        for one in there
        if _FIRST_BLOCK <= one.tag & 0xFFFF <= _LAST_BLOCK
    }
    ours = {number for number, creator in creators.items() if creator == CREATOR.encode("ascii")}
    theirs = {one.tag >> 8 & 0xFF for one in there} | creators.keys()
    free = (number for number in range(_FIRST_BLOCK, _LAST_BLOCK + 1) if number not in theirs)
    number = min(ours) if ours else next(free, None)
    if number is None:
        raise Refused("it has no room for another private block in group 000B. Leave it out.")
    written: dict[int, list[Buffer]] = {}
    for one in there:
        last = one.tag & 0xFFFF
        if last and (last if last <= _LAST_BLOCK else last >> 8) not in ours:
            written.setdefault(last, []).append(view[one.start : one.end])
    written.setdefault(number, []).append(_element(number, CREATOR.encode("ascii"), syntax))
    for last, value in values.items():
        encoded = _encoded(value, character_set)
        written[number << 8 | last] = [_element(number << 8 | last, encoded, syntax)]
    return [piece for last in sorted(written) for piece in written[last]]


def _encoded(value: str, character_set: bytes) -> bytes:
    charset = Charset.of(character_set)
    encoded = charset.encode(value)
    undeclared = charset.codec == "utf_8" and b"192" not in character_set  # the default set, which is ASCII alone
    if not value.isascii() and (undeclared or charset.decode(encoded, b"LO") != value):
        raise Refused("its character set has no letters for the album's name. Choose a name of ASCII letters.")
    return encoded


def _element(number: int, value: bytes, syntax: str) -> bytes:
    return Encoding.of(syntax).element(_GROUP << 16 | number, b"LO", value)
