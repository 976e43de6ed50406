"""Hostile and odd files: errors are named, sources untouched, the run goes on, and nothing that identifies gets out."""

from __future__ import annotations

import io
import random
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import phi_gates
import pydicom
import pytest
from phi_course import MUELLER, found_in
from pydicom.data import get_testdata_files
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import UID

from qa_fetch import part10
from qa_fetch.anonymise.anonymiser import Anonymiser, Held
from qa_fetch.errors import BadArchive, QAFetchError
from qa_fetch.part10.codec import _PYDICOM_RAISES

LATIN = "Müller^Jörg".encode("latin-1")
ID = b"4711-0815"
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
VRS = "AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)


def element(tag: int, vr: str, value: bytes, length: Optional[int] = None) -> bytes:
    """One element of explicit VR, whose length may be a lie."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("latin-1"))
    size = len(value) if length is None else length
    if vr in LONG:
        return head + struct.pack("<HL", 0, size) + value
    return head + struct.pack("<H", size & 0xFFFF) + value


def implicit(tag: int, value: bytes, length: Optional[int] = None) -> bytes:
    """One element of implicit VR."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


UIDS = {
    0x00080016: b"1.2.840.10008.5.1.4.1.1.2\0",
    0x00080018: b"1.2.3.4.5.6\0",
    0x0020000D: b"1.2.3\0",
    0x0020000E: b"1.2.4\0",
}
FIRST = (
    element(0x00080005, "CS", b"ISO_IR 100")
    + element(0x00080016, "UI", UIDS[0x00080016])
    + element(0x00080018, "UI", UIDS[0x00080018])
    + element(0x00080020, "DA", b"20251006")
    + element(0x00080060, "CS", b"CT")
)
PATIENT = (
    element(0x00100010, "PN", LATIN + b" ")
    + element(0x00100020, "LO", ID + b" ")
    + element(0x00100030, "DA", b"19560417")
)
LAST = element(0x0020000D, "UI", UIDS[0x0020000D]) + element(0x0020000E, "UI", UIDS[0x0020000E])


def small(*, middle: bytes = b"", nested: bytes = b"", end: bytes = b"") -> bytes:
    """A data set of Müller's with these elements between (0010,0030) and (0020,000D), and at its end."""
    return FIRST + PATIENT + nested + middle + LAST + end


class Bench:
    """One anonymiser, and files given to it one by one."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.folder = folder
        self.anonymiser = Anonymiser(phi_gates.key_file(folder / "trial.key"), profile)
        self._number = 0

    def file(self, data: bytes, *, learn: bool = True) -> Optional[bytes]:
        """What comes of a file's bytes; nothing where it is refused in one sentence that names nobody."""
        self._number += 1
        source, target = (self.folder / f"{name}{self._number}.dcm" for name in ("in", "out"))
        source.write_bytes(data)
        try:
            if learn:
                self.anonymiser.learn(source)
            self.anonymiser.file(source, target)
        except QAFetchError as error:
            said = str(error)
            assert said.count("\n") == 0 and said.endswith("."), said
            assert not found_in(said.encode("utf-8"), "patient"), said
            assert not target.exists()
            return None
        finally:
            assert source.read_bytes() == data
        return target.read_bytes()

    def dataset(self, data: bytes, syntax: str = part10.EXPLICIT_LITTLE) -> Optional[bytes]:
        """The same for a data set."""
        return self.file(part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6", syntax) + data)


@pytest.fixture(params=["basic", "research-rt"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Both profiles."""
    return Bench(tmp_path, request.param)


def test_a_small_file_comes_out(bench: Bench) -> None:
    """What the others are made of is no reason to refuse."""
    data = bench.dataset(small())
    assert data is not None
    assert found_in(data, "patient") == set()


# Files that come with pydicom


def test_every_file_of_pydicom_comes_out_clean_or_is_named(bench: Bench) -> None:
    """One folder with all of them, DICOMDIRs too: the run goes on, and sources stay."""
    source, data = bench.folder / "in", {}
    for number, name in enumerate(name for name in sorted(get_testdata_files()) if Path(name).is_file()):
        path = source / f"{number:03d}" / Path(name).name
        path.parent.mkdir(parents=True)
        data[path] = Path(name).read_bytes()
        path.write_bytes(data[path])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bench.anonymiser.folder(source, to=bench.folder / "out")
        known = _known(list(data))
        outputs = sorted(path for path in (bench.folder / "out").rglob("*") if path.is_file())
        for path in outputs:
            read = pydicom.dcmread(path)
            assert read.PatientIdentityRemoved == "YES"
            whole = phi_gates.raw(path).lower()
            assert {text for text in known if text.encode("latin-1") in whole} == set(), path
    assert len(outputs) > 40
    assert all(path.read_bytes() == before for path, before in data.items())


def _known(paths: list[Path]) -> set[str]:
    """Names and IDs of the people in files, as pydicom reads them."""
    known: set[str] = set()
    for path in paths:
        try:
            read = pydicom.dcmread(path, force=True)
            values = [str(read.get("PatientName", "")), str(read.get("PatientID", ""))]
        except (pydicom.errors.InvalidDicomError, *_PYDICOM_RAISES):
            continue
        for value in values:
            if value.isascii():
                known |= {part.lower() for part in value.replace("=", "^").split("^") if len(part) > 5}
    return known - {"anonymous", "anonymized", "phantom", "removed"}


@pytest.mark.parametrize("without", ["preamble", "meta"])
def test_a_file_without_preamble_or_meta_is_named_or_comes_out_clean(bench: Bench, without: str) -> None:
    """Older systems write such files."""
    whole = part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6", part10.EXPLICIT_LITTLE) + small()
    made = bench.file(whole[132:] if without == "preamble" else small())
    assert made is None or found_in(made, "patient") == set()


# Damaged files


def test_a_file_that_ends_anywhere_is_named_or_comes_out_clean(bench: Bench) -> None:
    """Cut at each byte; at the end of an element it is a data set like any other."""
    bench.dataset(small())
    nested = element(0x00101002, "SQ", ITEM + struct.pack("<L", UNDEFINED) + PATIENT + ITEM_END + END, UNDEFINED)
    block = element(0x00110010, "LO", b"ACME") + element(0x00111001, "UN", LATIN)
    whole = part10.file_meta("1.2", "1.2.3.4.5.6", part10.EXPLICIT_LITTLE)
    whole += small(nested=nested, middle=block, end=element(0x7FE00010, "OW", bytes(32)))
    for end in range(len(whole)):
        made = bench.file(whole[:end])
        assert made is None or found_in(made, "patient") == set(), end


@pytest.mark.parametrize("seed", range(4))
def test_a_file_with_flipped_bits_never_crashes_the_run(bench: Bench, seed: int) -> None:
    """Whatever they hit: an error of ours, or a file."""
    whole = part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6", part10.EXPLICIT_LITTLE)
    whole += small(nested=element(0x00101002, "SQ", ITEM + struct.pack("<L", len(PATIENT)) + PATIENT))
    chance = random.Random(seed)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(128, len(data))] = chance.randrange(256)
        bench.file(bytes(data))


def test_garbage_is_named(bench: Bench) -> None:
    """Behind a preamble, and alone."""
    noise = random.Random(7).randbytes(4000) if hasattr(random.Random, "randbytes") else bytes(4000)
    head = part10.file_meta("1.2", "1.2", part10.EXPLICIT_LITTLE)
    for data in (b"", b"\0", noise, bytes(128) + b"DICM", bytes(128) + b"DICM" + noise, head, head + noise):
        assert bench.file(data) is None


@pytest.mark.parametrize("length", [1, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE])
@pytest.mark.parametrize("vr", ["UN", "OB", "SQ", "UT"])
def test_lengths_that_lie_are_named(bench: Bench, vr: str, length: int) -> None:
    """Nothing of the claimed size is ever made."""
    made = bench.dataset(small(end=element(0x7FE10010, vr, b"abcd", length)))
    assert made is None or found_in(made, "patient") == set()


@pytest.mark.parametrize("depth", [10, 60, 64, 65, 300, 20000])
def test_nesting_is_followed_or_refused(bench: Bench, depth: int) -> None:
    """A patient's name at the bottom of all of it."""
    data = PATIENT
    for _ in range(min(depth, 300)):
        data = element(0x30060039, "SQ", ITEM + struct.pack("<L", len(data)) + data)
    if depth > 300:
        data = (element(0x30060039, "SQ", b"", UNDEFINED) + ITEM + struct.pack("<L", UNDEFINED)) * depth
    made = bench.dataset(small(end=data))
    assert (made is None) == (depth > 64)
    assert made is None or found_in(made, "patient") == set()


# Odd files


TAGS = (0x00070012, 0x00080031, 0x00100010, 0x00180015, 0x00189999, 0x00200013, 0x00420011, 0x300A00C2, 0x30060050)


def leaks(bench: Bench, data: dict[str, bytes], syntax: str = part10.EXPLICIT_LITTLE) -> set[str]:
    """Which of these data sets let something out that names the patient; most of them are not to be refused."""
    assert bench.dataset(small()) is not None
    made = {name: bench.dataset(one, syntax) for name, one in data.items()}
    return {name for name, one in made.items() if one is not None and found_in(one, "patient")}


def test_a_name_in_an_element_of_any_vr_does_not_get_out(bench: Bench) -> None:
    """A name where a code, a number, a time or bytes should be; the tag may be unknown."""
    value = b"x " + LATIN + b" " + ID + b" "
    odd = [*VRS, "XX", "??", "\0\0", "  "]
    data = {f"{tag:08X} {vr}": small(end=element(tag, vr, value)) for tag in TAGS for vr in odd}
    assert leaks(bench, data) == set()


def test_fragments_that_are_no_pixels_do_not_get_out(bench: Bench) -> None:
    """An undefined length where only pixels may have one, and a name in its items."""
    value = ITEM + struct.pack("<L", 0) + ITEM + struct.pack("<L", 12) + LATIN + b" " + END
    data = {
        f"{tag:08X} {vr}": small(end=element(tag, vr, value, UNDEFINED))
        for tag in (*TAGS, 0x00281201, 0x0040A160)
        for vr in ("OB", "OW", "UT", "UC", "UN", "UR")
    }
    assert leaks(bench, data) == set()


def test_an_undefined_length_in_implicit_vr_does_not_get_out(bench: Bench) -> None:
    """What the dictionary takes for text, with items in it."""
    value = ITEM + struct.pack("<L", 12) + LATIN + b" " + END
    head = b"".join(implicit(number, uid) for number, uid in UIDS.items() if number >> 16 == 8)
    head += implicit(0x00100010, LATIN + b" ") + implicit(0x00100020, ID + b" ")
    tags = (*TAGS, 0x00080005, 0x00080016, 0x00080050, 0x00020010, 0x0040A160)
    data = {f"{tag:08X}": head + implicit(tag, value, UNDEFINED) for tag in tags}
    assert leaks(bench, data, part10.IMPLICIT_LITTLE) == set()


def test_what_lies_behind_the_pixels_of_an_image_does_not_get_out(bench: Bench) -> None:
    """Four rows of four pixels, and a name after them; a table of offsets that is none."""
    shape = b"".join(
        element(0x00280000 | n, "US", bytes((v, 0))) for n, v in ((2, 1), (0x10, 4), (0x11, 4), (0x100, 16))
    )
    item = ITEM + struct.pack("<L", 12)
    data = {
        "tail": small(end=shape + element(0x7FE00010, "OW", bytes(32) + LATIN + b" ")),
        "far tail": small(end=shape + element(0x7FE00010, "OW", bytes(90) + LATIN + b" ")),
        "offsets": small(
            end=shape + element(0x7FE00010, "OB", item + LATIN + b" " + item + bytes(12) + END, UNDEFINED)
        ),
    }
    assert leaks(bench, data) == set()


def test_elements_twice_and_out_of_order_do_not_get_out(bench: Bench) -> None:
    """The second PatientName, and a patient behind the pixels."""
    other = PATIENT.replace(b"4711-0815", b"4711.0815")
    for data in (
        small(middle=PATIENT),
        small(end=element(0x7FE00010, "OW", bytes(8)) + PATIENT + other),
        PATIENT + FIRST + LAST,
        LAST + PATIENT + FIRST,
        small(end=FIRST + LAST),
        small(end=element(0x00080005, "CS", b"ISO_IR 192") + element(0x0018103E, "LO", "Müller^Jörg".encode())),
    ):
        made = bench.dataset(data)
        assert made is None or found_in(made, "patient") == set()
        if made is not None:
            output = pydicom.dcmread(io.BytesIO(made))
            assert str(output.PatientName) == output.PatientID != ""


def test_odd_lengths_do_not_get_out(bench: Bench) -> None:
    """A name of eleven bytes, an ID of nine."""
    odd = element(0x00100010, "PN", LATIN) + element(0x00100020, "LO", ID) + element(0x00181030, "LO", b"of " + LATIN)
    made = bench.dataset(FIRST + odd + LAST)
    assert made is None or found_in(made, "patient") == set()


def test_a_character_set_that_is_none_does_not_get_out(bench: Bench) -> None:
    """Its value is copied by whoever thinks that it cannot identify."""
    right = element(0x00080005, "CS", b"ISO_IR 100")
    values = (b"JOERG\\4711-0815 ", b"ISO_IR 100\\4711-0815 ", LATIN + b" ", b"4711-0815\\ISO_IR 192")
    data = {repr(value): small().replace(right, element(0x00080005, "CS", value)) for value in values}
    assert leaks(bench, data) == set()


def test_letters_that_are_none_of_the_character_set_do_not_crash_the_run(bench: Bench) -> None:
    """Cut in the middle of a letter, or in another encoding than the file says."""
    sets = ("ISO_IR 192", "GB18030", "GBK", "ISO_IR 13", "ISO_IR 166", "ISO_IR 100", "ISO_IR 144", "")
    sets += tuple(f"\\ISO 2022 IR {number}" for number in (87, 159, 149, 58, 13, 100, 126))
    chance = random.Random(5)
    right = element(0x00080005, "CS", b"ISO_IR 100")
    escapes = (b"\x1b$B", b"\x1b$(D", b"\x1b$)C", b"\x1b$)A", b"\x1b)I", b"\x1b(J", b"\x1b(B", b"\x1b-A", b"\x1b", b"")
    for name in sets:
        value = name.encode() + b" " * (len(name) % 2)
        for number in range(5):
            parts = (chance.choice(escapes) + bytes(chance.choices(range(33, 256), k=3)) for _ in range(4))
            text = b"".join(parts)[:30].ljust(30)
            found = element(0x00181030, "LO", text) + element(0x00101001, "PN", text)
            data = small(end=found).replace(right, element(0x00080005, "CS", value))
            bench.dataset(data.replace(ID, f"{sets.index(name):04d}-{number:04d}".encode()))  # a patient of its own


def test_a_uid_below_the_standards_root_that_holds_an_id_does_not_get_out(bench: Bench) -> None:
    """The standard's own UIDs are in a register; one with an ID is not."""
    uid = b"1.2.840.10008.9.47110815.1"
    data = {
        f"{tag:08X}": small().replace(element(tag, "UI", old), element(tag, "UI", uid)) for tag, old in UIDS.items()
    }
    for tag in (0x00080014, 0x00200052, 0x0008010C, 0x00081150, 0x00081155):
        data[f"{tag:08X}"] = small(end=element(tag, "UI", uid))
    assert leaks(bench, data) == set()


def test_an_id_where_a_number_or_a_time_should_be_does_not_get_out(bench: Bench) -> None:
    """Some systems count their series by the patient's number."""
    number = b"47110815"
    values = (
        ("IS", 0x00200011, number),
        ("DS", 0x00189918, number),
        ("TM", 0x300A0007, b"JOERG 47110815"),
        ("TM", 0x00080030, number),
        ("DA", 0x300E0004, number),
        ("DT", 0x00189074, number),
        ("AS", 0x00101010, number),
    )
    data = {
        f"{tag:08X} {vr}": small(end=element(tag, vr, value + b" " * (len(value) % 2))) for vr, tag, value in values
    }
    assert leaks(bench, data) == set()


def test_private_elements_in_every_shape_do_not_get_out(bench: Bench) -> None:
    """Without a creator, with the creator of another group, in groups that are too low, as bytes of a sequence."""
    name = LATIN + b" "
    blocks = (
        element(0x00111001, "LO", name),
        element(0x00110010, "LO", name) + element(0x00111001, "DS", b"1 "),
        element(0x00110001, "LO", name),
        element(0x00010010, "LO", name) + element(0x00011001, "LO", name),
        element(0x00070010, "LO", b"ACME") + element(0x00071001, "XX", name),
        element(0x70530010, "LO", b"Philips PET Private Group ") + element(0x70531000, "DS", name),
        element(0x70530010, "LO", b"Philips PET Private Group ") + element(0x70531003, "OB", name),
        element(0x70530010, "LO", b"Philips PET Private Group ") + element(0x70531009, "UN", PATIENT, None),
        element(0xFFFFFFFF, "LO", name),
        element(0x00111001, "SQ", ITEM + struct.pack("<L", len(PATIENT)) + PATIENT),
    )
    assert leaks(bench, {str(number): small(end=block) for number, block in enumerate(blocks)}) == set()


def test_one_that_cannot_be_done_does_not_stop_a_folder(bench: Bench) -> None:
    """The good ones come out, the others are in the report, and nothing of them is in the output."""
    source = bench.folder / "in"
    source.mkdir()
    good = part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6", part10.EXPLICIT_LITTLE) + small()
    for number, data in enumerate((good[:-9], good, bytes(128) + b"DICM", b"Muller", good + b"\x08\0")):
        (source / f"{number} {MUELLER.name}.dcm").write_bytes(data)
    bench.anonymiser.folder(source, to=bench.folder / "out")
    outputs = [path for path in (bench.folder / "out").rglob("*") if path.is_file()]
    assert len(outputs) == 1
    assert found_in(outputs[0].read_bytes(), "patient") == set()
    assert len(list(source.iterdir())) == 5


def test_an_object_of_the_same_study_that_lacks_the_id_names_nobody_either(bench: Bench) -> None:
    """Some systems write objects without PatientID and PatientName into a patient's study."""
    source = bench.folder / "in"
    source.mkdir()
    head = part10.file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6", part10.EXPLICIT_LITTLE)
    nameless = FIRST.replace(b"1.2.3.4.5.6", b"1.2.3.4.5.7") + element(0x00100020, "LO", b"") + LAST
    text = element(0x30020003, "LO", b"of " + LATIN) + element(0x30020004, "ST", b"id " + ID)
    (source / "1.dcm").write_bytes(head + nameless + text)
    (source / "2.dcm").write_bytes(head + small())
    bench.anonymiser.folder(source, to=bench.folder / "out")
    outputs = [path for path in (bench.folder / "out").rglob("*") if path.is_file()]
    assert outputs
    assert {text for path in outputs for text in found_in(path.read_bytes(), "patient")} == set()


# Every attribute that the standard knows


def _everything(values: dict[str, object]) -> Iterator[Dataset]:
    """Data sets with every attribute of the dictionary that can hold these values, some hundred at a time."""
    known = sorted(
        (tag, str(entry[0]))
        for tag, entry in DicomDictionary.items()
        if tag >> 16 not in (0, 2, 4, 0x28, 0x7FE0, 0xFFFE) and str(entry[0]) in values
    )
    skipped = (0x00080001, 0x00080005, 0x00080016, 0x00100010, 0x00100020)
    for start in range(0, len(known), 400):
        made, inner = Dataset(), Dataset()
        made.SpecificCharacterSet = "ISO_IR 100"
        made.SOPClassUID, made.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.2"), UID(f"1.2.3.{start + 1}")
        made.StudyInstanceUID, made.SeriesInstanceUID = UID("1.2.3"), UID("1.2.4")
        made.PatientName, made.PatientID, made.PatientBirthDate = MUELLER.name, MUELLER.id, "19560417"
        made.AccessionNumber = MUELLER.accession
        for tag, vr in known[start : start + 400]:
            if tag not in skipped and tag not in made:
                made.add_new(tag, vr, values[vr])
                inner.add_new(tag, vr, values[vr])
        made.ReferencedRTPlanSequence = [inner]
        yield made


def test_no_attribute_of_the_dictionary_lets_a_name_or_a_birth_date_out(bench: Bench) -> None:
    """All text, dates and bytes that the standard knows, at the top and in a sequence."""
    text = "by Müller^Jörg"
    values: dict[str, object] = {vr: text for vr in ("LO", "LT", "PN", "SH", "ST", "UC", "UT")}
    values |= {"AE": "47110815", "CS": "ID4711_0815", "DA": "19560417", "DT": "19560417101500", "UI": "1.2.47110815.1"}
    values |= {"OB": text.encode("latin-1"), "UN": text.encode("utf-8"), "UR": "http://x/4711-0815/JOERG"}
    leaks = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for made in _everything(values):
            output = bench.dataset(part10.encode(made, part10.EXPLICIT_LITTLE))
            assert output is not None
            if found_in(output, "patient"):
                read = pydicom.dcmread(io.BytesIO(output))
                for path, one in phi_gates.walked(read):
                    if found_in(phi_gates.as_text(one).encode("utf-8"), "patient"):
                        leaks.append(f"{phi_gates.named(path)} {one.VR} {one.keyword}")
                leaks += [] if leaks else [str(found_in(output, "patient"))]
    assert leaks == []


def test_refusals_are_of_the_errors_that_a_run_expects() -> None:
    """Held is a refusal, so that a run goes on after it."""
    assert issubclass(Held, QAFetchError) and issubclass(BadArchive, QAFetchError)
