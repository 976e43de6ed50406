"""Laws: the same key makes the same of the same, twice is once, intervals stay, and no harvested value gets out."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import phi_gates
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from phi_course import Planted
from phi_gates import Release
from pydicom.dataset import Dataset
from pydicom.uid import UID

import qa_fetch
from qa_fetch import part10
from qa_fetch.anonymise.anonymiser import Anonymiser
from qa_fetch.anonymise.keyed import Key
from qa_fetch.anonymise.vocabulary import identifies

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
_ELSEWHERE = """
import sys
from qa_fetch.anonymise.anonymiser import Anonymiser
if __name__ == "__main__":
    key, profile, source, to = sys.argv[1:]
    Anonymiser(key, profile).folder(source, to=to, workers=2)
"""


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and what it holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """The key of the tests."""
    return Key.load(phi_gates.key_file(tmp_path_factory.mktemp("key") / "a.key"))


# The same of the same


def test_another_process_in_another_order_makes_the_same_files(release: Release, tmp_path: Path) -> None:
    """On another machine: other folders, other hashes, the sources under other names, two workers."""
    chance, source = random.Random(3), tmp_path / "else where"
    paths = [path for path in release.source.rglob("*.dcm")]
    chance.shuffle(paths)
    for number, path in enumerate(paths):
        to = source / str(number % 7) / f"{number}"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    script = tmp_path / "run.py"
    script.write_text(_ELSEWHERE, "utf-8")
    key = phi_gates.key_file(tmp_path / "other.key")
    ran = subprocess.run(
        [sys.executable, str(script), str(key), release.profile, str(source), str(tmp_path / "out")],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(qa_fetch.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert tree(tmp_path / "out") == tree(release.folder)


def test_doing_it_again_changes_nothing(release: Release, tmp_path: Path) -> None:
    """With the same key: the same names, the same bytes; dates do not move twice."""
    Anonymiser(phi_gates.key_file(tmp_path / "same.key"), release.profile).folder(release.folder, to=tmp_path / "out")
    first, second = tree(release.folder), tree(tmp_path / "out")
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_another_key_makes_something_else(release: Release, corpus: list[Planted], tmp_path: Path) -> None:
    """No UID, code or day of one trial says anything about another."""
    other = tmp_path / "other.key"
    other.write_text("ab" * 32 + "\n", "ascii")
    other.chmod(0o600)
    anonymiser = Anonymiser(other, release.profile)
    pair = release.pairs[0]
    anonymiser.learn(pair.planted.path)
    anonymiser.file(pair.planted.path, tmp_path / "out.dcm")
    output = pydicom.dcmread(tmp_path / "out.dcm")
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert output[keyword].value != pair.output[keyword].value


@given(st.text(max_size=200) | st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,9}){0,12}", fullmatch=True))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_uids_are_uids_of_at_most_64_characters_and_stay(key: Key, old: str) -> None:
    """Whatever a source calls a UID."""
    assume(not old.startswith("1.2.840.10008."))
    new = key.uid(old)
    assert len(new) <= 64 and re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", new)
    assert key.uid(new) == new
    assert new != old


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_days_are_whole_weeks_and_codes_are_recognised(key: Key, patient: str) -> None:
    """Never 0, never forwards."""
    assert key.days(patient) < 0 and key.days(patient) % 7 == 0
    assert key.made_code(key.code(patient))
    assert key.code(patient) == key.code(patient)


def test_days_of_many_patients_are_spread(key: Key) -> None:
    """An offset that many share can be found out."""
    found = [key.days(str(number)) for number in range(2000)]
    assert len(set(found)) > 200
    assert max(found.count(days) for days in set(found)) < 40


# Intervals


def made(patient: str = "P-77001", name: str = "Nemo^Karl", **values: object) -> Dataset:
    """A small object."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.3.4.5")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = UID("1.2.3"), UID("1.2.4"), "CT"
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = name, patient, "20251006"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


class Trial:
    """Data sets through files, each time with a new anonymiser."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = phi_gates.key_file(folder / "trial.key")
        self._number = 0

    def file(self, dataset: Dataset, profile: str, syntax: str = part10.EXPLICIT_LITTLE) -> bytes:
        """What came of it."""
        self._number += 1
        anonymiser = Anonymiser(self._key, profile, ids=self._folder / f"{self._number}.ids")
        source, target = (self._folder / f"{name}{self._number}.dcm" for name in ("in", "out"))
        part10.write(dataset, source, syntax)
        anonymiser.learn(source)
        anonymiser.file(source, target)
        data = target.read_bytes()
        source.unlink(), target.unlink()
        return data


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One for all examples."""
    yield Trial(tmp_path_factory.mktemp("trial"))


@given(
    first=st.dates(date(1950, 1, 1), date(2090, 1, 1)),
    days=st.integers(0, 4000),
    clock=st.times(),
    zone=st.sampled_from(["", "+0200", "-1130"]),
)
@FEW
def test_intervals_between_dates_are_kept(trial: Trial, first: date, days: int, clock, zone: str) -> None:  # type: ignore[no-untyped-def]
    """DA and DT, at the top and nested, with fractions and zones."""
    import io

    then = datetime.combine(first + timedelta(days), clock)
    inner = Dataset()
    inner.TreatmentControlPointDate = f"{then:%Y%m%d}".zfill(8)
    data = trial.file(
        made(
            StudyDate=f"{first:%Y%m%d}".zfill(8),
            AcquisitionDateTime=f"{then:%Y%m%d%H%M%S.%f}{zone}",
            ControlPointDeliverySequence=[inner],
            AcquisitionTime=f"{then:%H%M%S}",
        ),
        "research-rt",
    )
    output = pydicom.dcmread(io.BytesIO(data))
    study = datetime.strptime(output.StudyDate, "%Y%m%d").date()
    moment = str(output.AcquisitionDateTime)
    assert datetime.strptime(moment[:8], "%Y%m%d").date() - study == timedelta(days)
    assert moment[8:] == f"{then:%H%M%S.%f}{zone}"
    assert output.AcquisitionTime == f"{then:%H%M%S}"
    delivered = output.ControlPointDeliverySequence[0].TreatmentControlPointDate
    assert datetime.strptime(delivered, "%Y%m%d").date() - study == timedelta(days)
    assert study < first and (first - study).days % 7 == 0


# Nothing harvested gets out

_LETTERS = st.sampled_from("abcdefghiklmnoprstuvwzäöüßéèçñøåłšžğıαβγδλπабвгдежийкл")
_NAMES = st.text(_LETTERS, min_size=5, max_size=12).map(str.title)
_IDS = st.from_regex(r"[A-Z]{0,3}[0-9]{5,9}", fullmatch=True)
_SHAPES = st.sampled_from(
    [
        "{family} {given}",
        "{given} {family}",
        "{FAMILY}, {GIVEN}",
        "{family}_{given}",
        "{family}^{given}",
        "for{family}",
        "plan {id}",
        "{family}{id}",
        "[{id}]({given})",
        "{given}-{family}/{id}",
        "x{GIVEN}x",
        "id={id};",
    ]
)
_PROFILES = st.sampled_from(["basic", "research-rt"])


@given(family=_NAMES, given=_NAMES, identity=_IDS, shape=_SHAPES, profile=_PROFILES)
@settings(FEW, max_examples=80)
def test_no_harvested_value_is_in_the_raw_bytes(
    trial: Trial, family: str, given: str, identity: str, shape: str, profile: str
) -> None:
    """Names and IDs as they may be, in text of any shape, in private bytes and in UIDs."""
    text = shape.format(family=family, given=given, FAMILY=family.upper(), GIVEN=given.upper(), id=identity)
    inner = Dataset()
    inner.BeamName, inner.TextValue = text, f"{text} and {text}"
    dataset = made(identity, f"{family}^{given}", RTImageDescription=text, DoseComment=text, BeamSequence=[inner])
    dataset.add_new(0x00189999, "UN", text.encode("utf-16-le"))
    dataset.private_block(0x11, "ACME", create=True).add_new(1, "LO", text)
    dataset.SeriesInstanceUID = UID(f"1.2.3.{re.sub('[^0-9]', '', identity).lstrip('0')}1.7")
    data = trial.file(dataset, profile)
    control = trial.file(made(), profile).lower()
    for part in filter(identifies, (family, given, identity)):
        for spelt in {part, part.upper(), part.lower()}:
            for encoding in ("utf-8", "utf-16-le"):
                wanted = spelt.encode(encoding).lower()
                assert wanted not in data.lower() or wanted in control, (spelt, text)
