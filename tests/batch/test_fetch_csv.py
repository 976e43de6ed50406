"""A query file in, a complete and documented data set out: what arrives, where, and what is said of what does not."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from peers import course as courses

from qa_fetch import Archive, ConfigError, part10
from qa_fetch.batch import fetch_csv, look_up, storing
from qa_fetch.node import NodeOptions, NodeProcess


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """A node with two patients: a QA course, and two CT series of one number and description."""
    made = courses.default_course(second_plan=True)
    twins = [courses.new_series("P2", name, description="CT HEAD", began=datetime(2015, 5, 12, 14, 5)) for name in "AB"]
    slices = [
        courses.ct_slice(series, datetime(2015, 5, 12, 14, 5), n, cone_beam=False)
        for series in twins
        for n in (1, 2, 3)
    ]
    folder = tmp_path_factory.mktemp("archive")
    with NodeProcess(NodeOptions(folder / "node", port=0)) as node:
        files = courses.write_all([*made.datasets, *slices], folder / "files")
        Archive(node.address, shelf=folder / "shelf").send(files)
        yield Archive(node.address)


def query(folder: Path, text: str) -> Path:
    path = folder / "query.csv"
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def objects(folder: Path) -> dict[str, list[str]]:
    """The SOP Instance UIDs in each series folder, read from the objects themselves."""
    found: dict[str, list[str]] = {}
    for path in folder.glob("sub-*/ses-*/*/*.dcm"):
        found.setdefault(str(path.parent.relative_to(folder)), []).append(str(part10.read(path).SOPInstanceUID))
    return found


def test_every_series_of_a_row_has_a_folder_of_its_own_and_is_whole(archive: Archive, tmp_path: Path) -> None:
    """Two series of one number and one description do not share it, as they did in PACSMAN."""
    out = tmp_path / "out"
    report = fetch_csv(query(tmp_path, "PatientID,Modality\nP2,CT\n"), archive, to=out, info=True)
    assert (report.done, report.failed, report.waiting) == (2, 0, 0)
    found = objects(out)
    assert sorted(map(len, found.values())) == [3, 3]
    first, second = sorted(found)
    assert first == "sub-P2/ses-20250901080000/00001-CTHEAD"
    assert second.startswith("sub-P2/ses-20250901080000/00001-CTHEAD-")
    for folder in found:
        (row,) = table(out / f"{folder}.csv")
        assert (row["PatientID"], row["SeriesDescription"], row["Modality"]) == ("P2", "CT HEAD", "CT")
    log = table(out / "logs" / "run_log.csv")
    assert [(row["Rows"], row["FilesFound"], row["Completed"]) for row in log] == [("1", "3", "True")] * 2
    assert not (out / ".shelf").exists()
    assert all((out / f"report.{kind}").is_file() for kind in ("csv", "json", "html"))


def test_a_second_run_fetches_nothing_that_is_there(archive: Archive, tmp_path: Path) -> None:
    """And again what somebody took away."""
    out, asked = tmp_path / "out", query(tmp_path, "PatientID\nP2\n")
    fetch_csv(asked, archive, to=out)
    before = objects(out)
    again = fetch_csv(asked, archive, to=out)
    assert (again.done, again.already, again.bytes) == (2, 2, 0)
    lost = sorted(out.glob("sub-*/ses-*/*/*.dcm"))[0]
    lost.unlink()
    mended = fetch_csv(asked, archive, to=out)
    assert (mended.done, mended.already) == (2, 1)
    assert {folder: sorted(uids) for folder, uids in objects(out).items()} == {
        folder: sorted(uids) for folder, uids in before.items()
    }


def test_a_row_with_nothing_is_a_failure_with_its_sentence(archive: Archive, tmp_path: Path) -> None:
    """The others arrive."""
    out = tmp_path / "out"
    report = fetch_csv(query(tmp_path, "PatientID\nNOBODY\nP2\n"), archive, to=out)
    assert (report.done, report.failed) == (2, 1)
    (failed,) = report.failures()
    assert (failed.key, failed.error) == (
        "row 1",
        f"{archive.name} has nothing that fits this row. Check its values.",
    )


def test_rows_may_ask_for_objects_instead_of_series(archive: Archive, tmp_path: Path) -> None:
    """A plan by its label, and nothing else of its series."""
    out = tmp_path / "out"
    report = fetch_csv(query(tmp_path, "PatientID,RTPlanLabel\nQA_TB1,PDIP_10X\n"), archive, to=out)
    assert report.failed == 0
    ((_, uids),) = objects(out).items()
    assert len(uids) == 1


def test_what_the_writer_of_a_file_should_know_is_a_warning(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows that repeat others are fetched once, and that is said."""
    report = fetch_csv(query(tmp_path, "PatientID\nP2\nP2\n"), archive, to=tmp_path / "out")
    assert report.done == 2
    assert [record.name for record in caplog.records if record.levelname == "WARNING"] == ["qa_fetch.batch"]
    assert "2" in caplog.text
    assert "P2" not in caplog.text


def test_a_dry_run_says_what_would_come(archive: Archive, tmp_path: Path) -> None:
    """Series, objects, and about how many bytes; nothing is made."""
    plan = look_up(query(tmp_path, "PatientID\nP2\nNOBODY\n"), archive)
    found = [(one.facts["SeriesDescription"], count, size) for one, count, size in plan.series]
    assert found == [("CT HEAD", 3, 3 * 512)] * 2
    assert (plan.objects, [one.row for one in plan.unanswered]) == (6, [2])


def test_info_alone_describes_without_fetching(archive: Archive, tmp_path: Path) -> None:
    """In PACSMAN's successor it did nothing, and said so with exit code 0."""
    out = tmp_path / "out"
    report = fetch_csv(query(tmp_path, "PatientID\nP2\n"), archive, to=out, save=False, info=True)
    assert (report.done, report.bytes) == (2, 0)
    assert len(list(out.glob("sub-*/ses-*/*.csv"))) == 2
    assert objects(out) == {}


def test_mistakes_are_named_before_anything_is_asked_or_made(archive: Archive, tmp_path: Path) -> None:
    """All of them."""
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="PatientID"):
        fetch_csv(query(tmp_path, "StudyDate,patientID\n20150512,123421\n"), archive, to=out)
    assert not out.exists()


def test_a_uid_that_leads_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    """An archive may call an object what it likes; its file stays in the folder of its series."""
    taken = tmp_path / "taken.dcm"
    taken.write_bytes(b"x")
    place = tmp_path / "out" / "sub-1" / "ses-1" / "00001-A"
    storing._put(SimpleNamespace(uids=("../../../../evil", "/evil"), files=(taken, taken)), place)
    written = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert len(written) == 2
    assert {path.parent for path in written} == {place}


def test_in_processes_it_is_the_same(archive: Archive, tmp_path: Path) -> None:
    """The archive travels to them."""
    out = tmp_path / "out"
    report = fetch_csv(query(tmp_path, "PatientID\nP2\n"), archive, to=out, where="processes", workers=2)
    assert (report.done, report.failed) == (2, 0)
    assert sorted(map(len, objects(out).values())) == [3, 3]
