"""The same services with DCMTK's command line tools."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import node_objects as objects
import pytest
from node_client import receiver
from node_objects import uid
from peers.process import Missing, program, skip_or_fail

from qa_fetch import part10
from qa_fetch.node import NodeOptions, NodeProcess, Peer

TOOLS = ("echoscu", "storescu", "findscu", "movescu", "getscu")


@pytest.fixture(scope="module", autouse=True)
def dcmtk() -> None:
    """Without DCMTK these tests fail in CI, and elsewhere skip with the command that would install it."""
    try:
        for name in TOOLS:
            program(name, "dcmtk")
    except Missing as missing:
        skip_or_fail(missing)


def tool(node: NodeProcess, name: str, *arguments: object) -> str:
    """Run one of the tools against the node; it has to succeed."""
    command = [name, "-v", "-aec", "QA_NODE", *map(str, arguments), "127.0.0.1", str(node.port)]
    if name == "storescu":
        command = [name, "-v", "-aec", "QA_NODE", "127.0.0.1", str(node.port), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


def keys(level: str, **given: str) -> list[str]:
    """An identifier as the tools take it."""
    pairs = {"QueryRetrieveLevel": level, **given}
    return [part for keyword, value in pairs.items() for part in ("-k", f"{keyword}={value}" if value else keyword)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node to which storescu sent a plan and two images."""
    folder = tmp_path_factory.mktemp("dcmtk")
    held = [objects.plan(), objects.image(number=1), objects.image(number=2)]
    paths = [objects.file(folder, each) for each in held]
    with receiver("QATRACK") as (port, _):
        options = NodeOptions(folder / "node", port=0, peers={"QATRACK": Peer("127.0.0.1", port)})
        with NodeProcess(options) as node:
            tool(node, "echoscu")
            assert tool(node, "storescu", *paths).count("Received Store Response (Success)") == 3
            yield node


@pytest.mark.parametrize("model", ["-P", "-S"])
def test_findscu_gets_one_answer_per_entity(stored: NodeProcess, model: str) -> None:
    """At every level that its model has."""
    for level, unique, count in (("STUDY", "Study", 1), ("SERIES", "Series", 2), ("IMAGE", "SOP", 3)):
        said = tool(stored, "findscu", model, *keys(level, **{f"{unique}InstanceUID": ""}))
        assert said.count("Find Response:") == count, said
    said = tool(stored, "findscu", model, *keys("IMAGE", SOPInstanceUID="", RTPlanLabel="WL_*"))
    assert uid(1, 1, 1, 1) in said and said.count("Find Response:") == 1


def test_getscu_brings_the_bytes_that_were_stored(stored: NodeProcess, tmp_path: Path) -> None:
    """Bit preserving, all three."""
    said = tool(stored, "getscu", "+B", "-S", "-od", tmp_path, *keys("STUDY", StudyInstanceUID=uid(1, 1)))
    assert "Number of Completed Suboperations : 3" in said
    got = {part10.split(path.read_bytes(), path.name).identity().sop_instance: path for path in tmp_path.iterdir()}
    for image in (objects.plan(), objects.image(number=1), objects.image(number=2)):
        kept = part10.split(got[str(image.SOPInstanceUID)].read_bytes(), "a file")
        assert bytes(kept.dataset) == objects.encoded(image)


def test_movescu_sends_one_series(stored: NodeProcess) -> None:
    """The destination gets two images and the tool hears of it."""
    said = tool(stored, "movescu", "-S", "-aem", "QATRACK", *keys("SERIES", SeriesInstanceUID=uid(1, 1, 2)))
    assert "Received Final Move Response (Success)" in said
