"""Both transports, objects to send, and a receiver of ours for those who send to us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import interop_objects as objects
import pytest
from interop_ours import Inbox, StartNode, receiving
from peers.process import LOOPBACK
from pydicom.dataset import Dataset

from qa_fetch.node import NodeOptions, NodeProcess, Peer


@pytest.fixture(params=["own", "pynetdicom"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ours and pynetdicom's, for everything in the test that is ours."""
    monkeypatch.setenv("QA_FETCH_TRANSPORT", str(request.param))
    return str(request.param)


@pytest.fixture(scope="session")
def datasets() -> list[Dataset]:
    """What travels in most tests."""
    return objects.objects()


@pytest.fixture
def files(datasets: list[Dataset], tmp_path: Path) -> list[Path]:
    """The same as files, explicit little endian."""
    return objects.write_all(datasets, tmp_path / "outgoing")


@pytest.fixture
def inbox(transport: str, tmp_path: Path) -> Iterator[Inbox]:
    """A receiver on the transport of the test."""
    with receiving(tmp_path / "inbox") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path) -> Iterator[StartNode]:
    """Start a node of ours that knows some destinations: ``node(QATRACK=inbox.port)``."""
    started: list[NodeProcess] = []

    def start(**destinations: int) -> NodeProcess:
        known = {title: Peer(LOOPBACK, port) for title, port in destinations.items()}
        running = NodeProcess(NodeOptions(data=tmp_path / f"node{len(started)}", port=0, peers=known))
        running.start()
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
