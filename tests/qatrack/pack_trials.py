"""For each analysis pack: images with a known truth, what a physicist enters, and what the page must show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Optional

import pytest
from pydicom.dataset import Dataset

Expected = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """What an archive is given, and what the page then must show."""

    datasets: Sequence[Dataset]
    patient: str
    expected: Expected


@dataclass(frozen=True)
class Trial:
    """One list of a pack on images that were made for it."""

    pack: str
    test_list: str
    analysis: str  # the slug of the test that fetches and analyses
    make: Callable[[datetime], Made]
    entered: Mapping[str, Any] = field(default_factory=dict)
    label: Optional[str] = None  # of the plan, where the default of the list is another one


def about(value: float, within: float) -> Any:
    """A number that an analysis finds to within this."""
    return pytest.approx(value, abs=within)


def _winston_lutz(when: datetime) -> Made:
    from phantom_epid import planned
    from phantom_winston_lutz import BEAMS, winston_lutz

    plan = planned("WL_6X", BEAMS[:4])
    phantom = winston_lutz(plan, when, left=0.5, images=4)
    return Made(
        [plan.plan, *phantom.images],
        plan.course.patient,
        {
            "wl_max_2d": about(0.5, 0.1),
            "wl_shift_right": about(0.5, 0.1),
            "wl_shift_in": about(0, 0.1),
            "wl_shift_up": about(0, 0.1),
            "wl_gantry_iso": about(0, 0.1),
            "wl_count": 4,
        },
    )


def _picket_fence(when: datetime) -> Made:
    from phantom_epid import planned
    from phantom_mlc import PICKET_FENCE_BEAMS, picket_fence

    plan = planned("PF_G0", PICKET_FENCE_BEAMS)
    phantom = picket_fence(plan, when, leaf=25, picket=2, error=0.6, shift=0.3)
    return Made(
        [plan.plan, *phantom.images],
        plan.course.patient,
        {
            "pf_max_error": about(0.6, 0.05),
            "pf_max_leaf": "25",
            "pf_max_picket": 3,
            "pf_median_error": about(0, 0.05),
            "pf_passing": about(100 * 379 / 380, 0.1),
            "pf_pickets": 10,
            "pf_spacing": about(phantom.spacing, 0.05),
            "pf_offset": about(0.3, 0.2),
            "pf_skew": about(0, 0.05),
        },
    )


def _vmat(test: str) -> Callable[[datetime], Made]:
    def make(when: datetime) -> Made:
        from phantom_epid import planned
        from phantom_mlc import VMAT_BEAMS, vmat

        plan = planned(test.upper(), VMAT_BEAMS)
        phantom = vmat(plan, when, test=test, segment=1, deviation=3.0)
        segments = {f"{test}_{n}": about(value, 0.1) for n, value in enumerate(phantom.deviations, 1)}
        largest = max(map(abs, phantom.deviations))
        return Made([plan.plan, *phantom.images], plan.course.patient, {**segments, f"{test}_max": about(largest, 0.1)})

    return make


def _portal_dose(when: datetime) -> Made:
    from phantom_epid import planned
    from phantom_fields import BEAMS, Profile, portal_dose

    plan = planned("PD_6X", BEAMS)
    across = Profile(100, horns=0.03, tilt=0.006, centre=0.4)
    along = Profile(120, horns=0.04, tilt=-0.004, centre=-0.3)
    phantom = portal_dose(plan, when, dose=1.02, across=across, along=along)
    return Made(
        [plan.plan, *phantom.images],
        plan.course.patient,
        {
            "pd_dose": about(1.02, 0.002),
            "pd_constancy": about(2, 0.2),
            "pd_flatness_x": about(across.flatness, 0.1),
            "pd_flatness_y": about(along.flatness, 0.1),
            "pd_symmetry_x": about(-across.symmetry, 0.1),
            "pd_symmetry_y": about(along.symmetry, 0.1),
            "pd_size_x": about(100, 0.3),
            "pd_size_y": about(120, 0.3),
            "pd_centre_x": about(0.4, 0.1),
            "pd_centre_y": about(-0.3, 0.1),
        },
    )


def _starshot(when: datetime) -> Made:
    from phantom_epid import planned
    from phantom_starshot import BEAMS, starshot

    plan = planned("STAR_gantry", BEAMS)
    phantom = starshot(plan, when, diameter=0.8, right=0.5, up=-0.4, together=False)
    return Made(
        [plan.plan, *phantom.images],
        plan.course.patient,
        {
            "star_diameter": about(0.8, 0.1),
            "star_spokes": 6,
            "star_right": about(0.5, 0.1),
            "star_up": about(-0.4, 0.1),
        },
    )


def _planar(sort: str, phantom: str) -> Callable[[datetime], Made]:
    def make(when: datetime) -> Made:
        import phantom_planar
        from phantom_epid import planned

        from qa_fetch.demo.objects import Beam, Series

        draw, drawing = getattr(phantom_planar, f"planar_{sort}"), getattr(phantom_planar, sort.upper())
        plan = planned(phantom, [Beam("G0", meterset=2)])
        image = draw(Series(plan.course, when), plan.plan, when, drawing)
        steps = sorted(drawing.contrasts)
        return Made(
            [plan.plan, image],
            plan.course.patient,
            {
                f"{sort}_contrast": about(steps[len(steps) // 2], 0.002),
                f"{sort}_seen": 5,
                f"{sort}_mtf50": about(drawing.resolution(50), 0.02 * drawing.resolution(50)),
                f"{sort}_uniformity": about(drawing.uniformity, 0.1),
            },
        )

    return make


def _catphan(when: datetime) -> Made:
    from phantom_catphan import CatPhan
    from phantom_epid import PATIENT

    drawn = CatPhan()
    return Made(
        list(drawn.slices(PATIENT, when)),
        PATIENT,
        {
            **{f"cbct_hu_{name.lower()}": about(hu, 2) for name, hu in drawn.hu.items()},
            "cbct_geometry": about(sum(drawn.nodes) / len(drawn.nodes), 0.1),
            "cbct_thickness": about(drawn.thickness, 0.1),
            "cbct_uniformity": about(drawn.uniformity_index, 0.1),
            "cbct_mtf50": about(drawn.resolution(50, extra_blur=drawn.sampling_blur), 0.02),
            "cbct_low_contrast": 6,
            "cbct_roll": about(drawn.roll, 0.1),
        },
    )


TRIALS = (
    Trial("winston_lutz", "winston-lutz-6x", "wl", _winston_lutz),
    Trial("picket_fence", "picket-fence-g0", "pf", _picket_fence, {"pf_mlc": "MILLENNIUM"}),
    Trial("vmat_drgs", "vmat-drgs", "drgs", _vmat("drgs")),
    Trial("vmat_drmlc", "vmat-drmlc", "drmlc", _vmat("drmlc")),
    Trial("portal_dose", "portal-dose-6x", "pd", _portal_dose),
    Trial("starshot", "star-shot-gantry", "star", _starshot),
    Trial("planar_mv", "planar-mv-standardimagingqc3", "mv", _planar("mv", "MV_PHANTOM")),
    Trial("planar_kv", "planar-kv-standardimagingqckv", "kv", _planar("kv", "KV_PHANTOM")),
    Trial("catphan", "catphan-504", "cbct", _catphan),
)
