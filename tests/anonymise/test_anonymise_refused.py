"""What the anonymising of a folder refuses, before anything is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from folder_clinic import SMITH, clinic, files, listed

from qa_fetch.anonymise import Anonymiser
from qa_fetch.errors import ConfigError, NotFound, QAFetchError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The clinic's folder, and one for the key."""
    (tmp_path / "keys").mkdir()
    return clinic(tmp_path / "cohort")


@pytest.fixture
def anonymiser(data: Path, tmp_path: Path) -> Anonymiser:
    """One with a key of its own."""
    return Anonymiser(tmp_path / "keys" / "trial.key")


def refused(error: type[QAFetchError], sentence: str, anonymiser: Anonymiser, *where: Path, **options: object) -> None:
    """It says this sentence and does nothing."""
    with pytest.raises(error) as caught:
        anonymiser.folder(*where, **options)
    assert str(caught.value) == sentence


def test_wrong_folders_are_refused(data: Path, anonymiser: Anonymiser, tmp_path: Path):
    """Each with its sentence, before anything is read."""
    absent = tmp_path / "absent"
    refused(
        ConfigError, f"{absent} is not a folder. Name the folder with the DICOM files.", anonymiser, absent, tmp_path
    )
    refused(
        ConfigError,
        "say where the anonymised files go (to), or that they replace the originals (in place).",
        anonymiser,
        data,
    )
    refused(
        ConfigError,
        f"{data} is the folder of the originals. Name another one, or replace them in place.",
        anonymiser,
        data,
        data,
    )
    inside = data / "anon"
    refused(
        ConfigError,
        f"{inside} lies within {data}, whose files are read. Name a folder outside of it.",
        anonymiser,
        data,
        inside,
    )
    refused(
        ConfigError,
        f"{data} lies within the output {tmp_path}. Name another output folder.",
        anonymiser,
        data,
        tmp_path,
    )
    note = tmp_path / "note"
    note.write_text("x")
    refused(ConfigError, f"{note} is a file. Name a folder.", anonymiser, data, note)
    refused(
        ConfigError,
        "the originals are either replaced in place or stay, with the output in a folder. Say one.",
        anonymiser,
        data,
        tmp_path / "anon",
        in_place=True,
    )
    refused(
        ConfigError,
        "objects that are held back cannot be treated as 'keep'. Say drop or quarantine.",
        anonymiser,
        data,
        tmp_path / "anon",
        held="keep",
    )
    refused(ConfigError, "there cannot be 0 workers. Give at least 1.", anonymiser, data, tmp_path / "anon", workers=0)


def test_a_key_among_the_data_is_refused(data: Path, tmp_path: Path):
    """It would be passed on with them, or taken for one of them."""
    anon = tmp_path / "anon"
    anon.mkdir()
    refused(
        ConfigError,
        f"the key {anon / 'a.key'} lies in {anon}, and would be passed on with the data. Name a place outside of it.",
        Anonymiser(anon / "a.key"),
        data,
        anon,
    )
    refused(
        ConfigError,
        f"the folder of the identities {data / 'ids'} lies in {data}, whose files are read. "
        "Name a place outside of it.",
        Anonymiser(tmp_path / "keys" / "b.key", ids=data / "ids"),
        data,
        anon,
    )


def test_a_folder_without_files_is_told(tmp_path: Path, anonymiser: Anonymiser):
    """Nothing is made."""
    (tmp_path / "nothing").mkdir()
    refused(
        NotFound,
        f"{tmp_path / 'nothing'} holds no files. Name the folder with the DICOM files.",
        anonymiser,
        tmp_path / "nothing",
        tmp_path / "anon",
    )
    assert not (tmp_path / "anon").exists()


def test_a_patient_who_is_not_on_the_list_is_not_written(data: Path, tmp_path: Path):
    """The others are."""
    anonymiser = Anonymiser(tmp_path / "keys" / "trial.key", new_ids={f"sub-{SMITH}": "P0001"})
    done = anonymiser.folder(data, tmp_path / "anon")
    assert (done.done, done.failed) == (6, 2)
    assert {name.split("/")[0] for name in files(tmp_path / "anon")} == {"sub-P0001"}
    assert {why for became, why in listed(done).values() if became == "failed"} == {
        "new_ids has no code for one of the patients. Add it and run again."
    }
