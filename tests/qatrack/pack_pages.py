"""Pages of a worker process of QATrack+: ``python pack_pages.py JSON FOLDER`` performs them in threads, as JSON."""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pack_site import engine
from pack_trials import Made, Trial
from qatrack_page import Page


def asked(trial: Trial, made: Made, started: datetime) -> dict[str, Any]:
    """What ``perform`` has to know of a page."""
    plan = str(made.datasets[0].SOPInstanceUID)  # another test may have stored a plan of that label
    return {
        "pack": trial.pack,
        "test_list": trial.test_list,
        "analysis": trial.analysis,
        "result": next(iter(made.expected)),
        "started": started.isoformat(),
        "entered": {"patientid": made.patient, "rtplanname": plan, **trial.entered, "go": 1},
    }


def perform(pages: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Perform pages at the same time: pack, list, analysis, entered values and the beginning of the work of each."""
    shown: list[dict[str, Any]] = [{} for _ in pages]

    def one(number: int) -> None:
        wanted = pages[number]
        page = Page(
            engine(wanted["pack"], wanted["test_list"], folder / str(number)), datetime.fromisoformat(wanted["started"])
        )
        for slug, value in wanted["entered"].items():
            page.enter(slug, value)
        slug = wanted["analysis"]
        shown[number] = {
            "error": page.error(slug),
            "uids": (page.value(slug) or {}).get("images", {}).get("uids"),
            "result": page.value(wanted["result"]),
            "attachments": len(page.attachments(slug)),
        }

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(pages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return shown


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # pylinac's
    print(json.dumps(perform(json.loads(sys.argv[1]), Path(sys.argv[2]))))
