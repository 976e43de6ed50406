"""Worker: how PDCP asks Orthanc, and its archives: a connection and a thread of 30 for each object, default headers.

Written after what PDCP does, in the kindest way: what comes is written down as it comes, where PDCP decodes and
encodes every object, and its table is written without pandas.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from .jobs import serve
from .memory_used import peak

_THREADS, _TIMEOUT = 30, 60


def _all(urls: Iterable[str]) -> list[bytes]:
    import requests

    def get(url: str) -> bytes:
        answer = requests.get(url, timeout=_TIMEOUT, verify=False)
        answer.raise_for_status()
        return answer.content

    with ThreadPoolExecutor(_THREADS) as threads:
        return [done.result() for done in as_completed([threads.submit(partial(get, url)) for url in urls])]


def _fetch(url: str, series: str, to: str) -> dict[str, Any]:
    import requests

    begun = time.perf_counter()
    listed = requests.get(f"{url}/series/{series}/ordered-slices", timeout=_TIMEOUT).json()["Dicom"]
    files = [Path(to, f"{number}.dcm") for number in range(len(listed))]
    for file, content in zip(files, _all(url + path for path in listed)):
        file.write_bytes(content)
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "files": [str(file) for file in files]}


def _zip(url: str, series: str, to: str) -> dict[str, Any]:
    import requests

    begun, packed = time.perf_counter(), Path(to, "series.zip")
    with requests.get(f"{url}/series/{series}/archive", timeout=_TIMEOUT, stream=True) as answer:
        answer.raise_for_status()
        with packed.open("wb") as file:
            for piece in answer.iter_content(1 << 20):
                file.write(piece)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(Path(to, "series"))
    seconds = time.perf_counter() - begun
    files = [str(file) for file in Path(to, "series").rglob("*") if file.is_file()]
    return {"seconds": seconds, "peak": peak(), "files": files}


def _summarise(url: str, patient: str, to: str) -> dict[str, Any]:
    import csv
    import json

    import requests

    from qa_fetch.cohort.columns import INSTANCE

    begun, rows = time.perf_counter(), []

    def ask(path: str) -> Any:
        return requests.get(f"{url}/{path}", timeout=_TIMEOUT).json()

    for study in ask(f"patients/{patient}")["Studies"]:
        for series in ask(f"studies/{study}")["Series"]:
            listed = ask(f"series/{series}")["Instances"]
            for content in _all(f"{url}/instances/{one}/simplified-tags" for one in listed):
                header = json.loads(content)
                rows.append({key: header.get(key, "missing") for key in INSTANCE})
    with Path(to, "summary.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, INSTANCE)
        lines.writeheader()
        lines.writerows(rows)
    return {"seconds": time.perf_counter() - begun, "peak": peak(), "rows": len(rows)}


if __name__ == "__main__":
    serve({"fetch": _fetch, "zip": _zip, "summarise": _summarise})
