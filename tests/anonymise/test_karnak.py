"""``qa-fetch karnak-tag``: the private block of the Karnak gateway, in every encoding, and nothing else changed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from qa_fetch import part10
from qa_fetch.anonymise.karnak import Tagged, tag
from qa_fetch.errors import ConfigError, NotFound, QAFetchError

SYNTAXES = [part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED]
IDS = {"sub-1234": "P0001", "87262": "P0002"}


def an_object(patient: str = "1234", **more: Any) -> Dataset:
    """A small object with a nested item, which may hold group 000B too."""
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
    made.SOPInstanceUID = generate_uid()
    made.Modality = "OT"
    made.PatientID = patient
    made.PatientName = "Doe^John"
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    made.ReferencedImageSequence = Sequence([item])
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


def write(path: Path, dataset: Dataset, syntax: str = part10.EXPLICIT_LITTLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part10.write(dataset, path, syntax)
    return path


def block(path: Path) -> dict[int, str]:
    """The values of the gateway's block, and its creator's number under 0."""
    found = dcmread(path)
    private = found.private_block(0x000B, "CHUV_DEV_TML")
    return {0: private.block_start >> 8, **{last: text(private[last]) for last in (1, 2, 3) if last in private}}


def text(element: Any) -> str:
    """A value as text; without its VR, as in implicit encodings, pydicom gives the bytes of a private one."""
    value = element.value
    return value.decode("ascii").rstrip(" ") if isinstance(value, bytes) else str(value)


def tags(path: Path) -> list[int]:
    """The tags at the top level, as they are written."""
    with path.open("rb") as file, part10.opened(file, path.name) as whole:
        data = part10.inflated(whole.dataset) if whole.transfer_syntax == part10.DEFLATED else whole.dataset
        return [element.tag for element in part10.elements(data, whole.transfer_syntax)]


def add_private(dataset: Dataset, creator: str, number: int, **values: str) -> None:
    """A private block of group 000B."""
    dataset.add_new(0x000B0000 | number, "LO", creator)
    for last, value in values.items():
        dataset.add_new(0x000B0000 | number << 8 | int(last[1:], 16), "LO", value)


def sentence(kind: type[QAFetchError], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(QAFetchError) as caught:
        tag(*arguments, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_encoding_gets_the_block_at_its_place(tmp_path: Path, syntax: str) -> None:
    """Code, album and days; all else is what it was, and so are file header and source."""
    made = an_object()
    source = write(tmp_path / "in" / "sub-1234" / "one.dcm", made, syntax)
    before = source.read_bytes()
    shifts = tmp_path / "day_shift_T.json"
    shifts.write_text('{"sub-1234": -14}', "utf-8")
    done = tag(tmp_path / "in", tmp_path / "out", new_ids=IDS, album_name="TRIAL17", shifts=shifts)
    assert done == Tagged(files=1, patients=1)
    target = tmp_path / "out" / "sub-1234" / "one.dcm"
    assert block(target) == {0: 0x10, 1: "P0001", 2: "TRIAL17", 3: "-14"}
    assert tags(target) == sorted(tags(target)) and len(tags(target)) == len(tags(source)) + 4
    vrs = {dcmread(target)[0x000B, 0x1000 | last].VR for last in (1, 2, 3)}
    assert vrs == {"UN" if syntax == part10.IMPLICIT_LITTLE else "LO"}
    assert source.read_bytes() == before and stat.S_IMODE(target.stat().st_mode) == 0o600
    tagged = dcmread(target)
    for number in (0x000B0010, 0x000B1001, 0x000B1002, 0x000B1003):
        del tagged[number]
    assert tagged == dcmread(source) and tagged.file_meta == dcmread(source).file_meta


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_tagging_again_replaces_the_block(tmp_path: Path, syntax: str) -> None:
    """The same values give the same file; without shifts an earlier one is gone."""
    path = write(tmp_path / "in" / "one", an_object(), syntax)
    plain = path.read_bytes()
    how: dict[str, Any] = {"in_place": True, "album_name": "A"}
    tag(tmp_path / "in", new_ids=IDS, **how)
    first = path.read_bytes()
    tag(tmp_path / "in", new_ids=IDS, **how)
    assert path.read_bytes() == first != plain
    shifts = tmp_path / "offsets.csv"
    shifts.write_text("pseudonym,offset_days\nX9,-7\n", "utf-8")
    tag(tmp_path / "in", in_place=True, new_ids={"1234": "X9"}, album_name="B", shifts=shifts)
    assert block(path) == {0: 0x10, 1: "X9", 2: "B", 3: "-7"}
    tag(tmp_path / "in", new_ids=IDS, **how)
    assert path.read_bytes() == first


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_private_blocks_of_others_stay(tmp_path: Path, syntax: str) -> None:
    """Ours takes the next number; one of ours is replaced under its own, and data without a creator stay too."""
    first, second, third = an_object(), an_object(), an_object()
    add_private(first, "SOMEBODY", 0x10, _01="theirs")
    add_private(second, "SOMEBODY", 0x11, _01="theirs")
    add_private(second, "CHUV_DEV_TML", 0x10, _01="old", _77="older")
    add_private(second, "CHUV_DEV_TML ", 0x13, _02="oldest")
    third.add_new(0x000B10AA, "LO", "orphan")
    for name, made in (("a", first), ("b", second), ("c", third)):
        write(tmp_path / "in" / name, made, syntax)
    assert tag(tmp_path / "in", in_place=True, new_ids=IDS, album_name="ALBUM").files == 3
    names = [tmp_path / "in" / name for name in "abc"]
    assert [block(path) for path in names] == [{0: n, 1: "P0001", 2: "ALBUM"} for n in (0x11, 0x10, 0x11)]
    groups = [[number & 0xFFFF for number in tags(path) if number >> 16 == 0x000B] for path in names]
    assert groups == [
        [0x10, 0x11, 0x1001, 0x1101, 0x1102],
        [0x10, 0x11, 0x1001, 0x1002, 0x1101],
        [0x11, 0x10AA, 0x1101, 0x1102],
    ]
    assert text(dcmread(names[0])[0x000B, 0x1001]) == text(dcmread(names[1])[0x000B, 0x1101]) == "theirs"


def test_a_group_that_is_full_is_told(tmp_path: Path) -> None:
    """There are 240 blocks."""
    made = an_object()
    for number in range(0x10, 0x100):
        add_private(made, f"CREATOR {number}", number)
    write(tmp_path / "in" / "full.dcm", made)
    done = tag(tmp_path / "in", tmp_path / "out", new_ids=IDS, album_name="A")
    assert done.failed == {
        "full.dcm": "full.dcm: it has no room for another private block in group 000B. Leave it out."
    }
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_tagged_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Unknown patients, none, files that are cut short; what is not DICOM is counted, and links are not followed."""
    folder = tmp_path / "in"
    write(folder / "a.dcm", an_object("87262"))
    write(folder / "b.dcm", an_object("5"))
    write(folder / "c.dcm", an_object(""))
    whole = write(folder / "d.dcm", an_object()).read_bytes()
    (folder / "d.dcm").write_bytes(whole[:-3])
    (folder / "e.dcm").write_bytes(whole[:140])
    (folder / "readme.txt").write_text("hello", "utf-8")
    (folder / "link.dcm").symlink_to(folder / "a.dcm")
    write(folder / "z.dcm", an_object("1234 "))
    done = tag(folder, tmp_path / "out", new_ids=IDS, album_name="A")
    assert done.failed == {
        "b.dcm": "b.dcm: new_ids has no code for its patient. Add it and run again.",
        "c.dcm": "c.dcm: it has no PatientID, so no code fits. Leave it out, or correct it in its archive.",
        "d.dcm": "d.dcm: a data set is cut short: it ends in the middle of an element. Fetch or export it again.",
        "e.dcm": "e.dcm: it is cut short in its file header. Fetch or export it again.",
    }
    assert (done.files, done.patients, done.others) == (2, 2, 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.dcm", "z.dcm"]


def test_one_code_is_for_one_patient(tmp_path: Path) -> None:
    """A text with one code does for one, and shifts that lack somebody are told."""
    for name, patient in (("a", "1234"), ("b", "87262")):
        write(tmp_path / "in" / name, an_object(patient))
    code, shifts = tmp_path / "new_id.txt", tmp_path / "offsets.csv"
    code.write_text("P0009\n", "utf-8")
    shifts.write_text("1234,-7\n", "utf-8")
    assert tag(tmp_path / "in", tmp_path / "out", new_ids=code, album_name="A").failed == {
        "b": "b: new_id.txt gives its code to another patient too. Give each patient a code of its own."
    }
    done = tag(tmp_path / "in", tmp_path / "out", new_ids=IDS, album_name="A", shifts=shifts)
    assert done.failed == {"b": "b: offsets.csv has no days for its patient. Add them and run again."}
    assert (done.files, done.patients) == (1, 1)


def test_letters_of_the_album_need_a_character_set_that_has_them(tmp_path: Path) -> None:
    """They are written in the object's own."""
    write(tmp_path / "in" / "ascii", an_object())
    write(tmp_path / "in" / "greek", an_object(SpecificCharacterSet="ISO_IR 126"))
    write(tmp_path / "in" / "latin", an_object(SpecificCharacterSet="ISO_IR 100"))
    write(tmp_path / "in" / "utf8", an_object(SpecificCharacterSet="ISO_IR 192"))
    done = tag(tmp_path / "in", tmp_path / "out", new_ids=IDS, album_name="Étude")
    told = "its character set has no letters for the album's name. Choose a name of ASCII letters."
    assert done.failed == {name: f"{name}: {told}" for name in ("ascii", "greek")}
    assert {block(tmp_path / "out" / name)[2] for name in ("latin", "utf8")} == {"Étude"}


def test_in_place_replaces_each_file_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its rights; where it cannot be done, the file is the old one and nothing lies beside it."""
    path = write(tmp_path / "in" / "a.dcm", an_object())
    path.chmod(0o640)
    before = path.read_bytes()

    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuse)
        done = tag(tmp_path / "in", in_place=True, new_ids=IDS, album_name="A")
    assert done.failed == {"a.dcm": "a.dcm: this user may not read or write it. Change its rights."}
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])
    assert tag(tmp_path / "in", in_place=True, new_ids=IDS, album_name="A").files == 1
    assert (block(path)[1], stat.S_IMODE(path.stat().st_mode), list(path.parent.iterdir())) == ("P0001", 0o640, [path])


def test_what_a_killed_run_left_behind_goes(tmp_path: Path) -> None:
    """It is neither taken for an object nor kept, since it is a patient's."""
    path = write(tmp_path / "in" / "a.dcm", an_object())
    left = write(tmp_path / "in" / ".qa_fetch.partial" / "x.tmp", an_object("5"))
    assert tag(tmp_path / "in", in_place=True, new_ids=IDS, album_name="A") == Tagged(files=1, patients=1)
    assert not left.parent.exists() and list(path.parent.iterdir()) == [path]


def test_wrong_use_is_told(tmp_path: Path) -> None:
    """Before any file is touched."""
    folder = tmp_path / "in"
    assert sentence(ConfigError, folder, tmp_path / "out", new_ids=IDS, album_name="A") == (
        f"{folder} is not a folder. Name the folder with the DICOM files."
    )
    folder.mkdir()
    (tmp_path / "file").write_text("x", "utf-8")
    assert sentence(NotFound, folder, tmp_path / "out", new_ids=IDS, album_name="A") == (
        f"{folder} holds no DICOM object. Name the folder with the DICOM files."
    )
    for to, in_place in ((None, False), (tmp_path / "out", True)):
        assert sentence(ConfigError, folder, to, in_place=in_place, new_ids=IDS, album_name="A") == (
            "name either a folder for the new files or in place, and not both."
        )
    for to in (folder, folder / "out", tmp_path):
        assert sentence(ConfigError, folder, to, new_ids=IDS, album_name="A") == (
            f"{to} and {folder} lie one within the other. Name a folder outside of it, or use in place."
        )
    assert sentence(ConfigError, folder, tmp_path / "file", new_ids=IDS, album_name="A") == (
        f"{tmp_path}/file is there already and is not a folder. Name another one."
    )
    for album in (" ", "a\\b", "a\nb", "A" * 65):
        assert sentence(ConfigError, folder, tmp_path / "out", new_ids=IDS, album_name=album) == (
            "the album has no name of 1 to 64 printable characters without backslash. Give it one."
        )


# --- the command


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, or 1 with a line for each object that has no block."""
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps(IDS), "utf-8")
    write(tmp_path / "in" / "a.dcm", an_object())
    (tmp_path / "in" / "a.csv").write_text("x", "utf-8")
    how = ("karnak-tag", tmp_path / "in", "--new-ids", ids, "--album", "A")
    ran = Ran(capsys, (*how, "--to", tmp_path / "out"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "1 objects of 1 patients tagged, 0 failed\n1 files left out: not DICOM objects, or links\n"
    write(tmp_path / "in" / "b.dcm", an_object("5"))
    told = "b.dcm: ids.json has no code for its patient. Add it and run again."
    ran = Ran(capsys, (*how, "--in-place"))
    assert (ran.code, ran.err) == (1, f"qa-fetch: {told}\n")
    ran = Ran(capsys, (*how, "--in-place", "--json"))
    assert (ran.code, ran.json) == (1, {"files": 1, "patients": 1, "others": 1, "failed": [told]})


def test_the_command_wants_one_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And codes that can be read."""
    how = ("karnak-tag", tmp_path, "--new-ids", tmp_path / "none.json", "--album", "A")
    assert Ran(capsys, how).code == Ran(capsys, (*how, "--to", "x", "--in-place")).code == 2
    failed(
        Ran(capsys, (*how, "--in-place")),
        2,
        f"{tmp_path}/none.json cannot be read (No such file or directory). Check the path and its permissions.",
    )
