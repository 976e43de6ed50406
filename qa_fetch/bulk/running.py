"""The one function that does the items of a list."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Optional, Union

from ..errors import ConfigError
from .attempt import Work
from .engine import Engine, Intact
from .executors import Workers
from .items import DONE, FAILED, WAITING, Item
from .ledger import Ledger
from .outage import Outage
from .pace import Keeper, Pace
from .progress import Meter, OnProgress
from .report import Report
from .stopping import Stop

LOG = logging.getLogger("qa_fetch.bulk")


def run(
    items: Iterable[Item],
    work: Work,
    ledger: Ledger,
    *,
    workers: Optional[int] = None,
    where: str = "threads",
    pace: Optional[Pace] = None,
    attempts: int = 3,
    outage: float = 0.0,
    intact: Optional[Intact] = None,
    title: str = "",
    on_progress: Optional[OnProgress] = None,
    cancelled: Union[threading.Event, Stop, None] = None,
) -> Report:
    """Do every item of a list that is not done yet.

    Ctrl-C in the main thread, or the event, lets the items that are being worked on finish and begins nothing new; a
    second Ctrl-C gives them up, and they are done again in the next run, as after a crash.

    Parameters
    ----------
    items
        The list, which may be a generator; it is read in a thread of its own while items are being worked on, and not
        outside of the allowed hours.
    work
        A function on top of a module that gets a payload, raises ``QAFetchError``, and gives back ``Done``. It has
        to bear being called again for an item that it had finished when the machine went down.
    ledger
        Which knows what is done.
    workers
        How many items at a time; by default four threads, a process per core, or all threads of the cluster.
    where
        ``threads``, ``processes``, or the address of a Dask scheduler.
    pace
        How fast it may go.
    attempts
        How often an item is tried whose error says that it can succeed later.
    outage
        Seconds for which an archive that nobody reaches is waited for, without counting these attempts; then the run
        stops.
    intact
        Says of an item that is done, from its payload and the detail of its ``Done``, whether what it made is still
        there; where not, it is done again.
    title
        What the report is called.
    on_progress
        Gets a ``Progress`` a few times a second, and when the run waits or stops, which ``says`` why.
    cancelled
        Set by whoever wants the run to stop; or the ``Stop`` of the job that the run is a part of.
    """
    if attempts < 1:
        raise ConfigError(f"there cannot be {attempts} attempts at an item. Give at least 1.")
    begun = datetime.now()
    with Stop(cancelled) as stop:
        engine = Engine(items, ledger, Workers(where, workers, work), Keeper(pace or Pace()), stop)
        engine.attempts, engine.outage, engine.intact = attempts, Outage(outage), intact
        engine.meter = Meter(on_progress)
        number = engine.to_the_end()
    meter, counts = engine.meter, ledger.counts()
    report = Report(
        ledger=ledger.path.absolute(),
        run=number,
        title=title,
        begun=begun,
        seconds=meter.seconds,
        done=counts[DONE],
        failed=counts[FAILED],
        waiting=counts[WAITING],
        already=meter.already,
        bytes=meter.bytes,
        whole=engine.read,
        stopped=stop.why if counts[WAITING] or not engine.read else "",
    )
    LOG.info(
        "run %d: %d done (%d before), %d failed, %d not done, %d bytes in %.1f s",
        *(number, report.done, report.already, report.failed, report.waiting, report.bytes, report.seconds),
    )
    return report
