"""The real archives that other tests stand on come up and go; the course is what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from peers import client, process
from peers.course import Course, default_course, plan, rt_image, session
from peers.dcmqrscp import Dcmqrscp
from peers.doubles import ScriptedArchive
from peers.orthanc import Orthanc
from peers.process import Missing, ServerProcess
from peers.pynet import FIND, GET, Received, associate, find, get, hang_up, move, receiving
from peers.wire import Gone

from qa_fetch import kinds, part10


@pytest.fixture(scope="module")
def course() -> Course:
    return default_course(second_plan=True)


@pytest.fixture(scope="module")
def _receiver() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture
def receiver(_receiver: Received) -> Received:
    _receiver.clear()
    return _receiver


def newest(course: Course, **more: Any) -> dict[str, Any]:
    """The keys of the newest Winston-Lutz series: four MV and two kV images."""
    where = course.newest.series
    return {"StudyInstanceUID": where.study_uid, "SeriesInstanceUID": where.uid, **more}


def six(course: Course) -> list[str]:
    return sorted([*course.newest.uids, *(str(image.SOPInstanceUID) for image in course.mixed_kv)])


# the course


def test_the_course_is_the_same_every_time_and_its_kinds_are_recognised(course: Course, tmp_path: Path) -> None:
    """Two builds have the same UIDs, and every image is of the kind it was made as."""
    again = default_course(second_plan=True)
    assert [one.SOPInstanceUID for one in again.datasets] == [one.SOPInstanceUID for one in course.datasets]
    assert len({one.SOPInstanceUID for one in course.datasets}) == len(course.datasets) == 29
    for name, images in (
        ("portal", course.newest.images),
        ("kv", [*course.mixed_kv, *course.kv[0].images]),
        ("portal_dose", course.doses[0].images),
        ("cbct", course.cbct),
        ("plan", [course.wl, course.pdip]),
    ):
        assert all(kinds.kind(name).fits(image, whole=True) for image in images)
    for path in course.write(tmp_path / "course"):
        assert part10.split(path.read_bytes(), path.name).identity().sop_instance == path.stem


def test_a_builder_makes_the_odd_cases_too() -> None:
    """An empty Beam Sequence, an image without a plan, a second series of another day."""
    empty = plan("EMPTY", beams=(), approval="UNAPPROVED", day=date(2025, 1, 2))
    assert len(empty.BeamSequence) == 0 and empty.ApprovalStatus == "UNAPPROVED"
    later = session(empty, datetime(2025, 1, 3, 10, 0), images=2, rows=32)
    assert len(later.images[0].PixelData) == 2 * 32 * 32
    alone = rt_image(None, later.series, later.acquired, 9, kind="predicted_dose")
    assert "ReferencedRTPlanSequence" not in alone and kinds.kind("predicted_dose").fits(alone, whole=True)


# real archives


@pytest.fixture(params=[Orthanc, Dcmqrscp])
def real(request: pytest.FixtureRequest) -> ServerProcess:
    try:
        made: ServerProcess = request.param()
    except Missing as missing:
        process.skip_or_fail(missing)
    return made


def test_a_real_archive_comes_up_takes_the_course_and_is_gone_after(
    real: Any, course: Course, receiver: Received
) -> None:
    """It answers echo, stores, finds and moves to a destination named later; its process and folder do not stay."""
    with real as peer:
        pid, folder = peer.pid, peer.folder
        assert peer.address == f"dimse://{peer.ae_title}@127.0.0.1:{peer.port}"
        association = associate(peer, "1.2.840.10008.1.1")
        assert association.send_c_echo().Status == 0x0000
        hang_up(association)
        client.store(peer, course.datasets)
        status, rows = find(peer, "IMAGE", SOPInstanceUID="", **newest(course))
        assert status == 0x0000 and sorted(row.SOPInstanceUID for row in rows) == six(course)
        peer.know("QATRACK", receiver.port)
        assert client.echo(peer) == 0x0000
        ended = move(peer, "IMAGE", **newest(course, SOPInstanceUID=course.newest.uids))
        assert (ended.status, ended.completed) == (0x0000, 4)
        assert sorted(receiver.uids) == sorted(course.newest.uids)
        assert get(peer, receiver, **newest(course)).completed == 6
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists() and not process.listens(peer.port)


def test_a_real_archive_knows_its_destinations_from_the_start(real: Any, course: Course, receiver: Received) -> None:
    """Destinations given before the start are written into the configuration."""
    real.destinations["QATRACK"] = (process.LOOPBACK, receiver.port)
    with real as peer:
        client.store(peer, course.datasets)
        assert move(peer, **newest(course)).completed == 6
        refused = move(peer, destination="NOBODY", **newest(course)).status
        assert refused == (0xC000 if isinstance(peer, Orthanc) else 0xA801)


def test_dcmqrscp_can_go_without_get(course: Course) -> None:
    """The presentation context of C-GET is refused."""
    try:
        peer = Dcmqrscp(get=False)
    except Missing as missing:
        process.skip_or_fail(missing)
    with peer:
        association = associate(peer, FIND, GET)
        assert [str(one.abstract_syntax) for one in association.accepted_contexts] == [FIND]
        hang_up(association)


def test_a_missing_program_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's machine skips loudly; CI fails."""
    with pytest.raises(Missing, match="Install it with: apt-get install orthanc$") as caught:
        process.program("no-such-server", "orthanc")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED: no-such-server is not installed"):
        process.skip_or_fail(caught.value)
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="CI must not go without this peer"):
        process.skip_or_fail(caught.value)


def test_a_server_that_cannot_start_shows_its_log() -> None:
    """The end of its log is in the error, and its folder is gone."""

    class Broken(ServerProcess):
        def command(self, ports: list[int]) -> list[str]:
            return ["/bin/sh", "-c", "echo no licence; exit 3"]

    with pytest.raises(RuntimeError, match="Broken did not start:\nno licence"), Broken():
        pass


def test_an_archive_that_never_existed_gives_no_association() -> None:
    """The small client says Gone where nobody listens."""
    nobody = ScriptedArchive()
    nobody.port = process.free_port()
    with pytest.raises(Gone):
        client.echo(nobody)
