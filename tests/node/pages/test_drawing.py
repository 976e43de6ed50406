"""Pictures of objects, made without numpy and looked into pixel by pixel."""

from __future__ import annotations

import struct
import zlib
from array import array
from pathlib import Path
from typing import Any

import node_objects as objects
import pytest
from node_objects import uid

from qa_fetch import part10
from qa_fetch.node.web import drawing

COMPRESSED = (
    "its pixels are compressed in a way that this installation cannot read. "
    "Install pylibjpeg with its plugins beside the node, or look at it with a DICOM viewer."
)


def decoded(png: bytes) -> tuple[int, int, list[list[int]]]:
    """Width, height and rows of a PNG whose rows are not filtered."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, header = 8, b"", b""
    while at < len(png):
        (length,), kind = struct.unpack(">L", png[at : at + 4]), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + length]
        assert struct.unpack(">L", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + content),)
        header, data = (content if kind == b"IHDR" else header), data + (content if kind == b"IDAT" else b"")
        at += 12 + length
    width, height, depth, colour = struct.unpack(">LLBB", header[:10])
    raw, step = zlib.decompress(data), width * (3 if colour == 2 else 1) + 1
    assert depth == 8 and len(raw) == step * height
    return width, height, [list(raw[row * step + 1 : (row + 1) * step]) for row in range(height)]


def drawn(folder: Path, syntax: str = part10.EXPLICIT_LITTLE, how: Any = None, **values: Any) -> list[list[int]]:
    """The levels of a small image with these attributes."""
    path = objects.file(folder, objects.image(**{"Rows": 1, "Columns": 3, **values}), syntax)
    return decoded(drawing.png(path, **(how or {})))[2]


def words(code: str, *values: int) -> bytes:
    """Pixels of 16 or 32 bits in little endian."""
    return b"".join(struct.pack(f"<{code}", value) for value in values)


def test_without_a_window_the_lowest_value_is_black_and_the_highest_white(tmp_path: Path) -> None:
    """Whatever they are."""
    assert drawn(tmp_path, PixelData=words("H", 100, 300, 500)) == [[0, 128, 255]]


def test_the_window_of_the_object_decides(tmp_path: Path) -> None:
    """In the units after slope and intercept; values beyond it are black or white."""
    values = {"WindowCenter": ["40", "300"], "WindowWidth": ["400", "1500"], "RescaleSlope": "2"}
    pixels = words("h", -500, 520, 900)
    levels = drawn(tmp_path, PixelData=pixels, PixelRepresentation=1, RescaleIntercept="-1000", **values)
    assert levels == [[0, 128, 255]]


def test_a_window_that_is_asked_for_comes_before_the_objects_own(tmp_path: Path) -> None:
    """Centre 200, width 101: from 150 to 250, less the half value of the standard."""
    levels = drawn(tmp_path, how={"window": (200.5, 101)}, PixelData=words("H", 150, 200, 250), WindowWidth="1")
    assert levels == [[0, 128, 255]]


def test_a_window_that_is_none_is_refused(tmp_path: Path) -> None:
    """Not drawn as something else."""
    for window in ((0.0, 0.0), (float("nan"), 5.0), (1.0, float("inf"))):
        with pytest.raises(drawing.NoPicture) as caught:
            drawn(tmp_path, how={"window": window}, PixelData=words("H", 1, 2, 3))
        assert str(caught.value) == "its window makes no sense. Give a centre, and a width above 0."


def test_monochrome1_and_a_falling_slope_are_shown_as_they_are_meant(tmp_path: Path) -> None:
    """Either turns the levels round; both together do not."""
    pixels = words("H", 100, 300, 500)
    falling = {"RescaleSlope": "-1", "RescaleIntercept": "0"}
    assert drawn(tmp_path, PixelData=pixels, PhotometricInterpretation="MONOCHROME1") == [[255, 127, 0]]
    assert drawn(tmp_path, PixelData=pixels, **falling) == [[255, 127, 0]]
    assert drawn(tmp_path, PixelData=pixels, PhotometricInterpretation="MONOCHROME1", **falling) == [[0, 128, 255]]


def test_bits_that_are_not_stored_are_not_seen(tmp_path: Path) -> None:
    """Overlays of old devices lie in them."""
    pixels = words("H", 0xF000, 0x0800, 0x0FFF)
    assert drawn(tmp_path, PixelData=pixels, BitsStored=12, HighBit=11) == [[0, 128, 255]]
    high = words("H", 0x000F, 0x8000, 0xFFF0)
    assert drawn(tmp_path, PixelData=high, BitsStored=12, HighBit=15) == [[0, 128, 255]]


def test_pixels_of_8_and_of_32_bits(tmp_path: Path) -> None:
    """The second are a dose's."""
    small = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "Columns": 4}
    assert drawn(tmp_path, PixelData=bytes((10, 60, 110, 110)), **small) == [[0, 128, 255, 255]]
    large = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}
    assert drawn(tmp_path, PixelData=words("L", 0, 2_000_000_000, 4_000_000_000), **large) == [[0, 128, 255]]


def test_the_padding_around_a_scan_does_not_count(tmp_path: Path) -> None:
    """It would turn everything else white."""
    values = {"PixelRepresentation": 1, "PixelPaddingValue": -2000, "Columns": 4}
    assert drawn(tmp_path, PixelData=words("h", -2000, 0, 50, 100), **values) == [[0, 0, 128, 255]]


def test_colours_in_pixels_and_in_planes(tmp_path: Path) -> None:
    """Both come out as the same picture."""
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    colour.update(BitsAllocated=8, BitsStored=8, HighBit=7, Columns=2)
    assert drawn(tmp_path, PixelData=bytes((1, 2, 3, 4, 5, 6)), PlanarConfiguration=0, **colour) == [[1, 2, 3, 4, 5, 6]]
    assert drawn(tmp_path, PixelData=bytes((1, 4, 2, 5, 3, 6)), PlanarConfiguration=1, **colour) == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("syntax", [part10.IMPLICIT_LITTLE, part10.DEFLATED])
def test_every_plain_encoding_gives_the_same_picture(tmp_path: Path, syntax: str) -> None:
    """Implicit and deflated as well as explicit."""
    assert drawn(tmp_path, syntax, PixelData=words("H", 100, 300, 500)) == [[0, 128, 255]]


def test_one_frame_of_several(tmp_path: Path) -> None:
    """Each with its own levels, and a sentence for the one that is not there."""
    values = {"NumberOfFrames": "2", "PixelData": words("H", 1, 1, 3, 5, 9, 9), "WindowCenter": "", "WindowWidth": ""}
    assert drawn(tmp_path, how={"frame": 2}, **values) == [[0, 255, 255]]
    with pytest.raises(drawing.NoPicture) as caught:
        drawn(tmp_path, how={"frame": 3}, **values)
    assert str(caught.value) == "it has no frame with this number. Ask for one from 1 to 2."


def test_a_thumbnail_keeps_the_shape_and_the_levels(tmp_path: Path) -> None:
    """A quarter of the size, with the mean of what lies there."""
    pixels = array("H", [1000 * (x >= 20) for _ in range(20) for x in range(40)]).tobytes()
    path = objects.file(tmp_path, objects.image(Rows=20, Columns=40, PixelData=pixels))
    assert decoded(drawing.png(path, size=10)) == (10, 5, [[0] * 5 + [255] * 5] * 5)


def test_a_thumbnail_is_kept_and_drawn_again_where_it_is_gone(tmp_path: Path) -> None:
    """Under the digest of its object."""
    path = objects.file(tmp_path, objects.image())
    first = drawing.thumbnail(path, "ab" * 32, tmp_path / "kept")
    path.unlink()
    assert drawing.thumbnail(path, "ab" * 32, tmp_path / "kept") == first
    assert [each.name for each in tmp_path.glob("kept/ab/*")] == ["ab" * 32 + ".png"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"Rows": 65535, "Columns": 65535},
            "its pixels are fewer than its rows and columns say. Send it again from its source.",
        ),
        ({"Rows": 0}, "it has no pixels."),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "its pixels are of a sort that is not drawn here (grey values of 8, 16 or 32 bits and RGB are). "
            "Look at it with a DICOM viewer.",
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    """In one sentence and what to do."""
    with pytest.raises(drawing.NoPicture) as caught:
        drawn(tmp_path, **values)
    assert str(caught.value) == message


def test_compressed_pixels_that_nobody_here_can_read_say_so(tmp_path: Path) -> None:
    """Also where a decoder is installed and the pixels are not what they claim."""
    path = objects.file(tmp_path, objects.compressed(objects.image()), objects.JPEG_2000)
    with pytest.raises(drawing.NoPicture) as caught:
        drawing.png(path)
    assert str(caught.value) == COMPRESSED


def test_a_plan_and_a_file_that_is_gone_have_no_picture(tmp_path: Path) -> None:
    """Neither is an error of the node."""
    with pytest.raises(drawing.NoPicture) as caught:
        drawing.png(objects.file(tmp_path, objects.plan()))
    assert str(caught.value) == "it has no pixels."
    with pytest.raises(drawing.NoPicture) as caught:
        drawing.png(tmp_path / uid(9))
    gone = "its file cannot be read (No such file or directory). Run: qa-fetch node data verify"
    assert str(caught.value) == gone


@pytest.mark.parametrize("number", ["1e300", "nan", "-1e-300", "9" * 400, "\\", "x"])
def test_absurd_numbers_of_a_header_harm_nobody(tmp_path: Path, number: str) -> None:
    """There is some picture, and no error."""
    keywords = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
    for keyword in keywords:
        values = {"WindowCenter": "1", "WindowWidth": "2", "RescaleSlope": "1", "RescaleIntercept": "0"}
        dataset = objects.image(Rows=1, Columns=3, PixelData=words("H", 1, 2, 3), **values)
        dataset.add_new(keyword, "LO", number)
        assert len(decoded(drawing.png(objects.file(tmp_path, dataset)))[2][0]) == 3
