"""Cohort: from an archive and rules to volumes, masks and DVH tables, in the nine steps of PDCP's manual.

    python examples/cohort.py cohort.toml
    python examples/cohort.py codesconfig.json

The configuration (step 1) is PDCP's JSON as it is, or TOML; folders (step 2) are made when they are needed. A run that
was interrupted goes on where it stopped. Needs: pip install 'qa_fetch[cohort]'
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Optional

from qa_fetch import QAFetchError
from qa_fetch.cohort import Cohort


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Build a cohort of radiotherapy patients from an archive.")
    parser.add_argument("config", help="cohort.toml, or PDCP's codesconfig.json")
    given = parser.parse_args(argv)
    try:
        cohort = Cohort(given.config)
        print(f"3 the archive has {len(cohort.ids())} patients")
        summaries = cohort.summarise()
        print(f"4 summaries: {summaries.done} done, {summaries.failed} failed")
        verified, built = cohort.verify(), cohort.build()
        print(f"5 builds: {built.done} done, {built.failed} failed")
        standing = Counter(f"{one.status} {one.code}" for one in cohort.patients())
        for what, count in sorted(standing.items()):
            print(f"6   {count} x {what}")
        histograms = cohort.dvh()
        print(f"7 dose-volume histograms: {cohort.settings.work / 'dvh' / 'dvh.csv'}")
        candidates = cohort.quarantine()
        print(f"8 patients for whom a person has to choose: {cohort.settings.thequarantine}")
        pictures = cohort.slices()
        print("9 central slices: beside the data of each patient")
        print(f"Open {cohort.report()}")
    except QAFetchError as error:
        print(error, file=sys.stderr)
        return 1
    ready = [one.patient for one in cohort.patients() if one.ready]
    if ready:  # arrays, ready for whatever comes next
        patient = cohort.patient(ready[0]).as_dict()
        print(f"{patient['ct_image'].shape} voxels, {len(patient['roi_names'])} regions")
    failed = sum(step.failed for step in (summaries, verified, built, histograms, candidates, pictures))
    if failed:
        print(f"{failed} failed; the pages say what. Run this again: what is done is not done twice.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
