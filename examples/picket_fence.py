"""Picket fence: the newest image of a plan, analysed by pylinac.

    python examples/picket_fence.py aria QA_TB1 --plan PF_6X --mlc MILLENNIUM

ARCHIVE is a name from qa_fetch.toml, or an address such as dimse://ESAPI@10.0.0.2:51402 or folder:PATH.
Needs: pip install 'qa_fetch[analysis]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Optional

from pylinac import PicketFence
from pylinac.picketfence import MLC

from qa_fetch import Archive, QAFetchError


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Analyse the newest picket fence of a plan.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID of the QA patient")
    parser.add_argument("--plan", default="PF_6X", help="RTPlanLabel (default: PF_6X)")
    parser.add_argument("--gantry", type=float, help="only the image at this angle, where the plan has several")
    parser.add_argument("--mlc", default="MILLENNIUM", choices=[mlc.name for mlc in MLC])
    parser.add_argument("--tolerance", type=float, default=0.5, help="largest error allowed, in mm (default: 0.5)")
    given = parser.parse_args(argv)

    try:
        images = Archive(given.archive).latest(given.patient, plan=given.plan, kind="portal", approved=True)
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1
    files = [
        file
        for file, image in zip(images.files, images)
        if given.gantry is None or abs((float(image.GantryAngle) - given.gantry + 180) % 360 - 180) < 1
    ]
    if len(files) != 1:
        print(f"{len(files)} images fit, and one is needed; choose it with --gantry.", file=sys.stderr)
        return 1
    analysis = PicketFence(str(files[0]), mlc=MLC[given.mlc])
    analysis.analyze(tolerance=given.tolerance)

    found = analysis.results_data()
    print(f"{images.plan}, acquired {images.acquired:%Y-%m-%d %H:%M}")
    print(f"{found.number_of_pickets} pickets, {found.mean_picket_spacing_mm:.2f} mm apart")
    print(f"{found.percent_leaves_passing:.1f} % of the leaf pairs within {found.tolerance_mm:g} mm of their picket")
    where = f"picket {found.max_error_picket + 1}, leaf {found.max_error_leaf}"
    print(f"largest error: {found.max_error_mm:.2f} mm, {where}")
    offsets = ", ".join(f"{offset:.2f}" for offset in found.offsets_from_cax_mm)
    print(f"pickets from the central axis: {offsets} mm")
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
