"""The images that the test packs are tried on: what was put into each comes back from pylinac, fetched as by a pack."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import pytest
from pydicom.dataset import Dataset

from qa_fetch import Archive, Images
from qa_fetch.demo import objects

# pylinac 3.49 uses names that its libraries have renamed, and divides by the darkest pixel of an open image (0).
pytestmark = [
    pytest.mark.analysis,
    pytest.mark.filterwarnings("ignore:`RegionProperties:FutureWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:vert. bool was deprecated:DeprecationWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:Using stretch from the profile module:DeprecationWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:(invalid value|divide by zero) encountered in divide:RuntimeWarning:pylinac"),
    pytest.mark.filterwarnings("ignore:some peaks have a width of 0:RuntimeWarning"),  # of the noise around a field
]

WHEN = datetime(2025, 11, 3, 17, 5)
Fetched = Callable[..., Images]


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    """What a pack gets when an archive has a plan and these images."""

    def fetch(planned: Any, images: Sequence[Dataset], kind: str = "portal") -> Images:
        archive = tmp_path / "archive"
        shutil.rmtree(archive, ignore_errors=True)
        objects.write([planned.plan, *images], archive)
        label = str(planned.plan.RTPlanLabel)
        found = Archive(f"folder:{archive}").latest(
            planned.course.patient, plan=label, kind=kind, approved=True, at_least=len(images)
        )
        assert list(found.uids) == [image.SOPInstanceUID for image in images]
        assert found.acquired == WHEN
        return found

    return fetch


def report(analysis: Any) -> bytes:
    """The PDF as it is attached: written to memory. pylinac leaves its figures open."""
    from matplotlib import pyplot

    stream = io.BytesIO()
    analysis.publish_pdf(stream, metadata={"Images": "1.2.3"})
    pyplot.close("all")
    return stream.getvalue()


# Winston-Lutz


def test_winston_lutz_finds_the_bb_in_every_direction(fetched):
    """The shift, the largest distance and the distance in each image agree with the geometry, couch rotations too."""
    from phantom_epid import planned
    from phantom_winston_lutz import BEAMS, winston_lutz
    from pylinac import WinstonLutz

    plan = planned("WL_6X", BEAMS)
    phantom = winston_lutz(plan, WHEN, left=0.5, up=-0.3, into=0.8)
    analysis = WinstonLutz(str(fetched(plan, phantom.images).folder))
    analysis.analyze(bb_size_mm=5)
    found = analysis.results_data(as_dict=True)
    shift = analysis.bb_shift_vector
    assert {"x": shift.x, "y": shift.y, "z": shift.z} == pytest.approx(phantom.shift, abs=0.02)
    assert found["max_2d_cax_to_bb_mm"] == pytest.approx(phantom.largest, abs=0.02)
    assert found["gantry_3d_iso_diameter_mm"] == pytest.approx(0, abs=0.02)
    distances = sorted(image["cax2bb_distance"] for image in found["image_details"])
    assert distances == pytest.approx(sorted(math.hypot(*offset) for offset in phantom.offsets), abs=0.02)
    assert max(image["cax2epid_distance"] for image in found["image_details"]) == pytest.approx(0, abs=0.02)


def test_a_bb_half_a_millimetre_off_is_half_a_millimetre_off(fetched):
    """Four gantry angles are enough for a direction; this is the daily case."""
    from phantom_epid import planned
    from phantom_winston_lutz import BEAMS, winston_lutz
    from pylinac import WinstonLutz

    plan = planned("WL_6X", BEAMS[:4])
    phantom = winston_lutz(plan, WHEN, up=0.5, images=4)
    analysis = WinstonLutz(str(fetched(plan, phantom.images).folder))
    analysis.analyze(bb_size_mm=5)
    shift = analysis.bb_shift_vector
    assert (shift.x, shift.y, shift.z) == pytest.approx((0, 0, -0.5), abs=0.02)
    assert report(analysis).startswith(b"%PDF")


# Picket fence


def test_picket_fence_names_the_leaf_and_the_picket_that_are_off(fetched):
    """The error is what was drawn less the leaf's own pull on its picket, one part in 38."""
    from phantom_epid import planned
    from phantom_mlc import PICKET_FENCE_BEAMS, picket_fence
    from pylinac import PicketFence

    plan = planned("PF_6X", PICKET_FENCE_BEAMS)
    phantom = picket_fence(plan, WHEN, leaf=25, picket=2, error=0.6, shift=0.3)
    analysis = PicketFence(str(fetched(plan, phantom.images).files[0]))
    analysis.analyze(tolerance=0.5)
    found = analysis.results_data(as_dict=True)
    assert (found["max_error_leaf"], found["max_error_picket"]) == (25, 2)
    assert found["max_error_mm"] == pytest.approx(0.6, abs=0.03)
    assert found["absolute_median_error_mm"] == pytest.approx(0, abs=0.01)
    assert found["percent_leaves_passing"] == pytest.approx(100 * 379 / 380)
    assert found["number_of_pickets"] == 10
    assert found["mean_picket_spacing_mm"] == pytest.approx(phantom.spacing, abs=0.01)
    assert found["mlc_skew"] == pytest.approx(0, abs=0.01)
    # pylinac cuts its windows at whole pixels, so that all pickets may be up to half a pixel (0.13 mm) aside.
    assert found["offsets_from_cax_mm"] == pytest.approx([-place for place in phantom.pickets], abs=0.15)
    assert report(analysis).startswith(b"%PDF")


def test_a_good_picket_fence_has_no_error(fetched):
    """Also on a coarse imager, where a leaf is ten pixels."""
    from phantom_epid import AS500, planned
    from phantom_mlc import PICKET_FENCE_BEAMS, picket_fence
    from pylinac import PicketFence

    plan = planned("PF_6X", PICKET_FENCE_BEAMS)
    phantom = picket_fence(plan, WHEN, imager=AS500)
    analysis = PicketFence(str(fetched(plan, phantom.images).files[0]))
    analysis.analyze(tolerance=0.5)
    assert analysis.percent_passing == 100
    assert analysis.max_error < 0.05


# VMAT


@pytest.mark.parametrize("test", ["drgs", "drmlc"])
@pytest.mark.parametrize("open_first", [True, False])
def test_vmat_finds_the_segment_that_has_more_dose(fetched, test, open_first):
    """Whichever of the two images was taken first: pylinac tells them apart."""
    import pylinac
    from phantom_epid import planned
    from phantom_mlc import VMAT_BEAMS, vmat

    plan = planned(test.upper(), VMAT_BEAMS)
    phantom = vmat(plan, WHEN, test=test, segment=1, deviation=3.0, open_first=open_first)
    images = fetched(plan, phantom.images)
    analysis = getattr(pylinac, test.upper())(image_paths=[str(file) for file in images.files])
    analysis.analyze(tolerance=1.5)
    found = analysis.results_data(as_dict=True)
    segments = [segment["r_dev"] for segment in found["segment_data"]]
    assert segments == pytest.approx(phantom.deviations, abs=0.02)
    assert found["max_deviation_percent"] == pytest.approx(max(map(abs, phantom.deviations)), abs=0.02)
    assert Path(analysis.open_image.path) == images.files[0 if open_first else 1]
    if open_first:
        assert report(analysis).startswith(b"%PDF")


# Portal dose


def field(file: Path) -> Any:
    """As the pack does it: profiles 1 cm wide, and right side up whatever pylinac took the image for."""
    from pylinac import FieldAnalysis

    analysis = FieldAnalysis(str(file))
    rows, columns = analysis.image.shape
    centimetre = 10 * analysis.image.dpmm
    middle, corner = analysis.image.array[rows // 2, columns // 2], analysis.image.array[:9, :9].mean()
    analysis.analyze(
        vert_width=centimetre / columns, horiz_width=centimetre / rows, invert=bool(middle < corner), is_FFF=False
    )
    return analysis


@pytest.mark.parametrize(("width", "length"), [(100, 120), (220, 170)])
def test_portal_dose_is_measured_in_calibrated_units(fetched, width, length):
    """Dose, flatness, symmetry, size and position agree, also of a field that covers most of the imager."""
    from phantom_epid import planned
    from phantom_fields import BEAMS, Profile, portal_dose

    plan = planned("PDIP_6X", BEAMS)
    across = Profile(width, horns=0.03, tilt=0.006, centre=0.4)
    along = Profile(length, horns=0.04, tilt=-0.004, centre=-0.3)
    phantom = portal_dose(plan, WHEN, dose=1.234, across=across, along=along)
    analysis = field(fetched(plan, phantom.images, "portal_dose").files[0])
    found = analysis.results_data(as_dict=True)
    assert found["central_roi_mean"] == pytest.approx(1.234, rel=0.001)
    values = found["protocol_results"]
    assert values["flatness_horizontal"] == pytest.approx(across.flatness, abs=0.05)
    assert values["flatness_vertical"] == pytest.approx(along.flatness, abs=0.05)
    assert values["symmetry_horizontal"] == pytest.approx(-across.symmetry, abs=0.1)  # more on the left is positive
    assert values["symmetry_vertical"] == pytest.approx(along.symmetry, abs=0.1)  # more towards the gantry is positive
    assert found["field_size_horizontal_mm"] == pytest.approx(width, abs=0.15)
    assert found["field_size_vertical_mm"] == pytest.approx(length, abs=0.15)
    assert (found["cax_to_right_mm"] - found["cax_to_left_mm"]) / 2 == pytest.approx(0.4, abs=0.05)
    assert (found["cax_to_top_mm"] - found["cax_to_bottom_mm"]) / 2 == pytest.approx(-0.3, abs=0.05)
    assert report(analysis).startswith(b"%PDF")


# Star shot


@pytest.mark.parametrize("together", [True, False])
def test_a_star_shot_has_the_circle_that_was_drawn(fetched, together):
    """One image of all spokes, or one image of each: the same circle at the same place."""
    from phantom_epid import planned
    from phantom_starshot import BEAMS, starshot
    from pylinac import Starshot

    plan = planned("STAR_COLL", BEAMS)
    phantom = starshot(plan, WHEN, diameter=0.8, right=0.5, up=-0.4, together=together)
    images = fetched(plan, phantom.images)
    files = [str(file) for file in images.files]
    analysis = Starshot(files[0]) if len(files) == 1 else Starshot.from_multiple_images(files)
    analysis.analyze()
    found = analysis.results_data(as_dict=True)
    assert found["circle_diameter_mm"] == pytest.approx(0.8, abs=0.1)
    assert len(analysis.lines) == 6
    x, y = found["circle_center_x_y"]
    right, up = (x - analysis.image.center.x), (analysis.image.center.y - y)
    assert (right / analysis.image.dpmm, up / analysis.image.dpmm) == pytest.approx((0.5, -0.4), abs=0.05)
    assert report(analysis).startswith(b"%PDF")
