"""Worker: a site of QATrack+, its archive with the images of two packs, and pages that its stand-in performs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pack_pages
from pack_site import TITLE, YESTERDAY, ZONE, Archived, archived, store
from pack_trials import TRIALS, Made
from peers.doubles import aria
from peers.process import LOOPBACK

from .jobs import serve

_PACKS = ("picket_fence", "vmat_drgs")
_STARTED = YESTERDAY + timedelta(hours=1)


class _Site:
    """The archive of this process, one that stops in the middle of its first transfer, and their images."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._made: dict[str, Made] = {}

    def open(self, folder: str, back: int) -> dict[str, Any]:
        """The configuration files for both archives, which move images to one port, and a page of each pack."""
        place = Path(folder)
        chosen = [next(trial for trial in TRIALS if trial.pack == pack) for pack in _PACKS]
        self._made = {trial.pack: trial.make(YESTERDAY) for trial in chosen}
        datasets = [dataset for made in self._made.values() for dataset in made.datasets]
        archive = self._open.enter_context(archived(_new(place, "archive"), back))
        os.environ["QA_FETCH_CONFIG"] = str(archive.config(place, retrieve="move"))
        store(datasets, place)
        hangs = aria(datasets, destinations={TITLE: (LOOPBACK, back)}, callers=(TITLE,), pause_after=1)
        self._open.enter_context(hangs)
        hung = Archived(hangs.ae_title, hangs.port, back).config(_new(place, "hung"))
        pages = [pack_pages.asked(trial, self._made[trial.pack], _STARTED) for trial in chosen]
        return {"config": os.environ["QA_FETCH_CONFIG"], "hung": str(hung), "pages": pages}

    def check(self, pages: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]]) -> None:
        """Fail unless each page shows the truth about the images of its pack."""
        for page, answer in zip(pages, shown):
            made = self._made[page["pack"]]
            uids = sorted(str(one.SOPInstanceUID) for one in made.datasets if one.Modality != "RTPLAN")
            right = answer["error"] is None and sorted(answer["uids"]) == uids and answer["attachments"] == 1
            if not right or answer["result"] != made.expected[page["result"]]:
                raise RuntimeError(f"a page of {page['pack']} is wrong: {answer}")


def _new(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def perform(pages: Sequence[dict[str, Any]], config: str, folder: str, budget: float) -> dict[str, Any]:
    """Perform pages at the same time, as a process of QATrack+ does, with its shelf in a folder for all processes."""
    os.environ.update(QA_FETCH_CONFIG=config, QA_FETCH_SHELF=f"{folder}/shelf", QA_FETCH_BUDGET=str(budget))
    begun = time.perf_counter()
    shown = pack_pages.perform(pages, Path(folder, str(os.getpid())))
    return {"seconds": time.perf_counter() - begun, "shown": shown}


if __name__ == "__main__":
    os.environ["TZ"] = ZONE  # as Django does it
    time.tzset()
    _site = _Site()
    serve({"open": _site.open, "check": _site.check, "perform": perform})
