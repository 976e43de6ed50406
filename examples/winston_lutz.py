"""Winston-Lutz: the newest images of a plan, analysed by pylinac.

    python examples/winston_lutz.py aria QA_TB1 --plan WL_6X --pdf wl.pdf

ARCHIVE is a name from qa_fetch.toml, or an address such as dimse://ESAPI@10.0.0.2:51402 or folder:PATH.
Needs: pip install 'qa_fetch[analysis]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import matplotlib

from qa_fetch import Archive, QAFetchError

matplotlib.use("Agg")  # the PDF is drawn without a screen, as on a server at night

from pylinac import WinstonLutz  # noqa: E402  (after the choice of how to draw)


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Analyse the newest Winston-Lutz images of a plan.")
    parser.add_argument("archive")
    parser.add_argument("patient", help="PatientID of the QA patient")
    parser.add_argument("--plan", default="WL_6X", help="RTPlanLabel (default: WL_6X)")
    parser.add_argument("--on", metavar="DATE", help="the session of this day, not the newest")
    parser.add_argument("--images", type=int, default=4, help="fewer images are no complete test (default: 4)")
    parser.add_argument("--bb", type=float, default=5, help="diameter of the BB in mm (default: 5)")
    parser.add_argument("--tolerance", type=float, default=1.0, help="largest distance allowed, in mm (default: 1)")
    parser.add_argument("--pdf", type=Path, help="write pylinac's report to this new file")
    given = parser.parse_args(argv)
    if given.pdf is not None and given.pdf.exists():
        parser.error(f"{given.pdf} exists already; give the name of a new file")

    try:
        images = Archive(given.archive).latest(
            given.patient,
            plan=given.plan,
            kind="portal",
            on=given.on,
            approved=True,  # of several plans with this label, the one that is in use
            at_least=given.images,
        )
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1
    analysis = WinstonLutz(str(images.folder))
    analysis.analyze(bb_size_mm=given.bb)

    shift = analysis.bb_shift_vector
    distance = analysis.cax2bb_distance("max")
    print(f"{len(images)} images of {images.plan}")
    print(f"acquired {images.acquired:%Y-%m-%d %H:%M}")
    print(f"BB to isocentre: right {shift.x:.2f} mm, in {shift.y:.2f} mm, up {shift.z:.2f} mm")
    print(f"largest 2D distance from CAX to BB: {distance:.2f} mm (tolerance {given.tolerance:.2f} mm)")
    if given.pdf is not None:
        analysis.publish_pdf(str(given.pdf), metadata={"Plan": images.plan.label, "Acquired": images.acquired})
        print(f"report: {given.pdf}")
    return 0 if distance <= given.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
