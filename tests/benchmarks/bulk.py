"""Section ``bulk``: what the ledger costs for each item, and whether memory grows with their number."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from qa_fetch.bulk import DONE, Done, Item, Ledger, run
from qa_fetch.bulk.attempt import Outcome

from .bench import Bench
from .jobs import serve
from .memory_used import peak
from .race import Contestant, Measured
from .workloads import Wrong

LEDGER, RUN = "qa_fetch ledger", "qa_fetch run of nothing, 4 threads"
GROWTH = "qa_fetch run of nothing"
_MB = 1e6


def bulk(bench: Bench) -> None:
    """Seconds for all items, so that 100,000 at 100 microseconds each are 10; memory in a process of its own."""
    count = 2_000 if bench.quick else 100_000
    worker = bench.new_worker("bulk")

    def ledger(folder: Path) -> Measured:
        return Measured(_checked(worker("noted", folder=str(folder), count=count), count)["seconds"])

    def whole(folder: Path) -> Measured:
        return Measured(_checked(worker("run", folder=str(folder), count=count), count)["seconds"])

    contestants = [Contestant(LEDGER, ledger, most=3), Contestant(RUN, whole, most=3)]
    bench.race("bulk", "ledger", f"{count:,} items, waiting, running and done", contestants, (LEDGER,))

    def growth(folder: Path) -> Measured:
        fresh = bench.new_worker("bulk")
        fresh("run", folder=str(folder / "small"), count=count // 20)
        done = _checked(fresh("run", folder=str(folder / "large"), count=count), count)
        fresh.close()
        return Measured(done["grown"] / _MB)

    says = f"growth of the peak from {count // 20:,} items to {count:,}"
    bench.race("bulk", "memory", says, [Contestant(GROWTH, growth)], (), runs=1, unit="MB")


def _checked(done: dict[str, Any], count: int) -> dict[str, Any]:
    if done["done"] != count:
        raise Wrong(f"{done['done']} of {count} items are done")
    return done


# In the worker


def _items(count: int) -> Any:
    series = "1.2.826.0.1.3680043.8.498.70317031703170317031."
    return (Item(f"{series}{number}", {"series": f"{series}{number}", "row": number}) for number in range(count))


def _nothing(payload: Any) -> Done:
    return Done(1)


def _noted(folder: str, count: int) -> dict[str, Any]:
    """What ``run`` has a ledger do, without anything beside: what is finished is committed with what begins next."""
    outcome = Outcome(worker="worker_0", seconds=1.0, bytes=1)
    with Ledger(Path(tempfile.mkdtemp(dir=folder)) / "ledger.sqlite") as ledger:
        begun = time.perf_counter()
        ledger.begin_run()
        numbers = [ledger.offer(item).number for item in _items(count)]
        ledger.commit()
        for number in numbers:
            ledger.begin(number)
            ledger.commit()
            ledger.finish(number, outcome, DONE)
        ledger.commit()
        return {"seconds": time.perf_counter() - begun, "done": ledger.counts()[DONE]}


def _run(folder: str, count: int) -> dict[str, Any]:
    before = peak()
    begun = time.perf_counter()
    with Ledger(Path(folder) / "ledger.sqlite") as ledger:
        report = run(_items(count), _nothing, ledger)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "done": report.done, "grown": peak() - before}


if __name__ == "__main__":
    serve({"noted": _noted, "run": _run})
