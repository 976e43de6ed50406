"""Orthanc as our archive, as a sender to our receiver, and as a client of our node."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interop_objects import BEGAN, PATIENT, SYNTAXES, content, contents, expected, file_as, uid_of
from interop_ours import TITLE, Inbox, StartNode
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from pydicom.dataset import Dataset

from qa_fetch import Archive

_UNCOMPRESSED_ONLY = {"TranscodeDicomProtocol": False}  # what it has leaves as it is, or not at all


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    """A real Orthanc that knows us as a destination; it serves both transports."""
    try:
        peer = Orthanc({TITLE: (LOOPBACK, free_port())}, options=_UNCOMPRESSED_ONLY)
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        yield peer


@pytest.mark.parametrize("way", ["get", "move"])
def test_what_orthanc_was_sent_it_gives_back_byte_for_byte(
    transport: str, orthanc: Orthanc, files: list[Path], datasets: list[Dataset], way: str
) -> None:
    """By patient, by session and by plan, each way."""
    port = orthanc.destinations[TITLE][1]
    archive = Archive(orthanc.address, local_ae_title=TITLE, local_port=port, retrieve=way)
    archive.send(files)
    assert contents(archive.patient(PATIENT).files) == expected(datasets)
    images = archive.latest(PATIENT, plan="WL_6X", on=BEGAN.date())
    assert contents(images.files) == expected(datasets[1:4])


def _forget(orthanc: Orthanc) -> None:
    for patient in orthanc.rest("GET", "/patients"):
        orthanc.rest("DELETE", f"/patients/{patient}")


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("name", SYNTAXES)
def test_every_encoding_comes_back_from_orthanc_untouched(
    transport: str, orthanc: Orthanc, tmp_path: Path, name: str, way: str
) -> None:
    """Sent, kept and fetched as it was made."""
    _forget(orthanc)
    path = file_as(name, tmp_path / "made")
    port = orthanc.destinations[TITLE][1]
    archive = Archive(orthanc.address, local_ae_title=TITLE, local_port=port, retrieve=way)
    archive.send(path)
    assert contents(archive.patient(PATIENT).files) == {uid_of(path): content(path)}


def _stored_there(orthanc: Orthanc, paths: list[Path]) -> list[str]:
    """Put files into Orthanc without any DICOM network; its names for them."""
    names = []
    for path in paths:
        request = urllib.request.Request(f"{orthanc.url}/instances", data=path.read_bytes(), method="POST")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            names.append(str(json.loads(answer.read())["ID"]))
    return names


@pytest.mark.parametrize("name", ["several", *SYNTAXES])
def test_orthanc_sends_to_our_receiver(
    inbox: Inbox, orthanc: Orthanc, files: list[Path], tmp_path: Path, name: str
) -> None:
    """Through its REST interface, which then says that all were stored."""
    _forget(orthanc)
    paths = files if name == "several" else [file_as(name, tmp_path / "made")]
    stored = _stored_there(orthanc, paths)
    orthanc.rest("PUT", "/modalities/INBOX", [TITLE, LOOPBACK, inbox.port])
    answer = orthanc.rest("POST", "/modalities/INBOX/store", {"Resources": stored, "Synchronous": True})
    assert (answer["InstancesCount"], answer["FailedInstancesCount"]) == (len(paths), 0)
    assert inbox.kept() == contents(paths)
    orthanc.rest("POST", "/modalities/INBOX/echo", {})


@pytest.mark.node
def test_orthanc_finds_and_moves_from_our_node(
    orthanc: Orthanc, node: StartNode, files: list[Path], datasets: list[Dataset]
) -> None:
    """It stores there, asks, and has everything sent back to itself."""
    _forget(orthanc)
    running = node(ORTHANC=orthanc.port)
    orthanc.rest("PUT", "/modalities/NODE", ["QA_NODE", LOOPBACK, running.port])
    orthanc.rest("POST", "/modalities/NODE/echo", {})
    stored = _stored_there(orthanc, files)
    assert orthanc.rest("POST", "/modalities/NODE/store", stored)["FailedInstancesCount"] == 0
    _forget(orthanc)

    question: dict[str, Any] = {"Level": "Study", "Query": {"PatientID": PATIENT}}
    found = orthanc.rest("POST", "/modalities/NODE/query", question)
    answers = orthanc.rest("GET", f"{found['Path']}/answers")
    assert len(answers) == len({str(one.StudyInstanceUID) for one in datasets})
    orthanc.rest("POST", f"{found['Path']}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
    assert sorted(orthanc.rest("GET", "/instances")) == sorted(stored)

    back = Archive(orthanc.rest_address)
    assert contents(back.patient(PATIENT).files) == expected(datasets)
