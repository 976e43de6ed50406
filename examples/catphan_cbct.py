"""CatPhan: the newest cone-beam CT of a phantom, analysed by pylinac.

    python examples/catphan_cbct.py aria QA_CATPHAN --model 504

ARCHIVE is a name from qa_fetch.toml, or an address such as dimse://ESAPI@10.0.0.2:51402 or folder:PATH.
Needs: pip install 'qa_fetch[analysis]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Optional

import pylinac

from qa_fetch import Archive, QAFetchError

MODELS = {"503": pylinac.CatPhan503, "504": pylinac.CatPhan504, "600": pylinac.CatPhan600, "604": pylinac.CatPhan604}


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Analyse the newest cone-beam CT of a CatPhan.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID of the phantom")
    parser.add_argument("--model", choices=MODELS, default="504")
    parser.add_argument("--on", metavar="DATE", help="the scan of this day, not the newest")
    parser.add_argument("--slices", type=int, default=40, help="fewer slices are no whole scan (default: 40)")
    parser.add_argument("--hu-tolerance", type=float, default=40, help="HU that may differ (default: 40)")
    given = parser.parse_args(argv)

    try:
        scan = Archive(given.archive).latest(given.patient, kind="cbct", on=given.on, at_least=given.slices)
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(scan)} slices, acquired {scan.acquired:%Y-%m-%d %H:%M}")
    analysis = MODELS[given.model](str(scan.folder))
    try:
        analysis.analyze(hu_tolerance=given.hu_tolerance)
    except (ValueError, TypeError) as error:  # what pylinac raises when it does not recognise the phantom
        print(f"pylinac does not find a CatPhan {given.model} in this scan: {error}", file=sys.stderr)
        return 1

    hu, uniformity, resolution = analysis.ctp404, analysis.ctp486, analysis.ctp528
    for name, insert in hu.rois.items():
        print(f"  {name:<8} {insert.pixel_value:7.0f} HU, nominal {insert.nominal_val:5.0f}")
    print(f"geometry: {hu.avg_line_length:.2f} mm, nominal 50 mm")
    print(f"slice thickness: {hu.meas_slice_thickness:.2f} mm, nominal {hu.slice_thickness:g} mm")
    print(f"uniformity: {'within' if uniformity.overall_passed else 'NOT within'} {given.hu_tolerance:g} HU")
    print(f"MTF 50 %: {resolution.mtf.relative_resolution(50):.2f} lp/mm")
    return 0 if hu.passed_hu and hu.passed_geometry and uniformity.overall_passed else 1


if __name__ == "__main__":
    sys.exit(main())
