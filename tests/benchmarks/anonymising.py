"""Worker: a folder made anonymous by us, or by one of three anonymisers from PyPI.

Little is imported here: processes of ours that are started from this one import it again.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from .jobs import serve
from .memory_used import peak


def _work(source: str, to: str, workers: int) -> dict[str, Any]:
    from qa_fetch.anonymise.anonymiser import Anonymiser

    with tempfile.TemporaryDirectory() as keys:
        begun = time.perf_counter()
        report = Anonymiser(Path(keys) / "bench.key", "research-rt").folder(source, to=to, workers=workers)
        seconds = time.perf_counter() - begun
    if not report.complete:
        raise RuntimeError(f"{report.failed} files failed: {report}")
    return {"seconds": seconds, "peak": peak()}


def _with_dicom_anonymizer(paths: list[Path], to: Path) -> None:
    from dicomanonymizer import anonymize_dicom_file

    for path in paths:
        anonymize_dicom_file(str(path), str(to / path.name))


def _with_dicognito(paths: list[Path], to: Path) -> None:
    from dicognito.anonymizer import Anonymizer
    from pydicom import dcmread

    anonymizer = Anonymizer()
    for path in paths:
        dataset = dcmread(path)
        anonymizer.anonymize(dataset)
        dataset.save_as(to / path.name)


def _with_deid(paths: list[Path], to: Path) -> None:
    from deid.config import DeidRecipe
    from deid.dicom import get_identifiers, replace_identifiers

    files = [str(path) for path in paths]
    found = get_identifiers(files)
    replace_identifiers(
        dicom_files=files,
        deid=DeidRecipe("dicom", base=False),
        ids=found,
        save=True,
        output_folder=str(to),
        remove_private=True,
        strip_sequences=False,
    )


def _peers(peer: str, source: str, to: str) -> float:
    ways = {"dicom-anonymizer": _with_dicom_anonymizer, "dicognito": _with_dicognito, "deid": _with_deid}
    paths = sorted(Path(source).iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        ways[peer](paths, Path(to))
        return time.perf_counter() - begun


if __name__ == "__main__":
    serve({"ours": _work, "theirs": _peers})
