"""Values that were meant to do harm: no file outside the shelf, no patient in a log or message, no traceback."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from peers.client import store
from peers.course import PATIENT, RT_IMAGE, Course, plan, session
from peers.doubles import ScriptedArchive
from peers.process import LOOPBACK, free_port
from peers.wire import Gone
from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from qa_fetch import Archive, ConfigError, NotFound, QAFetchError, part10
from qa_fetch.receive import receive

# pydicom's own remarks on such values; what qa_fetch makes of them is what counts here.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{words}:UserWarning")
    for words in ("Invalid value for VR", "The value length", "The PN component length", "Found unknown escape")
]

WHEN = datetime(2025, 11, 3, 17, 5)
TITLE = "QATRACK"


def with_value(dataset: Dataset, keyword: str, vr: str, value: Any) -> None:
    """Give a data set a value that pydicom would refuse or warn about."""
    dataset.add(DataElement(dataset.data_element(keyword).tag, vr, value, validation_mode=pydicom_config.IGNORE))


def with_uid(dataset: Dataset, name: str) -> None:
    """Give an object any text for its SOP Instance UID, backslashes and NULs as they are."""
    tag = dataset.data_element("SOPInstanceUID").tag
    dataset.add(DataElement(tag, "ST", name, validation_mode=pydicom_config.IGNORE))


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test: no file lies outside the shelf, and no log line names a patient."""
    caplog.set_level(logging.DEBUG, logger="qa_fetch")
    around = {path for path in tmp_path.parent.glob("*") if path != tmp_path}
    yield
    outside = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and not {tmp_path / name for name in ("shelf", "given", "tmp")} & set(path.parents)
    ]
    outside += [path for path in (tmp_path / "tmp").rglob("*") if not path.match("qa_fetch-port-*.lock")]
    assert outside == []
    assert {path for path in tmp_path.parent.glob("*") if path != tmp_path} == around
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("qa_fetch")]
    assert [line for line in lines for secret in SECRETS if secret in line] == []


SECRETS = (PATIENT, "Müller", "../../x", "DROP TABLE", "Ümläut", "A/B\\C")


@pytest.fixture
def way_back() -> dict[str, Any]:
    """Who we are, for archives that send by C-MOVE."""
    return {"local_ae_title": TITLE, "local_port": free_port()}


def double_of(datasets: list[Dataset], way_back: dict[str, Any]) -> ScriptedArchive:
    """An archive with these objects that may send to us."""
    return ScriptedArchive(datasets, destinations={TITLE: (LOOPBACK, way_back["local_port"])})


PATIENTS = ["../../x", "/etc/passwd", "'; DROP TABLE objects; --", "Ümläut 日本", "A" * 50, "$(id)", "%s%n", "x y"]
LABELS = ["WL/6X", "../..", "..", "WL*", "WL?", "*", "?", "Wänd 日本", "'; DROP TABLE", "a" * 16, "[ab]", "%s"]


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("patient", PATIENTS)
def test_any_patient_id_finds_its_own_images(patient: str, way: str, way_back: dict[str, Any]) -> None:
    """An ID is compared and never built into a path, a pattern or a statement."""
    wanted = plan("WL_6X", patient=patient)
    images = session(wanted, WHEN, images=2)
    with double_of([wanted, *images.images, plan("WL_6X")], way_back) as double:
        archive = Archive(double.address, retrieve=way, **way_back)
        found = archive.latest(patient, plan="WL_6X")
        assert list(found.uids) == images.uids
        assert {str(image.PatientID) for image in found} == {patient}
        assert set(archive.patient(patient).uids) == {str(wanted.SOPInstanceUID), *images.uids}
        assert patient not in repr(found) + repr(archive)


@pytest.mark.parametrize("label", LABELS)
def test_any_label_finds_its_own_plan(label: str, way_back: dict[str, Any]) -> None:
    """A star or a question mark in a label is that character and no wildcard."""
    named, decoys = plan(label), [plan("WL_6X"), plan("WLX", study="C2"), plan("b", study="C3")]
    images = session(named, WHEN, images=2)
    others = [image for decoy in decoys for image in session(decoy, WHEN.replace(hour=20), images=1).images]
    with double_of([named, *decoys, *images.images, *others], way_back) as double:
        archive = Archive(double.address, **way_back)
        assert archive.plan(PATIENT, label).uid == named.SOPInstanceUID
        assert list(archive.latest(PATIENT, plan=label).uids) == images.uids


@pytest.mark.parametrize("label", ["*", "W*", "WL_6?", "WL\\*", "wl_6x"])
def test_a_label_that_no_plan_has_matches_nothing(label: str, course: Course, way_back: dict[str, Any]) -> None:
    """Neither as a pattern, nor in small letters, nor as one of several values."""
    with double_of(course.datasets, way_back) as double:
        archive = Archive(double.address, **way_back)
        with pytest.raises(NotFound) as caught:
            archive.latest(PATIENT, plan=label)
    assert str(caught.value) == (
        f"SCRIPTED has no plan called {label} for this patient; it has PDIP_10X, WL_6X. Check the label."
    )


def test_a_label_longer_than_dicom_allows_is_found_all_the_same(way_back: dict[str, Any]) -> None:
    """Archives hold what was once written into them."""
    named = plan("WL_6X")
    with_value(named, "RTPlanLabel", "SH", "WL 6X couch at ninety degrees")
    images = session(named, WHEN, images=1)
    with double_of([named, *images.images], way_back) as double:
        archive = Archive(double.address, **way_back)
        assert list(archive.latest(PATIENT, plan="WL 6X couch at ninety degrees").uids) == images.uids


@pytest.mark.parametrize("patient", ["*", "QA_*", "QA_TB?", "QA_TB1\\OTHER", " * "])
def test_a_wildcard_is_no_patient(patient: str, course: Course, way_back: dict[str, Any]) -> None:
    """Images of somebody else are the worst answer there is; the archive is not even asked."""
    with double_of(course.datasets, way_back) as double:
        archive = Archive(double.address, **way_back)
        questions = (archive.latest, archive.patient, archive.plan, archive.plans, lambda p: next(archive.images(p)))
        for ask in questions:
            with pytest.raises(ConfigError) as caught:
                ask(patient)
            assert str(caught.value) == (
                "the patient ID has a wildcard in it, which could mean several patients. Give one exact ID."
            )
        assert double.requests == []


@pytest.mark.parametrize("patient", ["", "  ", None, 12345])
def test_an_empty_patient_is_none(patient: Any, course: Course, way_back: dict[str, Any]) -> None:
    """An empty key means all patients to an archive."""
    with pytest.raises(ConfigError) as caught:
        Archive("dimse://X@127.0.0.1:1").latest(patient)
    assert str(caught.value) == "the patient ID is empty. Give the PatientID as the archive has it."


@pytest.mark.parametrize("name", ["../../../../evil", "1.2.abc", "1.2/3", "*", "1.2.3\\1.2.4", "1.2\x003", ""])
def test_only_a_uid_is_fetched_by_uid(name: str, course: Course, way_back: dict[str, Any]) -> None:
    """Nothing else is sent to the archive."""
    with double_of(course.datasets, way_back) as double:
        with pytest.raises(ConfigError) as caught:
            Archive(double.address, **way_back).fetch(series=[name])
        assert str(caught.value) == "SeriesInstanceUID is not a UID. Give it as digits and dots."
        assert double.requests == []


BAD_UIDS = [
    "1.2.abc",
    "../../../../evil",
    "..\\..\\..\\evil",
    "/tmp/qa_fetch-evil",
    "1.2\x003.4",
    "1" * 65,
    "Ü.1",
    "CON",
]


@pytest.mark.parametrize("way", ["get", "move", "folder"])
@pytest.mark.parametrize("name", BAD_UIDS)
def test_an_object_with_a_hostile_uid_stays_inside_the_shelf(
    name: str, way: str, way_back: dict[str, Any], tmp_path: Path
) -> None:
    """It is kept under a digest or refused in one line; the set is whole or there is none."""
    wanted = plan("WL_6X")
    images = list(session(wanted, WHEN, images=2).images)
    with_uid(images[1], name)
    with double_of([wanted, *images], way_back) as double:
        if way == "folder":
            (tmp_path / "given").mkdir()
            for number, one in enumerate([wanted, *images]):
                syntax = part10.IMPLICIT_LITTLE
                meta = part10.file_meta(RT_IMAGE, "1.2.3", syntax)
                (tmp_path / "given" / f"{number}.dcm").write_bytes(meta + part10.encode(one, syntax))
            archive = Archive(f"folder:{tmp_path / 'given'}")
        else:
            archive = Archive(double.address, retrieve=way, budget=4, **way_back)
        try:
            found = archive.latest(PATIENT, plan="WL_6X")
        except QAFetchError as error:
            assert PATIENT not in str(error)
            assert "\n" not in str(error)
        else:
            assert len(found) == 2
            assert all(path.parent == found.folder for path in found.files)
    names = [path.name for path in (tmp_path / "shelf").rglob("*") if path.is_file()]
    assert [kept for kept in names if "evil" in kept or "abc" in kept or "CON" in kept] == []


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("InstanceNumber", "LO", "first"),
        ("InstanceNumber", "LO", "1\\2"),
        ("InstanceNumber", "LO", "1e99"),
        ("AcquisitionDate", "LO", "yesterday"),
        ("AcquisitionTime", "LO", "25:99"),
        ("AcquisitionDate", "LO", "20251103\\20251104"),
        ("ImageType", "LO", "\\\\\\"),
        ("Modality", "LO", "RTIMAGE\\RTIMAGE"),
        ("ExposureSequence", "OB", b"\x00\x01\x02\x03"),
        ("ReferencedRTPlanSequence", "OB", b"\x00\x01\x02\x03"),
        ("PatientName", "LO", "A=B=C=D^E\\F"),
        ("StudyInstanceUID", "LO", "../.."),
        ("SeriesInstanceUID", "LO", "../.."),
        ("SOPClassUID", "LO", "1.2.abc"),
    ],
)
def test_a_value_of_the_wrong_sort_is_a_result_or_one_line(
    keyword: str, vr: str, value: Any, course: Course, way_back: dict[str, Any]
) -> None:
    """What pydicom makes of it must not end the call as ValueError or TypeError."""
    datasets = deepcopy(course.datasets)
    for one in datasets:
        if one.SOPInstanceUID in course.newest.uids[:1]:
            with_value(one, keyword, vr, value)
    with double_of(datasets, way_back) as double:
        archive = Archive(double.address, budget=5, **way_back)
        for ask in (
            lambda: archive.latest(PATIENT, plan="WL_6X", approved=True),
            lambda: archive.fetch(series=course.newest.series.uid),
            lambda: archive.find("IMAGE", PatientID=PATIENT, SeriesInstanceUID=course.newest.series.uid),
        ):
            try:
                assert len(ask()) > 0
            except QAFetchError as error:
                assert PATIENT not in str(error)
                assert "\n" not in str(error)


def test_a_plan_label_with_line_breaks_and_colours_stays_on_one_line(way_back: dict[str, Any]) -> None:
    """Messages end up in logs and tooltips; a label of a peer must not break out of them."""
    evil = plan("A")
    with_value(evil, "RTPlanLabel", "SH", "\x1b[2J\nTraceback:\r" + "x" * 5000)
    with double_of([evil, plan("B", study="C2")], way_back) as double:
        with pytest.raises(NotFound) as caught:
            Archive(double.address, **way_back).plan(PATIENT, "WL_6X")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 350
    assert message.startswith("SCRIPTED has no plan called WL_6X for this patient; it has ")


def test_what_is_sent_by_hand_under_a_hostile_name_stays_in_the_inbox(way_back: dict[str, Any], tmp_path: Path) -> None:
    """`qa-fetch receive --to` names files itself."""
    images = list(session(plan("WL_6X"), WHEN, images=len(BAD_UIDS)).images)
    for one, name in zip(images, BAD_UIDS):
        with_uid(one, name)
    ready, end = threading.Event(), threading.Event()
    inbox = tmp_path / "given"

    class Us:
        ae_title, port = TITLE, way_back["local_port"]

    def run() -> None:
        receive(port=way_back["local_port"], ae_title=TITLE, to=inbox, until=end, ready=lambda *_: ready.set())

    thread = threading.Thread(target=run)
    thread.start()
    outcome = []
    try:
        assert ready.wait(10)
        for one in images:
            try:
                store(Us(), [one])
                outcome.append("")
            except (RuntimeError, Gone):  # refused, or not even a message to pynetdicom
                outcome.append("refused")
    finally:
        end.set()
        thread.join()
    kept = list(inbox.rglob("*"))
    assert [path for path in kept if path.parent != inbox or not path.stem.startswith("x-")] == []
    assert outcome.count("") == len(kept)
