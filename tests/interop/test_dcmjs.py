"""A JavaScript implementation of DICOM's network: as our archive, and as a client of our receiver and our node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop_objects import BEGAN, EXPLICIT, IMPLICIT, PATIENT, contents, expected, write_all
from interop_ours import TITLE, Inbox, StartNode
from peers.dcmjs import Client, Dcmjs, Wire
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from pydicom import dcmread
from pydicom.dataset import Dataset

from qa_fetch import Archive, Refused

SUCCESS, PENDING = 0x0000, 0xFF00


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """dcmjs-dimse as a client."""
    try:
        return Client(tmp_path / "client")
    except Missing as missing:
        skip_or_fail(missing)


@pytest.fixture
def dcmjs(tmp_path: Path) -> Iterator[Dcmjs]:
    """dcmjs-dimse as an archive that knows us as a destination."""
    try:
        peer = Dcmjs({TITLE: (LOOPBACK, free_port())})
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        yield peer


def _wire(found: dict[str, Any]) -> dict[str, Wire]:
    return {uid: Wire(*one) for uid, one in found.items()}


def _pixels(paths: list[Path]) -> dict[str, bytes]:
    return {str(one.SOPInstanceUID): one.get("PixelData", b"") for one in map(dcmread, paths)}


def _archive(peer: Dcmjs, **fields: Any) -> Archive:
    return Archive(peer.address, local_ae_title=TITLE, local_port=peer.destinations[TITLE][1], **fields)


# --- as a client


@pytest.mark.parametrize("held", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_it_stores_to_our_receiver(
    inbox: Inbox, client: Client, datasets: list[Dataset], tmp_path: Path, held: str
) -> None:
    """What it encodes is what is kept, and the pixels are still those of the file."""
    files = write_all(datasets, tmp_path / "outgoing", held)
    assert client.ask("echo", inbox.port, TITLE) == [{"status": SUCCESS}]
    answers = client.ask("store", inbox.port, TITLE, files=list(map(str, files)))
    assert answers == [{"status": SUCCESS}] * len(files)
    assert _wire(inbox.kept()) == client.sent
    assert _pixels(list(inbox.folder.glob("*.dcm"))) == _pixels(files)


@pytest.mark.node
def test_it_stores_finds_gets_and_moves_at_our_node(
    inbox: Inbox, node: StartNode, client: Client, files: list[Path], datasets: list[Dataset]
) -> None:
    """What it gets, and what is moved to our receiver, is what it stored."""
    running = node(QATRACK=inbox.port)
    assert client.ask("echo", running.port, "QA_NODE") == [{"status": SUCCESS}]
    client.ask("store", running.port, "QA_NODE", files=list(map(str, files)))
    image = datasets[1]
    keys = {"PatientID": PATIENT, "PatientName": "", "SeriesInstanceUID": "", "StudyInstanceUID": ""}
    rows = client.ask("find", running.port, "QA_NODE", level="SERIES", keys=keys)
    assert [row["status"] for row in rows] == [PENDING] * 3 + [SUCCESS]
    assert str(image.SeriesInstanceUID) in {row["row"]["SeriesInstanceUID"] for row in rows[:-1]}

    series = {"study": str(image.StudyInstanceUID), "series": str(image.SeriesInstanceUID)}
    counted = {"completed": 3, "failed": 0}
    last = client.ask("get", running.port, "QA_NODE", **series)[-1]
    assert last == {"status": SUCCESS, **counted}
    last = client.ask("move", running.port, "QA_NODE", destination=TITLE, **series)[-1]
    assert last == {"status": SUCCESS, **counted}
    uids = {str(one.SOPInstanceUID) for one in datasets[1:4]}
    assert client.received.keys() == inbox.kept().keys() == uids
    assert _wire(inbox.kept()) == {uid: wire for uid, wire in client.sent.items() if uid in uids}
    assert client.received == {uid: wire for uid, wire in client.sent.items() if uid in uids}


# --- as an archive


@pytest.mark.parametrize("held", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_it_receives_what_we_send(
    transport: str, dcmjs: Dcmjs, datasets: list[Dataset], tmp_path: Path, held: str
) -> None:
    """The bytes on the wire are those of the file."""
    Archive(dcmjs.address).send(write_all(datasets, tmp_path / "outgoing", held))
    assert dcmjs.received == _wire(expected(datasets, held))


@pytest.mark.parametrize("way", ["get", "move"])
def test_it_gives_back_what_it_was_sent(
    transport: str, dcmjs: Dcmjs, files: list[Path], datasets: list[Dataset], way: str
) -> None:
    """By patient, by session, and by plan: what it encodes is what lies on our shelf."""
    archive = _archive(dcmjs, retrieve=way)
    archive.send(files)
    assert [step.name for step in archive.echo(PATIENT) if step.works is False] == []
    images = archive.latest(PATIENT, plan="WL_6X", on=BEGAN.date())
    assert list(images.uids) == [str(one.SOPInstanceUID) for one in datasets[1:4]]
    everything = archive.patient(PATIENT)
    assert _wire(contents(everything.files)) == dcmjs.sent
    assert _pixels(list(everything.files)) == _pixels(files)


def test_a_called_title_that_it_does_not_know_is_told_in_words(transport: str, dcmjs: Dcmjs) -> None:
    """Its rejection is understood."""
    with pytest.raises(Refused) as caught:
        Archive(f"dimse://WRONG@{LOOPBACK}:{dcmjs.port}").find("STUDY", PatientID=PATIENT)
    assert str(caught.value) == "WRONG says that it is not called WRONG. Correct ae_title of this archive."


def test_a_destination_that_it_does_not_know_is_told_in_words(transport: str, dcmjs: Dcmjs, files: list[Path]) -> None:
    """A801, and what to enter there."""
    archive = Archive(dcmjs.address, local_ae_title="STRANGER", local_port=free_port(), retrieve="move")
    archive.send(files)
    with pytest.raises(Refused, match=r"^DCMJS does not know STRANGER as a destination \(C-MOVE 0xA801\)"):
        archive.patient(PATIENT)
