"""Plan check: were the beams of a plan delivered as planned, by the portal images that refer to them?

    python examples/plan_check.py aria QA_TB1 --plan WL_6X --on 2025-11-03

For each beam: monitor units (BeamMeterset of the plan, MetersetExposure of the images) and the angles.
ARCHIVE is a name from qa_fetch.toml, or an address such as dimse://ESAPI@10.0.0.2:51402 or folder:PATH.
Needs: pip install qa_fetch
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Optional

from qa_fetch import Archive, QAFetchError

ANGLES = {"gantry": "GantryAngle", "collimator": "BeamLimitingDeviceAngle", "couch": "PatientSupportAngle"}


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Compare a plan with the images of its delivery.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID")
    parser.add_argument("--plan", required=True, help="RTPlanLabel")
    parser.add_argument("--on", metavar="DATE", help="the delivery of this day, not the newest")
    parser.add_argument("--mu", type=float, default=0.5, help="monitor units that may differ (default: 0.5)")
    parser.add_argument("--degrees", type=float, default=0.5, help="degrees that may differ (default: 0.5)")
    given = parser.parse_args(argv)

    try:
        archive = Archive(given.archive)
        plan = archive.plan(given.patient, given.plan, approved=True)
        images = archive.latest(given.patient, plan=plan, kind="portal", on=given.on, session="day")
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1

    print(f"{plan}, delivered {images.acquired:%Y-%m-%d %H:%M}")
    metersets = _planned_metersets(plan.dataset)
    faults = 0
    for beam in plan.dataset.BeamSequence:
        number = int(beam.BeamNumber)
        if beam.get("TreatmentDeliveryType", "TREATMENT") != "TREATMENT":
            continue  # setup fields have no monitor units
        taken = [image for image in images if image.get("ReferencedBeamNumber") == number]
        problems = _problems(beam, metersets.get(number, 0.0), taken, given.mu, given.degrees)
        faults += bool(problems)
        print(f"  {number} {beam.get('BeamName', ''):<12} {'; '.join(problems) or 'as planned'}")
    strangers = {image.get("ReferencedBeamNumber") for image in images} - set(metersets)
    if strangers:
        print(f"  images of no beam of this plan: {sorted(map(str, strangers))}")
    return 1 if faults or strangers else 0


def _planned_metersets(plan: Any) -> dict[int, float]:
    return {
        int(beam.ReferencedBeamNumber): float(beam.BeamMeterset)
        for group in plan.FractionGroupSequence
        for beam in group.ReferencedBeamSequence
        if beam.get("BeamMeterset") is not None
    }


def _problems(beam: Any, planned: float, images: Sequence[Any], mu: float, degrees: float) -> list[str]:
    if not images:
        return ["no image"]
    problems = []
    given = [_delivered(image) for image in images]
    if None in given:
        problems.append("an image does not say its monitor units")
    elif abs(sum(given) - planned) > mu:
        problems.append(f"{planned:g} MU planned, {sum(given):g} MU delivered")
    start = beam.ControlPointSequence[0]
    if beam.BeamType == "STATIC":
        for name, keyword in ANGLES.items():
            wanted, found = float(start.get(keyword) or 0), float(images[0].get(keyword) or 0)
            if abs((found - wanted + 180) % 360 - 180) > degrees:
                problems.append(f"{name} {wanted:g} planned, {found:g} found")
    return problems


def _delivered(image: Any) -> Optional[float]:
    """Monitor units of one image; None where its unit is another or nothing is said."""
    values = [exposure.get("MetersetExposure") for exposure in image.get("ExposureSequence") or []]
    if image.get("PrimaryDosimeterUnit") != "MU" or not values or None in values:
        return None
    return sum(map(float, values))


if __name__ == "__main__":
    sys.exit(main())
