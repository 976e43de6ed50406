"""Archives as tar, compressed tar and folder: sound, hostile and damaged."""

from __future__ import annotations

import errno
import gzip
import io
import os
import random
import tarfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_fetch.errors import BadArchive, NotFound, QAFetchError
from qa_fetch.pinnacle import sources, stores

FILES = {
    "Institution_1/Mount_0/Patient_1/Patient": b"PatientID = 1;\n",
    "Institution_1/Mount_0/Patient_1/Plan_0/plan.Trial": b"Trial ={\n};\n" * 100,
    "Institution_1/Mount_0/Patient_1/Plan_0/empty": b"",
}


def member(name: str, data: bytes = b"", **facts) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar, with any fact of its header set."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, data


def packed(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """The bytes of a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def sound(**options) -> bytes:
    """A tar of the usual files."""
    return packed(*(member(name, data) for name, data in FILES.items()), **options)


def kept(folder: Path, data: bytes, name: str = "a.tar") -> Path:
    """Bytes as a file."""
    path = folder / name
    path.write_bytes(data)
    return path


def contents(path: Path) -> tuple[dict[str, bytes], dict[str, str], object]:
    """Everything that an archive shows."""
    with sources.opened(path) as source:
        return {name: sources.read(source, name) for name in source.names()}, source.refused, source.stop


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_a_tar_of_every_format_shows_its_files(tmp_path, form, squeeze):
    """Compressed or not, with and without ./ in front of names, with long names and folders."""
    long = "Institution_1/" + "x" * 90 + "/" + "y" * 60
    extra = [member("./Institution_1", type=tarfile.DIRTYPE), member("./" + long, b"long")]
    usual = [member("./" + name, data) for name, data in FILES.items()]
    path = kept(tmp_path, squeeze(packed(*extra, *usual, form=form)))
    assert contents(path) == ({**FILES, long: b"long"}, {}, None)


def test_a_folder_shows_its_files(tmp_path):
    """What somebody has unpacked."""
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert contents(tmp_path) == (FILES, {}, None)


def test_names_outside_of_ascii_are_read(tmp_path):
    """UTF-8, and Latin-1 as Solaris wrote it."""
    tar = packed(member("J\xfcrg", b"1"), form=tarfile.GNU_FORMAT)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", encoding="latin-1", format=tarfile.GNU_FORMAT) as other:
        other.addfile(*(lambda info, data: (info, io.BytesIO(data)))(*member("Andr\xe9", b"2")))
    assert contents(kept(tmp_path, tar))[0] == {"J\xfcrg": b"1"}
    assert contents(kept(tmp_path, out.getvalue()))[0] == {"Andr\xe9": b"2"}


@pytest.mark.parametrize(
    ("hostile", "refused"),
    [
        (member("../../etc/passwd", b"x"), {"../../etc/passwd": "its name leads out of the archive"}),
        (member("a/../../b", b"x"), {"a/../../b": "its name leads out of the archive"}),
        (member("/etc/passwd", b"x"), {"/etc/passwd": "its name leads out of the archive"}),
        (member("..\\b", b"x"), {"..\\b": "its name leads out of the archive"}),
        (member("./", b"x"), {"./": "its name leads out of the archive"}),
        (member("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"), {"l": "it is a link or a device"}),
        (member("l", type=tarfile.LNKTYPE, linkname="Patient"), {"l": "it is a link or a device"}),
        (member("d", type=tarfile.CHRTYPE), {"d": "it is a link or a device"}),
        (member("d", type=tarfile.BLKTYPE), {"d": "it is a link or a device"}),
        (member("f", type=tarfile.FIFOTYPE), {"f": "it is a link or a device"}),
        (member("v", type=b"V"), {"v": "it is of an unknown kind"}),
        (member("s", type=tarfile.GNUTYPE_SPARSE), {"s": "it is sparse"}),
        (member("n" * 5000, b"x"), {"n" * 4096: "its name is too long"}),
    ],
)
def test_what_is_no_regular_member_is_refused_and_not_followed(tmp_path, hostile, refused):
    """Escapes, links, devices and sparse members; the files around them are read."""
    tar = packed(member("before", b"1"), hostile, member("behind", b"2"))
    assert contents(kept(tmp_path, tar)) == ({"before": b"1", "behind": b"2"}, refused, None)


def test_a_sparse_member_of_the_newer_sort_is_refused(tmp_path):
    """GNU tar also tells it in an extended header."""
    tar = packed(member("s", b"x", pax_headers={"GNU.sparse.realsize": "9" * 15}), form=tarfile.PAX_FORMAT)
    assert contents(kept(tmp_path, tar)) == ({}, {"s": "it is sparse"}, None)


def test_links_and_devices_in_a_folder_are_refused_and_not_followed(tmp_path):
    """A link to a file, a link to a folder, a pipe."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/Patient").write_bytes(b"1")
    (tmp_path / "a/file").symlink_to("/etc/passwd")
    (tmp_path / "a/folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "a/pipe")
    assert contents(tmp_path / "a") == (
        {"Patient": b"1"},
        {name: "it is a link or a device" for name in ("file", "folder", "pipe")},
        None,
    )


def test_twins_are_read_where_they_hold_the_same_and_refused_where_not(tmp_path):
    """Which of two contents is right cannot be known, so neither is read."""
    twin = "several members have its name but not its content"
    tar = packed(
        *(member("a", b"1"), member("./a", b"1"), member("b", b"1"), member("b", b"2"), member("b", b"1")),
        *(member("c", type=tarfile.SYMTYPE, linkname="a"), member("c", b"3"), member("d", b"4"), member("d", b"44")),
    )
    refused = {"b": twin, "c": "it is a link or a device", "d": twin}
    assert contents(kept(tmp_path, tar)) == ({"a": b"1"}, refused, None)


def lying(size: int) -> bytes:
    """A tar whose second of three members claims another size than it has."""
    first, _ = packed(member("first", b"1")), None
    info, _ = member("second")
    info.size = size
    return first[:1024] + info.tobuf(tarfile.GNU_FORMAT) + b"2" * 512 + packed(member("third", b"3"))


@pytest.mark.parametrize("size", [1 << 40, 1 << 60, 100_000])
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_a_claim_of_more_bytes_than_there_are_is_refused(tmp_path, size, squeeze):
    """A member of an exabyte costs nothing."""
    path = kept(tmp_path, squeeze(lying(size)))
    assert contents(path) == (
        {"first": b"1"},
        {"second": "it claims more bytes than the archive holds"},
        "it has no end mark, so it may be cut short (behind member 2)",
    )


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path, kind):
    """The standard library would."""
    info, _ = member("name", type=kind)
    info.size = 1 << 33
    tar = packed(member("first", b"1"))[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    files, _, stop = contents(kept(tmp_path, tar))
    assert (files, stop) == ({"first": b"1"}, "a member of it has a header that is far too large (behind member 1)")


def test_a_chain_of_headers_without_a_member_ends(tmp_path):
    """Each header says that a longer name follows."""
    info, _ = member("name", type=b"L")
    tar = packed(member("first", b"1"))[:1024] + info.tobuf(tarfile.GNU_FORMAT) * 1000
    assert contents(kept(tmp_path, tar))[2] == "a member of it has too many headers (behind member 1)"


def test_an_archive_of_a_million_members_is_refused_in_little_memory(tmp_path, monkeypatch):
    """It is read no further than to the limit, which is lowered, since tracing memory takes long."""
    monkeypatch.setattr(sources, "_MOST_MEMBERS", 3000)
    path = tmp_path / "many.tar"
    with path.open("wb") as file:
        file.write(member("x")[0].tobuf(tarfile.GNU_FORMAT))
        file.truncate(1 << 34)  # what comes behind is never looked at
        file.seek(512)
        for number in range(3500):
            file.write(member(f"Patient_1/ImageSet_0.DICOM/{number}")[0].tobuf(tarfile.GNU_FORMAT))
    tracemalloc.start()
    with pytest.raises(BadArchive) as raised, sources.opened(path):
        raise AssertionError
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(raised.value) == "many.tar has more than 3,000 files, so it is no archive of Pinnacle and is not read."
    assert peak < 2 << 20


def test_a_folder_of_too_many_files_is_refused(tmp_path, monkeypatch):
    """The limit is lowered, since making so many files takes long."""
    monkeypatch.setattr(sources, "_MOST_MEMBERS", 10)
    (tmp_path / "many").mkdir()
    for number in range(11):
        (tmp_path / "many" / str(number)).touch()
    with pytest.raises(BadArchive) as raised, sources.opened(tmp_path / "many"):
        raise AssertionError
    assert str(raised.value) == "many has more than 10 files, so it is no archive of Pinnacle and is not read."


@pytest.mark.parametrize(
    ("cut", "files", "refused", "stop"),
    [
        (512, 0, 1, "it has no end mark, so it may be cut short (behind member 1)"),
        (700, 1, 0, "it has no end mark, so it may be cut short (behind member 1)"),
        (1100, 1, 0, "it is cut short (behind member 1)"),
        (1024, 1, 0, "it has no end mark, so it may be cut short (behind member 1)"),
        (2000, 1, 1, "it has no end mark, so it may be cut short (behind member 2)"),
    ],
)
def test_a_cut_tar_shows_what_is_there(tmp_path, cut, files, refused, stop):
    """And says that it is cut."""
    found = contents(kept(tmp_path, sound()[:cut]))
    assert (len(found[0]), len(found[1]), found[2]) == (files, refused, stop)


def test_a_cut_gzip_shows_what_is_there(tmp_path):
    """As far as its compressed content goes."""
    noise = os.urandom(100_000)
    data = gzip.compress(packed(member("a", b"1"), member("b", noise), member("c", b"3")))
    assert contents(kept(tmp_path, data[:50_000])) == (
        {"a": b"1"},
        {"b": "it claims more bytes than the archive holds"},
        "it is cut short (behind member 2)",
    )


def test_a_damaged_gzip_and_a_damaged_tar_show_what_is_before(tmp_path):
    """A header that is none ends the reading."""
    tar = bytearray(packed(*(member(name, name.encode()) for name in "abc")))
    tar[1024:1030] = b"\xff" * 6
    assert contents(kept(tmp_path, bytes(tar))) == ({"a": b"a"}, {}, "it is damaged (behind member 1)")
    noise = os.urandom(600_000)
    data = bytearray(gzip.compress(packed(member("a", b"1"), member("b", noise), member("c", b"3"))))
    data[500_000:500_100] = b"\xff" * 100
    files, refused, stop = contents(kept(tmp_path, bytes(data)))
    assert files["a"] == b"1" and "c" not in files
    assert stop in ("its compressed content is damaged (behind member 2)", "it is damaged (behind member 2)")
    assert set(refused) <= {"b"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.tar is no tar archive that can be read. Fetch it again from where it was kept."),
        (b"no tar" * 500, "a.tar is no tar archive that can be read. Fetch it again from where it was kept."),
        (gzip.compress(b"no tar"), "a.tar is no tar archive that can be read. Fetch it again from where it was kept."),
        (b"BZh91AY", "a.tar is compressed with bzip2, which is not read. Unpack it first: bunzip2"),
        (b"\xfd7zXZ\0", "a.tar is compressed with xz, which is not read. Unpack it first: unxz"),
        (b"\x1f\x9d\x90", "a.tar is compressed with compress, which is not read. Unpack it first: uncompress"),
        (b"PK\x03\x04", "a.tar is compressed with zip, which is not read. Unpack it first: unzip"),
    ],
)
def test_what_is_no_tar_is_refused_with_what_to_do(tmp_path, data, message):
    """Nothing of it can be read."""
    with pytest.raises(BadArchive) as raised, sources.opened(kept(tmp_path, data)):
        raise AssertionError
    assert str(raised.value) == message


def test_what_is_not_there_or_no_file_is_named(tmp_path):
    """A path that leads nowhere, a pipe, a file that is not in the archive."""
    with pytest.raises(NotFound) as raised, sources.opened(tmp_path / "none.tar"):
        raise AssertionError
    assert str(raised.value) == f"there is no {tmp_path / 'none.tar'}. Correct its path."
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadArchive) as bad, sources.opened(tmp_path / "pipe"):
        raise AssertionError
    assert str(bad.value) == "pipe is neither a file nor a folder. Correct its path."
    for path in (kept(tmp_path, sound()), tmp_path):
        with sources.opened(path) as source:
            for ask in (source.open, source.size):
                with pytest.raises(NotFound) as absent:
                    ask("../a.tar")
                assert str(absent.value) == (
                    f"{path.name} has no ../a.tar. Look whether the archive is whole: "
                    f"qa-fetch pinnacle list {path.name}"
                )


def test_a_text_that_is_far_too_large_is_not_read(tmp_path):
    """The file is a hole: it takes no room."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a/plan.Trial").open("wb") as file:
        file.truncate((128 << 20) + 1)
    with sources.opened(tmp_path / "a") as source, pytest.raises(BadArchive) as raised:
        sources.read(source, "plan.Trial")
    assert str(raised.value) == (
        "plan.Trial in a is too large for a text of Pinnacle, so it is not read. Check the archive."
    )


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress, None])
@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EIO, "the disk or the share that it lies on"), (errno.EACCES, "the rights of this user")],
)
def test_what_the_system_does_not_read_is_told_from_damage(tmp_path, monkeypatch, squeeze, number, advice):
    """A member, or a file of a folder: named among what is not read, with what the system says."""
    name, data = next(iter(FILES.items()))
    if squeeze is None:
        path = tmp_path / "a"
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(data)
    else:
        path = kept(tmp_path, squeeze(packed(member(name, data))))

    def failing(*_):
        raise OSError(number, os.strerror(number))

    with sources.opened(path) as source:
        file = source.open(name)
        for store in (stores.Plain, stores.Gzip):
            monkeypatch.setattr(store, "read_at", failing)
        with file, pytest.raises(BadArchive) as raised:
            file.read()
        assert str(raised.value) == f"{path.name} cannot be read ({os.strerror(number)}). Check {advice}."
        assert source.refused == {name: f"the system could not read it ({os.strerror(number)})"}


def test_files_of_a_folder_are_closed(tmp_path):
    """Each with what was opened for it; the archive is open no longer than that."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/plan.Trial").write_bytes(b"x")
    with sources.opened(tmp_path / "a") as source:
        file = source.open("plan.Trial")
        with file:
            assert (file.read(), file.seek(0), file.read(5)) == (b"x", 0, b"x")
        assert file.raw._store._file.closed


def test_a_gzip_of_several_members_is_read_in_any_order(tmp_path, monkeypatch):
    """Parts that were compressed one by one; copies of the decompressor are kept, fewer than there is room for."""
    monkeypatch.setattr(stores, "_FIRST_SPACING", 1 << 14)
    monkeypatch.setattr(stores, "_CHUNK", 1 << 12)
    monkeypatch.setattr(stores, "_MOST_PLACES", 8)
    chance = random.Random(7)
    files = {f"f{number}": bytes(chance.choices(b"abcdefgh", k=chance.randrange(20_000))) for number in range(40)}
    tar = packed(*(member(name, data) for name, data in files.items()))
    half = len(tar) // 2
    path = kept(tmp_path, gzip.compress(tar[:half]) + gzip.compress(tar[half:]) + b"\0" * 100)
    with sources.opened(path) as source:
        names = source.names() * 2
        chance.shuffle(names)
        for name in names:
            assert sources.read(source, name) == files[name]
        with source.open("f1") as file:
            file.seek(-10, os.SEEK_END)
            assert (file.read(), file.tell()) == (files["f1"][-10:], len(files["f1"]))
        assert source.stop is None


def test_threads_may_read_from_one_archive(tmp_path):
    """Each gets its own bytes."""
    files = {f"f{number}": bytes([number]) * 50_000 for number in range(20)}
    tar = packed(*(member(name, data) for name, data in files.items()))
    for path in (kept(tmp_path, tar), kept(tmp_path, gzip.compress(tar), "b.tar.gz")):
        with sources.opened(path) as source:
            with ThreadPoolExecutor(8) as pool:
                found = dict(zip(files, pool.map(partial(sources.read, source), files)))
            assert found == files


def test_a_gzip_that_would_fill_a_computer_is_refused(tmp_path, monkeypatch):
    """The limit of four gigabytes is lowered, since it would take seconds."""
    monkeypatch.setattr(stores, "_BOMB_SIZE", 4 << 20)
    path = kept(tmp_path, gzip.compress(packed(member("zeros", bytes(20 << 20)))))
    with pytest.raises(BadArchive) as raised, sources.opened(path):
        raise AssertionError
    assert str(raised.value) == (
        "a.tar would be more than 200 times as large when unpacked, so it is not read. Look where it comes from."
    )


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    st.integers(0, 6000),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_damage_to_a_tar_gives_files_or_a_named_error(tmp_path_factory, changes, cut, squeeze):
    """Bytes are changed and the end is cut."""
    data = bytearray(gzip.compress(sound(form=tarfile.PAX_FORMAT)) if squeeze else sound(form=tarfile.PAX_FORMAT))
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    path = kept(tmp_path_factory.getbasetemp(), bytes(data[: max(1, len(data) - cut)]), "fuzzed.tar")
    try:
        contents(path)
    except QAFetchError as error:
        assert str(error).endswith(".")
