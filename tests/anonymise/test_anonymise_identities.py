"""Who becomes whom: lists as PACSMAN has them, codes of the key, and the folder that remembers."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import stat
from pathlib import Path
from typing import Any, Optional, Union

import pytest

from qa_fetch.anonymise.identities import Identities, outside
from qa_fetch.anonymise.keyed import Key
from qa_fetch.anonymise.keyfolder import locked
from qa_fetch.errors import ConfigError, Incomplete, NotFound, QAFetchError

RULE = "Use 1 to 64 letters and digits, with . _ - or spaces between them."


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """A key."""
    return Key.load(tmp_path / "trial.key")


def listed(folder: Path, content: Any, name: str = "new_ids.json") -> Path:
    """A list in a file."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def sentence(kind: type[QAFetchError], call: Any, *arguments: Any, **keywords: Any) -> str:
    """How a call fails."""
    with pytest.raises(QAFetchError) as caught:
        call(*arguments, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


# --- codes


def test_ids_with_and_without_sub_are_the_same_patient(key: Key, tmp_path: Path) -> None:
    """In the list, in one file both ways, and where the code is asked for; as a mapping too."""
    ids = {"sub-1234": "P0001", "87262": "P0002", "87262 ": "P0002"}
    for given in (listed(tmp_path, ids), ids, listed(tmp_path, "\ufeff" + json.dumps(ids), "bom.json")):
        identities = Identities(key, tmp_path / "ids", new_ids=given)
        assert [identities.code(one) for one in ("1234", "sub-1234", "87262", "sub-87262", " 87262\0")] == [
            *["P0001"] * 2,
            *["P0002"] * 3,
        ]


def test_a_list_may_name_patients_as_pacsman_names_their_folders(key: Key, tmp_path: Path) -> None:
    """Without the characters that no folder has; but two patients never become one by it."""
    identities = Identities(key, tmp_path / "ids", new_ids={"sub-12_34_A": "P0001"})
    assert identities.code("12/34 - Ä") == "P0001"
    assert sentence(ConfigError, identities.code, "12.34.A") == (
        f"a code that {tmp_path}/ids/new_ids.json or this run has for one patient is now given to another. "
        "Give each patient a code of its own."
    )


def test_a_patient_whom_the_list_lacks_is_an_error(key: Key, tmp_path: Path) -> None:
    """The key makes nothing up where somebody has given a list."""
    identities = Identities(key, tmp_path / "ids", new_ids=listed(tmp_path, {"1234": "P0001"}))
    told = "new_ids.json has no code for one of the patients. Add it and run again."
    assert sentence(NotFound, identities.code, "87262") == sentence(NotFound, identities.days, "87262") == told
    assert sentence(NotFound, Identities(key, tmp_path / "ids").code, " ") == (
        "an object says nothing about who its patient is, so no code fits. Leave it out."
    )


def test_without_a_list_the_key_makes_codes(key: Key, tmp_path: Path) -> None:
    """The same in every run, and its codes and those of lists stay as they are."""
    identities = Identities(key, tmp_path / "ids")
    made = identities.code("1234")
    assert made == key.code("1234") == Identities(key, tmp_path / "other").code("sub-1234")
    assert (identities.code(made), identities.is_code(made), identities.is_code("1234")) == (made, True, False)
    assert identities.days(made) == key.days(made)
    identities.save()
    assert read(tmp_path / "ids" / "mapper.json") == {made: "1234"}
    again = Identities(key, tmp_path / "third", new_ids={"1234": "P0001"})
    assert (again.code("P0001"), again.is_code("P0001"), again.is_code("P0002")) == ("P0001", True, False)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"1234": ""}, f", entry 1: the code is empty. {RULE}"),
        ({"5": "P5", "1234": " "}, f", entry 2: the code is empty. {RULE}"),
        *(
            ({"1234": code}, f", entry 1: the code cannot be the name of a folder and a value of DICOM. {RULE}")
            for code in (7, None, ["P1"], *"a/b .. a\\b a:b a. aux NUL.txt ä".split(), " a", "P\n1", "P" * 65)
        ),
        ({"1234": "sub-P1"}, ", entry 1: the code begins with sub-, which folders get anyway. Leave that out."),
        ({"sub-1234": "P1234"}, ", entry 1: the code contains the patient's ID. Choose one that does not."),
        ({"12-34": "P.1.2.3.4"}, ", entry 1: the code contains the patient's ID. Choose one that does not."),
        ({"7": "7"}, ", entry 1: the code contains the patient's ID. Choose one that does not."),
        ({"1111": "2222", "2222": "P1"}, ", entry 1: the code is the ID of another patient. Choose another one."),
        ({"1234": "P1", "sub-1234": "P2"}, ", entry 2: the patient has another code in entry 1. Keep one of them."),
        ('{"1234": "P1", "1234": "P2"}', ", entry 2: the patient has another code in entry 1. Keep one of them."),
        ({"1234": "P1", "5": "p1"}, ", entry 2: the code is that of entry 1, which is another patient. "
         "Give each patient a code of its own."),
        ({"sub-": "P1"}, ", entry 1: the patient's ID is empty. Write it, or leave the entry out."),
        ("[]", " is not a JSON object. Check its braces, quotes and commas."),
        ("{'1234': 'P1'}", " is not a JSON object. Check its braces, quotes and commas."),
        ("[" * 100_000, " is not a JSON object. Check its braces, quotes and commas."),
    ],
)  # fmt: skip
def test_a_list_that_is_wrong_is_told(key: Key, tmp_path: Path, content: Any, fault: str) -> None:
    """By the number of its entry, and without what stands there."""
    told = sentence(ConfigError, Identities, key, tmp_path / "ids", new_ids=listed(tmp_path, content))
    assert told == f"new_ids.json{fault}"


def test_short_ids_are_found_in_many_a_code_by_chance(key: Key, tmp_path: Path) -> None:
    """That gives nobody away."""
    assert Identities(key, tmp_path / "ids", new_ids={"1": "P0001"}).code("1") == "P0001"


def test_a_text_with_one_code_is_for_the_only_patient(key: Key, tmp_path: Path) -> None:
    """Named, or lying in the key folder; a second patient is an error."""
    given = listed(tmp_path, "\nP0001\n", "new_id.txt")
    (tmp_path / "ids").mkdir()
    listed(tmp_path / "ids", "P0001", "new_id.txt")
    for new_ids in (given, None):
        identities = Identities(key, tmp_path / "ids", new_ids=new_ids)
        assert [identities.code(one) for one in ("1234", "sub-1234", "P0001")] == ["P0001"] * 3
        assert sentence(ConfigError, identities.code, "87262") == (
            f"{'new_id.txt'} has one code, and there are several patients. "
            "Give a new_ids.json with a code for each of them."
        )
    one = Identities(key, tmp_path / "ids", new_ids=given)
    assert sentence(ConfigError, one.code, "p0001") == (
        "new_id.txt: the code contains the patient's ID. Choose one that does not."
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("P1\nP2\n", "new_id.txt has 2 lines with text, where one code for the only patient is expected. "
         "Write one line, or give a new_ids.json for several patients."),
        ("", "new_id.txt has 0 lines with text, where one code for the only patient is expected. "
         "Write one line, or give a new_ids.json for several patients."),
        ("../P1", f"new_id.txt: the code cannot be the name of a folder and a value of DICOM. {RULE}"),
        (None, "{} cannot be read (No such file or directory). Check the path and its permissions."),
    ],
)  # fmt: skip
def test_a_text_with_no_single_code_is_told(key: Key, tmp_path: Path, content: Optional[str], told: str) -> None:
    """Also when it is not there."""
    path = tmp_path / "new_id.txt"
    if content is not None:
        path.write_text(content, "utf-8")
    assert sentence(ConfigError, Identities, key, tmp_path / "ids", new_ids=path) == told.format(path)
    path.write_bytes(b"\xff\xfe\xff")
    assert sentence(ConfigError, Identities, key, tmp_path / "ids", new_ids=path) == (
        "new_id.txt is not UTF-8 text. Save it as that."
    )


# --- day shifts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("date_offsets.csv", "pseudonym,offset_days\nP0001,-14\nP0002,+21\n"),
        ("date_offsets.csv", "sub-1234;-14\r\nsub-87262;21\r\n"),
        ("date_offsets.csv", "patient_id,offset\n1234,-14\n87262,21\n"),
        ("day_shift_T.json", {"sub-1234": -14, "87262": 21}),
        ("day_shift_T.json", {"P0001": -14, "P0002": "21"}),
    ],
)
def test_day_shifts_are_taken_by_code_or_by_id(key: Key, tmp_path: Path, name: str, content: Any) -> None:
    """As this room writes them, as PACSMAN did, and as the De-ID service gives them."""
    ids = {"1234": "P0001", "87262": "P0002"}
    identities = Identities(key, tmp_path / "ids", new_ids=ids, offsets=listed(tmp_path, content, name))
    assert (identities.days("1234"), identities.days("sub-87262"), identities.days("P0001")) == (-14, 21, -14)


def test_a_file_of_pseudonyms_is_not_read_as_one_of_ids(key: Key, tmp_path: Path) -> None:
    """What its first line says counts."""
    offsets = listed(tmp_path, "pseudonym,offset_days\n1234,-7\nP0001,-14\n", "date_offsets.csv")
    assert Identities(key, tmp_path / "ids", new_ids={"1234": "P0001"}, offsets=offsets).days("1234") == -14
    both = listed(tmp_path, "1234,-7\nP0001,-14\n", "both.csv")
    identities = Identities(key, tmp_path / "ids", new_ids={"1234": "P0001"}, offsets=both)
    assert sentence(ConfigError, identities.days, "1234") == (
        "both.csv has one number of days for a patient's code and another for the ID. Keep one of them."
    )


def test_without_a_list_of_shifts_the_key_makes_them(key: Key, tmp_path: Path) -> None:
    """From the patient, not from the code; a list that lacks somebody is an error."""
    assert Identities(key, tmp_path / "ids", new_ids={"1234": "P0001"}).days("1234") == key.days("1234")
    offsets = listed(tmp_path, "P0001,-14\n", "date_offsets.csv")
    assert sentence(NotFound, Identities(key, tmp_path / "ids", offsets=offsets).days, "1234") == (
        "date_offsets.csv has no days for one of the patients. Add them and run again."
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("pseudonym,offset_days\nP1,0\n", "line 2: the days are 0, which would leave the dates as they are. "
         "Give another number."),
        ("P1,-7\nP2,1.5\n", "line 2: the days are not a whole number. Write them as -14."),
        ("P1,-7\nP2,\n", "line 2: the days are not a whole number. Write them as -14."),
        ("P1,-7\nP2,99999\n", "line 2: the days are more than a century. Give a smaller number."),
        ("P1,-7\nP1,-14\n", "line 2: an entry before has another number of days. Keep one of them."),
        ("P1,-7,x\n", "line 1: two columns are expected. Correct it and run again."),
        ('P1,"-7\n', "line 1: its quotes do not match. Correct them and run again."),
        ('{"P1": true}', "entry 1: the days are not a whole number. Write them as -14."),
        ('{"P1": 0}', "entry 1: the days are 0, which would leave the dates as they are. Give another number."),
    ],
)  # fmt: skip
def test_shifts_that_are_wrong_are_told(key: Key, tmp_path: Path, content: str, fault: str) -> None:
    """By their line, and without what stands there."""
    given = listed(tmp_path, content, "offsets.csv")
    assert sentence(ConfigError, Identities, key, tmp_path / "ids", offsets=given) == f"offsets.csv, {fault}"


# --- the folder


def test_the_folder_holds_who_is_who_for_its_owner_alone(key: Key, tmp_path: Path) -> None:
    """Both ways, and the shifts by pseudonym; only of patients who were met."""
    ids = {"1234": "P0002", "87262": "P0001", "5": "P0003"}
    identities = Identities(key, tmp_path / "keys" / "ids", new_ids=ids)
    for patient in ("1234", "87262"):
        identities.days(patient)
    identities.save()
    folder = tmp_path / "keys" / "ids"
    assert read(folder / "new_ids.json") == {"sub-1234": "P0002", "sub-87262": "P0001"}
    assert read(folder / "mapper.json") == {"P0002": "1234", "P0001": "87262"}
    rows = f"pseudonym,offset_days\nP0001,{key.days('87262')}\nP0002,{key.days('1234')}\n"
    assert (folder / "date_offsets.csv").read_text("utf-8") == rows
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"new_ids.json", "mapper.json", "date_offsets.csv", ".lock"}


def test_what_a_run_saved_holds_in_the_next(key: Key, tmp_path: Path) -> None:
    """Codes and shifts stay, also without the list they came from, and others join them."""
    folder, offsets = tmp_path / "ids", listed(tmp_path, "1234,-14\n", "offsets.csv")
    first = Identities(key, folder, new_ids={"1234": "P0001"}, offsets=offsets)
    first.days("1234")
    first.save()
    second = Identities(key, folder)
    assert (second.code("1234"), second.days("1234"), second.code("P0001"), second.days("P0001")) == (
        *("P0001", -14) * 2,
    )
    second.days("Müller\ud800")
    second.save()
    assert list(read(folder / "new_ids.json")) == ["sub-1234", "sub-Müller\ud800"]
    assert Identities(key, folder).days("Müller\ud800") == key.days("Müller\ud800")


def test_a_code_of_the_key_that_holds_an_id_by_chance_does_not_lock_the_folder(key: Key, tmp_path: Path) -> None:
    """It was made without knowing, and gives nobody away."""
    patient = key.code("x")[3:7]  # any ID will do whose code is made to hold it

    class Unlucky(Key):
        def code(self, identity: str) -> str:
            return key.code("x")

    unlucky = Unlucky(b"\0" * 32, tmp_path / "trial.key")
    identities = Identities(unlucky, tmp_path / "ids")
    identities.code(patient)
    identities.save()
    assert Identities(unlucky, tmp_path / "ids").code(patient) == key.code("x")


def test_another_code_or_shift_than_before_is_an_error(key: Key, tmp_path: Path) -> None:
    """At once where the folder tells it, and at the end where another run was quicker."""
    folder = tmp_path / "ids"
    other = "Use {} of the earlier run, or another key and folder for a project of its own."
    code_told = f"a patient has another code in {folder}/new_ids.json than now. {other.format('the list')}"
    days_told = f"a patient has another day shift in {folder}/date_offsets.csv than now. {other.format('the offsets')}"
    one_told = (
        f"a code that {folder}/new_ids.json or this run has for one patient is now given to another. "
        "Give each patient a code of its own."
    )
    shifted, elsewhere = listed(tmp_path, "1234,-3\n", "a.csv"), listed(tmp_path, "1234,-5\n5,-5\n", "b.csv")
    early: list[tuple[Identities, str]] = [
        (Identities(key, folder, new_ids={"1234": "P0009"}), code_told),
        (Identities(key, folder, new_ids={"1234": "P0001"}, offsets=elsewhere), days_told),
        (Identities(key, folder, new_ids={"5": "P0001"}), one_told),
    ]
    for identities, _ in early:
        identities.days("5" if identities is early[-1][0] else "1234")
    first = Identities(key, folder, new_ids={"1234": "P0001"}, offsets=shifted)
    first.days("1234")
    first.save()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for identities, told in early:
        assert sentence(ConfigError, identities.save) == told
    assert sentence(ConfigError, Identities(key, folder, new_ids={"1234": "P0009"}).code, "1234") == code_told
    assert sentence(ConfigError, Identities(key, folder, offsets=elsewhere).days, "1234") == days_told
    assert sentence(ConfigError, Identities(key, folder, new_ids={"5": "P0001"}).code, "5") == one_told
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def _save(key: Key, folder: Path, number: int) -> None:
    identities = Identities(key, folder)
    for one in range(5):
        identities.days(f"{number}-{one}")
    identities.save()


def test_processes_that_save_at_once_lose_nothing(key: Key, tmp_path: Path) -> None:
    """They wait for each other."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_save, args=(key, tmp_path / "ids", number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert len(read(tmp_path / "ids" / "new_ids.json")) == len(read(tmp_path / "ids" / "mapper.json")) == 15


def test_a_folder_that_somebody_keeps_is_told(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, and it can be tried again."""
    monkeypatch.setattr("qa_fetch.anonymise.keyfolder._PATIENCE", 0.1)
    identities = Identities(key, tmp_path / "ids")
    with locked(tmp_path / "ids"), pytest.raises(Incomplete) as caught:
        identities.save()
    assert str(caught.value) == (
        f"another run has been writing to {tmp_path}/ids for 0.1 s. Run again when it is done."
    )
    assert caught.value.retriable
    identities.save()


def test_identities_travel_to_other_processes(key: Key, tmp_path: Path) -> None:
    """With what they have found out."""
    identities = Identities(key, tmp_path / "ids", new_ids={"1234": "P0001"})
    travelled = pickle.loads(pickle.dumps(identities))
    assert (travelled.code("1234"), travelled.days("1234")) == ("P0001", key.days("1234"))


@pytest.mark.parametrize("inside", ["out", "out/ids", "out/a/../ids", "link/ids", "out/a/../../out/b"])
def test_a_key_folder_inside_the_output_is_refused(tmp_path: Path, inside: str) -> None:
    """Whatever way its path takes."""
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out", target_is_directory=True)
    folder, output = tmp_path / inside, tmp_path / "out"
    assert sentence(ConfigError, outside, folder, output) == (
        f"{folder} holds who is who and lies inside the output {output}. Name a folder outside of it."
    )


@pytest.mark.parametrize("beside", ["ids", "out.ids", "out-ids/x", "."])
def test_a_key_folder_beside_the_output_is_fine(tmp_path: Path, beside: Union[str, Path]) -> None:
    """Also when neither is there yet."""
    assert outside(tmp_path / beside, tmp_path / "out") == (tmp_path / beside).resolve()
