"""Worker: qa_fetch, imported before anything is timed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from qa_fetch import Archive, ConfigError, Images, composite
from qa_fetch.backends import open_backend
from qa_fetch.backends.pool import POOL
from qa_fetch.budget import Budget
from qa_fetch.config import Config
from qa_fetch.receive import receive
from qa_fetch.shelf import Reference, Shelf

from .jobs import serve
from .memory_used import peak

_SECONDS = 170.0
_Fields = dict[str, Any]


def _archive(address: str, fields: _Fields, shelf: str = "") -> Archive:
    if shelf:
        os.environ["QA_FETCH_SHELF"] = shelf
    return Archive(address, budget=_SECONDS, **fields)


def offered(address: str) -> str:
    """Why an address cannot be used; empty when it can."""
    try:
        open_backend(_archive(address, {}).config, Config.load()).close()
    except ConfigError as error:
        return error.message
    return ""


def transport(address: str, fields: _Fields, references: Sequence[Sequence[str]], shelf: str) -> dict[str, Any]:
    """Seconds from references that are known to objects on an empty shelf, and the files of these."""
    archive, config = _archive(address, fields, shelf), Config.load()
    wanted = [Reference(*one) for one in references]
    begun = time.perf_counter()
    place = Shelf(config.shelf("path").value, archive.name, address)
    backend = open_backend(archive.config, config)
    try:
        budget = Budget(_SECONDS)
        with place.claim(wanted, budget, whole_series=True) as claim:
            backend.retrieve(claim.missing, claim, budget)
            left = len(claim.missing)
    finally:
        backend.close()
    seconds = time.perf_counter() - begun
    if left:
        raise RuntimeError(f"{left} of {len(wanted)} objects did not arrive")
    return {"seconds": seconds, "files": [str(place.object_path(one.instance)) for one in wanted]}


def fetch(address: str, fields: _Fields, series: str, shelf: str) -> dict[str, Any]:
    """Seconds of ``Archive.fetch`` of one series onto an empty shelf, and its files."""
    begun = time.perf_counter()
    images = _archive(address, fields, shelf).fetch(series=series)
    return {"seconds": time.perf_counter() - begun, "files": [str(path) for path in images.files]}


def send(address: str, fields: _Fields, folder: str) -> float:
    """Seconds of ``Archive.send`` of a folder."""
    begun = time.perf_counter()
    _archive(address, fields).send(folder)
    return time.perf_counter() - begun


def find(address: str, fields: _Fields, level: str, keys: dict[str, str], fresh: bool) -> dict[str, Any]:
    """Seconds and answers of one query, by a new ``Archive`` or by one that has just asked the same."""
    begun = time.perf_counter()
    archive = _archive(address, fields)
    if not fresh:
        archive.find(level, keys)
        begun = time.perf_counter()
    rows = archive.find(level, keys)
    return {"seconds": time.perf_counter() - begun, "answers": len(rows)}


def latest(address: str, fields: _Fields, patient: str, plan: str, shelf: str) -> dict[str, Any]:
    """Seconds of ``Archive.latest`` onto an empty shelf, and its files."""
    begun = time.perf_counter()
    images = _archive(address, fields, shelf).latest(patient, plan=plan)
    return {"seconds": time.perf_counter() - begun, "files": [str(path) for path in images.files]}


def again(address: str, fields: _Fields, patient: str, plan: str, shelf: str, before: str) -> dict[str, Any]:
    """Seconds of what a composite test does when its page changes: by then images and results are on the shelf."""

    def procedure() -> Images:
        images = _archive(address, fields, shelf).latest(patient, plan=plan, kind="portal", before=before)
        assert composite.results(_counted, images)["images"]["uids"] == list(images.uids)
        return images

    procedure()
    begun = time.perf_counter()
    images = procedure()
    return {"seconds": time.perf_counter() - begun, "files": [str(path) for path in images.files]}


def _counted(images: Images) -> dict[str, int]:
    """An analysis that takes no time, since only the fetch is measured."""
    return {"images": len(images)}


class _Standing:
    """The always-on receiver in a thread of this process."""

    def __init__(self) -> None:
        self._until, self._listening = threading.Event(), threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._before = 0
        self._counts = (0, 0)

    def begin(self, port: int, folder: str) -> None:
        """Receive into a folder; the memory in use when it listens is where its growth is counted from."""

        def ready(*_: object) -> None:
            self._listening.set()

        def run() -> None:
            self._counts = receive(port=port, ae_title="OURS", to=Path(folder), until=self._until, ready=ready)

        self._thread = threading.Thread(target=run)
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError("it does not listen")
        self._before = peak()

    def end(self) -> dict[str, int]:
        """How many objects came, and by how many bytes the memory had grown at its peak."""
        assert self._thread is not None
        grown = peak() - self._before
        self._until.set()
        self._thread.join()
        return {"received": self._counts[0], "refused": self._counts[1], "grown": grown}


_standing = _Standing()


def send_measured(address: str, small: str, large: str) -> int:
    """By how many bytes the peak of the memory grows when a large file is sent after a small one."""
    archive = _archive(address, {})
    archive.send(small)
    before = peak()
    archive.send(large)
    return peak() - before


def _alone(job: Callable[..., Any]) -> Callable[..., Any]:
    """A job that finds no association open, and leaves none: Orthanc serves only four clients at once."""

    def run(**arguments: Any) -> Any:
        POOL.clear()
        try:
            return job(**arguments)
        finally:
            POOL.clear()

    return run


if __name__ == "__main__":
    serve(
        {
            **{job.__name__: _alone(job) for job in (transport, fetch, send, find, latest, again)},
            "offered": offered,
            "begin": _standing.begin,
            "end": _standing.end,
            "send_measured": send_measured,
        }
    )
