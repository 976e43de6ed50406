"""The node as the always-on receiver of its machine: what a fetch waits for is stored and handed over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import node_client as client
import node_objects as objects
import pytest
from peers.course import PATIENT, Course
from peers.doubles import ScriptedArchive
from peers.lies import Lies
from peers.process import LOOPBACK, free_port

from qa_fetch import Archive, ConfigError, ConnectionFailed
from qa_fetch.node import NodeOptions, NodeProcess
from qa_fetch.receive import receive


@dataclass
class Site:
    """A node that receives, and an archive that moves to it."""

    node: NodeProcess
    double: ScriptedArchive

    def archive(self, **fields: object) -> Archive:
        return Archive(
            self.double.address, **{"local_ae_title": "QA_NODE", "local_port": self.node.port, "budget": 20, **fields}
        )

    @property
    def held(self) -> set[str]:
        """The objects that the node has stored."""
        return {path.stem for path in (self.node.options.data / "objects").glob("*/*.dcm")}


@pytest.fixture
def site(course: Course, tmp_path: Path) -> Iterator[Site]:
    """Both; the archive offers no C-GET."""
    options = NodeOptions(tmp_path / "node", port=free_port(), shelf=tmp_path / "shelf", log=tmp_path / "node.log")
    with NodeProcess(options) as node, ScriptedArchive(course.datasets, Lies(get=False)) as double:
        double.know("QA_NODE", node.port)
        yield Site(node, double)


def test_a_fetch_comes_through_the_node_and_stays_there(site: Site, course: Course) -> None:
    """The files on the shelf are those that were sent, and the node has them too."""
    images = site.archive().latest(PATIENT, plan="WL_6X", approved=True)
    assert sorted(images.uids) == sorted(course.newest.uids)
    assert set(images.uids) <= site.held
    (plan,) = Archive(site.node.address, local_port=free_port()).plans(PATIENT, "WL_6X")[:1] or [None]
    assert plan is None or plan.uid in site.held


def test_what_the_node_has_already_is_handed_over_all_the_same(site: Site, course: Course, tmp_path: Path) -> None:
    """It is stored once, and whoever waits for it gets it."""
    course.write(tmp_path / "course")
    Archive(site.node.address).send(tmp_path / "course")
    before = site.held
    assert sorted(site.archive().latest(PATIENT, plan="WL_6X", approved=True).uids) == sorted(course.newest.uids)
    assert site.held == before


def test_several_fetches_at_once_each_get_theirs(site: Site, course: Course, tmp_path: Path) -> None:
    """With shelves of their own they would each need the port; with this one none waits."""
    found: list[list[str]] = []

    def fetch(uid: str) -> None:
        found.append(list(site.archive().fetch(instance=uid).uids))

    threads = [threading.Thread(target=fetch, args=(uid,)) for uid in course.newest.uids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([uid] for uid in course.newest.uids)


def test_the_connection_test_sees_it(site: Site) -> None:
    """And says that a receiver is running."""
    steps = {step.name: step for step in site.archive().echo()}
    assert (steps["retrieve"].works, steps["retrieve"].says) == (
        True,
        f"it takes C-MOVE requests to QA_NODE at port {site.node.port}, and the always-on receiver is running",
    )


def test_a_commitment_that_comes_to_the_node_is_found_by_who_waits(site: Site, tmp_path: Path) -> None:
    """Its archive calls back at the one port that it knows of us, which is the node's."""
    from peers.orthanc import Orthanc
    from peers.process import Missing, skip_or_fail

    try:
        orthanc = Orthanc({"QA_NODE": (LOOPBACK, site.node.port)})
    except Missing as missing:
        skip_or_fail(missing)
    with orthanc:
        archive = Archive(orthanc.address, local_ae_title="QA_NODE", local_port=site.node.port, budget=20)
        sent = archive.send([objects.file(tmp_path, each) for each in objects.content()[:2]], commit=True)
    assert [one.problem for one in sent] == ["", ""]


def test_a_node_without_a_shelf_is_no_receiver(course: Course, tmp_path: Path) -> None:
    """A fetch then says that its port is taken."""
    with NodeProcess(NodeOptions(tmp_path / "node", port=free_port())) as node:
        with ScriptedArchive(course.datasets, Lies(get=False), destinations={"QA_NODE": (LOOPBACK, node.port)}) as it:
            archive = Archive(it.address, local_ae_title="QA_NODE", local_port=node.port, budget=1)
            with pytest.raises(ConnectionFailed) as caught:
                archive.latest(PATIENT, plan="WL_6X", approved=True)
    assert str(caught.value).startswith(f"port {node.port} of this machine was in use by another program or transfer ")


def test_two_receivers_on_one_port_are_refused(tmp_path: Path) -> None:
    """A node and qa-fetch receive, or two nodes; what is stopped gives the port back."""
    port, ready, end = free_port(), threading.Event(), threading.Event()
    options = NodeOptions(tmp_path / "node", port=port, shelf=tmp_path / "shelf")
    with NodeProcess(options):
        with pytest.raises(ConnectionFailed) as caught:
            receive(port=port, until=end)
        assert str(caught.value) == (
            f"port {port} is held by another qa_fetch process. "
            "Wait until its transfer ends, stop that receiver, or choose another port."
        )
    assert not (tmp_path / "shelf/receivers" / str(port) / "standing.json").exists()
    thread = threading.Thread(target=receive, kwargs={"port": port, "until": end, "ready": lambda *_: ready.set()})
    thread.start()
    try:
        assert ready.wait(10)
        with pytest.raises(ConfigError):
            NodeProcess(options).start()
    finally:
        end.set()
        thread.join()


def test_a_conflict_is_handed_to_nobody(site: Site, tmp_path: Path) -> None:
    """What is refused because another object has its UID is not what was asked for."""
    kept = objects.image(number=1)
    assert client.store(site.node.port, kept) == [0]
    assert client.store(site.node.port, objects.image(number=1, RTImageLabel="OTHER")) == [0x0111]
    assert site.held == {str(kept.SOPInstanceUID)}
