"""The command: choose sections, run them, print tables and goals, keep the raw figures as JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from peers.process import Missing

from . import goals, machine
from .batch import batch
from .bench import Bench, opened
from .bench_anonymise import anonymise
from .bench_cohort import cohort
from .bench_pinnacle import pinnacle
from .bulk import bulk
from .finding import find
from .memory import memory
from .newest import latest
from .node import node
from .page import page
from .retrieving import packaged, retrieve, roundtrip
from .sending import send

_SECTIONS = {
    "retrieve": retrieve,
    "packaged": packaged,
    "roundtrip": roundtrip,
    "send": send,
    "find": find,
    "latest": latest,
    "page": page,
    "node": node,
    "batch": batch,
    "bulk": bulk,
    "anonymise": anonymise,
    "pinnacle": pinnacle,
    "cohort": cohort,
    "memory": memory,
}
_LEGEND = """\
Seconds, medians of interleaved runs; "x NAME" is how many times what NAME took (below 1 is faster than it).
qa_fetch and pynetdicom each run in a process that has imported them before: imports are not counted, everything else
of a call is; but for "same Archive again", calls of qa_fetch find no association open. DCMTK's tools are a process per
run, and its start is counted: subtract findscu --version. They have TCP_NODELAY=1, without which they are much slower,
wherever Orthanc has it. A storescp that waits for movescu runs already; plain pynetdicom starts its receiver in each
call, as pynetdicom_wrapper does. pacsifier is a process
per run: subtract pacsifier --version. CPU seconds are what a process used, not what it waited. Every result is checked
object by object; a wrong one does not count.
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*_SECTIONS], help=f"of {', '.join(_SECTIONS)}")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contestant (slow ones take fewer)")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the raw figures go")
    parser.add_argument("--quick", action="store_true", help="one run of small workloads: only whether it all works")
    parser.add_argument("--memory", action="store_true", help="also measure memory where --only leaves it out")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a goal is missed")
    return parser.parse_args()


def _run(bench: Bench, names: list[str]) -> dict[str, Any]:
    begun = time.monotonic()
    facts = machine.facts()
    print(_LEGEND, ", ".join(f"{name} {value}" for name, value in facts.items()), sep="\n", flush=True)
    for name in names:
        _SECTIONS[name](bench)
    found = goals.verdicts(bench.rows)
    print(goals.table(found))
    if bench.quick:
        print("These were small workloads run once: the figures mean nothing.")
    print(f"\n{time.monotonic() - begun:.0f} s in all.")
    rows = [row.as_json() for row in bench.rows]
    return {"machine": facts, "quick": bench.quick, "notes": bench.notes, "rows": rows, "goals": found}


def main() -> int:
    """Run what was asked for; 0 when everything ran and was right."""
    chosen = _arguments()
    names = [
        name for name in _SECTIONS if not chosen.only or name in chosen.only or (name == "memory" and chosen.memory)
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped and files removed on the way out
    try:
        with opened(1 if chosen.quick else chosen.runs, chosen.quick) as bench:
            result = _run(bench, names)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    failed = [row for row in result["rows"] if row["failed"]]
    missed = [goal for goal in result["goals"] if goal["met"] is False]
    if failed:
        print(f"{len(failed)} contestants failed; see the lines with ! above.", file=sys.stderr)
    return 1 if failed or (missed and chosen.strict) else 0


if __name__ == "__main__":
    sys.exit(main())
