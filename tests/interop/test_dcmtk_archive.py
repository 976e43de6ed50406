"""DCMTK's dcmqrscp as our archive, and its findscu, movescu and getscu at our node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_objects import BEGAN, PATIENT, SYNTAXES, content, contents, expected, file_as, uid_of
from interop_ours import TITLE, Inbox, StartNode
from interop_tools import dcmtk, succeeded
from peers.dcmqrscp import Dcmqrscp
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from pydicom import dcmread
from pydicom.dataset import Dataset

from qa_fetch import Archive
from qa_fetch.node import NodeOptions, NodeProcess, Peer


@pytest.fixture(scope="module")
def dcmqrscp() -> Iterator[Dcmqrscp]:
    """A real dcmqrscp that knows us as a destination; it serves both transports."""
    try:
        peer = Dcmqrscp({TITLE: (LOOPBACK, free_port())}, options=("-B",))
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        yield peer


@pytest.mark.parametrize("way", ["get", "move"])
def test_what_dcmqrscp_was_sent_it_gives_back_byte_for_byte(
    transport: str, dcmqrscp: Dcmqrscp, files: list[Path], datasets: list[Dataset], way: str
) -> None:
    """By patient and by study, each way; our own conversation is heard by both sides."""
    port = dcmqrscp.destinations[TITLE][1]
    archive = Archive(dcmqrscp.address, local_ae_title=TITLE, local_port=port, retrieve=way)
    archive.send(files)
    assert contents(archive.patient(PATIENT).files) == expected(datasets)
    images = archive.latest(PATIENT, on=BEGAN.date())
    assert contents(images.files) == expected(datasets[1:4])
    assert archive.plan(PATIENT, "WL_6X").dataset.RTPlanLabel == "WL_6X"


def _keys(level: str, **given: str) -> list[str]:
    pairs = {"QueryRetrieveLevel": level, **given}
    return [part for keyword, value in pairs.items() for part in ("-k", f"{keyword}={value}")]


@pytest.mark.node
def test_storescu_getscu_and_movescu_at_our_node(
    inbox: Inbox, node: StartNode, files: list[Path], datasets: list[Dataset], tmp_path: Path
) -> None:
    """What storescu brings, getscu and movescu take away: to themselves, to our receiver."""
    own = free_port()
    running = node(QATRACK=inbox.port, MOVESCU=own)
    to = ("-aec", "QA_NODE", LOOPBACK, running.port)
    succeeded(dcmtk("echoscu", *to))
    succeeded(dcmtk("storescu", *to, *files))
    said = succeeded(dcmtk("findscu", "-S", *_keys("IMAGE", PatientID=PATIENT, SOPInstanceUID=""), *to))
    assert said.count("Find Response:") == len(datasets)

    got, moved = tmp_path / "got", tmp_path / "moved"
    for study in {str(one.StudyInstanceUID) for one in datasets}:
        question = _keys("STUDY", StudyInstanceUID=study)
        for folder, tool in ((got, ("getscu", "+B", "-S")), (moved, ("movescu", "+B", "-S", "+P", str(own)))):
            succeeded(dcmtk(*tool, *question, *to, within=folder))  # movescu's +B knows no -od
        said = succeeded(dcmtk("movescu", "-P", "-aem", TITLE, *_keys("STUDY", StudyInstanceUID=study), *to))
        assert "Received Final Move Response (Success)" in said
    assert contents(got.iterdir()) == contents(moved.iterdir()) == inbox.kept() == expected(datasets)


# storescu's option for proposing an encoding, and movescu's for preferring it as the receiver.
TOLD = {
    "explicit": ("-xe", "+xe"),
    "implicit": ("-xi", "+xi"),
    "big endian": ("-xb", "+xb"),
    "deflated": ("-xd", "+xd"),
    "JPEG lossless": ("-xs", "+xs"),
    "JPEG-LS": ("-xt", "+xt"),
    "JPEG 2000": ("-xv", "+xv"),
    "JPEG 2000 lossy": ("-xw", "+xw"),
    "RLE": ("-xr", "+xr"),
}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for every encoding; it knows movescu."""
    options = NodeOptions(tmp_path_factory.mktemp("node"), port=0, peers={"MOVESCU": Peer(LOOPBACK, free_port())})
    with NodeProcess(options) as running:
        yield running


@pytest.mark.node
@pytest.mark.parametrize("name", SYNTAXES)
def test_every_encoding_goes_through_our_node_untouched(lasting: NodeProcess, tmp_path: Path, name: str) -> None:
    """In by C-STORE, out by C-MOVE to who prefers it."""
    to = ("-aec", "QA_NODE", LOOPBACK, lasting.port)
    path = file_as(name, tmp_path / "made", number=1 + list(SYNTAXES).index(name))
    propose, prefer = TOLD[name]
    succeeded(dcmtk("storescu", "-R", propose, *to, path))
    moved, own = tmp_path / "moved", lasting.options.peers["MOVESCU"].port
    header = dcmread(path, stop_before_pixels=True)
    keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    question = _keys("IMAGE", **{keyword: str(header[keyword].value) for keyword in keywords})
    said = succeeded(dcmtk("movescu", "-P", "+B", prefer, "+P", own, *question, *to, within=moved))
    assert "Received Final Move Response (Success)" in said
    assert contents(moved.iterdir()) == {uid_of(path): content(path)}
