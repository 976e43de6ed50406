"""Nodes for the tests, each a process of its own, since Django's settings are global."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import node_client as client
import node_objects as objects
import pydicom.config
import pytest

from qa_fetch.node import NodeOptions, NodeProcess


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """An empty node."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=0, log=tmp_path / "node.log")) as running:
        yield running


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with two patients; nothing is stored to it by the tests.

    QA1 has studies 1 and 2, each with a plan and three images; QA2 has study 1 with a plan and one kV image.
    """
    folder = tmp_path_factory.mktemp("library")
    with NodeProcess(NodeOptions(folder / "node", port=0)) as running:
        stored = client.store(running.port, *objects.content())
        assert stored == [0] * len(objects.content())
        yield running


@pytest.fixture(autouse=True)
def hostile_values_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydicom warns about wildcards in codes and about hostile values, which these tests send on purpose."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
