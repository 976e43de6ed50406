"""Nodes that serve DICOMweb."""

from __future__ import annotations

from collections.abc import Iterator

import node_client as client
import node_objects as objects
import pytest
from dicomweb_asking import FRAMES
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess
from qa_fetch.node.options import Bounds, Web


def implicit() -> Dataset:
    """An image of QA3 that is stored in implicit little endian."""
    return objects.image(3, 1, 2, 1)


def deflated() -> Dataset:
    """One of QA3 that is stored deflated."""
    return objects.image(3, 1, 3, 1)


def frames() -> Dataset:
    """One of QA3 with three frames, not compressed."""
    return objects.image(3, 1, 4, 1, NumberOfFrames=3, PixelData=bytes(range(96)))


def compressed() -> Dataset:
    """One of QA3 with two frames, of which one has two fragments."""
    dataset = objects.image(3, 1, 5, 1, NumberOfFrames=2)
    dataset = objects.compressed(dataset)
    dataset.PixelData = encapsulate(list(FRAMES), fragments_per_frame=2, has_bot=True)
    return dataset


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that serves what the library holds, and QA3's images in several encodings; read-only."""
    folder = tmp_path_factory.mktemp("web")
    with NodeProcess(NodeOptions(folder / "node", port=0, web=Web(port=0))) as running:
        stored = client.store(running.port, *objects.content(), frames())
        for dataset, syntax in ((implicit(), part10.IMPLICIT_LITTLE), (deflated(), part10.DEFLATED)):
            stored += client.store(running.port, dataset, syntax=syntax)
        packed = compressed()
        data = objects.encoded(packed, objects.JPEG_2000)
        uid = str(packed.SOPInstanceUID)
        stored.append(client.store_bytes(running.port, objects.RTIMAGE, uid, data, objects.JPEG_2000))
        assert set(stored) == {0}
        yield running


@pytest.fixture(scope="module")
def taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that takes objects of up to a megabyte over the web."""
    folder = tmp_path_factory.mktemp("taking")
    options = NodeOptions(
        folder / "node",
        port=0,
        bounds=Bounds(object_megabytes=1),
        web=Web(port=0, read_only=False),
        log=folder / "node.log",
    )
    with NodeProcess(options) as running:
        yield running
