"""The codes of PDCP's tables 1 to 11, with those that its code gives and no table holds, and its configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Table 8 of the manual calls XVI_SUCC_001 XV_SUCC_001, which is the code of table 7.
TABLES: dict[int, tuple[str, ...]] = {
    1: (*(f"I_EXEC_00{number}" for number in range(1, 8)), "I_SUCC_001", "I_REV_001", "I_SUCC_002"),
    2: ("II_EXEC_001", "II_EXEC_002", "II_SUCC_001", "II_EXEC_003"),
    3: ("XI_EXEC_001", "XI_EXEC_02", "XI_SUCC_001"),
    4: ("XII_SUCC_001", "XII_EXEC_001"),
    5: ("XIII_EXEC_001", "XIII_SUCC_001"),
    6: ("XIV_SUCC_001", "XIV_EXEC_001"),
    7: ("XV_EXEC_001", "XV_SUCC_001", "XV_EXEC_002"),
    8: ("XVI_EXEC_001", "XVI_SUCC_001", "XVI_EXEC_002"),
    9: ("XXI_SUCC_001", "XXI_EXEC_001"),
    10: ("XXII_EXEC_001", "XXII_REV_001", "XXII_REV_002", "XXII_REV_003"),
    11: ("XXIV_EXEC_001", "XXIV_EXEC_002", "XXIV_EXEC_003", "XXIV_SUCC_001"),
}
IN_NO_TABLE = ("II_REV_001", "II_REV_002", "XI_EXEC_002", "XXII_SUCC_001", "XXIII_SUCC_001", "XXIII_EXEC_001")
CODES = frozenset((*(code for table in TABLES.values() for code in table), *IN_NO_TABLE))

STEPS = ("I", "II", "XI", "XII", "XIII", "XIV", "XV", "XVI", "XXI", "XXII", "XXIII", "XXIV")
WHOLE = tuple(f"{step}_SUCC_001" for step in STEPS)  # of a patient whom nothing stops


def until(code: str, *before: str, instead: Iterable[str] = ()) -> tuple[str, ...]:
    """The codes of a patient who comes as far as this one.

    Parameters
    ----------
    code
        The last one.
    before
        Others of its step, in front of it.
    instead
        The codes of the first step, where they are not I_SUCC_001.
    """
    place = STEPS.index(code.split("_")[0])
    passed = WHOLE[:place]
    if instead:
        passed = (*instead, *passed[1:])
    return (*passed, *before, code)


def status(codes: Iterable[str]) -> str:
    """What PDCP makes of a patient's codes: one that excludes decides, then one that asks for a review."""
    given = list(codes)
    if any("_EXEC_" in code for code in given):
        return "EXECLUDE"
    return "REVIEW" if any("_REV_" in code for code in given) else "SUCCESS"


def config(folder: Path, *, manual: bool = False, **changes: Any) -> dict[str, Any]:
    """PDCP's configuration for a folder, with the keys of its code or as its manual spells them."""
    settings: dict[str, Any] = {
        "version": "truth 1",
        "required_modalities_for_patient": ["CT", "RTSTRUCT", "RTDOSE", "RTPLAN"],
        "required_modalities_for_patient_plus_rtplan": ["CT", "RTSTRUCT", "RTDOSE", "RTPLAN", "PT"],
        "study_desc_should_not_contain": ["lung", "head", "prostate"],
        "study_desc_may_contain": ["breast"],
        "possibilities": ["ptv", "gtv", "ctv"],
        "link_to_ids": str(folder / "ids" / "ids.csv"),
        "ipport": "http://127.0.0.1:8042",
        "username": "",
        "password": "",
        "CONNECTIONS": 4,
        "TIMEOUT": 60,
        "suspicious_max_dose_lower_bound": 38,
        "suspicious_max_dose_upper_bound": 120,
    }
    for key in ("imagesummaries", "patientnotesdir", "matlabfiles", "picklefiles"):
        settings[key] = f"{folder / key}/"
    settings["datadictionary" if manual else "datadirectory"] = f"{folder / 'data'}/"
    settings["quarantine" if manual else "thequarantine"] = f"{folder / 'quarantine'}/"
    return {**settings, **changes}
