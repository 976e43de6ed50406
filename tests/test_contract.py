"""Whatever archive stands behind it, ``Archive`` gives the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from peers.course import PATIENT, Course
from peers.dcmqrscp import Dcmqrscp
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail

from qa_fetch import Ambiguous, Archive, Images, Incomplete, NotFound

TITLE = "QATRACK"
PEERS = (
    "folder",
    "node get",
    "node move",
    "node dicomweb",
    "orthanc get",
    "orthanc move",
    "orthanc rest",
    "orthanc dicomweb",
    "dcmqrscp get",
    "dcmqrscp move",
    "orthanc get pynetdicom",
    "orthanc move pynetdicom",
    "dcmqrscp get pynetdicom",
)


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.node] if name.startswith("node") else []


def _running(name: str, port: int, folder: Path) -> Any:
    """The peer as a context manager; a missing program skips loudly, and fails in CI."""
    if name == "node":
        from qa_fetch.node import NodeOptions, NodeProcess, Peer

        return NodeProcess(NodeOptions(data=folder, port=0, peers={TITLE: Peer(LOOPBACK, port)}))
    try:
        return {"orthanc": Orthanc, "dcmqrscp": Dcmqrscp}[name]({TITLE: (LOOPBACK, port)})
    except Missing as missing:
        return skip_or_fail(missing)


def _behind_http(way: str, course_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Orthanc serves both its REST interface and DICOMweb; each is filled by its own ``send``."""
    try:
        running = Orthanc(dicomweb=True)
    except Missing as missing:
        skip_or_fail(missing)
    with running, pytest.MonkeyPatch.context() as patch:
        address = running.rest_address if way == "rest" else running.web_address
        patch.setenv("QA_FETCH_SHELF", str(tmp_path_factory.mktemp("filling")))
        Archive(address).send(course_files)
        yield address, {}


def _our_web(course_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Our node's own DICOMweb, filled through it."""
    from qa_fetch.node import NodeOptions, NodeProcess
    from qa_fetch.node.options import Web

    options = NodeOptions(tmp_path_factory.mktemp("node"), port=0, web=Web(port=0, read_only=False))
    with NodeProcess(options) as running, pytest.MonkeyPatch.context() as patch:
        address = f"dicomweb+http://{LOOPBACK}:{running.web_port}/dicom-web"
        patch.setenv("QA_FETCH_SHELF", str(tmp_path_factory.mktemp("filling")))
        Archive(address).send(course_files)
        yield address, {}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=_marks(name)) for name in PEERS])
def peer(request: pytest.FixtureRequest, course_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """How to open the peer: an address and the settings that go with it; the course is stored in it."""
    name, way, transport = (*str(request.param).split(), "", "")[:3]
    if name == "folder":
        yield f"folder:{course_files}", {}
        return
    if (name, way) == ("node", "dicomweb"):
        yield from _our_web(course_files, tmp_path_factory)
        return
    if way in ("rest", "dicomweb"):
        yield from _behind_http(way, course_files, tmp_path_factory)
        return
    port = free_port()
    with _running(name, port, tmp_path_factory.mktemp(name)) as running:
        fields = {"local_ae_title": TITLE, "local_port": port, "retrieve": way, "transport": transport or "own"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("QA_FETCH_SHELF", str(tmp_path_factory.mktemp("filling")))
            Archive(running.address, **fields).send(course_files)
        yield running.address, fields


@pytest.fixture
def archive(peer: Any) -> Archive:
    """The peer with an empty shelf."""
    address, fields = peer
    return Archive(address, **fields)


def _names(archive: Archive, sentence: str) -> str:
    return sentence.replace("ARCHIVE", archive.name)


def test_the_newest_session_of_an_approved_plan_comes_whole_and_without_its_kv_images(
    archive: Archive, course: Course
) -> None:
    """Four MV images, in order, in a folder of their own; the kV images of the same series stay behind."""
    images = archive.latest(PATIENT, plan="WL_6X", kind="portal", approved=True)
    assert list(images.uids) == course.newest.uids
    assert sorted(path.name for path in images.folder.iterdir()) == ["0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"]
    assert [str(image.SOPInstanceUID) for image in images] == course.newest.uids
    assert (images.acquired, images.finished) == (course.newest.acquired, datetime(2025, 11, 3, 17, 6))
    assert images.series == (course.newest.series.uid,)
    assert images.plan is not None and images.plan.uid == course.wl.SOPInstanceUID
    assert not images.from_shelf


def test_the_same_again_comes_from_the_shelf(archive: Archive) -> None:
    """The second call transfers nothing and gives the same folder."""
    first = archive.latest(PATIENT, plan="WL_6X", approved=True)
    again = archive.latest(PATIENT, plan="WL_6X", approved=True)
    assert (again.folder, again.uids, again.from_shelf) == (first.folder, first.uids, True)


def test_pixels_are_those_that_were_stored(archive: Archive, course: Course) -> None:
    """What pylinac opens is what the imager wrote, byte for byte."""
    images = archive.latest(PATIENT, plan="WL_6X", approved=True)
    assert [image.PixelData for image in images] == [image.PixelData for image in course.newest.images]


def test_a_label_that_two_plans_have_is_answered_with_both(archive: Archive, course: Course) -> None:
    """Nobody guesses which plan is meant; the candidates are shown so that one can choose."""
    assert course.second_plan is not None
    with pytest.raises(Ambiguous) as caught:
        archive.latest(PATIENT, plan="WL_6X")
    assert {plan.uid for plan in caught.value.candidates} == {
        course.wl.SOPInstanceUID,
        course.second_plan.SOPInstanceUID,
    }
    lines = sorted(str(plan) for plan in caught.value.candidates)
    assert lines == [
        f"WL_6X (of 2025-09-01, APPROVED, course C1, UID ...{course.wl.SOPInstanceUID[-12:]})",
        f"WL_6X (of 2025-10-15, UNAPPROVED, course C2, UID ...{course.second_plan.SOPInstanceUID[-12:]})",
    ]
    listed = "; ".join(str(plan) for plan in caught.value.candidates)
    assert str(caught.value) == _names(
        archive,
        f'ARCHIVE has 2 plans called WL_6X: {listed}. Choose with approved=True, pick="newest", or plan=<its UID>.',
    )


def test_a_plan_is_chosen_by_its_date_its_approval_or_its_uid(archive: Archive, course: Course) -> None:
    """Each way of choosing gives the plan that it names."""
    assert course.second_plan is not None
    assert archive.plan(PATIENT, "WL_6X", pick="newest").uid == course.second_plan.SOPInstanceUID
    assert archive.plan(PATIENT, "WL_6X", approved=True).uid == course.wl.SOPInstanceUID
    plan = archive.plan(PATIENT, str(course.second_plan.SOPInstanceUID))
    assert (plan.label, plan.approval, str(plan.date)) == ("WL_6X", "UNAPPROVED", "2025-10-15")
    assert plan.dataset.RTPlanLabel == "WL_6X"


def test_the_newest_plan_without_images_does_not_borrow_those_of_its_namesake(archive: Archive) -> None:
    """Images of an older plan of the same name are other images."""
    with pytest.raises(NotFound) as caught:
        archive.latest(PATIENT, plan="WL_6X", pick="newest")
    assert str(caught.value) == _names(
        archive,
        "ARCHIVE has no portal image for plan WL_6X. "
        "Check the plan and the kind, and whether the images have been sent to this archive.",
    )


def test_an_unknown_label_is_answered_with_the_labels_that_exist(archive: Archive) -> None:
    """A typing slip shows at once."""
    with pytest.raises(NotFound) as caught:
        archive.plan(PATIENT, "WL_6x")
    assert str(caught.value) == _names(
        archive, "ARCHIVE has no plan called WL_6x for this patient; it has PDIP_10X, WL_6X. Check the label."
    )


def test_an_unknown_patient_has_no_plan(archive: Archive) -> None:
    """The message does not repeat the ID, which may stand in a log."""
    with pytest.raises(NotFound) as caught:
        archive.plan("NOBODY", "WL_6X")
    assert str(caught.value) == _names(
        archive, "ARCHIVE shows no plan for this patient. Check the patient ID, and what this AE title may see."
    )


def test_all_plans_are_listed_newest_first(archive: Archive) -> None:
    """The list needs no file to be fetched by the caller."""
    listed = [(plan.label, str(plan.date), plan.approval) for plan in archive.plans(PATIENT)]
    assert listed[0][:2] == ("WL_6X", "2025-10-15")
    assert [label for label, _, _ in listed] == ["WL_6X", "PDIP_10X", "WL_6X"]


def test_a_day_and_a_moment_select_older_sessions(archive: Archive, course: Course) -> None:
    """on=, before= and after= are about when the session began."""
    oldest, middle, newest = course.sessions

    def latest(**when: Any) -> list[str]:
        return list(archive.latest(PATIENT, plan="WL_6X", approved=True, **when).uids)

    assert latest(on=date(2025, 10, 20)) == oldest.uids
    assert latest(on="2025-10-27") == middle.uids
    assert latest(before=datetime(2025, 11, 3, 17, 5)) == middle.uids
    assert latest(before=datetime(2025, 11, 3, 17, 5, 1)) == newest.uids
    assert latest(before=date(2025, 10, 27), after=date(2025, 10, 20)) == oldest.uids


def test_a_day_without_images_names_the_latest(archive: Archive) -> None:
    """The physicist learns at once what there is."""
    with pytest.raises(NotFound) as caught:
        archive.latest(PATIENT, plan="WL_6X", approved=True, on=date(2025, 11, 2))
    assert str(caught.value) == _names(
        archive,
        "ARCHIVE has no portal image for plan WL_6X on 2 November 2025; the latest is of 3 November 2025 17:05. "
        "Ask for that date, or for no date.",
    )


def test_fewer_images_than_expected_are_an_error_and_no_result(archive: Archive) -> None:
    """Half a session is never analysed."""
    with pytest.raises(Incomplete) as caught:
        archive.latest(PATIENT, plan="WL_6X", approved=True, at_least=5)
    assert str(caught.value) == _names(
        archive,
        "the newest session in ARCHIVE (portal image for plan WL_6X, 3 November 2025 17:05) "
        "has 4 of at least 5 images. Send the rest to the archive, ask for another day, or lower at_least.",
    )


def test_waiting_ends_as_soon_as_the_session_is_complete_and_quiet(archive: Archive, course: Course) -> None:
    """A session that does not grow between two looks is complete."""
    images = archive.latest(PATIENT, plan="WL_6X", approved=True, at_least=4, wait=True)
    assert list(images.uids) == course.newest.uids


def test_each_kind_finds_its_own(archive: Archive, course: Course) -> None:
    """Portal dose, kV, MV and CBCT are told apart by their attributes."""
    dose = archive.latest(PATIENT, plan="PDIP_10X", kind="portal_dose", on=date(2025, 11, 3))
    assert dose.dataset.SOPInstanceUID == course.doses[0].images[0].SOPInstanceUID
    assert list(archive.latest(PATIENT, kind="kv").uids) == course.kv[0].uids
    assert list(archive.latest(PATIENT, kind="mv").uids) == course.newest.uids
    assert set(archive.latest(PATIENT, kind="cbct").uids) == {str(image.SOPInstanceUID) for image in course.cbct}


def test_one_dataset_is_only_given_where_there_is_one(archive: Archive) -> None:
    """A set of four has no single image."""
    with pytest.raises(Ambiguous) as caught:
        assert archive.latest(PATIENT, plan="WL_6X", approved=True).dataset
    assert str(caught.value) == (
        "this set holds 4 objects, so there is no single one. Use .datasets, or narrow the question (plan, kind, on)."
    )


def test_all_sessions_come_newest_first(archive: Archive, course: Course) -> None:
    """Three sessions, each whole."""
    sessions = list(archive.images(PATIENT, plan="WL_6X", approved=True))
    assert [list(images.uids) for images in sessions] == [one.uids for one in reversed(course.sessions)]


def test_a_day_joins_what_several_series_hold(archive: Archive, course: Course) -> None:
    """session="day" gathers the kV images of both series of that day."""
    images = archive.latest(PATIENT, kind="kv", session="day")
    mixed = [str(image.SOPInstanceUID) for image in course.mixed_kv]
    assert list(images.uids) == mixed + course.kv[0].uids
    assert len(images.series) == 2


def _uids(images: Images) -> set[str]:
    return set(images.uids)


def test_series_instances_and_studies_come_by_uid(archive: Archive, course: Course) -> None:
    """A series comes with all that is in it, whatever its kind."""
    newest = course.newest
    series = archive.fetch(series=newest.series.uid)
    assert _uids(series) == {*newest.uids, *(str(image.SOPInstanceUID) for image in course.mixed_kv)}
    two = archive.fetch(series=[one.series.uid for one in course.sessions[:2]])
    assert _uids(two) == {*course.sessions[0].uids, *course.sessions[1].uids}
    study = archive.fetch(study=str(course.cbct[0].StudyInstanceUID))
    assert _uids(study) == {str(image.SOPInstanceUID) for image in course.cbct}


def test_a_patient_comes_whole_and_alone(archive: Archive, course: Course) -> None:
    """Everything of this patient, nothing of the other."""
    images = archive.patient(PATIENT)
    assert _uids(images) == {str(one.SOPInstanceUID) for one in course.datasets if one.PatientID == PATIENT}
    assert {str(image.PatientID) for image in images} == {PATIENT}


def test_find_answers_one_row_per_entity_at_every_level(archive: Archive, course: Course) -> None:
    """Rows that do not fit never come through, whatever the archive matched."""
    assert [row.PatientID for row in archive.find("PATIENT", PatientID=PATIENT)] == [PATIENT]
    studies = archive.find("STUDY", PatientID=PATIENT)
    assert len(studies) == len({str(row.StudyInstanceUID) for row in studies}) == 3
    series = archive.find("SERIES", PatientID=PATIENT, Modality="RTIMAGE")
    assert len(series) == 5
    plans = archive.find("IMAGE", PatientID=PATIENT, Modality="RTPLAN")
    assert len(plans) == 3


def test_echo_says_yes_at_every_step(archive: Archive) -> None:
    """A working connection has no step that fails."""
    steps = archive.echo(PATIENT)
    assert [step.name for step in steps if step.works is False] == []
    assert steps[-1].name == "patient" and steps[-1].works
