"""What is sent means the same when it arrives, and what the archive says of it is told."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Callable

import pytest
from peers.course import Course, write_all
from peers.taker import BIG, DEFLATED, EXPLICIT, IMPLICIT, Taker, a_file, dataset_of, problems
from pydicom.dataset import Dataset

from qa_fetch import Archive, part10
from qa_fetch.backends import Sent
from qa_fetch.cli import main

LOOK = "look at what it has before you rely on it"
WARNS = {
    0x0107: "SCRIPTED left out attributes that it does not know (C-STORE 0x0107, a warning). "
    "Its conformance statement lists the attributes it answers",
    0xB000: "SCRIPTED took the object, but not as it was sent (C-STORE 0xB000, a warning). "
    f"Its log says what it changed or left out; {LOOK}",
    0xB006: "SCRIPTED took the object without some of its elements (C-STORE 0xB006, a warning). "
    f"Its log names them; {LOOK}",
    0xB007: "SCRIPTED took the object, but says that it does not fit its SOP class (C-STORE 0xB007, a warning). "
    "Check the object with a DICOM validator; the archive's log names the attribute",
}


def test_words_of_another_byte_order_are_refused_in_whatever_sequence_they_lie(
    course: Course, tmp_path: Path, taker: Taker, takes: Callable[..., None]
) -> None:
    """pydicom would copy them as they stand, which makes other numbers of them."""
    takes(IMPLICIT)
    image = deepcopy(course.newest.images[0])
    image.PixelData = b""
    item = Dataset()
    item.add_new("WaveformData", "OW", b"\x00\x01\x00\x02")
    image.WaveformSequence = [item]
    path = a_file(tmp_path, image, BIG)
    assert problems(Archive(taker.address), [path]) == [
        "an object's pixels cannot be turned from one byte order into the other. "
        "Convert the file to Explicit VR Little Endian first (DCMTK: dcmconv +te)"
    ]
    assert taker.stored == []


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 6", "ISO 2022 IR 6\\ISO 2022 IR 87", "GB18030"])
@pytest.mark.parametrize(("has", "takes_only"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (DEFLATED, IMPLICIT)])
def test_text_that_does_not_fit_its_character_set_arrives_as_it_was(
    course: Course, tmp_path: Path, taker: Taker, takes: Callable[..., None], charset: str, has: str, takes_only: str
) -> None:
    """UTF-8 declared over Latin-1 bytes is common: the encoding of the elements changes, not what they say."""
    takes(takes_only)
    image = deepcopy(course.newest.images[0])
    image.SpecificCharacterSet = "ISO_IR 100"
    image.PatientName = "M\xfcller^X1\x1b(B"
    item = Dataset()
    item.SeriesDescription = "Sch\xe4del"
    image.ReferencedSeriesSequence = [item]
    path = a_file(tmp_path, image, EXPLICIT if has == DEFLATED else has)
    declared = b"ISO_IR 100"
    said = charset.encode().ljust(len(declared))
    assert len(said) % 2 == 0
    data = dataset_of(path)
    where = data.index(declared)
    size = where - 4 if has == IMPLICIT else where - 2
    length = len(said).to_bytes(4 if has == IMPLICIT else 2, "little")
    data = data[:size] + length + said + data[where + len(declared) :]
    if has == DEFLATED:
        data = part10.deflated(data)
    path.write_bytes(part10.file_meta(image.SOPClassUID, image.SOPInstanceUID, has) + data)
    assert problems(Archive(taker.address), [path]) == [""]
    (stored,) = taker.stored
    assert stored.syntax == takes_only
    assert b"M\xfcller^X1\x1b(B" in stored.data and b"Sch\xe4del" in stored.data
    assert said.rstrip() in stored.data


def test_text_of_unknown_vr_and_in_private_elements_arrives_as_it_was() -> None:
    """pydicom would look up what it is, read it in the declared character set, and write something else."""
    explicit = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192\x08\x00\x30\x10UN\x00\x00\x08\x00\x00\x00M\xfcller 1"
    implicit = part10.transcode(explicit, EXPLICIT, IMPLICIT)
    assert implicit.endswith(b"\x08\x00\x30\x10\x08\x00\x00\x00M\xfcller 1")
    creator = b"\x51\x00\x10\x00\x12\x00\x00\x00SIEMENS MR HEADER "
    private = implicit[:18] + creator + b"\x51\x00\x0c\x10\x08\x00\x00\x00M\xfcller 1"
    assert part10.transcode(private, IMPLICIT, EXPLICIT).endswith(
        b"\x51\x00\x10\x00LO\x12\x00SIEMENS MR HEADER \x51\x00\x0c\x10UN\x00\x00\x08\x00\x00\x00M\xfcller 1"
    )


@pytest.mark.parametrize("status", WARNS, ids=[f"{status:04X}" for status in WARNS])
def test_what_was_taken_otherwise_than_it_was_sent_is_told(
    course: Course, tmp_path: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive has it, so it counts as sent; but the user hears what the archive says."""
    files = write_all(course.newest.images, tmp_path / "out")
    with Taker(lambda taker, association, uid: status if uid == files[1].stem else 0x0000) as taker:
        assert Archive(taker.address).send(files) == [
            Sent(path, warning=WARNS[status] if path == files[1] else "") for path in files
        ]
        assert main(["send", taker.address, str(files[1])]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("1 sent to SCRIPTED sent with a warning what the archive says")
    assert f"(C-STORE 0x{status:04X}, a warning)" in said
