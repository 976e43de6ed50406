"""A migration run again: with another list, other archives, and several archives of a patient."""

from __future__ import annotations

import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path

import phantom
import pytest
from pinnacle_collection import SLICES, WHOLE, broken, course, delivered, listed, made, moved, states

from qa_fetch.bulk import Pace


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives that tests copy: of two patients, of both in one, and of one with two plans."""
    return made(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    return folder


def test_a_second_run_does_only_what_is_new(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """What the importing system has taken away in the meantime is not delivered again."""
    shutil.copy(phantoms / "one.tar", tars)
    first = moved(listed(tmp_path, P1="alive"), tars)
    assert (first.exit_code, first.run.already) == (0, 0)
    shutil.rmtree(tmp_path / "import" / "Dupont_Jane_P1_10000")
    shutil.copy(phantoms / "both.tar", tars)
    asked = listed(tmp_path, P1="alive", P3="alive", P3_2="alive")
    second = moved(asked, tars)
    assert (second.exit_code, second.run.already, second.run.done) == (0, 1, 3)
    assert sorted(delivered(tmp_path / "import")) == ["Doe_Jane_P3_10000", "Doe_Jane_P3_2_10000"]
    third = moved(listed(tmp_path, P1="deceased", P3="alive", P3_2="alive"), tars)
    entry = next(one for one in third.entries if one.patient == "P1")
    assert (entry.state, entry.folder) == ("kept as tar", "Dupont_Jane_P1_10000")
    assert entry.why == "an earlier run has delivered it. Remove it there if it is not to stay."
    page = (third.work / "report.html").read_text(encoding="utf-8")
    assert "<h2>Kept as tar, but delivered before: 1</h2>" in page
    assert "if it is not to stay. Folder of the earlier run: Dupont_Jane_P1_10000" in page


def test_what_an_earlier_run_delivered_is_never_denied(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """Not where the list has shrunk, an archive has gone, or a newer one cannot be converted."""
    shutil.copy(phantoms / "one.tar", tars)
    shutil.copy(phantoms / "two.tar.gz", tars)
    phantom.write(course("P5"), tars / "five.tar")
    moved(listed(tmp_path, P1="alive", P2="alive", P5="alive"), tars)
    (tars / "one.tar").unlink()
    broken(tars, "five.tar", "short dose")
    done = moved(listed(tmp_path, P1="alive", P5="alive"), tars, whole_only=True)
    said = {entry.patient: (entry.state, entry.folder, entry.why) for entry in done.entries}
    assert said.keys() == {"P1", "P2", "P5"}
    assert said["P1"] == (
        "without archive",
        "Dupont_Jane_P1_10000",
        "an earlier run has delivered it; now no archive holds this patient. "
        "Look whether its tar was copied, and under which ID it was planned.",
    )
    assert said["P2"] == (
        "not on the list, kept as tar",
        "Muller_Jane_P2_10000",
        "the list does not name it; an earlier run has delivered it",
    )
    assert said["P5"][:2] == ("failed", "Doe_Jane_P5_10000")
    assert said["P5"][2].endswith("deliver the rest. Before that an earlier run has delivered it; that is as it was.")
    assert delivered(tmp_path / "import")["Doe_Jane_P5_10000"] == WHOLE


def test_a_run_that_is_stopped_early_does_not_call_what_changed_converted(
    phantoms: Path, tars: Path, tmp_path: Path
) -> None:
    """What an earlier run did with the archive as it was says nothing of the archive as it is."""
    shutil.copy(phantoms / "one.tar", tars / "a.tar")
    shutil.copy(phantoms / "two.tar.gz", tars)
    asked = listed(tmp_path, P1="alive", P2="alive")
    moved(asked, tars)
    shutil.copy(phantoms / "later.tar", tars / "a.tar")
    stop = threading.Event()
    stop.set()
    done = moved(asked, tars, cancelled=stop)
    assert (states(done), done.exit_code) == ({"P1": "not done yet", "P2": "converted"}, 1)
    assert states(moved(asked, tars)) == {"P1": "converted", "P2": "converted"}


def test_outside_of_the_hours_not_even_archives_are_looked_at(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """The disks are busy then, and nothing is to begin."""
    shutil.copy(phantoms / "one.tar", tars)
    later = (datetime.now() + timedelta(hours=6)).hour
    stop = threading.Event()
    pace = Pace(hours=f"{later:02}:00-{later:02}:59")
    done = moved(
        listed(tmp_path, P1="alive"), tars, pace=pace, cancelled=stop, on_progress=lambda now: now.says and stop.set()
    )
    assert [(entry.state, entry.archives) for entry in done.entries] == [("not done yet", ())]


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        ({"last_name": "Roe", "first_name": "John"}, "names"),
        ({"last_name": "Dupont"}, "birth dates"),
    ],
)
def test_two_people_under_one_patient_id_are_not_made_one(
    phantoms: Path, tars: Path, tmp_path: Path, other: dict[str, str], differ: str
) -> None:
    """An ID that was used for tests, or twice: neither is converted until somebody has looked."""
    shutil.copy(phantoms / "one.tar", tars)
    folder = tmp_path / "other"
    phantom.write(course("P1", seed=9, **other), folder)
    if differ == "birth dates":
        (path,) = folder.rglob("Patient")
        data = path.read_bytes()
        assert b"1961" in data
        path.write_bytes(data.replace(b"1961", b"1972"))
    phantom.packed(folder, tars / "x.tar")
    asked = listed(tmp_path, P1="alive")
    (entry,) = moved(asked, tars).entries
    assert (entry.state, entry.why) == (
        "failed",
        f"its archives have different {differ} under this patient ID, as those of different people, so nothing of "
        "them was converted. Look whose they are, keep only this patient's among the archives, and run again.",
    )
    assert list((tmp_path / "import").iterdir()) == []
    (tars / "x.tar").unlink()
    assert states(moved(asked, tars)) == {"P1": "converted"}


def test_a_patient_who_married_is_one_person(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """Neither a new last name nor other letters in it make two of one; the report has both names."""
    shutil.copy(phantoms / "one.tar", tars)
    phantom.write(course("P1", last_name="Roe", plans=2), tars / "later.tar")
    (entry,) = moved(listed(tmp_path, P1="alive"), tars).entries
    assert (entry.state, sorted(entry.name.split(" / "))) == ("converted", ["Dupont, Jane", "Roe, Jane"])


def test_an_archive_that_changed_is_delivered_anew(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """In the place of what this migration has put there before, which goes in the same moment."""
    shutil.copy(phantoms / "one.tar", tars / "a.tar")
    asked = listed(tmp_path, P1="alive")
    moved(asked, tars)
    shutil.copy(phantoms / "later.tar", tars / "a.tar")
    done = moved(asked, tars)
    assert (done.exit_code, done.run.already) == (0, 0)
    both_plans = sorted([*WHOLE, "RTDOSE", "RTPLAN", "RTSTRUCT"])
    assert delivered(tmp_path / "import") == {"Dupont_Jane_P1_10000": both_plans}


def test_a_patient_in_several_archives_becomes_one_folder(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """A plan that both hold comes once."""
    shutil.copy(phantoms / "one.tar", tars)
    shutil.copy(phantoms / "later.tar", tars)
    done = moved(listed(tmp_path, P1="alive"), tars)
    both_plans = sorted([*WHOLE, "RTDOSE", "RTPLAN", "RTSTRUCT"])
    assert delivered(tmp_path / "import") == {"Dupont_Jane_P1_10000": both_plans}
    (entry,) = done.entries
    assert entry.archives == ("later.tar", "one.tar")
    assert (entry.state, entry.objects) == ("converted", {"CT": SLICES, "RTDOSE": 2, "RTPLAN": 2, "RTSTRUCT": 2})
