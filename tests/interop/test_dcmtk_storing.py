"""DCMTK's echoscu, storescu and dcmsend to our receiver, and our ``send`` to its storescp."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_objects import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SYNTAXES,
    content,
    contents,
    expected,
    file_as,
    uid_of,
    write_all,
)
from interop_ours import Inbox
from interop_tools import Storescp, dcmtk, succeeded
from peers.process import LOOPBACK, Missing, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import Archive, Incomplete, Refused


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """Without DCMTK these tests fail in CI, and elsewhere skip with the command that would install it."""
    try:
        dcmtk("echoscu", "--version")
    except Missing as missing:
        skip_or_fail(missing)
    yield


# storescu's options for proposing what each file is encoded in.
PROPOSED = {
    "explicit": "-xe",
    "implicit": "-xi",
    "big endian": "-xb",
    "deflated": "-xd",
    "JPEG lossless": "-xs",
    "JPEG-LS": "-xt",
    "JPEG 2000": "-xv",
    "JPEG 2000 lossy": "-xw",
    "RLE": "-xr",
}


def test_echoscu_is_answered(inbox: Inbox) -> None:
    """Twice over one association."""
    said = succeeded(dcmtk("echoscu", "-aec", inbox.ae_title, "--repeat", 2, LOOPBACK, inbox.port))
    assert said.count("Received Echo Response (Success)") == 2


@pytest.mark.parametrize("name", SYNTAXES)
def test_storescu_sends_every_encoding_and_its_bytes_are_kept(inbox: Inbox, name: str, tmp_path: Path) -> None:
    """Plain ones in the order that the sender prefers, compressed ones untouched."""
    path = file_as(name, tmp_path / "made")
    options = ("-R", PROPOSED[name])  # -R: no other context than the file needs
    said = succeeded(dcmtk("storescu", *options, "-aec", inbox.ae_title, LOOPBACK, inbox.port, path))
    assert "Received Store Response (Success)" in said
    assert inbox.kept() == {uid_of(path): content(path)}


@pytest.mark.parametrize(
    ("options", "syntax"),
    [(["-x="], EXPLICIT), (["-xi"], IMPLICIT), (["-xb", "+C"], BIG_ENDIAN), (["-xd"], DEFLATED)],
    ids=["explicit", "implicit", "big endian", "deflated"],
)
def test_storescu_may_turn_what_it_has_into_another_plain_encoding(
    transport: str, inbox: Inbox, datasets: list[Dataset], files: list[Path], options: list[str], syntax: str
) -> None:
    """What it prefers is agreed on, and arrives so; pynetdicom's acceptor has an order of its own."""
    if transport == "pynetdicom" and syntax == BIG_ENDIAN:
        syntax = EXPLICIT
    succeeded(dcmtk("storescu", *options, "-aec", inbox.ae_title, LOOPBACK, inbox.port, *files))
    assert inbox.kept() == expected(datasets, syntax)


@pytest.mark.parametrize("pdu", [4096, 131072])
def test_storescu_and_dcmsend_with_small_and_large_pdus(
    inbox: Inbox, files: list[Path], datasets: list[Dataset], pdu: int
) -> None:
    """A second sender of the same objects hears that they are kept."""
    to = ("-aec", inbox.ae_title, "--max-send-pdu", pdu, "-pdu", pdu, LOOPBACK, inbox.port)
    succeeded(dcmtk("storescu", *to, *files))
    assert inbox.kept() == expected(datasets)
    said = succeeded(dcmtk("dcmsend", *to, *files))
    assert f"with status SUCCESS : {len(files)}" in said.replace("  ", " ")
    assert inbox.kept() == expected(datasets)


def test_a_sender_that_aborts_instead_of_releasing_loses_nothing(
    inbox: Inbox, files: list[Path], datasets: list[Dataset]
) -> None:
    """What was acknowledged before is kept."""
    dcmtk("storescu", "--abort", "-aec", inbox.ae_title, LOOPBACK, inbox.port, *files)
    assert inbox.kept() == expected(datasets)


ACCEPTS = {
    "whatever is plain": (),
    "preferably little endian": ("+xe",),
    "preferably big endian": ("+xb",),  # it is not offered that, since nothing here is stored so
    "implicit only": ("+xi",),
    "everything": ("+xa",),
    "preferably deflated": ("+xd",),
    "small PDUs": ("-pdu", "4096"),
}


@pytest.mark.parametrize("accepts", ACCEPTS)
@pytest.mark.parametrize("held", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_objects_arrive_in_storescp_as_it_wants_them(
    transport: str, datasets: list[Dataset], tmp_path: Path, accepts: str, held: str
) -> None:
    """As they are stored here where it takes that, else turned into what it takes."""
    files = write_all(datasets, tmp_path / "outgoing", held)
    with Storescp(*ACCEPTS[accepts]) as peer:
        Archive(peer.address).send(files)
        assert peer.kept() == expected(datasets, IMPLICIT if accepts == "implicit only" else held)


def test_a_deflated_object_is_inflated_for_who_takes_no_other(transport: str, tmp_path: Path) -> None:
    """The values are the same, and nothing is lost."""
    path = file_as("deflated", tmp_path / "made")
    with Storescp("+xi") as peer:
        Archive(peer.address).send(path)
        assert peer.kept() == contents([file_as("implicit", tmp_path / "made")])


def test_an_object_in_another_byte_order_is_refused_in_words(transport: str, tmp_path: Path) -> None:
    """Its pixels cannot be turned faithfully here."""
    path = file_as("big endian", tmp_path / "made")
    with Storescp("+xi") as peer:
        with pytest.raises(Incomplete, match="^1 of 1 files were not sent to STORESCP; the first: ") as caught:
            Archive(peer.address).send(path)
        if transport == "own":
            assert "cannot be turned from one byte order into the other" in str(caught.value)
        assert peer.kept() == {}


PREFERS = {
    "deflated": "+xd",
    "big endian": "+xb",
    "JPEG lossless": "+xs",
    "JPEG-LS": "+xt",
    "JPEG 2000": "+xv",
    "JPEG 2000 lossy": "+xw",
    "RLE": "+xr",
}
_NOT_ACCEPTED = (
    r"^1 of 1 files were not sent to STORESCP; the first: "
    r"STORESCP does not accept objects of this class in this transfer syntax\.$"
)


@pytest.mark.parametrize("name", PREFERS)
def test_an_encoding_that_storescp_knows_arrives_untouched(transport: str, tmp_path: Path, name: str) -> None:
    """Nobody looks into it on the way."""
    path = file_as(name, tmp_path / "made")
    with Storescp(PREFERS[name]) as peer:
        Archive(peer.address).send(path)
        assert peer.kept() == {uid_of(path): content(path)}


@pytest.mark.parametrize("name", ["JPEG lossless", "JPEG-LS", "JPEG 2000", "JPEG 2000 lossy", "RLE"])
def test_a_compressed_object_for_a_plain_archive_is_refused_in_words(transport: str, tmp_path: Path, name: str) -> None:
    """Nothing is decompressed in silence, and nothing arrives."""
    path = file_as(name, tmp_path / "made")
    with Storescp() as peer:
        with pytest.raises(Incomplete, match=_NOT_ACCEPTED):
            Archive(peer.address).send(path)
        assert peer.kept() == {}


def test_one_refusal_among_many_does_not_keep_the_others(
    transport: str, files: list[Path], datasets: list[Dataset], tmp_path: Path
) -> None:
    """Each file is accounted for."""
    packed = file_as("RLE", tmp_path / "made")
    with Storescp() as peer:
        with pytest.raises(Incomplete) as caught:
            Archive(peer.address).send([packed, *files])
        assert list(caught.value.missing) == [str(packed)]
        assert peer.kept() == expected(datasets)


def test_a_storescp_that_refuses_the_association_is_told_in_words(transport: str, files: list[Path]) -> None:
    """It gives no reason, and its log does."""
    with Storescp("--refuse") as peer, pytest.raises(Refused) as caught:
        Archive(peer.address).send(files)
    assert str(caught.value) == "STORESCP rejected the association without a usable reason. Its log says why."


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_a_storescp_that_aborts_costs_no_time_and_every_file_is_named(
    transport: str, files: list[Path], option: str
) -> None:
    """An abort is an answer: nobody waits for the end of the budget; pynetdicom may, when it looks away just then."""
    began = time.monotonic()
    with Storescp(option) as peer, pytest.raises(Incomplete) as caught:
        Archive(peer.address, budget=8.0).send(files)
    assert len(caught.value.missing) == len(files)
    if transport == "own":
        assert time.monotonic() - began < 5
        assert "STORESCP dropped the connection or stopped answering" in str(caught.value)
