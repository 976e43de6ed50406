"""One archive asked to send to another: what was sent is counted truly, what did not arrive is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers.client import store
from peers.course import OTHER, PATIENT, Course
from peers.dcmqrscp import Dcmqrscp
from peers.doubles import ScriptedArchive
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail

from qa_fetch import Archive, ConfigError, Incomplete
from qa_fetch.archive.moving import Moved
from qa_fetch.cli.uids import read_uids
from qa_fetch.errors.words import in_words
from qa_fetch.node import NodeOptions, NodeProcess, Peer

TO = "PACS2"


class Two:
    """The archive that sends, and the one that is sent to."""

    def __init__(self, source: ScriptedArchive, target: ScriptedArchive) -> None:
        self.source, self.target = source, target

    def archive(self, **fields: Any) -> Archive:
        return Archive(self.source.address, **{"budget": 10, **fields})

    @property
    def destination(self) -> Archive:
        return Archive(self.target.address)

    @property
    def arrived(self) -> set[str]:
        """What the destination has."""
        return {str(dataset.SOPInstanceUID) for dataset in self.target.datasets}

    def of(self, patient: str) -> set[str]:
        """What the source has of a patient."""
        return {str(one.SOPInstanceUID) for one in self.source.datasets if one.PatientID == patient}

    def broken(self, *, archive: Any = None, **what: Any) -> Incomplete:
        """How a move fails."""
        with pytest.raises(Incomplete) as caught:
            (archive or self.archive()).move(TO, **what)
        return caught.value


@pytest.fixture
def two(course: Course) -> Iterator[Two]:
    """Both; the second is empty."""
    with ScriptedArchive(ae_title=TO) as target:
        with ScriptedArchive(course.datasets, destinations={TO: (LOOPBACK, target.port)}) as source:
            yield Two(source, target)


def images(course: Course) -> Sequence[Any]:
    """The images of the newest session."""
    return course.newest.images


# --- what arrives


@pytest.mark.parametrize("transport", ["own", "pynetdicom"])
def test_a_study_is_moved_as_a_whole_and_nothing_else(two: Two, course: Course, transport: str) -> None:
    """Whatever else the patient has; one C-MOVE, with the study's own UID."""
    study = str(images(course)[0].StudyInstanceUID)
    wanted = {str(one.SOPInstanceUID) for one in two.source.datasets if one.StudyInstanceUID == study}
    (moved,) = two.archive(transport=transport).move(TO, study=study)
    assert moved == Moved("STUDY", study, len(wanted), len(wanted), 0x0000)
    assert two.arrived == wanted and two.source.moved_to == [TO]


def test_patients_series_and_objects_are_moved(two: Two, course: Course) -> None:
    """Several at once, each an item of its own, in the order in which they are named."""
    first = images(course)[0]
    series, uid = str(first.SeriesInstanceUID), str(first.SOPInstanceUID)
    outcome = two.archive().move(TO, patient=OTHER, series=[series], instance=uid)
    assert [(moved.level, moved.problem, moved.status) for moved in outcome] == [
        ("PATIENT", "", 0), ("SERIES", "", 0), ("IMAGE", "", 0)
    ]  # fmt: skip
    in_series = {str(one.SOPInstanceUID) for one in two.source.datasets if one.SeriesInstanceUID == series}
    assert two.arrived == two.of(OTHER) | in_series
    assert (outcome[2].objects, outcome[2].sent) == (1, 1)


def test_only_what_is_missing_is_moved(two: Two, course: Course) -> None:
    """The destination is asked first; where it has all, the source is not asked to send."""
    study = str(images(course)[0].StudyInstanceUID)
    whole = [one for one in two.source.datasets if one.StudyInstanceUID == study]
    two.target.datasets.extend(whole[1:])
    (moved,) = two.archive().move(TO, study=study, missing_only=two.destination)
    assert (moved.objects, moved.sent, moved.problem, moved.missing) == (1, 1, "", ())
    assert len(two.target.datasets) == len(whole) and len(two.source.moved_to) == 1
    (again,) = two.archive().move(TO, study=study, missing_only=two.destination)
    assert again == Moved("STUDY", study) and len(two.source.moved_to) == 1


def test_a_patient_root_archive_gets_its_patient(two: Two, course: Course) -> None:
    """Which that root requires, and Study Root does not get."""
    two.source.lies.roots = ("patient",)
    two.source.lies.relational = False
    uid = str(images(course)[0].SOPInstanceUID)
    keys = {"patient": PATIENT}
    assert two.archive(root="patient").move(TO, **keys)[0].problem == ""
    assert two.arrived == two.of(PATIENT) and uid in two.arrived


# --- what does not


def test_an_unknown_destination_is_named(two: Two, course: Course) -> None:
    """With what to do at the archive, not here; the other items are told too."""
    study = str(images(course)[0].StudyInstanceUID)
    two.source.lies.knows_destination = False
    error = two.broken(study=study)
    sentence = (
        f"SCRIPTED does not know {TO} as a destination (C-MOVE 0xA801). "
        f"Add that AE title with its host and port to the DICOM destinations of SCRIPTED"
    )
    assert str(error) == f"1 of 1 items were not moved to {TO} as a whole; the first: {sentence}."
    (moved,) = error.outcome  # type: ignore[attr-defined]
    assert (moved.status, moved.sent, moved.problem) == (0xA801, 0, sentence)
    assert set(error.missing) == set(moved.missing) and len(moved.missing) == moved.objects > 0


@pytest.mark.parametrize("lie", ["fail_suboperations", "send_nothing"])
def test_success_without_objects_is_no_success(two: Two, course: Course, lie: str) -> None:
    """Archives say that; the counts tell, and every object is named."""
    setattr(two.source.lies, lie, True)
    uid = str(images(course)[0].SOPInstanceUID)
    error = two.broken(instance=uid)
    (moved,) = error.outcome  # type: ignore[attr-defined]
    assert moved.problem == (
        f"SCRIPTED says that it has sent 0 of 1 objects. Its log, and that of {TO}, say why the others failed"
    )
    assert (list(error.missing), moved.sent) == ([uid], 0)


def test_what_a_lying_archive_did_not_send_is_found_at_the_destination(two: Two, course: Course) -> None:
    """It counts all as sent; only the destination knows better."""
    study = str(images(course)[0].StudyInstanceUID)
    two.source.lies.sends_only = 1
    assert two.archive().move(TO, study=study)[0].problem == ""  # nobody to ask
    two.target.datasets.clear()
    error = two.broken(study=study, missing_only=two.destination)
    (moved,) = error.outcome  # type: ignore[attr-defined]
    total = moved.objects
    assert moved.problem == (
        f"{TO} does not show {total - 1} of {total} objects that SCRIPTED says it has sent. Its log says why"
    )
    assert set(moved.missing) == two.of(PATIENT) & set(moved.missing) and len(moved.missing) == total - 1


def test_objects_that_come_late_are_waited_for(two: Two, course: Course) -> None:
    """The archive says that it is done before it is."""
    two.source.lies.asynchronous_move = True
    study = str(images(course)[0].StudyInstanceUID)
    assert two.archive().move(TO, study=study, missing_only=two.destination)[0].missing == ()


def test_what_the_archive_has_not_is_named_and_keeps_nothing_back(two: Two, course: Course) -> None:
    """Each item for itself."""
    uid = str(images(course)[0].SOPInstanceUID)
    error = two.broken(study="1.2.3", patient="NOBODY", instance=uid)
    assert [moved.problem for moved in error.outcome] == [  # type: ignore[attr-defined]
        "SCRIPTED has nothing of this patient. Check the UID, and what this AE title may see",
        "SCRIPTED has no study 1.2.3. Check the UID, and what this AE title may see",
        "",
    ]
    assert two.arrived == {uid}


def test_an_archive_that_is_gone_is_not_asked_a_hundred_times(two: Two) -> None:
    """Three times, and what is left is accounted for."""
    archive = Archive(f"dimse://GONE@{LOOPBACK}:{free_port()}", timeout=1)
    error = two.broken(archive=archive, study=[f"1.2.{number}" for number in range(10)])
    problems = {moved.problem for moved in error.outcome}  # type: ignore[attr-defined]
    assert len(error.outcome) == 10 and len(problems) == 1  # type: ignore[attr-defined]
    assert "nothing listens on" in problems.pop()


def test_wrong_use_is_refused_before_anything_is_asked(two: Two, tmp_path: Path) -> None:
    """No item, no UID, no AE title, no DICOM archive."""
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (two.archive(), {}, "move needs something to send. Give patient=, study=, series= or instance=."),
        (two.archive(), {"study": "1.2.x"}, "StudyInstanceUID is not a UID. Give it as digits and dots."),
        (
            two.archive(),
            {"patient": "*"},
            "the patient ID has a wildcard in it, which could mean several patients. Give one exact ID.",
        ),
        (
            Archive(f"folder:{tmp_path}"),
            {"study": "1.2"},
            f"{tmp_path.name} cannot be asked to send to another archive, since that is a DICOM service (C-MOVE). "
            "Name it as dimse://AET@host:port, or use send.",
        ),
    ]
    for archive, what, sentence in cases:
        with pytest.raises(ConfigError) as caught:
            archive.move(TO, **what)
        assert str(caught.value) == sentence
    with pytest.raises(ConfigError) as caught:
        two.archive().move("A TITLE THAT IS TOO LONG", study="1.2")
    assert str(caught.value) == (
        "arguments: to is 'A TITLE THAT IS TOO LONG'; expected an AE title of 1 to 16 ASCII characters."
    )
    assert two.source.moved_to == []


# --- real archives


@pytest.mark.parametrize("sort", ["orthanc", "dcmqrscp", "node"])
def test_real_archives_move_to_a_node(course: Course, tmp_path: Path, sort: str) -> None:
    """A study by its UID; and what it lacks only, the second time."""
    with NodeProcess(NodeOptions(tmp_path / "to", TO, port=0)) as to:
        try:
            source: Any = {
                "orthanc": lambda: Orthanc({TO: (LOOPBACK, to.port)}),
                "dcmqrscp": lambda: Dcmqrscp({TO: (LOOPBACK, to.port)}),
                "node": lambda: NodeProcess(
                    NodeOptions(tmp_path / "from", port=0, peers={TO: Peer(LOOPBACK, to.port)})
                ),
            }[sort]()
        except Missing as missing:
            skip_or_fail(missing)
        with source:
            address = source.address
            if sort == "node":
                course.write(tmp_path / "course")
                Archive(address).send(tmp_path / "course")
            else:
                store(source, course.datasets)
            archive = Archive(address, budget=20)
            study = str(images(course)[0].StudyInstanceUID)
            asked = {"patient": PATIENT} if sort == "dcmqrscp" else {"study": study}  # it needs the keys above
            (moved,) = archive.move(TO, **asked, missing_only=Archive(to.address))
            assert (moved.sent, moved.missing, moved.status) == (moved.objects, (), 0x0000) and moved.objects > 4
            (again,) = archive.move(TO, **asked, missing_only=Archive(to.address))
            assert (again.objects, again.status) == (0, None)


# --- the command


def test_the_command_prints_each_item_with_its_status_in_words(
    two: Two, course: Course, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each, a summary, 0 when all arrived."""
    study = str(images(course)[0].StudyInstanceUID)
    count = sum(one.StudyInstanceUID == study for one in two.source.datasets)
    (tmp_path / "uids.csv").write_text(f"study_uid\n{study}\n")
    command = ("move", two.source.address, "--to-aet", TO, "--uids", tmp_path / "uids.csv")
    ran = Ran(capsys, (*command, "--missing-only", two.target.address))
    assert (ran.code, ran.err) == (0, "")
    assert ran.rows[1] == ["STUDY", study, f"{count} of {count}", "0x0000 completed"]
    assert ran.out.splitlines()[-1] == f"1 of 1 moved to {TO}, {count} objects"
    again = Ran(capsys, (*command, "--missing-only", two.target.address))
    assert again.rows[1][-1] == "all there already"


def test_the_command_names_what_did_not_arrive(two: Two, course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    """1, every object on a line, and the reason on standard error."""
    two.source.lies.knows_destination = False
    uid = str(images(course)[0].SOPInstanceUID)
    command = ("move", two.source.address, "--to-aet", TO, "--instance", uid, "--study", "1.2.3")
    ran = Ran(capsys, command)
    assert (ran.code, ran.err.startswith(f"qa-fetch: 2 of 2 items were not moved to {TO} as a whole")) == (1, True)
    assert [row[-1] for row in ran.rows[1:3]] == ["not found", "0xA801 destination unknown"]
    assert f"not there: {uid}" in ran.out and ran.out.splitlines()[-1] == f"0 of 2 moved to {TO}, 0 objects"
    machine = Ran(capsys, (*command, "--json"))
    assert [row["says"] for row in machine.json] == ["not found", "0xA801 destination unknown"]
    assert (machine.code, machine.json[1]["missing"]) == (1, [uid])
    failed(
        Ran(capsys, ("move", two.source.address, "--to-aet", TO)),
        2,
        "say what to move: --patient ID, --study, --series or --instance UID, or --uids FILE.csv.",
    )


def test_the_command_does_not_call_not_found_what_it_could_not_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    """An archive that is not there says nothing about what it holds, neither asked in vain nor left out."""
    studies = ("1.2", "1.3", "1.4", "1.5")
    command = ("move", f"dimse://A@{LOOPBACK}:{free_port()}", "--to-aet", TO, "--json")
    machine = Ran(capsys, (*command, *(f"--study={uid}" for uid in studies)))
    assert [(row["uid"], row["says"], row["absent"]) for row in machine.json] == [
        (uid, "not answered", False) for uid in studies
    ]
    assert machine.code == 1 and machine.json[0]["problem"].startswith("A: nothing listens on ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2\n1.3\n\n1.2\n", [("STUDY", "1.2"), ("STUDY", "1.3")]),
        ("\ufeffSeriesInstanceUID;Note\n1.2;x\n", [("SERIES", "1.2")]),
        ("PatientID,StudyInstanceUID\nP1,\nP2,1.5\n", [("PATIENT", "P1"), ("STUDY", "1.5")]),
        ("instance_uid\n1.2\n", [("IMAGE", "1.2")]),
    ],
)
def test_lists_of_uids(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    """One a line, or columns by their keywords; the lowest level of a line counts."""
    (tmp_path / "uids.csv").write_text(text, "utf-8")
    assert read_uids(tmp_path / "uids.csv") == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [("", "{path} names nothing"), ("1.2\nx\n", "line 2 of {path} names nothing"),
     ("StudyInstanceUID\n1.2\n,\n", "line 3 of {path} names nothing")],
)  # fmt: skip
def test_a_list_with_a_slip_moves_nothing(tmp_path: Path, text: str, where: str) -> None:
    """The line is named."""
    path = tmp_path / "uids.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_uids(path)
    assert str(caught.value) == (
        f"{where.format(path=path)}. Write one study UID a line, or a header with PatientID, StudyInstanceUID, "
        "SeriesInstanceUID or SOPInstanceUID and the values below it."
    )


def test_statuses_in_words() -> None:
    """Those of the guide and those of the standard; also one that nobody defines."""
    assert in_words(0x0000) == "0x0000 completed"
    assert in_words(0x0111) == "0x0111 not taken, UID known already"
    assert in_words(0xA801) == "0xA801 destination unknown"
    assert in_words(0xFF00) == "0xFF00 pending"
    assert in_words(0xC123) == "0xC123 unable to process"
    assert in_words(0xB006) == "0xB006 completed with warnings"
    assert in_words(0x1234) == "0x1234 unknown status"
    assert in_words(None) == "not answered"
