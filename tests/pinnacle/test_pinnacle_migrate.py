"""A collection of Pinnacle archives migrated: the list, the folders, who is converted and what cannot be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import phantom
import pytest
from pinnacle_collection import WHOLE, broken, course, delivered, listed, made, moved, prints, states

from qa_fetch import ConfigError
from qa_fetch.migrate import collection, migrate, naming
from qa_fetch.migrate.patients import read

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


# The list


@pytest.mark.parametrize(
    "text",
    [
        "patient_id,status\n00123,alive\nB 4,deceased\n",
        "\ufeffPatientID;Status\r\n00123;Alive\r\nB 4;DECEASED\r\n",
        'sep=;\nName;MRN;Vital status\nDoe;="00123";living\nRoe;B 4;dead\n;;\n',
        "IPP\tStatut\n00123\tvivant\nB 4\tdécédé\n",
        "Patienten-Nr.|Status\n00123|lebt\nB 4|verstorben\n",
    ],
)
def test_lists_as_hospitals_write_them(tmp_path: Path, text: str) -> None:
    """Whatever separates the cells, whatever language they are in, and with what Excel puts around them."""
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    assert [(one.patient, one.status) for one in read(path)] == [("00123", "alive"), ("B 4", "deceased")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "id,status\nA,alive\nB,maybe\nC,\n,alive\nD,gone to " + "x" * 60 + "\n",
            "{path} has 4 mistakes, so nothing was converted: [1] row 2 (line 3) has the status 'maybe'; write alive, "
            "deceased or unknown; [2] row 3 (line 4) has no status; write alive, deceased or unknown; "
            "[3] row 4 (line 5) has no patient ID; [4] row 5 (line 6) has the status "
            "'gone to xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'; write alive, deceased or unknown. "
            "Correct them and run again.",
        ),
        (
            "id,status\nA,alive\nB,alive\nA,deceased\n",
            "{path} has a mistake, so nothing was converted: row 3 (line 4) says deceased of the patient of whom "
            "row 1 says alive. Correct it and run again.",
        ),
        (
            "id,status\n1.23457E+11,alive\n",
            "{path} has a mistake, so nothing was converted: row 1 (line 2), patient ID: Excel has shortened this "
            "number; format the column as text and type it again. Correct it and run again.",
        ),
        (
            "id,status\nA,vivant?\nB,yes\n",
            "{path} has 2 mistakes, so nothing was converted: [1] row 1 (line 2) has the status 'vivant?'; write "
            "alive, deceased or unknown; [2] row 2 (line 3) has the status 'yes'; write alive, deceased or unknown. "
            "Correct them and run again.",
        ),
        ("status\nalive\n", "{path} has no column for patient IDs in its first line. Call that column patient_id."),
        ("id\nA\n", "{path} has no column for the status in its first line. Call that column status."),
        (
            "id,mrn,status\nA,B,alive\n",
            "{path} has several columns for patient IDs (1 and 2). Call only the right one patient_id.",
        ),
        ("id,status\n", "{path} names no patients. Write one into each row below its first line."),
    ],
)
def test_a_list_with_mistakes_is_refused_with_all_of_them(tmp_path: Path, text: str, sentence: str) -> None:
    """Before anything is made, and no patient ID is repeated."""
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        migrate(path, tmp_path, to=tmp_path / "import")
    assert str(caught.value) == sentence.format(path=path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["list.csv"]


def test_a_patient_who_is_listed_twice_counts_once(tmp_path: Path) -> None:
    """With the same status; the writer is told."""
    path = tmp_path / "list.csv"
    path.write_text("id,status\nA,alive\nA,alive\n", encoding="utf-8")
    found = read(path)
    assert (len(found), found.notes) == (1, ("1 of its rows repeat a patient of an earlier one: 2.",))


# Names of folders


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{last}_{first}_{id}_{number}", "Muller_Luthi_Jo_o_A_7_unknown"),
        ("{id}", "A_7"),
        ("{number} {middle}", "unknown unknown"),
        ("con.{id}", "patient_con.A_7"),
        (" .{birth}. ", "19610203"),
    ],
)
def test_folders_are_called_by_the_pattern_and_are_safe(pattern: str, name: str) -> None:
    """No piece of an archive leads out of the import folder."""
    pieces = {"last": "Müller-Lüthi", "first": "../Jo\\o", "id": "A/7", "number": "", "birth": "19610203"}
    assert naming.Names(pattern).name("A/7", pieces) == name


def test_patients_of_one_name_get_folders_of_their_own() -> None:
    """Letter case does not tell; the same patient has always the same."""
    names = naming.Names("{last}")
    made = [names.name(patient, {"last": last}) for patient, last in (("1", "Doe"), ("2", "DOE"), ("1", "Doe"))]
    assert made == ["Doe", "DOE-d4735e3a", "Doe"]
    assert len(names.name("3", {"last": "x" * 60})) == 60
    assert len(naming.Names("{last}{last}{last}").name("3", {"last": "x" * 60})) == 120


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            "{last}_{pid}",
            "the pattern '{last}_{pid}' has {pid} in it, which stands for nothing. "
            "Use {last}, {first}, {middle}, {id}, {number}, {birth}.",
        ),
        (
            "{id.__class__}",
            "the pattern '{id.__class__}' has {id.__class__} in it, which stands for nothing. "
            "Use {last}, {first}, {middle}, {id}, {number}, {birth}.",
        ),
        (
            "a/{id}",
            "the pattern 'a/{id}' is no name of a folder: / \\ : * ? \" < > | cannot be in it. "
            "Write it as '{last}_{first}_{id}_{number}'.",
        ),
        (
            "\u202e{id}",
            "the pattern '\\u202e{id}' is no name of a folder: / \\ : * ? \" < > | cannot be in it. "
            "Write it as '{last}_{first}_{id}_{number}'.",
        ),
        (
            "all",
            "the pattern 'all' gives every patient one name. Write it as '{last}_{first}_{id}_{number}'.",
        ),
        (
            "{id",
            "the pattern '{id' has a brace without its other one. Write it as '{last}_{first}_{id}_{number}'.",
        ),
    ],
)
def test_a_pattern_that_makes_no_names_is_refused(pattern: str, sentence: str) -> None:
    """With what it may hold."""
    with pytest.raises(ConfigError) as caught:
        naming.Names(pattern)
    assert str(caught.value) == sentence


# Who is converted


def test_the_living_are_converted_and_all_others_accounted_for(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """By the Patient file in each archive, whatever the archive is called; and the originals stay as they were."""
    shutil.copy(phantoms / "one.tar", tars / "P9.tar")
    (tars / "deep").mkdir()
    shutil.copy(phantoms / "two.tar.gz", tars / "deep")
    shutil.copy(phantoms / "both.tar", tars)
    (tars / "notes.txt").write_text("not an archive")
    before = prints(tars)
    asked = listed(tmp_path, P1="alive", P2="deceased", P3="alive", P7="unknown", P8="alive")
    done = moved(asked, tars)
    assert states(done) == {
        "P8": "without archive",
        "P7": "without archive",
        "P3_2": "not on the list, kept as tar",
        "P2": "kept as tar",
        "P1": "converted",
        "P3": "converted",
    }
    assert delivered(tmp_path / "import") == {"Dupont_Jane_P1_10000": WHOLE, "Doe_Jane_P3_10000": WHOLE}
    assert {entry.patient: entry.archives for entry in done.entries} == {
        "P8": (), "P7": (), "P3_2": ("both.tar",), "P2": ("deep/two.tar.gz",), "P1": ("P9.tar",), "P3": ("both.tar",)
    }  # fmt: skip
    assert [entry.patient for entry in done.entries if entry.wrong] == ["P8"]
    assert (done.exit_code, done.problems) == (1, {})
    assert prints(tars) == before
    assert [path.name for path in (tmp_path / "import.migration" / "temporary").iterdir()] == []


def test_leading_zeros_that_excel_has_dropped_are_named(tars: Path, tmp_path: Path) -> None:
    """Nobody is taken for somebody else because of them."""
    phantom.write(course("00123"), tars / "a.tar")
    done = moved(listed(tmp_path, **{"123": "alive"}), tars)
    assert [(entry.state, entry.why) for entry in done.entries] == [
        (
            "without archive",
            "an archive has this ID but for leading zeros, which spreadsheets drop. "
            "Format the column of the list as text and write the ID as the archive has it.",
        ),
        ("not on the list, kept as tar", "the ID in line 2 of the list is the same but for leading zeros"),
    ]


# What cannot be converted


def test_what_is_right_is_delivered_and_what_is_not_is_listed(tars: Path, tmp_path: Path) -> None:
    """One dose less is not a patient less, and not a patient who counts as converted."""
    broken(tars, "a.tar", "short dose")
    done = moved(listed(tmp_path, P5="alive"), tars)
    (entry,) = done.entries
    assert (entry.state, entry.omitted, done.exit_code) == ("converted with omissions", 1, 1)
    assert [said.what for said in entry.omissions] == ["RTDOSE of plan 0, trial 0"]
    assert delivered(tmp_path / "import") == {"Doe_Jane_P5_10000": [name for name in WHOLE if name != "RTDOSE"]}
    again = moved(listed(tmp_path, P5="alive"), tars)
    assert (again.run.already, again.entries, again.exit_code) == (1, done.entries, 1)


def test_with_whole_only_such_a_patient_waits(tars: Path, tmp_path: Path) -> None:
    """Nothing of it is delivered, and a later run without it delivers the rest."""
    broken(tars, "a.tar", "short dose")
    done = moved(listed(tmp_path, P5="alive"), tars, whole_only=True)
    (entry,) = done.entries
    assert entry.state == "failed"
    assert entry.why.startswith(
        "1 thing could not be converted, so nothing of the patient was delivered, as was asked for; "
        "the first: RTDOSE of plan 0, trial 0: "
    )
    assert entry.why.endswith(". Run without --whole-only to deliver the rest.")
    assert list((tmp_path / "import").iterdir()) == []
    assert states(moved(listed(tmp_path, P5="alive"), tars)) == {"P5": "converted with omissions"}


def test_archives_that_cannot_be_read_are_named(tars: Path, tmp_path: Path) -> None:
    """An archive's name proves nothing about whose it is, but the report may say that it looks like it."""
    broken(tars, "Doe_Jane_P5_1.tar", "tar of noise")
    (tars / "empty.tar").write_bytes(b"")
    done = moved(listed(tmp_path, P5="alive"), tars)
    noise = "the archive is no tar archive that can be read. Fetch it again from where it was kept."
    assert done.problems["Doe_Jane_P5_1.tar"] == noise
    assert [(entry.state, entry.why) for entry in done.entries] == [
        (
            "without archive",
            f"no archive that can be read holds this patient, and one called so is damaged: {noise}",
        )
    ]
    assert sorted(done.problems) == ["Doe_Jane_P5_1.tar", "empty.tar"]
    assert done.exit_code == 1


def test_something_else_under_the_patients_name_is_left_alone(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """Nothing is written over."""
    shutil.copy(phantoms / "one.tar", tars)
    place = tmp_path / "import" / "Dupont_Jane_P1_10000"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    (entry,) = moved(listed(tmp_path, P1="alive"), tars).entries
    assert entry.why == (
        "the import folder has something else under the name of this patient's folder, which was left as it is. "
        "Move that away and run again, or give another pattern."
    )
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    assert list((tmp_path / "import.migration" / "temporary").iterdir()) == []


def test_places_where_nothing_may_be_written_are_refused(phantoms: Path, tars: Path, tmp_path: Path) -> None:
    """Among the archives, and in the import folder before a patient is whole."""
    shutil.copy(phantoms / "one.tar", tars)
    asked = listed(tmp_path, P1="alive")
    said = []
    for more in (
        {"to": tars / "import"},
        {"to": tmp_path / "import", "work": tmp_path / "import" / "work"},
        {"to": tmp_path},
        {"to": asked},
        {"to": asked / "import"},
        {"to": None},
        {"to": tmp_path / "import", "mu": "best"},
        {"to": tmp_path / "import", "confirm": "trust"},
    ):
        with pytest.raises(ConfigError) as caught:
            moved(asked, tars, **more)
        said.append(str(caught.value))
    assert said == [
        f"the work folder {tars / 'import.migration'} lies among the archives, to which nothing is written. "
        "Name another one.",
        f"the work folder {tmp_path / 'import' / 'work'} lies in the import folder, where half patients would be "
        "seen. Name one beside it.",
        f"the archives {tars} lie in the import folder {tmp_path}, whose importer may take them away. "
        "Name an import folder without them.",
        f"{asked} is a file. Name a folder.",
        f"{asked / 'import'} cannot be made (Not a directory). Check the path, and that this user may write there.",
        "the patients are to go nowhere. Name an import folder, an archive to send to, or both.",
        "there is no way 'best' to find monitor units. Name one of agree, formula, grid.",
        "an archive cannot confirm by 'trust'. Say find, commit, store.",
    ]
    assert prints(tars).keys() == {"one.tar"}
    assert not (tmp_path / "import").exists()


def test_an_import_folder_that_takes_nothing_is_found_out_first(
    phantoms: Path, tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after each patient was converted; whoever runs tests may write everywhere, so the answer is a double's."""
    shutil.copy(phantoms / "one.tar", tars)
    to = tmp_path / "import"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != to)
    with pytest.raises(ConfigError) as caught:
        moved(listed(tmp_path, P1="alive"), tars)
    assert str(caught.value) == f"this user may not write to {to}. Give it the right to, or name another folder."


def test_no_archives_no_folders(tmp_path: Path) -> None:
    """A mistyped folder leaves nothing behind."""
    with pytest.raises(ConfigError) as caught:
        moved(listed(tmp_path, P1="alive"), tmp_path / "nowhere")
    assert str(caught.value) == f"{tmp_path / 'nowhere'} is no folder. Name the folder that holds the archives."
    assert [path.name for path in tmp_path.iterdir()] == ["patients.csv"]


def test_an_archives_name_is_taken_out_of_sentences_and_no_other_word(tmp_path: Path) -> None:
    """A folder that is called ``a`` does not take letters with it."""
    said = collection.without_names("a/Patient cannot be read. Fetch a again.", tmp_path / "a")
    assert said == "the archive/Patient cannot be read. Fetch the archive again."


@pytest.mark.parametrize(("name", "is_it"), [("Doe_P5_1.tar", True), ("P50.tar", False), ("XP5.tar", False)])
def test_a_damaged_archive_is_a_patients_only_where_all_of_the_id_is_in_its_name(
    tars: Path, tmp_path: Path, name: str, is_it: bool
) -> None:
    """P5 is not P50."""
    broken(tars, name, "tar of noise")
    (entry,) = moved(listed(tmp_path, P5="alive"), tars).entries
    assert ("one called so is damaged" in entry.why, bool(entry.archives)) == (is_it, is_it)
