"""Objects that are sent anonymised: what arrives, what is held back, and that nothing stays behind."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers import course as courses

from qa_fetch import Archive, Incomplete, part10
from qa_fetch.anonymise import Anonymiser, passing
from qa_fetch.node import NodeOptions, NodeProcess, Peer
from qa_fetch.node.scaffold import init

WHEN = datetime(2015, 5, 12, 14, 5)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Where to; each test has a key of its own, so that its objects are others."""
    options = NodeOptions(tmp_path_factory.mktemp("to") / "node", port=0, ae_title="TRIAL", peers={"OWN": Peer()})
    with NodeProcess(options) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three slices of a patient, a screen save, and a note."""
    series = courses.new_series("PAT-4711", "A", description="of Müller", began=WHEN)
    made = [courses.ct_slice(series, WHEN, number, cone_beam=False) for number in (1, 2, 3, 4)]
    made[3].SOPClassUID, made[3].BurnedInAnnotation = "1.2.840.10008.5.1.4.1.1.7", "YES"
    paths = courses.write_all(made, tmp_path / "out")
    (tmp_path / "out" / "note.txt").write_text("PAT-4711 was here")
    return [*paths, tmp_path / "out" / "note.txt"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""
    return lambda *arguments: Ran(capsys, arguments)


def held(archive: Archive, patient: str) -> list[str]:
    """The names of the patient under which an archive holds objects, one for each object."""
    rows = archive.find("IMAGE", {"PatientID": patient, "PatientName": "", "SOPInstanceUID": ""})
    return [str(row.PatientName) for row in rows]


def test_what_is_sent_is_anonymised_and_nothing_stays_behind(
    run: Any, node: NodeProcess, files: list[Path], tmp_path: Path
) -> None:
    """Under new UIDs, which the archive commits to; who is who is kept beside the key."""
    ran = run("send", node.address, *files[:3], "--anonymise", "trial.key", "--profile", "research-rt")
    key = Anonymiser(tmp_path / "trial.key").key
    code = key.code("PAT-4711")
    assert (ran.code, ran.out) == (0, "3 sent to TRIAL\n")
    assert held(Archive(node.address), code) == [code] * 3
    assert held(Archive(node.address), "PAT-4711") == []
    assert code in (tmp_path / "trial.ids" / "mapper.json").read_text()
    assert not [path for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith("qa_fetch-")]


def test_only_the_files_that_are_sent_teach_who_is_in_them(run: Any, node: NodeProcess, files: list[Path]) -> None:
    """The help says so: a physician whom another file names stays in the text of this one, until both are sent."""
    for path, operator in zip(files, ("", "Keller^Urs")):
        dataset = part10.read(path)
        dataset.SeriesDescription, dataset.OperatorsName = "asked by Keller", operator
        part10.write(dataset, path)
    archive = Archive(node.address)
    for number, (paths, text) in enumerate(((files[:1], "asked by Keller"), (files[:2], "asked by"))):
        Anonymiser(f"{number}.key")
        assert run("send", node.address, *paths, "--anonymise", f"{number}.key", "--profile", "research-rt").code == 0
        code = Anonymiser(f"{number}.key").key.code("PAT-4711")
        rows = archive.find("SERIES", {"PatientID": code, "SeriesDescription": "", "SeriesInstanceUID": ""})
        assert rows[0].SeriesDescription == text
    assert "of what these files alone say of their patients" in " ".join(run("send", "--help").out.split())


def test_what_is_held_back_is_named_and_the_others_are_sent(run: Any, node: NodeProcess, files: list[Path]) -> None:
    """By its own path, with the reason; for machines too."""
    ran = run("send", node.address, "out", "--anonymise", "trial.key")
    assert ran.code == 1
    assert [row[0] for row in ran.rows][1:] == [str(path.relative_to(Path.cwd())) for path in files[3:]]
    assert ran.err.splitlines()[1].startswith(
        "qa-fetch: 2 of 5 files were not anonymised, so they were not sent; the first: "
    )
    again = run("send", node.address, "out", "--anonymise", "trial.key", "--json")
    assert again.code == 1
    said = {one["path"]: one["problem"] for one in again.json}
    assert sorted(said) == sorted(str(path.relative_to(Path.cwd())) for path in files)
    assert [bool(said[str(path.relative_to(Path.cwd()))]) for path in files] == [False, False, False, True, True]


def test_nothing_is_sent_where_all_is_held_back(run: Any, files: list[Path]) -> None:
    """Nobody is even called."""
    Anonymiser("trial.key")
    ran = run("send", "dimse://NOBODY@127.0.0.1:9", files[3], "--anonymise", "trial.key")
    assert (ran.code, ran.err) == (
        1,
        "qa-fetch: 1 of 1 files were not anonymised, so they were not sent; the first: a secondary capture may show "
        'the patient\'s name in its pixels. Look at it, and say pixels.classes.secondary-captures = "keep", or write '
        "a rule for its device (pixels.devices), in a profile to pass such objects on.\n",
    )


def test_the_block_of_new_files_cleans_up_after_a_failure(files: list[Path], tmp_path: Path) -> None:
    """The files are there for its length, with nothing of the sources' names, in a folder of their owner."""
    anonymiser = Anonymiser(tmp_path / "trial.key")
    with pytest.raises(Incomplete), passing.anonymised(anonymiser, files) as passed:
        (folder,) = {path.parent for path in passed.files}
        assert [path.name for path in passed.files] == ["000001.dcm", "000002.dcm", "000003.dcm"]
        assert list(passed.sources.values()) == files[:3]
        assert [path for path, _ in passed.problems] == files[3:]
        if os.name != "nt":
            assert folder.stat().st_mode & 0o077 == 0
        raise Incomplete("the connection went. Send again.")
    assert not folder.exists()


def test_a_full_disk_for_the_new_files_is_a_sentence(
    run: Any, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent of what would not be whole, and nothing stays behind."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Anonymiser, "file", full)
    Anonymiser("trial.key")
    failed(
        run("send", "dimse://NOBODY@127.0.0.1:9", files[0], "--anonymise", "trial.key"),
        1,
        f"the anonymised files cannot be written to {tempfile.gettempdir()} (No space left on device), so nothing was "
        "sent. Free space there, or name another folder in the variable TMPDIR.",
    )
    assert not [path for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith("qa_fetch-")]


def test_the_objects_learn_of_each_other_before_the_first_is_written(tmp_path: Path) -> None:
    """A name that only the last one tells is taken out of the first one's text."""
    series = courses.new_series("PAT-4711", "A", began=WHEN)
    first, last = (courses.ct_slice(series, WHEN, number, cone_beam=False) for number in (1, 2))
    first.SeriesDescription, last.OtherPatientNames = "seen by Zuckerkandl", "Zuckerkandl^Emil"
    paths = courses.write_all([first, last], tmp_path / "out")
    anonymiser = Anonymiser(tmp_path / "trial.key", "research-rt")
    with passing.anonymised(anonymiser, paths) as passed:
        assert not any(b"uckerkandl" in path.read_bytes() for path in passed.files)


def test_a_file_that_cannot_be_read_holds_all_back(
    run: Any, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What identifies in it may stand in the others."""
    opened = Path.open

    def refusing(path: Path, *given: Any, **more: Any) -> Any:
        if path.name == files[1].name:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(path, *given, **more)

    Anonymiser("trial.key")
    monkeypatch.setattr(Path, "open", refusing)
    failed(
        run("send", "dimse://NOBODY@127.0.0.1:9", "out", "--anonymise", "trial.key"),
        1,
        f"{files[1].name} cannot be read (Too many open files), and what identifies in it may stand in the others, so "
        "nothing was sent. Check that this user may read it, and send again.",
    )


@pytest.mark.parametrize("option", ["--profile", "--new-ids", "--offsets", "--ids"])
def test_how_without_a_key_is_wrong_use(run: Any, files: list[Path], option: str) -> None:
    """Nobody who says how may be sent the originals."""
    failed(
        run("send", "dimse://NOBODY@127.0.0.1:9", files[0], option, "basic"),
        2,
        f"{option} says how objects are anonymised. Name the key with --anonymise as well.",
    )


def test_a_peer_whose_entry_says_so_is_sent_no_originals(
    run: Any, node: NodeProcess, files: list[Path], tmp_path: Path
) -> None:
    """Also by hand: the white list counts for ``send --node`` as for a C-MOVE."""
    Anonymiser(tmp_path / "listed.key")
    peer = {"host": "127.0.0.1", "port": node.port, "anonymise": "../listed.key", "anonymise_profile": "research-rt"}
    init(tmp_path / "own", {"node.ae_title": "OWN"}, {"TRIAL": peer})
    ran = run("send", "TRIAL", *files[:2], "--node", tmp_path / "own", "--commit")
    code = Anonymiser(tmp_path / "listed.key").key.code("PAT-4711")
    assert (ran.code, ran.err) == (0, "")
    assert held(Archive(node.address), code) == [code] * 2
    assert held(Archive(node.address), "PAT-4711") == []
