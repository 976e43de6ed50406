"""Every pack of ours in the stand-in for QATrack+: what was put into the images comes back, as a page shows it."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pack_site import PATIENT, TESTPACKS, YESTERDAY, engine, performed, store
from pack_trials import TRIALS, Trial
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from qatrack_pack import Database, load
from qatrack_page import Page, edit
from qatrack_rest import RestApi

from qa_fetch.testpack import check, current

FOLDERS = sorted(path.parent for path in TESTPACKS.glob("*/pack.toml"))
STARTED = YESTERDAY + timedelta(hours=1)
# kV images do not say which field they are of, and a CBCT that is repeated is another series.
REPEATED = [trial for trial in TRIALS if trial.pack not in ("planar_kv", "catphan")]

# pylinac uses names that its libraries have renamed, and divides by the darkest pixel of an open image (0).
pytestmark = [
    pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:vert. bool was deprecated:DeprecationWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:Using stretch from the profile module:DeprecationWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:(invalid value|divide by zero) encountered in divide:RuntimeWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:some peaks have a width of 0:RuntimeWarning"),
]


# The packs themselves


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_pack_is_current_and_has_no_finding(folder: Path) -> None:
    """What is committed is what its sources give, and ``qa-fetch testpack check`` has nothing to say."""
    assert current(folder)
    assert check(folder.with_suffix(".tpk")) == []


def test_all_packs_can_be_imported_into_one_site() -> None:
    """Without one of them renaming the tests of another."""
    database = Database()
    for folder in FOLDERS:
        for test_list in load(folder.with_suffix(".tpk"), database).values():
            assert not [test.name for test in test_list.tests() if test.name.endswith("-1")]


def test_every_pack_is_tried() -> None:
    """A pack that nobody runs here is not done."""
    elsewhere = {"plan_check", "connection"}
    assert {folder.name for folder in FOLDERS} == {trial.pack for trial in TRIALS} | elsewhere


# Analyses


@pytest.mark.analysis
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.pack)
def test_what_was_put_into_the_images_is_what_the_page_shows(trial: Trial, config: Path, tmp_path: Path) -> None:
    """And the UIDs, the time, and one report whatever is changed afterwards; a push from outside gets the same."""
    made = trial.make(YESTERDAY)
    store(made.datasets, tmp_path)
    page = performed(trial, made.patient, tmp_path, STARTED)
    calculated = [slug for slug, row in page.rows.items() if row.test.type in ("composite", "scomposite")]
    assert {slug: page.error(slug) for slug in calculated if page.error(slug)} == {}
    assert {slug: page.value(slug) for slug in made.expected} == made.expected
    results = json.loads(page.shows(trial.analysis))
    images = [str(one.SOPInstanceUID) for one in made.datasets if one.Modality != "RTPLAN"]
    assert sorted(results["images"]["uids"]) == sorted(images)
    assert results["images"]["acquired"] == YESTERDAY.isoformat()
    assert f"{YESTERDAY:%Y-%m-%d} 17:05" in page.shows(f"{trial.analysis}_images")
    assert made.patient not in page.shows(trial.analysis)
    report = page.attachments(trial.analysis)
    page.comment(trial.analysis, "looked at")
    assert page.attachments(trial.analysis) == report
    assert len(report) == len(page.engine.attachments.ids()) == 1
    assert page.engine.attachments.path(report[0]).read_bytes().startswith(b"%PDF")
    entered = {slug: {"value": page.value(slug)} for slug in page.rows if slug not in calculated}
    record = RestApi(page.engine).perform({**entered, "patientid": {"value": made.patient}}, STARTED, "a push")
    assert {slug: record[slug].get_value() for slug in made.expected} == made.expected
    assert json.loads(str(record[trial.analysis].string_value))["images"] == results["images"]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.pack)
def test_a_page_waits_quietly(trial: Trial, config: Path, tmp_path: Path) -> None:
    """Before "go", after "No", and for a skipped test: nothing is fetched, nothing is red, nothing is shown."""
    page = Page(engine(trial.pack, trial.test_list, tmp_path), STARTED)
    assert page.shows("patientid") == PATIENT
    for answer in (None, 0):
        if answer is not None:
            page.enter("go", answer)
        for slug, row in page.rows.items():
            if row.test.type in ("composite", "scomposite"):
                assert (page.shows(slug), page.error(slug)) == ("", None)
    page.rows[trial.analysis].skipped = True  # as where the page hides its category
    page.enter("go", 1)
    assert (page.shows(trial.analysis), page.error(trial.analysis)) == ("", None)


# Which images


@pytest.mark.analysis
@pytest.mark.parametrize("trial", REPEATED, ids=lambda trial: trial.pack)
def test_a_measurement_that_was_repeated_at_once_replaces_the_first(trial: Trial, config: Path, tmp_path: Path) -> None:
    """In the same series, twenty minutes later, after somebody has moved the phantom."""
    made = trial.make(YESTERDAY)
    plan, *images = made.datasets
    store([plan, *[_misplaced(image, YESTERDAY - timedelta(minutes=20)) for image in images], *images], tmp_path)
    page = Page(engine(trial.pack, trial.test_list, tmp_path), STARTED)
    for slug, value in {**trial.entered, "patientid": made.patient, "rtplanname": plan.SOPInstanceUID, "go": 1}.items():
        page.enter(slug, value)
    assert page.error(trial.analysis) is None
    assert {slug: page.value(slug) for slug in made.expected} == made.expected
    shown = json.loads(page.shows(trial.analysis))["images"]
    assert sorted(shown["uids"]) == sorted(str(image.SOPInstanceUID) for image in images)
    assert shown["acquired"] == YESTERDAY.isoformat()


def _misplaced(image: Dataset, when: datetime) -> Dataset:
    """An earlier image of the same field, in which everything is elsewhere."""
    import numpy as np

    other = copy.deepcopy(image)
    other.SOPInstanceUID = generate_uid()
    other.AcquisitionDate, other.AcquisitionTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    other.PixelData = np.roll(pixels, (7, 7), axis=(0, 1)).tobytes()
    return other


@pytest.mark.analysis
@pytest.mark.parametrize("pack", ["winston_lutz", "starshot"])
def test_a_session_that_is_not_whole_yet_is_waited_for(pack: str, config: Path, tmp_path: Path) -> None:
    """The plan says which fields there are; when the last has come, a later Work Started takes it."""
    trial = next(trial for trial in TRIALS if trial.pack == pack)
    made = trial.make(YESTERDAY)
    plan, *images = made.datasets
    store([plan, *images[:-1]], tmp_path)
    page = Page(engine(trial.pack, trial.test_list, tmp_path), STARTED)
    for slug, value in {"patientid": made.patient, "rtplanname": plan.SOPInstanceUID, "go": 1}.items():
        page.enter(slug, value)
    number = len(images)
    assert str(page.error(trial.analysis)).strip().splitlines()[-1] == (
        f"qa_fetch.errors.Incomplete: the session has images of {number - 1} of {number} fields, without "
        f"{plan.BeamSequence[-1].BeamName}. Wait for the rest and ask with a later before (in QATrack+: Work Started), "
        "or say how many fields are enough (in QATrack+: Images of a complete set)."
    )
    assert {slug: page.shows(slug) for slug in made.expected} == dict.fromkeys(made.expected, "")
    store([images[-1]], tmp_path / "rest")
    later = Page(engine(trial.pack, trial.test_list, tmp_path), STARTED + timedelta(minutes=5))
    for slug, value in {"patientid": made.patient, "rtplanname": plan.SOPInstanceUID, "go": 1}.items():
        later.enter(slug, value)
    assert {slug: later.value(slug) for slug in made.expected} == made.expected


@pytest.mark.analysis
def test_one_field_that_was_turned_by_hand_is_an_image_for_each_angle(config: Path, tmp_path: Path) -> None:
    """No plan says how many, so the list has to: without it nothing is analysed, with it all of them are."""
    trial = next(trial for trial in TRIALS if trial.pack == "winston_lutz")
    made = trial.make(YESTERDAY)
    plan, *images = made.datasets
    plan.BeamSequence = plan.BeamSequence[:1]
    for image in images:
        image.ReferencedBeamNumber = plan.BeamSequence[0].BeamNumber
    store(made.datasets, tmp_path)
    site = engine(trial.pack, trial.test_list, tmp_path)
    entered = {"patientid": made.patient, "rtplanname": plan.SOPInstanceUID, "go": 1}
    page = Page(site, STARTED)
    for slug, value in entered.items():
        page.enter(slug, value)
    assert str(page.error(trial.analysis)).strip().splitlines()[-1] == (
        "qa_fetch.errors.ConfigError: nothing says how many images make the session complete (it has 4 at different "
        "angles, and its plan has 1 field). Say it (in QATrack+: Images of a complete set), or repeat a measurement in "
        "a session of its own."
    )
    page.rows["min_images"].test.constant_value = 4  # which an administrator edits
    page = Page(site, STARTED)
    for slug, value in entered.items():
        page.enter(slug, value)
    assert page.error(trial.analysis) is None
    assert {slug: page.value(slug) for slug in made.expected} == made.expected


@pytest.mark.analysis
def test_editing_last_years_record_gives_last_years_images(config: Path, tmp_path: Path) -> None:
    """Although today's are in the archive by then, and everything is computed again."""
    trial = next(trial for trial in TRIALS if trial.pack == "vmat_drmlc")
    year_ago = YESTERDAY - timedelta(days=365)
    old, new = trial.make(year_ago), trial.make(YESTERDAY)
    plan, *images = old.datasets
    store([plan, *images], tmp_path)
    started = year_ago + timedelta(hours=1)
    first = Page(engine(trial.pack, trial.test_list, tmp_path), started, started + timedelta(minutes=5))
    for slug, value in (("patientid", old.patient), ("rtplanname", plan.SOPInstanceUID), ("go", 1)):
        first.enter(slug, value)
    record = first.save()
    before = json.loads(str(record["drmlc"].string_value))
    for image in new.datasets[1:]:
        image.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID = plan.SOPInstanceUID
        image.StudyInstanceUID, image.PatientID = plan.StudyInstanceUID, plan.PatientID
    store(new.datasets[1:], tmp_path / "new")
    again = edit(record)
    assert again.error("drmlc") is None
    after = json.loads(again.shows("drmlc"))
    assert after["images"]["uids"] == before["images"]["uids"] == [str(image.SOPInstanceUID) for image in images]
    assert again.attachments("drmlc") == record["drmlc"].attachments  # which saving would take away otherwise
    assert len(again.engine.attachments.ids()) == 1


@pytest.mark.parametrize("offset", [timedelta(minutes=-5), timedelta(days=4)], ids=["too early", "too late"])
def test_images_of_another_time_are_not_todays(config: Path, tmp_path: Path, offset: timedelta) -> None:
    """A page that was opened before the images were taken, or days later, says so and shows nothing."""
    from peers import course

    plan = course.plan("DRMLC", patient=PATIENT, study=f"C{offset.days}", day=YESTERDAY.date())
    taken = course.session(plan, YESTERDAY, images=2)
    store([plan, *taken.images], tmp_path)
    page = Page(engine("vmat_drmlc", "vmat-drmlc", tmp_path), YESTERDAY + offset)
    page.enter("rtplanname", plan.SOPInstanceUID)
    page.enter("go", 1)
    said = str(page.error("drmlc")).strip().splitlines()[-1]
    assert said.startswith("qa_fetch.errors.NotFound: aria has no portal image for plan DRMLC since ")
    when = f"{YESTERDAY.day} {YESTERDAY:%B %Y} 17:05"
    assert said.endswith(
        f"; one began later, {when}. Ask with a later before (in QATrack+: Work Started)."
        if offset < timedelta()
        else f"; the latest is of {when}. Ask for that date, or for no date."
    )
    assert (page.shows("drmlc"), page.shows("drmlc_max"), page.error("drmlc_max")) == ("", "", None)
