"""The step dvh from files on disk: every number against its closed form, however the patient lies."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cohort_built import built_patient, settings_in
from truth_course import Course, Plan
from truth_dose import ExactDvh, Linear, eqd2
from truth_rois import Roi, catalogue
from truth_scenarios import BOOST, quick
from truth_shapes import Box, column

from qa_fetch.cohort.config import Settings
from qa_fetch.cohort.dosimetry import dvh
from qa_fetch.cohort.dosimetry_records import Dosimetry, RoiDose
from qa_fetch.cohort.dvh import columns
from qa_fetch.cohort.folders import PatientFolder

GY = 0.05
LYING = {"hfs": ("HFS", "axial"), "hfp": ("HFP", "axial"), "ffs": ("FFS", "axial"), "ffp": ("FFP", "axial")}
LYING = {**LYING, "oblique": ("FFS", "oblique")}
NAMED = ("PTV_60", "GTV", "SpinalCord")
DOSE = Linear(45.0, (0.10, -0.07, 0.12))


def course(name: str, **changes: Any) -> Course:
    """A patient of the catalogue; but for ``hfs`` of a few of its regions."""
    position, plane = LYING[name]
    size = {"columns": 36, "rows": 30, "slices": 38, "spacing": (2.5, 3.0, 3.0)}
    given = Course(
        patient=name, position=position, plane=plane, shuffled=True, plans=(Plan(dose=DOSE),), **{**size, **changes}
    )
    regions = catalogue(given.ct().axis(2), given.spacing[2])
    return given if name == "hfs" else replace(given, rois=tuple(roi for roi in regions if roi.name in NAMED))


@cache
def truth(name: str) -> ExactDvh:
    """What the dose does to a region, whoever has it."""
    body = next(roi.body for roi in course("hfs").regions() if roi.name == name)
    assert body is not None
    return ExactDvh(body, DOSE)


@cache
def value(which: str, name: str) -> float:
    """A number of it."""
    exact = truth(name)
    numbers = {"d95": (exact.d, 95), "d2": (exact.d, 2), "median": (exact.d, 50)}
    if which in numbers:
        of, share = numbers[which]
        return of(share)
    return exact.minimum() if which == "min" else exact.maximum()


def table(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def roi_of(settings: Settings, patient: str, name: str) -> RoiDose:
    """What a patient's record says of a region."""
    return next(roi for roi in record(settings, patient).rois if roi.name == name)


def record(settings: Settings, patient: str) -> Dosimetry:
    """A patient's record."""
    found = Dosimetry.read(PatientFolder.of(settings, patient))
    assert found is not None
    return found


def folder_of(settings: Settings, patient: str) -> Path:
    """Where a patient's tables lie."""
    return PatientFolder.of(settings, patient).dosimetry


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Patients who lie in every way, and everything that was asked about them."""
    root = tmp_path_factory.mktemp("cohort")
    settings = settings_in(root)
    for name in LYING:
        built_patient(course(name), settings)
    limits = root / "limits.csv"
    limits.write_text("roi,metric,op,limit\nPTV*,D95%,>=,40 Gy\nSpinalCord,Dmax,<=,45\nHeart,Dmean,<,3\n")
    report = dvh(settings, metrics=["D95%[%Rx]", "V40Gy[cc]", "CI"], constraints=limits, where="threads")
    assert (report.done, report.failed, report.waiting) == (5, 0, 0)
    yield settings


# Numbers


@pytest.mark.parametrize(
    ("patient", "name"),
    [*((patient, name) for patient in LYING for name in NAMED), ("hfs", "Ring"), ("hfs", "Ring keyhole")],
)
def test_every_number_is_that_of_the_closed_form(cohort: Settings, patient: str, name: str) -> None:
    """Volume within 0.3 %, also at 0.5 cc; D, mean, median, minimum and maximum within 0.05 Gy, V within 0.5 %."""
    exact, found = truth(name), roi_of(cohort, patient, name)
    assert found.volume_cc == pytest.approx(exact.volume_cc(), rel=0.003)
    assert (found.d95, found.d2) == (
        pytest.approx(value("d95", name), abs=GY),
        pytest.approx(value("d2", name), abs=GY),
    )
    assert found.median == pytest.approx(value("median", name), abs=GY)
    assert found.mean == pytest.approx(exact.mean(), abs=GY)
    assert found.min == pytest.approx(value("min", name), abs=GY)
    assert found.max == pytest.approx(value("max", name), abs=GY)
    row = next(row for row in table(folder_of(cohort, patient) / f"{patient}_.csv") if row["roi_name"] == name)
    assert list(row) == columns(True)
    assert float(row["D95.0"]) == pytest.approx(value("d95", name), abs=GY)
    assert float(row["D2.0"]) == pytest.approx(value("d2", name), abs=GY)
    for level in (30.0, 40.0, 45.0, 50.0):
        assert float(row[f"VGy_{level}"]) == pytest.approx(exact.v(level), abs=0.5)
    assert float(row["V%_75.0"]) == pytest.approx(exact.v(45), abs=0.5)  # of 60 Gy


def test_the_curve_falls_and_is_that_of_the_closed_form(cohort: Settings) -> None:
    """400 points at most, from all at 0 Gy."""
    found = roi_of(cohort, "ffp", "PTV_60")
    assert 100 < len(found.curve_gy) == len(found.curve_percent) <= 400
    assert (found.curve_gy[0], found.curve_percent[0]) == (0, 100)
    assert list(found.curve_gy) == sorted(found.curve_gy)
    assert list(found.curve_percent) == sorted(found.curve_percent, reverse=True)
    for gray, percent in list(zip(found.curve_gy, found.curve_percent))[::37]:
        assert percent == pytest.approx(truth("PTV_60").v(gray), abs=0.5)


def test_metrics_are_in_the_units_that_were_asked_for(cohort: Settings) -> None:
    """D95 in per cent of 60 Gy, V40 in cc; and the conformity of a plan that misses says why there is none."""
    exact = truth("SpinalCord")
    found = {each["metric"]: each for each in record(cohort, "hfp").metrics if each["roi"] == "SpinalCord"}
    assert found["D95%[%Rx]"]["value"] == pytest.approx(exact.d(95) / 60 * 100, abs=0.1)
    assert found["V40Gy[cc]"]["value"] == pytest.approx(exact.v_cc(40), abs=0.05)
    assert (found["CI"]["value"], found["CI"]["reason"]) == (None, "no part of the patient has the prescribed dose")
    lines = [line for line in table(cohort.work / "dvh" / "metrics.csv") if line["patient_id"] == "hfp"]
    assert [line["metric"] for line in lines[:3]] == ["D95%[%Rx]", "V40Gy[cc]", "CI"]
    assert {line["suggested_name"] for line in lines if line["roi_name"] == "SpinalCord"} == {""}


def test_constraints_pass_fail_or_say_why_not(cohort: Settings) -> None:
    """A patient without the organ has a line as well."""
    found = {each["roi"]: each for each in record(cohort, "ffs").constraints}
    assert {name: each["result"] for name, each in found.items()} == {
        "PTV_60": "pass",
        "SpinalCord": "fail",
        "Heart": "unknown",
    }
    assert found["Heart"]["reason"] == "no ROI of the patient has such a name"
    assert len(table(cohort.work / "dvh" / "constraints.csv")) == 3 * len(LYING)


def test_a_constraint_on_a_region_without_a_histogram_is_unknown(tmp_path: Path) -> None:
    """It is there, only not drawn; beside one that is drawn it is not passed over."""
    settings = settings_in(tmp_path)
    drawn = quick().regions()[0]

    def regions(planes: Any, thickness: float) -> tuple[Roi, ...]:
        return drawn, Roi(9, "PTV_never", "PTV", None, "nothing")

    built_patient(quick(rois=regions), settings)
    limits = tmp_path / "limits.csv"
    limits.write_text("roi,metric,op,limit\nPTV*,Dmean,>,1\nPTV_never,Dmean,<,1\n")
    assert dvh(settings, constraints=limits, where="threads").complete
    reason = "the ROI has no DVH; the notes of the patient say why"
    found = [(row["roi"], row["result"], row["reason"]) for row in record(settings, quick().patient).constraints]
    assert found == [(drawn.name, "pass", ""), ("PTV_never", "unknown", reason), ("PTV_never", "unknown", reason)]


def test_conformity_is_that_of_the_outline(tmp_path: Path) -> None:
    """Paddick's index from what each has of 45 Gy."""
    settings, given = settings_in(tmp_path), quick(plans=(Plan(dose=DOSE, prescription=45.0),))
    planes = given.ct().axis(2)
    outline = column((Box(0, 0, 19, 15),), planes[abs(planes) < 30], 2.0)
    target = given.regions()[0]
    assert target.body is not None
    built_patient(replace(given, rois=(target, Roi(9, "Skin", "EXTERNAL", outline))), settings)
    dvh(settings, where="threads", metrics=["CI", "HI"])
    exact, around = ExactDvh(target.body, DOSE), ExactDvh(outline, DOSE)
    found = [each["value"] for each in record(settings, given.patient).metrics if each["roi"] == target.name]
    assert found[0] == pytest.approx(exact.v_cc(45) ** 2 / (exact.volume_cc() * around.v_cc(45)), rel=0.02)
    assert found[1] == pytest.approx((exact.d(2) - exact.d(98)) / exact.median(), rel=0.02)


# What is to be taken with care


def test_cautions_reach_record_and_tables(cohort: Settings) -> None:
    """0.03 cc, and a region of which half is outside of the grid."""
    tiny, clipped = (roi_of(cohort, "hfs", name).cautions for name in ("Lens_L", "Clipped"))
    assert tiny == (
        "The ROI has only 0.033 cc, so its values depend on how it was drawn. Compare them with the planning system.",
    )
    assert clipped == (
        "50 % of the ROI lies outside of the dose grid, and the values are those of the rest. "
        "Make the dose grid larger in the planning system where they matter.",
    )
    lines = table(folder_of(cohort, "hfs") / "metrics.csv")
    assert {line["cautions"] for line in lines if line["roi_name"] == "Lens_L"} == set(tiny)
    assert {line["cautions"] for line in lines if line["roi_name"] == "Clipped"} == set(clipped)


def test_regions_without_contours_are_noted_and_have_no_row(cohort: Settings) -> None:
    """PDCP shifted every name behind them."""
    assert record(cohort, "hfs").notes == (
        "ROI 40 (Never drawn) has no DVH: it has no contours. Draw it, or leave it out.",
        "ROI 41 (Wiped out) has no DVH: it has no contours. Draw it, or leave it out.",
        "ROI 42 (Isocentre) has no DVH: it is a point, which has no volume. Leave it out.",
    )
    names = [row["roi_name"] for row in table(folder_of(cohort, "hfs") / "hfs_.csv")]
    assert names == "PTV_60,GTV,SpinalCord,Ring,Ring keyhole,Bolus,Lung L/R,Lens_L,Clipped,External".split(",")


def test_the_tables_of_the_cohort_have_all_patients(cohort: Settings) -> None:
    """As many lines as those of the patients together."""
    rows = table(cohort.work / "dvh" / "dvh.csv")
    assert {row["patient_id"] for row in rows} == set(LYING)
    assert len(rows) == 10 + 4 * len(NAMED)
    assert len(table(cohort.work / "dvh" / "comparison.csv")) == 10 + 4 * len(NAMED)  # ROIVolume of each


def test_a_region_without_any_dose_has_empty_cells(tmp_path: Path) -> None:
    """Not zeros: nothing is known."""
    settings, given = settings_in(tmp_path), quick()
    far = catalogue(given.ct().axis(2), 2.0)[2]  # the cord, far outside of the small grid
    built_patient(replace(given, rois=(*given.regions(), far)), settings)
    dvh(settings, where="threads")
    row = next(row for row in table(folder_of(settings, "123456789") / "123456789_.csv") if row["roi_name"] == far.name)
    assert float(row["volume"]) == pytest.approx(far.volume_cc(), rel=0.003)
    assert {value for name, value in row.items() if name not in ("patient_id", "roi_name", "volume")} == {""}
    found = roi_of(settings, "123456789", far.name)
    assert (found.mean, found.d95, found.curve_gy) == (None, None, ())
    assert found.cautions == (
        "The ROI lies outside of the dose grid, so it has no doses. Check that both belong together.",
    )


# The planning system


def test_a_wrong_volume_and_a_right_histogram_are_told_apart(tmp_path: Path) -> None:
    """ROIVolume is 20 % too large, DVHSequence is right."""
    settings = settings_in(tmp_path)
    built_patient(replace(course("hfp"), tps_volumes="wrong", dvh_of=("PTV_60", "SpinalCord")), settings)
    dvh(settings, where="threads")
    found = roi_of(settings, "hfp", "PTV_60").tps
    assert [(each.source, each.what, each.agrees) for each in found] == [
        ("ROIVolume", "volume", False),
        *(("DVHSequence", what, True) for what in ("volume", "mean", "min", "max", "D95%", "D50%", "D2%")),
    ]
    assert found[0].said == (
        "The contours enclose 102.1 cc, but ROIVolume of the planning system says 122.5 cc. "
        "Check that the structure set is the one that was planned on, and whole."
    )
    lines = table(settings.work / "dvh" / "comparison.csv")
    assert {line["roi_name"] for line in lines if line["source"] == "DVHSequence"} == {"PTV_60", "SpinalCord"}
    assert {line["agrees"] for line in lines if line["source"] == "ROIVolume" and line["roi_name"] != "GTV"} == {"no"}
    assert {line["plan"] for line in lines if line["source"] == "DVHSequence"} == {"BREAST_60"}


# Courses


def test_a_boost_is_added_to_its_course(tmp_path: Path) -> None:
    """60 Gy in 30 fractions of two plans, the sum of two doses, and each of them."""
    settings = settings_in(tmp_path)
    given = quick(plans=BOOST)
    built_patient(given, settings)
    dvh(settings, where="threads", metrics=["V95%"])
    found = record(settings, given.patient)
    assert (found.prescription_gy, found.fractions) == (60, 30)
    target = given.regions()[0]
    assert target.body is not None
    doses = [plan.dose for plan in BOOST if isinstance(plan.dose, Linear)]
    for gray, values in (
        (doses[0] + doses[1], found.rois[0]),
        *((dose, plan) for dose, plan in zip(doses, found.plans)),
    ):
        exact = ExactDvh(target.body, gray)
        assert values.mean == pytest.approx(exact.mean(), abs=GY)
        assert (values.d95, values.d2) == (pytest.approx(exact.d(95), abs=GY), pytest.approx(exact.d(2), abs=GY))
    assert [plan.label for plan in found.plans[:2]] == ["BREAST_50", "BOOST_10"]
    exact = ExactDvh(target.body, doses[0] + doses[1])
    assert found.metrics[0]["value"] == pytest.approx(exact.v(57), abs=0.5)


def test_eqd2_of_several_plans_is_that_of_each_with_its_own_fractions(tmp_path: Path) -> None:
    """An even dose of 45 Gy in 15 fractions and 12 Gy in 4."""
    settings = settings_in(tmp_path)
    plans = (Plan("A", fractions=15, dose=Linear(45, (0, 0, 0))), Plan("B", fractions=4, dose=Linear(12, (0, 0, 0))))
    given = quick(plans=plans)
    built_patient(given, settings)
    dvh(settings, where="threads", alpha_beta=3)
    exact = eqd2(45, 15, 3) + eqd2(12, 4, 3)
    for line in table(settings.work / "dvh" / "eqd2.csv"):
        assert line["alpha_beta"] == "3"
        for name in ("mean", "min", "max", "d95", "d2"):
            assert float(line[name]) == pytest.approx(exact, abs=1e-3)


def test_a_prescription_that_is_given_goes_before_that_of_the_plan(tmp_path: Path) -> None:
    """V95% of 50 Gy instead of 60; a plan that does not say has no V% at all."""
    settings = settings_in(tmp_path)
    given = quick(plans=(Plan(prescription=None),))
    built_patient(given, settings)
    dvh(settings, where="threads")
    assert record(settings, given.patient).prescription_gy is None
    assert record(settings, given.patient).notes == (
        "Plan BREAST_60: The plan names no TargetPrescriptionDose. Give the prescription yourself where you need it.",
    )
    assert list(table(settings.work / "dvh" / "dvh.csv")[0]) == columns(False)
    dvh(settings, where="threads", prescription=50)
    assert record(settings, given.patient).prescription_gy == 50
    row = table(settings.work / "dvh" / "dvh.csv")[0]
    target: Roi = given.regions()[0]
    assert target.body is not None
    assert float(row["V%_90.0"]) == pytest.approx(ExactDvh(target.body, Linear()).v(45), abs=0.5)
