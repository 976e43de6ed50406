"""Portal dose: field size, flatness and symmetry of a plan's newest images, and the change since the session before.

    python examples/portal_dose.py aria QA_TB1 --plan PDIP_10X

ARCHIVE is a name from qa_fetch.toml, or an address such as dimse://ESAPI@10.0.0.2:51402 or folder:PATH.
Needs: pip install 'qa_fetch[analysis]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any, Optional

import numpy as np
from pylinac import FieldAnalysis

from qa_fetch import Archive, Images, QAFetchError


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Constancy of a plan's portal dose images.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID of the QA patient")
    parser.add_argument("--plan", default="PDIP_10X", help="RTPlanLabel (default: PDIP_10X)")
    parser.add_argument("--kind", default="portal_dose", help="portal_dose (default) or portal")
    parser.add_argument("--tolerance", type=float, default=2.0, help="change allowed, in per cent (default: 2)")
    given = parser.parse_args(argv)

    try:
        sessions = Archive(given.archive).images(given.patient, plan=given.plan, kind=given.kind, approved=True)
        newest_two = list(islice(sessions, 2))  # newest first; no older session is fetched
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1
    if not newest_two:
        print(f"no {given.kind} image for plan {given.plan}", file=sys.stderr)
        return 1
    newest, before = newest_two[0], newest_two[1] if len(newest_two) > 1 else None
    print(f"{newest.plan}, acquired {newest.acquired:%Y-%m-%d %H:%M}")
    if before is not None:
        print(f"compared with {before.acquired:%Y-%m-%d %H:%M}")

    earlier = _by_beam(before) if before is not None else {}
    within = True
    for file, image in zip(newest.files, newest):
        print(f"beam {image.get('ReferencedBeamNumber', '?')}: {_field(str(file))}")
        reference = earlier.get(image.get("ReferencedBeamNumber"))
        if reference is None:
            continue
        change = 100 * (_central_dose(image) / _central_dose(reference) - 1)
        within = within and abs(change) <= given.tolerance
        print(f"  central dose changed by {change:+.2f} % (tolerance {given.tolerance:g} %)")
    return 0 if within else 1


def _field(file: str) -> str:
    analysis = FieldAnalysis(file)
    analysis.analyze()
    found = analysis.results_data()
    values = found.protocol_results
    return (
        f"{found.field_size_horizontal_mm:.1f} x {found.field_size_vertical_mm:.1f} mm, "
        f"flatness {values['flatness_horizontal']:.2f} / {values['flatness_vertical']:.2f} %, "
        f"symmetry {values['symmetry_horizontal']:.2f} / {values['symmetry_vertical']:.2f} %"
    )


def _by_beam(images: Images) -> dict[Any, Any]:
    return {image.get("ReferencedBeamNumber"): image for image in images}


def _central_dose(image: Any) -> float:
    """The mean of 1 cm x 1 cm at the middle of the imager, in the image's own unit."""
    dose = image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
    magnified = 10 * float(image.RTImageSID) / float(image.RadiationMachineSAD)
    half = [max(1, round(magnified / float(spacing) / 2)) for spacing in image.ImagePlanePixelSpacing]
    row, column = (size // 2 for size in dose.shape)
    return float(np.mean(dose[row - half[0] : row + half[0], column - half[1] : column + half[1]]))


if __name__ == "__main__":
    sys.exit(main())
