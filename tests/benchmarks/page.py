"""Section ``page``: what pages of QATrack+ cost: run again, ten of them at once, and where the archive hangs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from peers import course
from peers.process import LOOPBACK, free_port

from .bench import Bench
from .double import PLAN
from .newest import REFERENCE, reference_way
from .race import Contestant, Measured
from .workers import Worker
from .workloads import Contents, Wrong

OURS = "qa_fetch, page again"
THREADS, PROCESSES = "qa_fetch, one process", "qa_fetch, three processes"
HUNG = "qa_fetch, a hung archive"
BUDGET = 25.0


def page(bench: Bench) -> None:
    """All that a physicist waits for in front of a page."""
    _again(bench)
    _first(bench)


def _again(bench: Bench) -> None:
    """From a double of ARIA, pinned to a moment as a page is; the naive way fetches each time."""
    sessions, rows = (6, 128) if bench.quick else (200, 512)
    ports = {"OURS": free_port(), "PLAIN": free_port()}
    double = bench.new_worker("double")
    peer = double("open", sessions=sessions, rows=rows, destinations=ports)
    contents = Contents(peer["pixels"], {int(checksum): uid for checksum, uid in peer["uids"].items()})
    asked = {"patient": course.PATIENT, "plan": PLAN}
    started = f"{datetime.now() - timedelta(minutes=30):%Y-%m-%d %H:%M}"

    def ours(folder: Path) -> Measured:
        address = f"dimse://{peer['title']}@{LOOPBACK}:{peer['port']}"
        fields = {"local_ae_title": "OURS", "local_port": ports["OURS"]}
        done = bench.worker("ours")("again", address=address, fields=fields, **asked, shelf=str(folder), before=started)
        contents.check(map(Path, done["files"]))
        return Measured(done["seconds"])

    reference = reference_way(bench, double, peer, contents, asked, ports["PLAIN"])
    contestants = [Contestant(OURS, ours, warm=ours), Contestant(REFERENCE, reference, most=1)]
    bench.race("page", "again", f"10 images of the newest of {sessions} series", contestants, (REFERENCE,))


def _first(bench: Bench) -> None:
    """With the analyses of pylinac, in the stand-in of QATrack+; one port of ours gets the images of all pages."""
    absent = "" if importlib.util.find_spec("pylinac") else "pylinac is not installed"
    count, budget = (4, 3.0) if bench.quick else (10, BUDGET)
    site = bench.new_worker("site")
    servers = [bench.new_worker("site") for _ in range(0 if absent else 3)]
    there = {} if absent else site("open", folder=str(bench.folder("site")), back=free_port())

    def ten(processes: Sequence[Worker], folder: Path) -> Measured:
        pages = [there["pages"][number % 2] for number in range(count)]
        shares = [pages[number :: len(processes)] for number in range(len(processes))]

        def perform(server: Worker, share: list[dict[str, Any]]) -> dict[str, Any]:
            return dict(server("perform", pages=share, config=there["config"], folder=str(folder), budget=BUDGET))

        with ThreadPoolExecutor(len(processes)) as together:
            answers = list(together.map(perform, processes, shares))
        for share, answer in zip(shares, answers):
            site("check", pages=share, shown=answer["shown"])
        return Measured(max(answer["seconds"] for answer in answers))

    def hung(folder: Path) -> Measured:
        pages = there["pages"][1:]  # of two images, the second of which never comes
        done = servers[0]("perform", pages=pages, config=there["hung"], folder=str(folder), budget=budget)
        error = str(done["shown"][0]["error"]).strip()
        if not error.splitlines()[-1].startswith("qa_fetch.errors."):
            raise Wrong(f"the page says: {error}")
        return Measured(done["seconds"])

    def contestant(name: str, number: int) -> Contestant:
        def attempt(folder: Path) -> Measured:
            return ten(servers[:number], folder)

        return Contestant(name, attempt, most=2, warm=attempt, absent=absent)

    says = f"{count} pages of 2 packs at once, each fetched by C-MOVE to one port and analysed"
    bench.race("page", "ten at once", says, [contestant(THREADS, 1), contestant(PROCESSES, 3)], ())
    says = f"a page whose archive stops in the middle of a transfer, with a budget of {budget:g} s"
    bench.race("page", "hung", says, [Contestant(HUNG, hung, most=1, absent=absent)], ())
