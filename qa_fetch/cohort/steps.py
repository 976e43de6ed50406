"""How each step goes over the patients: on the bulk engine, with a ledger of its own, so that it can go on."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Optional

from ..bulk import Item, Ledger, Report, run
from ..bulk.attempt import Work
from ..bulk.engine import Intact
from ..bulk.progress import OnProgress
from ..shelf.disk import make_folder
from .config import Settings


def run_step(
    step: str,
    settings: Settings,
    items: Iterable[Item],
    work: Work,
    *,
    where: str = "threads",
    workers: Optional[int] = None,
    intact: Optional[Intact] = None,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Do a step for all patients who are not done; its ledger and report lie in the cohort's work folder.

    Parameters
    ----------
    step
        Its name, which is that of its command.
    settings
        Of the cohort.
    items
        One for each patient; a payload that is another than before means doing it again.
    work
        As for ``qa_fetch.bulk.run``.
    where, workers, intact, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    folder = make_folder(settings.work / step)
    with Ledger(folder / "ledger.sqlite") as ledger:
        report = run(
            items,
            work,
            ledger,
            where=where,
            workers=workers,
            intact=intact,
            outage=settings.TIMEOUT,
            title=f"Cohort: {step}",
            on_progress=on_progress,
            cancelled=cancelled,
        )
        report.write(folder)
    return report
