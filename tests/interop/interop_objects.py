"""The objects that travel, in every encoding that is to be had, and their bytes read without the code under test."""

from __future__ import annotations

import struct
import subprocess
import zlib
from array import array
from collections.abc import Iterable
from copy import copy
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from peers.course import Course, ct_slice, new_series, plan, rt_image
from peers.process import program
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info

from qa_fetch import part10

PATIENT = "QA_INTEROP"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
JPEG_2000, JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
# How DCMTK's tools make the others: program, options, transfer syntax.
COMPRESSORS = {
    "JPEG lossless": ("dcmcjpeg", "1.2.840.10008.1.2.4.70"),
    "JPEG-LS": ("dcmcjpls", "1.2.840.10008.1.2.4.80"),
    "RLE": ("dcmcrle", "1.2.840.10008.1.2.5"),
}
PLAIN = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big endian": BIG_ENDIAN, "deflated": DEFLATED}
PACKED = {"JPEG 2000": JPEG_2000, "JPEG 2000 lossy": JPEG_2000_LOSSY}
SYNTAXES = {**PLAIN, **PACKED, **{name: syntax for name, (_, syntax) in COMPRESSORS.items()}}

BEGAN = datetime(2025, 11, 3, 17, 5)


class Content(NamedTuple):
    """What a Part-10 file holds behind its meta information; a deflated data set is inflated."""

    transfer_syntax: str
    data: bytes


def content(path: Path) -> Content:
    """Read a file with pydicom's meta information and a struct: nothing of qa_fetch."""
    raw = path.read_bytes()
    assert raw[128:132] == b"DICM", path
    assert raw[132:140] == b"\x02\x00\x00\x00UL\x04\x00", path
    start = 144 + int(struct.unpack_from("<L", raw, 140)[0])
    syntax = str(read_file_meta_info(path).TransferSyntaxUID)
    data = raw[start:]
    return Content(syntax, zlib.decompress(data, -zlib.MAX_WBITS) if syntax == DEFLATED else data)


def uid_of(path: Path) -> str:
    """The UID that the meta information names."""
    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)


def contents(paths: Iterable[Path]) -> dict[str, Content]:
    """Files by the UIDs of their objects."""
    return {uid_of(path): content(path) for path in paths}


def expected(datasets: Iterable[Dataset], syntax: str = EXPLICIT) -> dict[str, Content]:
    """What files of these objects hold in a transfer syntax."""
    plain = EXPLICIT if syntax == DEFLATED else syntax
    return {str(one.SOPInstanceUID): Content(syntax, part10.encode(_ordered(one, syntax), plain)) for one in datasets}


def _ordered(dataset: Dataset, syntax: str) -> Dataset:
    """The object with its pixels in the byte order of a transfer syntax: pydicom copies words as they are."""
    if syntax != BIG_ENDIAN or "PixelData" not in dataset:
        return dataset
    turned, pixels = copy(dataset), array("H", dataset.PixelData)
    pixels.byteswap()
    turned["PixelData"] = DataElement(dataset["PixelData"].tag, "OW", pixels.tobytes())
    return turned


def objects() -> list[Dataset]:
    """A plan with its sequences, three images that refer to it, and a slice of 131 kB: longer than any PDU."""
    a_plan = plan("WL_6X", patient=PATIENT, day=date(2025, 9, 1))
    images = new_series(PATIENT, "interop", description="portal images", began=BEGAN)
    slices = new_series(PATIENT, "slices", study="CBCT", began=BEGAN)
    made = [rt_image(a_plan, images, BEGAN.replace(second=20 * n), n + 1, rows=9 + n) for n in range(3)]
    return [a_plan, *made, ct_slice(slices, BEGAN, 1, rows=256)]


def an_image(number: int = 1) -> Dataset:
    """One image whose rows DCMTK's compressors like."""
    course = Course()
    series = new_series(PATIENT, "compressed", began=BEGAN)
    return rt_image(course.wl, series, BEGAN, number, rows=16)


def compressed(dataset: Dataset) -> Dataset:
    """The same image with a payload that passes for JPEG 2000: nobody on the way may look into it."""
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51 not really JPEG 2000 \xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def file_as(name: str, folder: Path, number: int = 1) -> Path:
    """The image as a file in one of the encodings of ``SYNTAXES``; Missing without DCMTK's compressors."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace(' ', '-')}.dcm"
    if name in PLAIN:
        part10.write(_ordered(an_image(number), PLAIN[name]), path, PLAIN[name])
    elif name in PACKED:
        part10.write(compressed(an_image(number)), path, PACKED[name])
    else:
        tool, syntax = COMPRESSORS[name]
        plain = file_as("explicit", folder, number)
        done = subprocess.run([program(tool, "dcmtk"), str(plain), str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert content(path).transfer_syntax == syntax
    return path


def write_all(datasets: Iterable[Dataset], folder: Path, syntax: str = EXPLICIT) -> list[Path]:
    """Files of some objects, each under its UID."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dataset in datasets:
        paths.append(folder / f"{dataset.SOPInstanceUID}.dcm")
        part10.write(dataset, paths[-1], syntax)
    return paths
