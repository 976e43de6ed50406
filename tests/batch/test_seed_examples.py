"""The five examples of PACSMAN's own text, with its query files and its config.json, against a real archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from peers import course as courses
from pydicom.dataset import Dataset

import qa_fetch
from qa_fetch import Archive
from qa_fetch.node import NodeOptions, NodeProcess


def _slice(patient: str, day: str, *, protocol: str = "", born: str = "19700101", number: int = 1) -> Dataset:
    taken = datetime.strptime(day, "%Y%m%d").replace(hour=14)
    series = courses.new_series(patient, f"{day} {number}", study=day, description=f"S{number}", began=taken)
    image = courses.ct_slice(series, taken, number, cone_beam=False)
    image.StudyDate, image.StudyTime, image.SeriesNumber = day, "140500", number
    image.PatientBirthDate, image.ProtocolName = born, protocol
    return image


CONTENT = [
    _slice("123421", "20150512"),
    _slice("123421", "20160101"),
    _slice("45322", "20140101"),
    _slice("45322", "20140202"),
    _slice("777", "20180102"),
    _slice("124588", "20150512"),
    _slice("124588", "20150612", number=2),
    _slice("124588", "20150701"),
    _slice("900", "20170101", protocol="BEAT_SelfNav_1", born="19920611"),
    _slice("900", "20170102", protocol="OTHER", born="19920611"),
    _slice("901", "20170101", protocol="BEAT_SelfNav_2", born="19920612"),
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """PACSMAN's config.json for a node that holds what the examples ask for."""
    folder = tmp_path_factory.mktemp("archive")
    with NodeProcess(NodeOptions(folder / "node", port=0)) as node:
        Archive(node.address, shelf=folder / "shelf").send(courses.write_all(CONTENT, folder / "files"))
        file = folder / "config.json"
        keys = {"server_ip": "127.0.0.1", "port": node.port, "server_AET": node.options.ae_title, "AET": "PACSMAN"}
        more = {"move_AET": "ELSEWHERE", "move_port": 4008, "batch_size": 20, "batch_wait_time": 0}
        file.write_text(json.dumps({**keys, **more}), encoding="utf-8")
        yield file


def run(folder: Path, config: Path, text: str) -> tuple[int, str, list[str]]:
    """The command as somebody types it: its exit code, what it said, and the folders that it made."""
    asked = folder / "query.csv"
    asked.write_text(text, encoding="utf-8")
    out = folder / "out"
    done = subprocess.run(
        [sys.executable, "-m", "qa_fetch.cli", "batch", str(asked), "--config", str(config), "--to", str(out)]
        + ["--info", "--save"],
        env={**os.environ, "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    made = sorted(str(path.relative_to(out)) for path in out.glob("*/*/*") if path.is_dir())
    return done.returncode, done.stdout + done.stderr, made


def test_example_1_brings_studies_of_a_day_a_patient_or_both(config: Path, tmp_path: Path) -> None:
    """Each object once, and of its own series: PACSMAN's successor fetched the whole patient for each series."""
    code, said, made = run(tmp_path, config, "StudyDate,PatientID\n20150512,123421\n,45322\n20180102,\n")
    assert code == 0, said
    assert made == [
        "sub-123421/ses-20150512140500/00001-S1",
        "sub-45322/ses-20140101140500/00001-S1",
        "sub-45322/ses-20140202140500/00001-S1",
        "sub-777/ses-20180102140500/00001-S1",
    ]
    assert len(list((tmp_path / "out").glob("*/*/*/*.dcm"))) == 4


def test_example_2_fails_since_a_column_is_misspelt(config: Path, tmp_path: Path) -> None:
    """And names the one that is meant."""
    code, said, made = run(tmp_path, config, "StudyDate,patientID\n20150512,123421\n")
    assert (code, made) == (2, [])
    assert "patientID" in said
    assert "PatientID" in said


def test_example_3_fails_since_a_star_alone_asks_for_everybody(config: Path, tmp_path: Path) -> None:
    """Before anything is asked."""
    code, said, made = run(tmp_path, config, "StudyDate,PatientID\n20150512,*\n")
    assert (code, made) == (2, [])
    assert "PatientID" in said


def test_example_4_brings_a_range_of_days(config: Path, tmp_path: Path) -> None:
    """From the first to the last of them."""
    code, said, made = run(tmp_path, config, "StudyDate,PatientID\n20150512-20150612,124588\n")
    assert code == 0, said
    assert made == ["sub-124588/ses-20150512140500/00001-S1", "sub-124588/ses-20150612140500/00002-S2"]


def test_example_5_brings_what_a_protocol_and_a_birthday_choose(config: Path, tmp_path: Path) -> None:
    """Of the patients whom it chooses: PACSMAN's successor asked for a patient without an ID."""
    text = "ProtocolName,Modality,PatientBirthDate\nBEAT_SelfNav*,CT,19920611\n"
    code, said, made = run(tmp_path, config, text)
    assert code == 0, said
    assert made == ["sub-900/ses-20170101140500/00001-S1"]
