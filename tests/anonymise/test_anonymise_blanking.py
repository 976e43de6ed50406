"""Regions of native pixels become black in every layout, and text inside compressed pixels is found."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from qa_fetch.anonymise.blanking import Region, blanked, comments_in
from qa_fetch.anonymise.pixels import Header
from qa_fetch.errors import BadArchive
from qa_fetch.part10 import EXPLICIT_BIG, EXPLICIT_LITTLE

JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
IMAGE = Header(
    PhotometricInterpretation="MONOCHROME2",
    SamplesPerPixel=1,
    Rows=6,
    Columns=8,
    BitsAllocated=8,
    BitsStored=8,
    HighBit=7,
)
REGIONS = [Region(1, 1, 3, 2), Region(3, 2, 100, 2), Region(0, 5, 8, 1)]


def inside(x: int, y: int) -> bool:
    return any(r.x <= x < r.x + r.width and r.y <= y < r.y + r.height for r in REGIONS)


@pytest.mark.parametrize("order", [EXPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize(
    ("photometric", "signed", "bits", "stored", "black"),
    [
        ("MONOCHROME2", 0, 8, 8, (0,)),
        ("MONOCHROME2", 1, 16, 12, (0,)),
        ("MONOCHROME1", 0, 8, 8, (255,)),
        ("MONOCHROME1", 0, 16, 12, (4095,)),
        ("MONOCHROME1", 1, 16, 12, (2047,)),
        ("MONOCHROME2", 0, 32, 32, (0,)),
        ("MONOCHROME1", 0, 32, 32, (2**32 - 1,)),
        ("PALETTE COLOR", 0, 8, 8, (0,)),
        ("RGB", 0, 8, 8, (0, 0, 0)),
        ("YBR_FULL", 0, 16, 16, (0, 1 << 15, 1 << 15)),
    ],
)
@pytest.mark.parametrize("planar", [0, 1])
def test_regions_are_black_in_every_frame_and_nothing_else_changes(
    order, photometric, signed, bits, stored, black, planar
):
    """Pixel by pixel: inside a region black as it is stored, outside as it was, in either byte order."""
    samples, frames, rows, columns = len(black), 3, 6, 8
    facts = replace(
        IMAGE,
        transfer_syntax=order,
        PhotometricInterpretation=photometric,
        PixelRepresentation=signed,
        BitsAllocated=bits,
        BitsStored=stored,
        HighBit=stored - 1,
        SamplesPerPixel=samples,
        PlanarConfiguration=planar,
        NumberOfFrames=frames,
    )
    layout = (">" if order == EXPLICIT_BIG else "<") + {8: "B", 16: "H", 32: "L"}[bits] * (
        frames * rows * columns * samples
    )
    before = struct.pack(layout, *([7] * (frames * rows * columns * samples)))
    after = struct.unpack(layout, blanked(before, facts, REGIONS))
    for number, value in enumerate(after):
        frame, rest = divmod(number, rows * columns * samples)
        sample, pixel = divmod(rest, rows * columns) if planar else (rest % samples, rest // samples)
        y, x = divmod(pixel, columns)
        wide = bits == 8 and order == EXPLICIT_BIG  # whole words there: a neighbour may be blanked too
        if inside(x, y):
            assert value == black[sample], (frame, y, x, sample)
        elif not wide:
            assert value == 7, (frame, y, x, sample)


def test_bytes_of_big_endian_words_are_blanked_whole():
    """Bytes of 8-bit big-endian pixels may be swapped in words of OW, so each word that a region touches is blanked."""
    facts = replace(IMAGE, transfer_syntax=EXPLICIT_BIG, Rows=1, Columns=7)
    assert blanked(b"\7" * 7 + b"\0", facts, [Region(1, 0, 1, 1), Region(6, 0, 1, 1)]) == b"\0\0\7\7\7\7\0\0"
    assert blanked(b"\7" * 7, facts, [Region(6, 0, 1, 1)]) == b"\7" * 6 + b"\0"


def test_high_bits_of_monochrome1_are_set_where_they_are_stored():
    """Pixels that are stored in the upper bits of a word are black in these."""
    facts = replace(
        IMAGE, PhotometricInterpretation="MONOCHROME1", BitsAllocated=16, BitsStored=12, HighBit=15, Rows=1, Columns=1
    )
    assert blanked(b"\0\0", facts, [Region(0, 0, 1, 1)]) == b"\xf0\xff"


def test_padding_stays_and_regions_beyond_the_image_are_clipped():
    """A padded odd length stays as it is, and what of a region lies beyond the image is not there."""
    facts = replace(IMAGE, Rows=1, Columns=3)
    assert (
        blanked(b"\7\7\7\x09", facts, [Region(2, 0, 50, 50), Region(9, 9, 1, 1), Region(-4, 0, 5, 1)]) == b"\0\7\0\x09"
    )


@pytest.mark.parametrize(
    ("length", "frames", "asked"), [(47, 1, 48), (50, 1, 48), (48, 0, 0), (48, 2, 96), (49, 1, 48)]
)
def test_pixels_of_another_length_are_a_bad_archive(length, frames, asked):
    """Pixels that are not as long as the header says are not blanked in the wrong place."""
    with pytest.raises(BadArchive) as caught:
        blanked(b"\7" * length, replace(IMAGE, NumberOfFrames=frames), REGIONS)
    assert str(caught.value) == (
        f"an image has {length} bytes of pixels where its Rows, Columns and NumberOfFrames ask for {asked}. "
        "Fetch or export it again."
    )


def segment(marker: int, value: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(value) + 2) + value


def encapsulated(*fragments: bytes) -> bytes:
    whole = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(one)) + one for one in (b"", *fragments))
    return whole + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x12\xff\x00\x34\xff\xd0\x56"


def test_text_of_jpeg_segments_is_found_in_every_fragment():
    """Comments and application segments before and between scans, and what follows the image, are given."""
    first = b"\xff\xd8" + segment(0xE1, b"Exif Doe") + b"\xff" + segment(0xFE, b"DOE^JANE") + segment(0xDB, b"\0" * 65)
    second = b"\xff\xd8" + SCAN + segment(0xFE, b"between") + SCAN + b"\xff\xd9trailer\0\0"
    found = list(comments_in(encapsulated(first + SCAN + b"\xff\xd9\0", second, b"\x01\x02"), JPEG))
    assert found == [b"Exif Doe", b"DOE^JANE", b"between", b"trailer"]


def codestream(length: int) -> bytes:
    tile = struct.pack(">BBHHLBB", 0xFF, 0x90, 10, 0, length, 0, 1) + segment(0x64, b"\0\1in a tile") + b"\xff\x93"
    return b"\xff\x4f" + segment(0x51, b"\0" * 38) + segment(0x64, b"\0\1DOE") + tile + b"\xff\x64\0\x09data"


def test_text_of_jpeg_2000_is_found_and_its_data_is_not_taken_for_text():
    """Comments of the main header and of tiles are given, coded data that looks like one is not."""
    whole = codestream(12 + 15 + 2 + 8) + b"\xff\xd9after"
    assert list(comments_in(encapsulated(whole), JPEG_2000)) == [b"DOE", b"in a tile", b"after"]
    assert list(comments_in(encapsulated(codestream(0)), JPEG_2000)) == [b"DOE", b"in a tile"]


def test_text_of_boxes_around_a_codestream_is_found():
    """Some writers put a whole JP2 file where a codestream belongs."""
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    boxes = signature + struct.pack(">L4s", 16, b"xml ") + b"<n>Doe/>" + struct.pack(">L4s", 0, b"jp2c") + codestream(0)
    assert list(comments_in(encapsulated(boxes), JPEG_2000))[1:] == [b"<n>Doe/>", b"DOE", b"in a tile"]


def test_lengths_that_lie_do_not_matter():
    """Every way to cut compressed pixels short ends without an error, and native pixels hold no segments."""
    whole = encapsulated(b"\xff\xd8" + segment(0xFE, b"DOE") + SCAN + b"\xff\xd9x", codestream(7), codestream(1 << 31))
    for end in range(len(whole)):
        assert b"".join(comments_in(whole[:end], JPEG)) in b"DOExDOEin a tileDOEin a tile"
    assert list(comments_in(encapsulated(b"\xff\xd8\xff\xfe\0\0DOE"), JPEG)) == [b""]
    assert list(comments_in(whole, EXPLICIT_LITTLE)) == []
