"""The generated imaging phantoms give their truth back, as the packs analyse them; the plans differ as they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import phantom_plans
import pytest
from pydicom.dataset import Dataset

from qa_fetch.demo.objects import Beam, Course, Series, rt_plan, write
from qa_fetch.kinds import kind

WHEN = datetime(2025, 11, 3, 17, 5)
Measured = tuple[Any, Any]  # pylinac's analysis, and what was drawn


def with_pylinac(test: Callable[..., None]) -> Callable[..., None]:
    """pylinac 3.49 uses names that scikit-image 0.26 has renamed; it still gets the same numbers."""
    return pytest.mark.analysis(pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac")(test))


@pytest.fixture(scope="module")
def course() -> Course:
    """Whose images and plans these are."""
    return Course("QA_TB1", "C1", WHEN)


@pytest.fixture
def figures() -> Iterator[None]:
    """pylinac leaves the figures of its reports open."""
    from matplotlib import pyplot

    yield
    pyplot.close("all")


@pytest.fixture
def planar(course: Course, tmp_path: Path) -> Callable[..., Measured]:
    """Draw a planar phantom, store the image, and analyse its file as the packs do."""

    def measure(sort: str, **drawn: Any) -> Measured:
        import phantom_planar
        from pylinac import StandardImagingQC3, StandardImagingQCkV

        make, drawing, phantom = {
            "portal": (phantom_planar.planar_mv, phantom_planar.MV, StandardImagingQC3),
            "kv": (phantom_planar.planar_kv, phantom_planar.KV, StandardImagingQCkV),
        }[sort]
        drawing = replace(drawing, **drawn)
        plan = rt_plan(course, "IMAGING", WHEN, [Beam("G0", meterset=2)])
        image = make(Series(course, WHEN), plan, WHEN, drawing)
        assert [name for name in ("portal", "kv") if kind(name).fits(image, whole=True)] == [sort]
        analysis = phantom(str(write([image], tmp_path)[0]))
        analysis.analyze()
        return analysis, drawing

    return measure


@with_pylinac
@pytest.mark.parametrize(
    ("sort", "drawn"),
    [
        ("portal", {}),
        ("portal", {"turned": 1, "contrasts": (0.01, 0.02, 0.03, 0.2, 0.3)}),
        ("kv", {}),
        ("kv", {"turned": -1, "blur": 0.17}),
    ],
    ids=["MV", "MV, turned, other steps", "kV", "kV, turned, more blur"],
)
def test_a_planar_phantom_gives_back_its_contrasts_modulation_and_uniformity(planar, sort, drawn):
    """The steps by Michelson within 0.002, the patterns within 0.015, MTF 50 % within 2 %."""
    analysis, drawing = planar(sort, **drawn)
    results = analysis.results_data(as_dict=True)
    contrasts = [region.contrast for region in analysis.low_contrast_rois]
    assert contrasts == pytest.approx(drawing.contrasts, abs=0.002)
    assert results["median_contrast"] == pytest.approx(drawing.contrasts[2], abs=0.001)
    assert results["num_contrast_rois_seen"] == 5
    assert results["percent_integral_uniformity"] == pytest.approx(drawing.uniformity, abs=0.05)
    assert analysis.mtf.norm_mtfs == pytest.approx(drawing.modulation, abs=0.015)
    resolutions = {percent: value for pair in results["mtf_lp_mm"] for percent, value in pair.items()}
    assert resolutions["50"] == pytest.approx(drawing.resolution(50), rel=0.02)


@with_pylinac
def test_a_wrong_imager_distance_is_seen_as_the_area_of_the_phantom(planar):
    """An image of the phantom that is 2 % too large has 4 % more area; the place of its centre is known."""
    areas = []
    for scale in (1, 1.02):
        analysis, drawing = planar("kv", blur=0.16, scale=scale)
        results = analysis.results_data(as_dict=True)
        areas.append(results["phantom_area"])
        across, down = results["phantom_center_x_y"]  # in pixels of 0.26 mm; the middle of the image is at (512, 384)
        assert ((across - 512) * 0.2604, (down - 384) * 0.2604) == pytest.approx(drawing.shift, abs=0.3)
    assert areas[1] / areas[0] == pytest.approx(1.02**2, abs=0.005)


@with_pylinac
def test_the_report_of_a_planar_phantom_is_a_pdf(planar, tmp_path, figures):
    """publish_pdf needs the analysis only."""
    report = tmp_path / "report.pdf"
    planar("kv")[0].publish_pdf(str(report))
    assert report.read_bytes().startswith(b"%PDF")


@pytest.fixture(scope="module")
def catphan(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """One CatPhan, drawn and analysed once, as the pack does it."""
    from phantom_catphan import HU, CatPhan
    from pylinac import CatPhan504

    drawn = CatPhan(
        hu={**HU, "Teflon": 985, "Delrin": 372}, nodes=(50.4, 49.8), thickness=2.6, roll=0.8, shift=(2.2, -1.3)
    )
    folder = tmp_path_factory.mktemp("catphan")
    slices = list(drawn.slices("QA_TB1", WHEN))
    assert all(kind("cbct").fits(one, whole=True) for one in slices)
    write(slices, folder)
    analysis = CatPhan504(str(folder), memory_efficient_mode=True)
    analysis.analyze(hu_tolerance=40, scaling_tolerance=1, thickness_tolerance=0.25)
    return analysis, drawn


@with_pylinac
def test_a_catphan_gives_back_the_hu_of_its_inserts(catphan):
    """Each within 2 HU."""
    results, drawn = _catphan(catphan)
    found = {name: insert["value"] for name, insert in results["ctp404"]["hu_rois"].items()}
    assert found == pytest.approx(dict(drawn.hu), abs=2)


@with_pylinac
def test_a_catphan_gives_back_its_distortion_thickness_and_roll(catphan):
    """Node distances within 0.1 mm, the thickness within 0.05 mm, the roll within 0.1 degrees."""
    results, drawn = _catphan(catphan)
    across, down = drawn.nodes
    assert results["ctp404"]["line_distances_mm"] == pytest.approx([across, across, down, down], abs=0.1)
    assert results["ctp404"]["avg_line_distance_mm"] == pytest.approx((across + down) / 2, abs=0.05)
    # pylinac takes 0.42 for the tangent of 23 degrees
    assert results["ctp404"]["measured_slice_thickness_mm"] == pytest.approx(drawn.thickness * 0.9895, abs=0.05)
    assert results["catphan_roll_deg"] == pytest.approx(drawn.roll, abs=0.1)


@with_pylinac
def test_a_catphan_gives_back_its_cupping(catphan):
    """The uniformity index within 0.1 %, and every region within 1.5 HU."""
    results, drawn = _catphan(catphan)
    uniformity = results["ctp486"]
    assert uniformity["uniformity_index"] == pytest.approx(drawn.uniformity_index, abs=0.1)
    middle = uniformity["rois"]["Center"]["value"]
    around = [region["value"] for name, region in uniformity["rois"].items() if name != "Center"]
    assert [middle, *around] == pytest.approx([drawn.base] + [drawn.base + drawn.cupping] * 4, abs=1.5)


@with_pylinac
def test_a_catphan_gives_back_its_modulation_noise_and_low_contrast(catphan):
    """MTF 50 % within 3 % of what the blur and pylinac's own sampling leave; all targets are seen."""
    results, drawn = _catphan(catphan)
    resolution = drawn.resolution(50, extra_blur=drawn.sampling_blur)
    assert results["ctp528"]["mtf_lp_mm"]["50"] == pytest.approx(resolution, rel=0.03)
    assert results["ctp486"]["rois"]["Center"]["stdev"] == pytest.approx(drawn.noise, abs=0.3)
    assert results["ctp515"]["num_rois_seen"] == len(results["ctp515"]["roi_results"]) == 6


@with_pylinac
def test_the_report_of_a_catphan_is_a_pdf(catphan, tmp_path, figures):
    """publish_pdf reads the slices once more where they are read on demand."""
    report = tmp_path / "report.pdf"
    catphan[0].publish_pdf(str(report))
    assert report.read_bytes().startswith(b"%PDF")


def _catphan(measured: Measured) -> tuple[dict[str, Any], Any]:
    analysis, drawn = measured
    return analysis.results_data(as_dict=True), drawn


def _values(plan: Dataset) -> dict[tuple[str, str], object]:
    """What the daily plan check looks at, flat: (beam name, attribute) to value."""
    values: dict[tuple[str, str], object] = {}
    metersets = {
        reference.ReferencedBeamNumber: reference.BeamMeterset
        for reference in plan.FractionGroupSequence[0].ReferencedBeamSequence
    }
    doses = {
        reference.ReferencedBeamNumber: reference.get("BeamDose")
        for reference in plan.FractionGroupSequence[0].ReferencedBeamSequence
    }
    for beam in plan.BeamSequence:
        start = beam.ControlPointSequence[0]
        name = str(beam.BeamName)
        values[name, "BeamName"] = name
        values[name, "BeamMeterset"] = metersets[beam.BeamNumber]
        values[name, "FluenceMode"] = beam.PrimaryFluenceModeSequence[0].FluenceMode
        values[name, "ReferencedToleranceTableNumber"] = beam.ReferencedToleranceTableNumber
        for keyword in ("NominalBeamEnergy", "DoseRateSet", "GantryAngle", "BeamLimitingDeviceAngle"):
            values[name, keyword] = start[keyword].value
        for keyword in (
            "FinalCumulativeMetersetWeight",
            "PrimaryDosimeterUnit",
            "TreatmentDeliveryType",
            "SourceAxisDistance",
            "HighDoseTechniqueType",
        ):
            values[name, keyword] = beam.get(keyword)
        values[name, "BeamDose"] = doses[beam.BeamNumber]
        for sequence, keyword in (
            ("CompensatorSequence", "CompensatorID"),
            ("GeneralAccessorySequence", "AccessoryCode"),
        ):
            values[name, keyword] = next((item[keyword].value for item in beam.get(sequence, ())), None)
    values["", "PatientPosition"] = plan.PatientSetupSequence[0].PatientPosition
    for keyword in ("GantryAngleTolerance", "PatientSupportAngleTolerance"):
        values["", keyword] = plan.ToleranceTableSequence[0][keyword].value
    return values


def test_a_copied_plan_is_another_object_with_the_same_values(course):
    """Same label, beams and approval; other UID and date."""
    plan = phantom_plans.daily_plan(course, WHEN)
    twin = phantom_plans.copied(plan, datetime(2025, 11, 4))
    assert (
        (twin.RTPlanLabel, twin.ApprovalStatus) == (plan.RTPlanLabel, plan.ApprovalStatus) == ("DAILY_QA", "APPROVED")
    )
    assert twin.SOPInstanceUID != plan.SOPInstanceUID and twin.RTPlanDate == "20251104"
    assert _values(twin) == _values(plan)


@pytest.mark.parametrize("what", phantom_plans.CHANGES)
def test_a_changed_plan_differs_in_what_was_changed_and_is_still_approved(course, tmp_path, what):
    """Read back from its file; the approved plan itself stays as it was."""
    from pydicom import dcmread

    plan = phantom_plans.daily_plan(course, WHEN)
    change = phantom_plans.CHANGES[what]
    before = _values(plan)
    for other in (phantom_plans.changed(plan, WHEN, what), phantom_plans.edited_in_place(plan, what)):
        after = _values(dcmread(write([other], tmp_path)[0]))
        where = (change.beam, change.keyword)
        assert (before.get(where), after.get(where)) == (change.approved, change.found)
        others = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} - {where}
        assert all(change.keyword == "BeamName" and beam == change.beam for beam, _ in others)
        assert other.ApprovalStatus == "APPROVED"
    assert _values(plan) == before
