"""How a migration delivers: interrupted, into an archive, and what its reports and its command say."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, failed
from peers.orthanc import Orthanc
from peers.process import LOOPBACK, Missing, free_port, skip_or_fail
from peers.taker import Taker
from pinnacle_collection import SLICES, WHOLE, broken, delivered, listed, made, moved, prints, states

from qa_fetch import Archive, ConfigError
from qa_fetch.bulk import Ledger
from qa_fetch.migrate import migrate, sending
from qa_fetch.migrate.place import Place, clear, listing, mark

posix = pytest.mark.skipif(os.name == "nt", reason="modes are not Windows'")


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives that tests copy: of two patients, of both in one, and of one with two plans."""
    return made(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    return folder


# Interrupted deliveries


@pytest.fixture
def product(tmp_path: Path) -> Place:
    """A patient that was converted and not delivered yet."""
    place = Place(tmp_path / "work", mark("P1"))
    with place:
        place.product.mkdir()
        (place.product / "a.dcm").write_bytes(b"new")
        shutil.copytree(place.product, tmp_path / "copy")
    place.temporary.mkdir()
    shutil.move(tmp_path / "copy", place.product)
    (tmp_path / "import").mkdir()
    (tmp_path / "work" / "delivered").mkdir()
    return place


def announce(tmp_path: Path, place: Place) -> None:
    note = {"target": str(tmp_path / "import" / "P1"), "listing": listing(place.product), "asked": "x"}
    (tmp_path / "work" / "delivered" / f"{mark('P1')}.next").write_text(json.dumps(note))


def test_killed_before_the_step_nothing_counts_as_delivered(tmp_path: Path, product: Place) -> None:
    """The product goes, with the announcement."""
    announce(tmp_path, product)
    clear(tmp_path / "work")
    assert product.note is None
    assert sorted(prints(tmp_path)) == []


def test_killed_after_the_step_it_counts_as_delivered(tmp_path: Path, product: Place) -> None:
    """Even where the importing system has taken it away before the next run."""
    announce(tmp_path, product)
    shutil.rmtree(product.product)
    clear(tmp_path / "work")
    assert product.note is not None
    assert product.note["asked"] == "x"


def test_killed_while_replacing_the_older_one_comes_back(tmp_path: Path, product: Place) -> None:
    """The import folder does not lose a patient."""
    announce(tmp_path, product)
    (product.temporary / "old").mkdir()
    (product.temporary / "old" / "a.dcm").write_bytes(b"old")
    clear(tmp_path / "work")
    assert sorted(prints(tmp_path)) == ["import/P1/a.dcm"]
    assert (tmp_path / "import" / "P1" / "a.dcm").read_bytes() == b"old"


def test_only_what_runs_have_left_is_removed(tmp_path: Path, product: Place) -> None:
    """Files of others in the temporary folder stay."""
    (tmp_path / "work" / "temporary" / "mine.txt").write_text("mine")
    (tmp_path / "work" / "temporary" / "mine").mkdir()
    clear(tmp_path / "work")
    assert sorted(path.name for path in (tmp_path / "work" / "temporary").iterdir()) == ["mine", "mine.txt"]


def test_a_ledger_that_is_lost_delivers_nothing_twice(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """The notes of deliveries are beside it."""
    shutil.copy(phantoms / "one.tar", tars)
    asked = listed(tmp_path, P1="alive")
    before = moved(asked, tars)
    shutil.rmtree(tmp_path / "import" / "Dupont_Jane_P1_10000")
    for path in (tmp_path / "import.migration").glob("ledger.sqlite*"):
        path.unlink()
    after = moved(asked, tars)
    assert (after.entries, after.run.already) == (before.entries, 0)
    assert list((tmp_path / "import").iterdir()) == []


def test_what_was_delivered_is_not_delivered_again_when_it_is_sent_too(
    phantoms: Path, tars: Path, tmp_path: Path
) -> None:
    """It is converted once more, and the import folder does not get the same twice."""
    shutil.copy(phantoms / "one.tar", tars)
    asked = listed(tmp_path, P1="alive")
    moved(asked, tars)
    shutil.rmtree(tmp_path / "import" / "Dupont_Jane_P1_10000")
    with Taker() as taker:
        done = moved(asked, tars, send=taker.address, confirm="store")
        assert len(taker.stored) == len(WHOLE)
    assert (done.exit_code, done.run.already) == (0, 0)
    assert list((tmp_path / "import").iterdir()) == []


def test_a_second_migration_in_one_place_is_refused(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """The first one goes on."""
    shutil.copy(phantoms / "one.tar", tars)
    work = tmp_path / "import.migration"
    with Ledger(work / "ledger.sqlite"), pytest.raises(ConfigError) as caught:
        moved(listed(tmp_path, P1="alive"), tars)
    assert str(caught.value) == (
        f"another run is working in {work}. Wait until it has ended, or give another output folder."
    )


# Sending


@pytest.fixture(scope="module")
def orthanc() -> Iterator[Orthanc]:
    """A real one that can call us back."""
    try:
        peer = Orthanc({"MIGRATES": (LOOPBACK, free_port())})
    except Missing as missing:
        skip_or_fail(missing)
    with peer:
        yield peer


@pytest.mark.parametrize("confirm", ["find", "commit"])
def test_orthanc_gets_every_object_and_confirms_it(
    orthanc: Orthanc, phantoms: Path, tars: Path, tmp_path: Path, confirm: str
) -> None:
    """By C-STORE, with and without an import folder beside; asked what it has, or to commit to it."""
    shutil.copy(phantoms / "one.tar", tars)
    shutil.copy(phantoms / "two.tar.gz", tars)
    archive = Archive(orthanc.address, local_ae_title="MIGRATES", local_port=orthanc.destinations["MIGRATES"][1])
    to = tmp_path / "import" if confirm == "find" else None
    asked = listed(tmp_path, P1="alive", P2="alive")
    done = migrate(asked, tars, to=to, send=archive, confirm=confirm, workers=2)
    assert (done.exit_code, states(done)) == (0, {"P1": "converted", "P2": "converted"})
    found = [archive.find("IMAGE", PatientID=patient) for patient in ("P1", "P2")]
    assert [sorted(row.Modality for row in rows) for rows in found] == [WHOLE, WHOLE]
    if to is not None:
        assert sorted(delivered(to)) == ["Dupont_Jane_P1_10000", "Muller_Jane_P2_10000"]
    else:
        assert done.work == tmp_path / "patients.migration"
        assert [entry.folder for entry in done.entries] == ["", ""]


def test_what_an_archive_says_of_objects_that_it_took_is_a_remark(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """It has them all, and somebody should know."""
    shutil.copy(phantoms / "one.tar", tars)
    with Taker(lambda taker, *_: 0xB000 if len(taker.tried) == 3 else 0x0000) as taker:
        (entry,) = moved(listed(tmp_path, P1="alive"), tars, send=taker.address, confirm="store").entries
    assert entry.state == "converted"
    assert [said.what for said in entry.warnings if not said.archive] == ["1 object in SCRIPTED"]


def test_an_archive_that_refuses_an_object_has_not_got_the_patient(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """Nor does it appear in the import folder; the next run tries again."""
    shutil.copy(phantoms / "one.tar", tars)
    asked = listed(tmp_path, P1="alive")
    refuses = [True]
    with Taker(lambda taker, *_: 0xA700 if refuses[0] and len(taker.tried) > 11 else 0x0000) as taker:
        more: dict[str, Any] = {"send": taker.address, "confirm": "store", "attempts": 1}
        (entry,) = moved(asked, tars, **more).entries
        assert entry.state == "failed"
        assert entry.why.startswith("1 of 12 files were not sent to SCRIPTED; the first: ")
        assert list((tmp_path / "import").iterdir()) == []
        refuses[0] = False
        assert states(moved(asked, tars, **more)) == {"P1": "converted"}
        assert len({stored.uid for stored in taker.stored}) == 12
    assert sorted(delivered(tmp_path / "import")) == ["Dupont_Jane_P1_10000"]


def test_an_archive_that_loses_what_it_took_is_found_out(
    phantoms: Path, tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said Success to every object, and lists none."""
    monkeypatch.setattr(sending, "_SETTLING", 0.0)
    shutil.copy(phantoms / "one.tar", tars)
    with Taker() as taker:
        (entry,) = moved(listed(tmp_path, P1="alive"), tars, send=taker.address, attempts=1).entries
        assert (entry.state, entry.why) == (
            "failed",
            "SCRIPTED took 12 objects, and does not list 12 of them. "
            "Look there what has become of them, and run again.",
        )


def test_an_archive_that_answers_no_questions_can_confirm_otherwise(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """The sentence says how."""
    shutil.copy(phantoms / "one.tar", tars)
    asked = listed(tmp_path, P1="alive")
    with Taker() as taker:
        taker.lies.find = False
        (entry,) = moved(asked, tars, send=taker.address, attempts=1).entries
        assert entry.state == "failed"
        assert entry.why.startswith("SCRIPTED took the objects and does not answer whether it has them (")
        assert entry.why.endswith("). Let it confirm in another way: commit or store (--confirm).")
        assert states(moved(asked, tars, send=taker.address, confirm="store")) == {"P1": "converted"}


# The reports and the command


@posix
def test_reports_name_patients_and_are_for_their_owner(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """What is delivered may be read by whoever may read the import folder."""
    shutil.copy(phantoms / "one.tar", tars)
    (tmp_path / "import").mkdir()
    (tmp_path / "import").chmod(0o750)
    done = moved(listed(tmp_path, P1="alive"), tars)
    for path in done.work.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    place = tmp_path / "import" / "Dupont_Jane_P1_10000"
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o640}


def test_the_page_says_what_became_of_everybody(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """In words for somebody who does not convert, escaped, and complete in itself."""
    shutil.copy(phantoms / "one.tar", tars)
    shutil.copy(phantoms / "two.tar.gz", tars)
    broken(tars, "<b>.tar", "short dose")
    (tars / "x.tar").write_bytes(b"noise")
    asked = listed(tmp_path, P1="alive", P2="unknown", P5="alive", P6="alive")
    done = moved(asked, tars)
    page = (done.work / "report.html").read_text(encoding="utf-8")
    for text in (
        "<h1>Pinnacle migration of patients.csv</h1>",
        "1 of 3 living patients delivered with every plan; 2 patients to be looked at; 1 archive with damage.",
        f"put into the import folder {tmp_path / 'import'}. The original archives were only read; "
        "none of them was changed, moved or deleted.",
        "<h2>Converted with omissions: 1</h2>",
        "<li>RTDOSE of plan 0, trial 0: ",
        "&lt;b&gt;.tar",
        "<h2>Archives with damage: 1</h2>",
        "<h2>On the list, without an archive: 1</h2>",
        "<summary>Kept as tar: 1</summary>",
        "<summary>Converted: 1</summary>",
        f"{SLICES} CT, 1 RTDOSE, 1 RTPLAN, 1 RTSTRUCT; folder Dupont_Jane_P1_10000",
    ):
        assert text in page, text
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    found = json.loads((done.work / "report.json").read_text(encoding="utf-8"))
    assert found["counts"] == done.counts
    assert [one["state"] for one in found["patients"]] == [entry.state for entry in done.entries]
    assert len((done.work / "report.csv").read_text(encoding="utf-8-sig").splitlines()) == 5


def test_the_command_names_rows_and_no_patients(
    phantoms: Path, tars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 while somebody has to look at something, 0 when all is done."""
    shutil.copy(phantoms / "one.tar", tars / "Dupont_P1.tar")
    asked = listed(tmp_path, P1="alive", P8="alive")
    arguments = ("pinnacle", "migrate", asked, "--archives", tars, "--to", tmp_path / "import", "--workers", "1")
    ran = Ran(capsys, arguments)
    assert (ran.code, ran.err) == (1, "")
    assert "no archive holds this patient. Look whether its tar was copied" in ran.out
    assert "P1" not in ran.out
    assert "P8" not in ran.out
    (tars / "Dupont_P1.tar").rename(tars.parent / "Dupont_P1.tar")
    shutil.copy(phantoms / "two.tar.gz", tars)
    ran = Ran(capsys, arguments)
    assert "an earlier run has delivered it; now no archive holds this patient" in ran.out
    assert "Dupont" not in ran.out
    (tars.parent / "Dupont_P1.tar").rename(tars / "Dupont_P1.tar")
    (tars / "two.tar.gz").unlink()
    asked = listed(tmp_path, P1="alive")
    ran = Ran(capsys, (*arguments, "--json"))
    assert ran.code == 0
    assert ran.json["complete"] is True
    assert ran.json["patients"] == [{"row": 1, "line": 2, "state": "converted", "why": "", "omitted": 0}]


def test_the_command_needs_to_know_where(tars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, an archive, or both."""
    asked = listed(tmp_path, P1="alive")
    failed(
        Ran(capsys, ("pinnacle", "migrate", asked, "--archives", tars)),
        2,
        "say where the patients go: --to DIR, --send ARCHIVE, or both.",
    )
    failed(
        Ran(capsys, ("pinnacle", "migrate", asked, "--archives", tars, "--to", tmp_path / "import")),
        2,
        f"{tars} holds no archives (.tar, .tar.gz or .tgz). Name the folder that does.",
    )
