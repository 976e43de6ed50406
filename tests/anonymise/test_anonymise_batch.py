"""A batch that is anonymised: nothing but anonymised objects ever lies in its output."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers import course as courses
from pydicom.dataset import Dataset

from qa_fetch import Archive, ConfigError, part10
from qa_fetch.anonymise import Anonymiser
from qa_fetch.batch import fetch_csv
from qa_fetch.batch.releasing import Released
from qa_fetch.node import NodeOptions, NodeProcess

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WHEN = datetime(2015, 5, 12, 14, 5)
IDENTIFYING = ("PAT-4711", "PAT-0815", "Müller", "pat_4711", "20150512")


def capture(patient: str) -> Dataset:
    """A screen save of a patient, which nobody has looked at."""
    made = courses.ct_slice(courses.new_series(patient, "screen", began=WHEN), WHEN, 9, cone_beam=False)
    made.SOPClassUID, made.Modality, made.BurnedInAnnotation = CAPTURE, "OT", "YES"
    return made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with two CT series of one patient, and one with a screen save of another."""
    twins = [courses.new_series("PAT-4711", name, description="for PAT-4711", began=WHEN) for name in "AB"]
    slices = [courses.ct_slice(series, WHEN, number, cone_beam=False) for series in twins for number in (1, 2)]
    other = courses.ct_slice(courses.new_series("PAT-0815", "C", began=WHEN), WHEN, 1, cone_beam=False)
    folder = tmp_path_factory.mktemp("archive")
    with NodeProcess(NodeOptions(folder / "node", port=0)) as running:
        files = courses.write_all([*slices, other, capture("PAT-0815")], folder / "files")
        Archive(running.address, shelf=folder / "shelf").send(files)
        yield running


@pytest.fixture
def archive(node: NodeProcess) -> Archive:
    """The same as an archive."""
    return Archive(node.address)


@pytest.fixture
def anonymiser(tmp_path: Path) -> Anonymiser:
    """With a key of its own, beside the output."""
    (tmp_path / "keys").mkdir()
    return Anonymiser(tmp_path / "keys" / "trial.key")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""
    return lambda *arguments: Ran(capsys, arguments)


def query(folder: Path, text: str) -> Path:
    path = folder / "query.csv"
    path.write_text(text, encoding="utf-8")
    return path


def released(*given: Any, **more: Any) -> Released:
    done = fetch_csv(*given, **more)
    assert isinstance(done, Released)
    return done


def named_in(folder: Path) -> set[str]:
    """What identifies in the names and the bytes of all files of a folder."""
    found = set()
    for path in folder.rglob("*"):
        name, data = str(path.relative_to(folder)), path.read_bytes() if path.is_file() else b""
        encodings = {text: (text.encode("utf-8"), text.encode("latin-1")) for text in IDENTIFYING}
        found |= {text for text, codes in encodings.items() if text in name or any(code in data for code in codes)}
    return found


def test_the_output_holds_nothing_but_anonymised_objects(
    archive: Archive, anonymiser: Anonymiser, tmp_path: Path
) -> None:
    """What was fetched, its ledger, reports and tables lie beside the key, where only their owner reads them."""
    out = tmp_path / "out"
    done = released(query(tmp_path, "PatientID\nPAT-4711\n"), archive, to=out, info=True, anonymise=anonymiser)
    assert done.anonymised is not None
    assert (done.done, done.anonymised.done, done.anonymised.failed, done.complete, done.exit_code) == (
        2,
        4,
        0,
        True,
        0,
    )
    assert named_in(out) == set()
    (subject,) = out.iterdir()
    assert subject.name == f"sub-{anonymiser.key.code('PAT-4711')}"
    assert {path.suffix for path in out.rglob("*") if path.is_file()} == {".dcm"}
    assert done.working.parent == anonymiser.ids / "batch"
    assert len(list(done.working.glob("originals/*/*/*/*.dcm"))) == 4
    assert len(list(done.working.glob("originals/*/*/*.csv"))) == 2
    assert all((done.working / f"report.{kind}").is_file() for kind in ("csv", "json", "html"))
    if os.name != "nt":
        folders = (anonymiser.ids, done.working.parent, done.working)
        assert [path.stat().st_mode & 0o777 for path in folders] == [0o700] * 3


def test_the_same_command_goes_on_with_both_halves(archive: Archive, anonymiser: Anonymiser, tmp_path: Path) -> None:
    """A run that was stopped before everything was tried has put nothing out; half a series never gets there."""
    out, asked = tmp_path / "out", query(tmp_path, "PatientID\nPAT-4711\n")
    cancelled = threading.Event()
    cancelled.set()
    stopped = released(asked, archive, to=out, anonymise=anonymiser, cancelled=cancelled)
    assert (stopped.anonymised, stopped.whole, stopped.exit_code, out.exists()) == (None, False, 1, False)
    done = released(asked, archive, to=out, anonymise=anonymiser)
    assert done.anonymised is not None and (done.done, done.anonymised.done) == (2, 4)
    series = next(iter(done.working.glob("originals/*/*/*/")))
    half = series.with_name(f".{series.name}.part")
    half.mkdir()
    courses.write(capture("PAT-4711"), half)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}
    again = released(asked, archive, to=out, anonymise=Anonymiser(anonymiser.key.path))
    assert again.anonymised is not None
    assert (again.already, again.bytes, again.anonymised.already, again.complete) == (2, 0, 4, True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")} == before
    assert not half.exists()


def test_what_cannot_be_fetched_and_what_is_held_back_leaves_the_rest(
    archive: Archive, anonymiser: Anonymiser, tmp_path: Path
) -> None:
    """Both are named in the reports beside the key, and the result is not complete."""
    out = tmp_path / "out"
    done = released(query(tmp_path, "PatientID\nPAT-0815\nNOBODY\n"), archive, to=out, anonymise=anonymiser)
    assert done.anonymised is not None and done.anonymised.audit is not None
    assert (done.done, done.failed, done.anonymised.done, sum(done.anonymised.held.values())) == (2, 1, 1, 1)
    assert (done.complete, done.exit_code, named_in(out)) == (False, 1, set())
    assert "row 2" in (done.working / "report.csv").read_text("utf-8-sig")
    assert "held back" in (done.anonymised.audit / "private.csv").read_text("utf-8")
    only_held = released(
        query(tmp_path, "PatientID,Modality\nPAT-0815,OT\n"), archive, to=tmp_path / "held", anonymise=anonymiser
    )
    assert (only_held.done, only_held.failed, only_held.exit_code) == (1, 0, 1)


def test_rows_with_nothing_at_all_make_no_output(archive: Archive, anonymiser: Anonymiser, tmp_path: Path) -> None:
    """They fail with their sentence, as without a key."""
    done = released(query(tmp_path, "PatientID\nNOBODY\n"), archive, to=tmp_path / "out", anonymise=anonymiser)
    assert done.anonymised is not None
    assert (done.failed, done.anonymised.done, done.exit_code, (tmp_path / "out").exists()) == (1, 0, 1, False)


def test_the_new_ids_of_the_rows_are_the_codes(archive: Archive, anonymiser: Anonymiser, tmp_path: Path) -> None:
    """Kept for every later run with the key; a row that says another one then is refused."""
    asked = query(tmp_path, "PatientID,new_ids\nPAT-4711,ARM A-07\n")
    done = released(asked, archive, to=tmp_path / "out", anonymise=anonymiser)
    assert done.complete
    (subject,) = (tmp_path / "out").iterdir()
    assert subject.name.startswith("sub-ARMA_07")
    one = part10.read(next(iter(subject.rglob("*.dcm"))))
    assert one.PatientID == "ARM A-07"
    assert json.loads((anonymiser.ids / "mapper.json").read_text())["ARM A-07"] == "PAT-4711"
    with pytest.raises(ConfigError) as wrong:
        fetch_csv(
            query(tmp_path, "PatientID,new_ids\nPAT-4711,B1\n"), archive, to=tmp_path / "out", anonymise=anonymiser
        )
    assert str(wrong.value) == (
        f"a patient has another code in {anonymiser.ids / 'new_ids.json'} than now. "
        "Use the list of the earlier run, or another key and folder for a project of its own."
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("keys", "{ids} holds who is who and lies inside the output {out}. Name a folder outside of it."),
        ("keys/trial.ids/out", "{out} lies in {ids}, which says who is who. Name a folder outside of it."),
        ("query.csv", "{out} is a file. Name a folder."),
    ],
)
def test_an_output_that_cannot_be_one_is_said_before_anything_is_fetched(
    archive: Archive, anonymiser: Anonymiser, tmp_path: Path, place: str, sentence: str
) -> None:
    """Not after hours."""
    asked, out = query(tmp_path, "PatientID\nPAT-4711\n"), tmp_path / place
    with pytest.raises(ConfigError) as wrong:
        fetch_csv(asked, archive, to=out, anonymise=anonymiser)
    assert str(wrong.value) == sentence.format(ids=anonymiser.ids, out=out)
    assert not (anonymiser.ids / "batch").exists()


@pytest.mark.parametrize("how", [{"save": False, "info": True}, {"save": False, "move": "OTHER"}, {"move": "OTHER"}])
def test_only_what_is_saved_can_be_anonymised(anonymiser: Anonymiser, tmp_path: Path, how: dict[str, Any]) -> None:
    """Anything else would go out as it is."""
    with pytest.raises(ConfigError) as wrong:
        fetch_csv(tmp_path / "query.csv", "nobody", to=tmp_path / "out", anonymise=anonymiser, **how)
    assert str(wrong.value) == ("only what is saved here can be anonymised. Save the objects, and move none elsewhere.")


def test_the_command_says_where_the_originals_are(run: Any, node: NodeProcess, tmp_path: Path) -> None:
    """And for machines nothing that names anybody; a table of each series does not stop the saving."""
    query(tmp_path, "PatientID\nPAT-4711\n")
    command = ("batch", "query.csv", "--archive", node.address, "--to", "out", "--anonymise", "trial.key")
    ran = run(*command, "--profile", "research-rt", "--info")
    (working,) = (tmp_path / "trial.ids" / "batch").iterdir()
    assert ran.code == 0
    assert ran.err == (
        f"Made a new key at {tmp_path / 'trial.key'}. Keep it: the same codes and UIDs can only be made with it, "
        "and whoever has it can tell who is who.\n"
    )
    assert ran.out.splitlines()[-1] == (
        f"The originals are in {working}, which names patients. Remove it when the result was checked."
    )
    again = run(*command, "--profile", "research-rt", "--info", "--json")
    assert (again.code, again.json["working"], again.json["anonymised"]["already"]) == (0, str(working), 4)
    assert not any(text in again.out for text in IDENTIFYING)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("query.csv", "--anonymise", "trial.key", "--move", "OTHER"),
            "--move has the archive send its objects as they are, so --anonymise cannot be. Leave one of them out.",
        ),
        (
            ("query.csv", "--new-ids", "new_ids.json"),
            "--new-ids says how objects are anonymised. Name the key with --anonymise as well.",
        ),
    ],
)
def test_options_that_contradict_each_other_are_wrong_use(
    run: Any, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    """No key is made, and nothing is asked."""
    query(tmp_path, "PatientID\nPAT-4711\n")
    failed(run("batch", *options, "--archive", "dimse://NOBODY@127.0.0.1:9", "--to", "out"), 2, sentence)
    assert not (tmp_path / "trial.key").exists()


def test_an_upload_is_not_anonymised(run: Any) -> None:
    """A data set that is there goes through ``anonymise`` first."""
    failed(
        run("batch", "--upload", "out", "--anonymise", "trial.key", "--archive", "dimse://NOBODY@127.0.0.1:9"),
        2,
        "--upload sends a data set that is there. Leave out the query file and what is done with one.",
    )
