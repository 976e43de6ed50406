"""Names by TG-263 are suggested only where a name leaves no doubt."""

from __future__ import annotations

import pytest

from qa_fetch.cohort.names import suggested


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spinal cord", "SpinalCord"),
        ("SPINAL_CORD", "SpinalCord"),
        ("Spinalcord", "SpinalCord"),
        ("cord", "SpinalCord"),
        ("left lung", "Lung_L"),
        ("Lung Left", "Lung_L"),
        ("LungR", "Lung_R"),
        ("LUNG_RT", "Lung_R"),
        ("Lunge re", "Lung_R"),
        ("both lungs", "Lungs"),
        ("Lung total", "Lungs"),
        ("HEART", "Heart"),
        ("heart (OAR)", "Heart"),
        ("Brain Stem", "Brainstem"),
        ("Rt Parotid gland", "Parotid_R"),
        ("BREAST LT", "Breast_L"),
        ("Femoral Head Right", "Femur_Head_R"),
        ("optic nerve l", "OpticNrv_L"),
        ("Oesophagus", "Esophagus"),
        ("small bowel", "Bowel_Small"),
        ("BODY", "External"),
    ],
)
def test_a_common_name_has_a_suggestion(name: str, expected: str) -> None:
    """In another order, case or language."""
    assert suggested(name) == expected


@pytest.mark.parametrize("name", ["SpinalCord", "Lung_L", "Lungs", "Heart", "Breast_R", "Brainstem", "External"])
def test_a_name_of_tg_263_stays(name: str) -> None:
    """There is nothing to suggest."""
    assert suggested(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("PTV_60", "ptv heart", "GTV", "CTVn left lung", "ITV", "iGTV"),
        *("Lung", "Kidney", "lens", "both lenses", "left right lung", "Lung L/R", "Lung_L_old", "Heart2", "Heart-PTV"),
        *("Lungs-GTV", "Lungs left", "left heart", "both hearts", "z_Heart", "PRV cord", "", "  ", "???", "Ring"),
        *("Herz€", "heart\n", "=heart"),
    ],
)
def test_a_target_or_a_doubtful_name_has_none(name: str) -> None:
    """A side is missing or one too many, or a word says that it is something else."""
    assert suggested(name) is None
