"""Archives that can be reached in several ways: objects come by the fastest that works, the rest as it always did."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from peers.course import PATIENT, Course, write_all
from peers.doubles import ScriptedArchive
from peers.http_double import RELATED, Asked, HttpDouble, Reply, WebArchive, as_file, parts
from peers.lies import Lies
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail

from qa_fetch import Archive, ConfigError, ConnectionFailed, Incomplete, QAFetchError, Refused
from qa_fetch.backends import Backend, Sent, open_backend
from qa_fetch.backends.several import Several
from qa_fetch.budget import Budget
from qa_fetch.config import Config
from qa_fetch.shelf import Claim, Reference, Shelf

TITLE = "QATRACK"


class Ways:
    """One course behind DICOM and behind DICOMweb, and a configuration in which the one names the other."""

    def __init__(self, double: ScriptedArchive, web: HttpDouble, script: WebArchive, folder: Path) -> None:
        self.double, self.web, self.script, self.folder = double, web, script, folder

    def configure(self, also: str = '["web"]', *, web_port: Optional[int] = None, more: str = "") -> Archive:
        """The archive pacs, whose objects may come otherwise too."""
        url = f"http://{LOOPBACK}:{web_port or self.web.port}/dicom-web"
        Path("qa_fetch.toml").write_text(
            f'default = "pacs"\n[local]\nae_title = "{TITLE}"\nport = {free_port()}\n'
            f'[archives.pacs]\nkind = "dimse"\nae_title = "SCRIPTED"\nhost = "{LOOPBACK}"\nport = {self.double.port}\n'
            f'retrieve = "get"\nalso = {also}\n'
            f'[archives.web]\nkind = "dicomweb"\nurl = "{url}"\ntimeout = 3\n{more}\n'
            f'[archives.files]\nkind = "folder"\npath = "{self.folder}"\n',
            "utf-8",
        )
        return Archive("pacs")


@pytest.fixture
def ways(course: Course, tmp_path: Path) -> Iterator[Ways]:
    """Both run; the folder is empty."""
    script = WebArchive(course.datasets)
    (tmp_path / "files").mkdir()
    with ScriptedArchive(course.datasets) as double, HttpDouble(script) as web:
        yield Ways(double, web, script, tmp_path / "files")


def newest(archive: Archive) -> list[str]:
    return list(archive.latest(PATIENT, plan="WL_6X", approved=True).uids)


def services(double: ScriptedArchive) -> set[str]:
    return {request.service for request in double.requests}


def test_objects_come_by_the_faster_way_and_questions_stay(ways: Ways, course: Course) -> None:
    """C-FIND to the one, WADO-RS to the other, and no C-GET."""
    archive = ways.configure()
    assert newest(archive) == course.newest.uids
    assert services(ways.double) == {"C-FIND"}
    assert ways.web.asked and {asked.headers["Accept"].partition(";")[0] for asked in ways.web.asked} == {
        "multipart/related"
    }


def test_a_folder_comes_before_everything_else(ways: Ways, course: Course) -> None:
    """Whatever the order in which the ways are named."""
    write_all(course.datasets, ways.folder)
    assert newest(ways.configure('["web", "files"]')) == course.newest.uids
    assert (services(ways.double), ways.web.asked) == ({"C-FIND"}, [])


def test_the_first_way_may_be_the_fastest(ways: Ways, course: Course) -> None:
    """Then the others stand by."""
    write_all(course.datasets, ways.folder)
    ways.configure()
    assert newest(Archive("files", also=["pacs", "web"])) == course.newest.uids
    assert (ways.double.callers, ways.web.asked) == ([], [])


def test_files_are_sent_the_first_way(ways: Ways, course: Course, tmp_path: Path) -> None:
    """Where a physicist has always found them."""
    ways.double.datasets.clear()
    ways.configure().send(write_all(course.newest.images, tmp_path / "out"))
    assert [str(one.SOPInstanceUID) for one in ways.double.datasets] == course.newest.uids
    assert ways.web.asked == []


def quiet_about_patients(text: str) -> bool:
    return not any(word in text for word in (PATIENT, "Müller", "WL_6X", "2.25."))


def test_a_faster_way_that_is_down_is_passed_over_with_a_warning(
    ways: Ways, course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    """The slower way brings everything, and the log names the one that is down, without patient data."""
    port = free_port()
    assert newest(ways.configure(web_port=port)) == course.newest.uids
    warnings = {record.getMessage() for record in caplog.records if record.levelno == logging.WARNING}
    assert len(warnings) == 1 and quiet_about_patients(caplog.text)
    assert str(port) in warnings.pop()
    assert "C-GET" in services(ways.double)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_faster_way_that_refuses_is_passed_over(
    ways: Ways, course: Course, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Whatever its reason."""
    ways.script.objects = lambda _: Reply(status)
    assert newest(ways.configure()) == course.newest.uids
    assert "C-GET" in services(ways.double) and quiet_about_patients(caplog.text)


@pytest.mark.parametrize("breaks", [False, True], ids=["calls it complete", "breaks off"])
def test_what_the_faster_way_brings_of_a_set_is_not_asked_for_again(ways: Ways, course: Course, breaks: bool) -> None:
    """Two of four come over the web; the other two, and only these, over DICOM."""
    archive = ways.configure()
    plan = archive.plan(PATIENT, "WL_6X", approved=True)
    had = course.newest.images[:2]

    def half(asked: Asked) -> Reply:
        found = [one for one in ways.script.below(asked.path) if one.SOPInstanceUID in {h.SOPInstanceUID for h in had}]
        if not found:
            return Reply(404)
        whole = parts([as_file(one) for one in found])
        return Reply(200, whole[:-20] if breaks else whole, RELATED)

    ways.script.objects = half
    ways.double.sent.clear()
    assert list(archive.latest(PATIENT, plan=plan).uids) == course.newest.uids
    if not breaks:
        assert ways.double.sent == course.newest.uids[2:]


def test_a_folder_with_some_of_the_files_is_completed(ways: Ways, course: Course) -> None:
    """Folder, web, DICOM: each brings what the ones before it did not have."""
    first, second, third, fourth = course.newest.images
    write_all([first], ways.folder)
    ways.script.objects = None
    ways.script.datasets = [second, third]
    archive = ways.configure('["web", "files"]')
    archive.plan(PATIENT, "WL_6X", approved=True)
    ways.double.sent.clear()
    assert newest(archive) == course.newest.uids
    assert ways.double.sent == [str(fourth.SOPInstanceUID)]


def test_a_damaged_file_in_the_folder_does_not_keep_the_others_away(ways: Ways, course: Course) -> None:
    """A copy that was cut short is no reason to go without what the archive has."""
    for path in write_all(course.newest.images, ways.folder)[:1]:
        path.write_bytes(path.read_bytes()[:-100])
    assert newest(ways.configure('["files"]')) == course.newest.uids


def test_a_folder_that_is_gone_does_not_keep_the_archive_away(ways: Ways, course: Course) -> None:
    """A share that is not mounted today is a way that is down."""
    ways.folder.rmdir()
    assert newest(ways.configure('["files"]')) == course.newest.uids


def test_an_unknown_name_is_a_wrong_setting(ways: Ways) -> None:
    """Said before anybody is asked."""
    with pytest.raises(ConfigError) as caught:
        newest(ways.configure('["wbe"]'))
    assert str(caught.value) == "no archive is called 'wbe'. Configured are: pacs, web, files."
    assert ways.double.callers == []


@pytest.mark.parametrize("also", ['["pacs"]', '["pacs", "web"]'])
def test_two_archives_that_name_each_other_are_no_circle(ways: Ways, course: Course, also: str) -> None:
    """Nor is one that names itself."""
    archive = ways.configure(more=f"also = {also}")
    assert newest(archive) == course.newest.uids
    assert [str(row.StudyInstanceUID) for row in Archive("web").find("STUDY", PatientID=PATIENT)]


def test_a_test_of_the_connection_shows_every_way(ways: Ways) -> None:
    """The first as ever, the others with their names."""
    names = [step.name for step in ways.configure('["web", "files"]').echo(PATIENT)]
    alone = [step.name for step in Archive("pacs", also=[]).echo(PATIENT)]
    assert names[: len(alone)] == alone
    rest = names[len(alone) :]
    assert {name.partition(": ")[0] for name in rest} == {"web", "files"}
    assert [name for name in rest if name.startswith("files: ")] == [
        "files: folder",
        "files: objects",
        "files: patient",
    ]


def test_a_way_that_is_down_does_not_hide_the_others_in_the_test(ways: Ways) -> None:
    """Each is tried, whatever became of the one before."""
    archive = ways.configure('["web", "files"]', web_port=free_port())
    ways.double.lies = Lies(rejects=(1, 1, 3))
    steps = {step.name: step.works for step in archive.echo()}
    assert steps["association"] is False
    assert False in [works for name, works in steps.items() if name.startswith("web: ")]
    assert steps["files: folder"] is True


def test_when_every_way_fails_the_first_speaks(ways: Ways, course: Course) -> None:
    """It is the one that was named; the others are in the log."""
    archive = ways.configure(web_port=free_port())
    plan = archive.plan(PATIENT, "WL_6X", approved=True)
    ways.double.lies = Lies(get_status=0xA702)
    with pytest.raises(Refused) as caught:
        archive.latest(PATIENT, plan=plan)
    assert str(caught.value) == (
        "pacs could not send the objects over this connection (C-GET 0xA702). "
        'Set retrieve = "move" for this archive, or try again later.'
    )


class Way:
    """A backend of which only the retrieve matters."""

    relational = True

    def __init__(self, name: str, error: Optional[QAFetchError] = None) -> None:
        self.name, self.error, self.asked = name, error, 0

    def find(self, *_: Any) -> list[Any]:
        return []

    def retrieve(self, references: Any, claim: Claim, budget: Budget) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    def store(self, files: Any, budget: Budget) -> list[Sent]:
        return []

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Any]:
        return iter(())

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["folder", "dicomweb", "orthanc", "dimse", "of another package"])
def test_the_error_is_that_of_the_first_way_wherever_it_stands(tmp_path: Path, kind: str) -> None:
    """Not of whichever was tried last."""
    first = Way("first", ConnectionFailed("first is down."))
    others: list[tuple[str, Backend]] = [
        (other, Way(other, Refused(f"{other} says no."))) for other in ("dimse", "dicomweb")
    ]
    several = Several(first, kind, others)
    with Shelf(tmp_path, "a", "b").claim([Reference("1", "2", "3")], Budget(5)) as claim:
        with pytest.raises(ConnectionFailed) as caught:
            several.retrieve(claim.missing, claim, Budget(5))
    assert str(caught.value) == "first is down."
    assert [first.asked, *(way.asked for _, way in others)] == [1, 1, 1]  # type: ignore[attr-defined]


def test_ways_are_tried_by_speed_and_those_of_other_packages_last() -> None:
    """As they were measured."""
    kinds = ["of another package", "dimse", "orthanc", "dicomweb", "folder"]
    several = Several(Way(kinds[0]), kinds[0], [(kind, Way(kind)) for kind in kinds[1:]])
    assert [backend.name for backend in several._fastest] == list(reversed(kinds))


def test_one_way_is_no_several(ways: Ways) -> None:
    """Nothing stands between an archive and its only way."""
    ways.configure("[]")
    config = Config.load()
    backend = open_backend(config.archive("pacs"), config)
    assert type(backend).__name__ == "DimseBackend"


def test_nothing_is_left_to_fetch_when_all_ways_have_less(ways: Ways, course: Course) -> None:
    """Three of four are no set, however many ways there were."""
    archive = ways.configure()
    plan = archive.plan(PATIENT, "WL_6X", approved=True)
    ways.script.datasets = list(course.newest.images[:2])
    ways.double.lies = Lies(sends_only=0)
    with pytest.raises(Incomplete) as caught:
        archive.latest(PATIENT, plan=plan)
    assert set(caught.value.missing) == set(course.newest.uids[2:])


def test_orthanc_is_asked_by_dicom_and_sends_over_the_web(course: Course, tmp_path: Path) -> None:
    """A real one: it knows no destination of ours, so that only WADO-RS can have brought the objects."""
    try:
        running = Orthanc(dicomweb=True)
    except Missing as missing:
        skip_or_fail(missing)
    with running as orthanc:
        Archive(orthanc.address).send(write_all(course.datasets, tmp_path / "all"))
        port = free_port()
        fields: dict[str, Any] = {"retrieve": "move", "local_ae_title": TITLE, "local_port": port}
        with pytest.raises(QAFetchError):
            newest(Archive(orthanc.address, **fields))
        archive = Archive(orthanc.address, also=[orthanc.web_address], **fields)
        images = archive.latest(PATIENT, plan="WL_6X", approved=True)
        assert list(images.uids) == course.newest.uids
        assert [image.PixelData for image in images] == [image.PixelData for image in course.newest.images]
