"""pynetdicom's own applications as processes, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interop_objects import (
    BEGAN,
    EXPLICIT,
    IMPLICIT,
    PATIENT,
    Content,
    content,
    contents,
    expected,
    file_as,
    uid_of,
    write_all,
)
from interop_ours import TITLE, Inbox, StartNode
from interop_tools import PynetdicomStorescp, Qrscp, pynetdicom_app
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import Archive


def test_echoscu_and_storescu_reach_our_receiver(inbox: Inbox, files: list[Path], datasets: list[Dataset]) -> None:
    """What storescu sends is kept as it was."""
    to = (LOOPBACK, inbox.port, "-aec", TITLE)
    pynetdicom_app("echoscu", *to)
    pynetdicom_app("storescu", "-cx", *to, files[0].parent)
    assert inbox.kept() == expected(datasets)


@pytest.mark.parametrize("name", ["implicit", "deflated", "RLE", "JPEG 2000"])
def test_storescu_sends_other_encodings(inbox: Inbox, tmp_path: Path, name: str) -> None:
    """Untouched, compressed or not."""
    path = _made(name, tmp_path)
    pynetdicom_app("storescu", "-cx", LOOPBACK, inbox.port, "-aec", TITLE, path)
    assert inbox.kept() == {uid_of(path): content(path)}


def _made(name: str, folder: Path) -> Path:
    try:
        return file_as(name, folder / "made")
    except Missing as missing:
        skip_or_fail(missing)


@pytest.mark.parametrize("prefers", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
@pytest.mark.parametrize("held", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_storescp_gets_what_we_send(
    transport: str, datasets: list[Dataset], tmp_path: Path, held: str, prefers: str
) -> None:
    """In the encoding that it prefers, and where that is not ours, the values are the same."""
    files = write_all(datasets, tmp_path / "outgoing", held)
    options = {EXPLICIT: "-xe", IMPLICIT: "-xi"}[prefers]
    with PynetdicomStorescp(*options.split()) as peer:
        Archive(peer.address).send(files)
        assert peer.kept() == expected(datasets, held if prefers == EXPLICIT else IMPLICIT)


@contextmanager
def _qrscp(port: int) -> Iterator[Qrscp]:
    try:
        peer = Qrscp({TITLE: (LOOPBACK, port)})
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        yield peer


def _in_its_syntax(found: dict[str, Content], datasets: list[Dataset]) -> dict[str, Content]:
    """What the same objects are in the encodings in which they came: its acceptor prefers its own order."""
    return {uid: expected(datasets, one.transfer_syntax)[uid] for uid, one in found.items()}


def test_what_qrscp_was_sent_it_gives_back_by_get(transport: str, files: list[Path], datasets: list[Dataset]) -> None:
    """An archive that ignores most keys, answers once per instance, and fails at lists of UIDs."""
    with _qrscp(free_port()) as peer:
        archive = Archive(peer.address, local_ae_title=TITLE, retrieve="get")
        archive.send(files)
        found = contents(archive.patient(PATIENT).files)
        assert found.keys() == expected(datasets).keys()
        assert found == _in_its_syntax(found, datasets)
        assert set(archive.latest(PATIENT, on=BEGAN.date()).uids) == set(expected(datasets[1:4]))


def test_what_qrscp_was_sent_it_gives_back_by_move(transport: str, files: list[Path], datasets: list[Dataset]) -> None:
    """One object at a time: of a list it says 0xA801, which is not true."""
    port = free_port()
    with _qrscp(port) as peer:
        archive = Archive(peer.address, local_ae_title=TITLE, local_port=port, retrieve="move")
        archive.send(files)
        found = {}
        for dataset in datasets:
            found.update(contents(archive.fetch(instance=str(dataset.SOPInstanceUID)).files))
        assert found.keys() == expected(datasets).keys()
        assert found == _in_its_syntax(found, datasets)


@pytest.mark.node
def test_storescu_getscu_and_movescu_at_our_node(
    inbox: Inbox, node: StartNode, files: list[Path], datasets: list[Dataset], tmp_path: Path
) -> None:
    """What it brings it takes away again, to itself and to our receiver."""
    running = node(QATRACK=inbox.port)
    to = (LOOPBACK, running.port, "-aec", "QA_NODE")
    pynetdicom_app("echoscu", *to)
    pynetdicom_app("storescu", "-cx", *to, files[0].parent)
    got = tmp_path / "got"
    question = ("-k", "QueryRetrieveLevel=PATIENT", "-k", f"PatientID={PATIENT}")
    pynetdicom_app("getscu", *to, "-P", *question, "-od", got)
    pynetdicom_app("movescu", *to, "-P", *question, "-aem", TITLE)
    assert inbox.kept() == expected(datasets)
    found = contents(got.iterdir())
    assert found.keys() == expected(datasets).keys()
    assert found == _in_its_syntax(found, datasets)
