"""MATLAB files, byte by byte, and as scipy reads them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa_fetch.cohort import matlab
from qa_fetch.errors import ConfigError


def written(**variables: Any) -> bytes:
    """A file of these variables."""
    file = io.BytesIO()
    matlab.write(file, variables)
    return file.getvalue()


def elements(data: bytes) -> list[bytes]:
    """The variables of a file, unpacked."""
    found, at = [], 128
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert kind == 15
        found.append(zlib.decompress(data[at + 8 : at + 8 + size]))
        at += 8 + size
    return found


def test_the_head_says_version_5_of_a_little_endian_machine_and_no_time() -> None:
    """The head is that of the specification, and the same variables give the same bytes."""
    data = written(a=1.0)
    assert data[:116].decode("ascii").rstrip() == "MATLAB 5.0 MAT-file, written by qa_fetch"
    assert data[116:124] == bytes(8)
    assert data[124:128] == b"\x00\x01IM"
    assert data == written(a=1.0)


def test_numbers_are_stored_columns_first() -> None:
    """An array of 16-bit integers is what the specification says, bit by bit."""
    (found,) = elements(written(a=np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int16)))
    assert found == b"".join(
        [
            struct.pack("<II", 14, 64),
            struct.pack("<IIII", 6, 8, 10, 0),
            struct.pack("<IIii", 5, 8, 2, 3),
            struct.pack("<HH", 1, 1) + b"a\0\0\0",
            struct.pack("<II6h", 3, 12, 1, 4, 2, 5, 3, 6) + bytes(4),
        ]
    )


def test_logicals_have_their_flag() -> None:
    """A logical array is one of bytes with the flag of logicals; four bytes lie within their head."""
    (found,) = elements(written(a=np.array([[True, False], [True, True]])))
    assert struct.unpack_from("<I", found, 16) == (0x0209,)
    assert found[-8:] == struct.pack("<HH", 2, 4) + b"\1\1\0\1"


def test_texts_are_ascii_or_utf_16() -> None:
    """MATLAB reads a text that is not ASCII only in UTF-16."""
    plain, other, empty = elements(written(a="PTV", b="Lunge ü", c=""))
    assert plain[-8:] == struct.pack("<HH", 16, 3) + b"PTV\0"
    assert other[-24:] == struct.pack("<II", 17, 14) + "Lunge ü".encode("utf-16-le") + bytes(2)
    assert struct.unpack_from("<2i", plain, 32) == (1, 3)
    assert struct.unpack_from("<2i", other, 32) == (1, 7)
    assert struct.unpack_from("<2i", empty, 32) == (0, 0)
    assert empty[-8:] == struct.pack("<II", 16, 0)


def test_structures_and_cells_hold_nameless_arrays() -> None:
    """The names of a structure's fields stand before its values, all of one length."""
    cell, structure = elements(written(c=["A", "B"], s={"mask0": np.zeros((2, 2)), "m": 1}))
    assert struct.unpack_from("<I", cell, 16) == (1,)
    assert struct.unpack_from("<2i", cell, 32) == (1, 2)
    assert struct.unpack_from("<I", structure, 16) == (2,)
    assert structure[48:56] == struct.pack("<HHi", 5, 4, 32)
    assert structure[56:64] == struct.pack("<II", 1, 64)
    assert structure[64:128] == b"mask0".ljust(32, b"\0") + b"m".ljust(32, b"\0")


def test_what_is_made_later_is_made_once_and_not_for_its_size() -> None:
    """An array that is too large is refused before it is made."""
    made = []

    def make() -> Any:
        made.append(1)
        return np.ones((2, 3), dtype=np.bool_)

    assert written(a=matlab.Later((2, 3), np.bool_, make)) == written(a=np.ones((2, 3), dtype=np.bool_))
    assert made == [1]
    with pytest.raises(ConfigError) as error:
        written(roi_masks={f"mask{at}": matlab.Later((150, 512, 512), np.bool_, make) for at in range(60)})
    assert str(error.value) == (
        "roi_masks takes 2.2 GiB, and a MATLAB file of version 5 holds 2 GiB at most. Export it as .npz (picklefiles)."
    )
    with pytest.raises(ConfigError, match="^a takes 2.0 GiB"):
        written(a=matlab.Later((1 << 28,), np.float64, make))
    assert made == [1]


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a b", "ä", "end", "a" * 64])
def test_names_that_matlab_does_not_know_are_refused(name: str) -> None:
    """A variable or field with such a name could not be asked for."""
    said = (
        f"{name!r} can be no name in a MATLAB file. Take a letter, then up to 62 letters, digits and underscores, "
        "and none of MATLAB's own words."
    )
    with pytest.raises(ConfigError) as error:
        written(ok={name: 1})
    assert str(error.value) == said
    if name:
        with pytest.raises(ConfigError) as error:
            written(**{name: 1})
        assert str(error.value) == said


@pytest.mark.parametrize("value, dtype", [(None, "object"), (1j, "complex128"), (np.float16(1), "float16")])
def test_values_without_a_place_are_refused(value: Any, dtype: str) -> None:
    """What MATLAB would read as something else is not written."""
    with pytest.raises(ConfigError) as error:
        written(s={"a": value})
    assert str(error.value) == (
        f"s.a holds {dtype}, which has no place in a MATLAB file. Give numbers, texts, lists of texts, or "
        "structures of these."
    )


@pytest.mark.pymedphys
def test_scipy_reads_everything_back(tmp_path: Path) -> None:
    """Every type of number in every shape, texts, cells and structures come back as they were."""
    from scipy.io import loadmat

    numbers = {
        f"{kind}_{len(shape)}_{np.prod(shape, dtype=int)}": np.arange(np.prod(shape, dtype=int))
        .reshape(shape)
        .astype(kind)
        for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "?")
        for shape in ((2, 3), (2, 3, 4), (1, 1), (0, 3), (2, 2, 2, 2))
    }
    variables: dict[str, Any] = {f"v{name.replace('?', 'bool')}": value for name, value in numbers.items()}
    variables["big_endian"] = np.arange(6, dtype=">i4").reshape(2, 3)
    variables["fortran"] = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    variables["masks"] = {"mask0": np.eye(3, dtype=bool), "mask1": np.ones((2, 1, 3), dtype=np.uint8)}
    variables["names"] = ["PTV", "", "Lunge ü", "x" * 500]
    variables["text"], variables["number"], variables["date"] = "missing", 1.5, 20250901
    file = tmp_path / "a.mat"
    with file.open("wb") as opened:
        matlab.write(opened, variables)
    found = loadmat(str(file), chars_as_strings=True)
    for name, value in variables.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[name], value)
            assert found[name].shape == value.shape and found[name].dtype.kind in (value.dtype.kind, "u")
    assert found["masks"].shape == (1, 1)
    np.testing.assert_array_equal(found["masks"]["mask0"][0, 0], np.eye(3))
    np.testing.assert_array_equal(found["masks"]["mask1"][0, 0], np.ones((2, 1, 3)))
    assert found["names"].shape == (1, 4)
    assert ["".join(each.ravel()) for each in found["names"].ravel()] == variables["names"]
    assert found["text"].tolist() == ["missing"]
    assert found["number"].tolist() == [[1.5]]
    assert found["date"].tolist() == [[20250901]]


def test_large_arrays_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts or at once, the bytes are the same."""
    values = np.arange(2 * 3 * 50, dtype=np.float32).reshape(2, 3, 50)
    whole = elements(written(a=values))
    monkeypatch.setattr(matlab, "_AT_ONCE", 100)
    assert elements(written(a=values)) == whole


@pytest.mark.pymedphys
def test_letters_beyond_the_first_plane_do_not_spoil_the_file() -> None:
    """The name of a region may hold a picture; scipy reads no pairs of units."""
    from scipy.io import loadmat

    file = io.BytesIO()
    matlab.write(file, {"names": ["μ\U0001f600", "Lunge ä", ""]})
    file.seek(0)
    assert [str(each[0]) if each.size else "" for each in loadmat(file)["names"][0]] == ["μ\ufffd", "Lunge ä", ""]
