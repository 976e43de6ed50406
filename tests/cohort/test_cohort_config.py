"""The configuration of a cohort: PDCP's JSON in both spellings, and TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qa_fetch.cohort import config
from qa_fetch.errors import ConfigError

CODE = {
    "version": "breast cohort 0.0.3",
    "required_modalities_for_patient": ["CT", "RTSTRUCT", "RTDOSE", "RTPLAN"],
    "required_modalities_for_patient_plus_rtplan": ["CT", "RTSTRUCT", "RTDOSE", "RTPLAN", "PT"],
    "study_desc_should_not_contain": ["lung", "Head"],
    "study_desc_may_contain": ["breast"],
    "possibilities": ["ctv", "heart"],
    "imagesummaries": "../imagesummaries/",
    "patientnotesdir": "../patientnotes/",
    "matlabfiles": "../matlabfiles/",
    "picklefiles": "../picklefiles/",
    "datadirectory": "../data/",
    "thequarantine": "../quarantine/",
    "link_to_ids": "../ids/ids_test.csv",
    "ipport": "http://localhost:8042",
    "username": "",
    "password": "",
    "CONNECTIONS": 30,
    "TIMEOUT": 2500,
    "suspicious_max_dose_lower_bound": 38,
    "suspicious_max_dose_upper_bound": 120,
}
MANUAL = {
    {"datadirectory": "datadictionary", "thequarantine": "quarantine", "link_to_ids": "links_to_ids"}.get(
        key, key
    ): value
    for key, value in CODE.items()
    if not key.endswith("plus_rtplan")
}


def written(folder: Path, keys: Any, name: str = "codesconfig.json") -> Path:
    """A file of these keys, or of this text."""
    path = folder / name
    path.write_text(keys if isinstance(keys, str) else json.dumps(keys), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    """How it is refused, without its path."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return str(caught.value).replace(f"{path} ", "")


@pytest.mark.parametrize("keys", [CODE, MANUAL], ids=["code", "manual"])
def test_pdcps_json_is_taken_as_it_is_in_both_spellings(tmp_path: Path, keys: dict[str, Any]) -> None:
    """The manual and the code of PDCP call folders differently; relative ones begin at the file."""
    found = config.load(written(tmp_path, keys))
    assert found == config.Settings(
        version="breast cohort 0.0.3",
        profile=config.PROFILES["CRDP"],
        required_modalities_for_patient=("CT", "RTSTRUCT", "RTDOSE", "RTPLAN"),
        required_modalities_for_patient_plus_rtplan=("CT", "RTSTRUCT", "RTDOSE", "RTPLAN", "PT"),
        study_desc_should_not_contain=("lung", "head"),
        study_desc_may_contain=("breast",),
        possibilities=("ctv", "heart"),
        imagesummaries=tmp_path / "../imagesummaries",
        patientnotesdir=tmp_path / "../patientnotes",
        datadirectory=tmp_path / "../data",
        thequarantine=tmp_path / "../quarantine",
        link_to_ids=tmp_path / "../ids/ids_test.csv",
        work=tmp_path / "../cohort_work",
        matlabfiles=tmp_path / "../matlabfiles",
        picklefiles=tmp_path / "../picklefiles",
        ipport="http://localhost:8042",
        archive=None,
        username=None,
        password=None,
        password_env=None,
        password_file=None,
        CONNECTIONS=30,
        TIMEOUT=2500.0,
        suspicious_max_dose_lower_bound=38.0,
        suspicious_max_dose_upper_bound=120.0,
        slices_drop_below=50,
        slices_review_above=380,
        slices_drop_above=500,
        approval="respect",
        boosts="join",
        boost_words=("boost", "bst", "phase", "ph1", "ph2", "ph3", "cone down"),
        course_days=90,
    )


def test_toml_has_the_same_keys_and_one_folder_for_all(tmp_path: Path) -> None:
    """Step 2 of the manual, in one line."""
    text = 'folder = "breast"\narchive = "pacs"\nprofile = "CRD"\nslices_drop_below = 10\ndose_on_images = true\n'
    found = config.load(written(tmp_path, text, "cohort.toml"))
    assert (found.imagesummaries, found.link_to_ids) == (
        tmp_path / "breast/imagesummaries",
        tmp_path / "breast/ids/ids.csv",
    )
    assert (found.archive, found.profile.name, found.slices_drop_below) == ("pacs", "CRD", 10)
    assert found.dose_on_images and not config.settings({"folder": "x", "archive": "a"}).dose_on_images
    assert found.required_modalities_for_patient == ("CT", "RTSTRUCT", "RTDOSE")


@pytest.mark.parametrize(
    ("required", "profile"),
    [
        (["CT", "RTSTRUCT", "RTDOSE"], config.Profile("CRD", "CT", True, False)),
        (["CT", "RTSTRUCT"], config.Profile("CR", "CT", False, False)),
        (["MR", "RTSTRUCT", "RTDOSE", "RTPLAN"], config.Profile("CRDP", "MR", True, True)),
    ],
)
def test_the_profile_follows_from_what_is_required(required: list[str], profile: config.Profile) -> None:
    """PDCP's users chose a class that fits the list."""
    found = config.settings({"folder": "x", "archive": "pacs", "required_modalities_for_patient": required})
    assert found.profile == profile


def test_a_profile_for_mr_or_pet_and_one_with_other_images() -> None:
    """PET series have the modality PT."""
    assert config.settings({"folder": "x", "archive": "a", "profile": "pet"}).required_modalities_for_patient == (
        "PT",
        "RTSTRUCT",
    )
    with_mr = config.settings({"folder": "x", "archive": "a", "profile": "CRDP", "images": "MR"})
    assert with_mr.profile.modalities == ("MR", "RTSTRUCT", "RTDOSE", "RTPLAN")


def test_a_password_is_read_when_needed_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain text it stands only where PDCP wrote it."""
    found = config.load(written(tmp_path, {**CODE, "username": "u", "password": "s3cret"}))
    assert found.secret() == "s3cret"
    assert "s3cret" not in repr(found)
    monkeypatch.setenv("ORTHANC_PASSWORD", "other")
    assert config.settings({"folder": "x", "archive": "a", "password_env": "ORTHANC_PASSWORD"}).secret() == "other"
    text = 'folder = "x"\narchive = "a"\npassword = "s3cret"\n'
    assert refusal(written(tmp_path, text, "cohort.toml")) == (
        "is not a cohort: password has no place in a TOML file; name where it lies with password_env or password_file. "
        "Correct it and run again."
    )


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Missing, wrong, slipped and contradicting keys."""
    keys = {**CODE, "TIMEOUT": 0, "possibilities": [""], "quarantine": "../q/", "CONECTIONS": 3, "password": 7}
    del keys["imagesummaries"]
    assert refusal(written(tmp_path, keys)) == (
        "is not a cohort: thequarantine is there twice, also as quarantine; "
        "'CONECTIONS' is not one of its keys (did you mean CONNECTIONS?); "
        "possibilities is [''] and must be a list of words, each with at least one letter; "
        "password is '(hidden)' and must be a text; "
        "TIMEOUT is 0 and must be a number of seconds above 0; "
        "imagesummaries is missing (or give folder, which holds all of them). Correct it and run again."
    )


def test_limits_that_contradict_each_other_are_named() -> None:
    """And a profile that needs what the list lacks, and two places of patients."""
    keys = {
        "folder": "x",
        "archive": "a",
        "ipport": "http://localhost:8042",
        "slices_drop_below": 400,
        "suspicious_max_dose_lower_bound": 130,
        "profile": "CRD",
        "required_modalities_for_patient": ["CT", "RTSTRUCT"],
    }
    with pytest.raises(ConfigError) as caught:
        config.settings(keys)
    assert str(caught.value) == (
        "the cohort is not a cohort: both ipport and archive are there; keep one of them; "
        "required_modalities_for_patient lacks RTDOSE, which profile CRD needs; "
        "slices_drop_below 400, slices_review_above 380 and slices_drop_above 500 must not descend; "
        "suspicious_max_dose_lower_bound 130 must be below suspicious_max_dose_upper_bound 120. "
        "Correct it and run again."
    )


def test_keys_of_somebodys_own_stay_in_the_json_and_are_named(tmp_path: Path) -> None:
    """PDCP passed them by; TOML is ours and takes none."""
    assert config.load(written(tmp_path, {**CODE, "my_lab": 1})).unused == ("my_lab",)
    text = 'folder = "x"\narchive = "a"\nmy_lab = 1\n'
    assert refusal(written(tmp_path, text, "cohort.toml")) == (
        "is not a cohort: 'my_lab' is not one of its keys. Correct it and run again."
    )


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": ' + "[" * 100_000], ids=["list", "half", "deep"])
def test_what_is_no_json_object_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    """Also what is nested too deeply."""
    assert refusal(written(tmp_path, text)) == (
        "is not a configuration of PDCP, since it is not a JSON object. "
        "Check its braces, quotes and commas, or call it .toml where it is TOML."
    )
    assert refusal(tmp_path / "none.json") == (
        "cannot be read (No such file or directory). Check the path and its permissions."
    )


@pytest.mark.parametrize("kind", ["folder", "pinnacle"])
def test_an_archive_on_disk_begins_at_the_file_too(tmp_path: Path, kind: str) -> None:
    """Wherever the command is run."""
    toml = f'folder = "cohort"\narchive = "{kind}:exported"\nprofile = "CR"\n'
    assert config.load(written(tmp_path, toml, "cohort.toml")).archive == f"{kind}:{tmp_path / 'exported'}"


def test_pet_among_the_modalities_is_what_dicom_calls_pt() -> None:
    """Under the other name no patient would ever have it."""
    found = config.settings(
        {"folder": "x", "archive": "pacs", "required_modalities_for_patient": ["CT", "RTSTRUCT", "PET"]}
    )
    assert found.required_modalities_for_patient == ("CT", "RTSTRUCT", "PT")
