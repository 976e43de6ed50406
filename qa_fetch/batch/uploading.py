"""A data set on disk into an archive, series folder by series folder, resumed where it stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from ..archive import Archive
from ..bulk import Done, Item, Ledger, Pace, Report, run
from ..bulk.progress import OnProgress
from ..errors import NotFound
from ..part10 import plain
from .layout import series_of
from .storing import PATIENCE


def upload(
    folder: Union[str, Path],
    archive: Union[Archive, str, None] = None,
    *,
    workers: int = 1,
    pace: Optional[Pace] = None,
    attempts: int = 3,
    outage: float = 600.0,
    on_progress: Optional[OnProgress] = None,
    cancelled: Optional[threading.Event] = None,
) -> Report:
    """Send every series folder of a data set to an archive; what it has taken is not sent again.

    Parameters
    ----------
    folder
        A data set as ``fetch_csv`` makes it: ``sub-*/ses-*/*/``.
    archive
        An ``Archive``, its name or its address; without it the default one.
    workers
        Folders at a time; archives have lost objects that came over several connections at once.
    pace, attempts, outage, on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """
    root = Path(folder).absolute()
    source = archive if isinstance(archive, Archive) else Archive(archive)
    items = list(_series_of(root))
    if not items:
        raise NotFound(f"{root} has no series folder sub-*/ses-*/*/ with files. Name the folder of a data set.")
    with Ledger(root / f"upload-{plain(source.name)}.sqlite") as ledger:
        report = run(
            items,
            partial(_send, source, str(root)),
            ledger,
            workers=workers,
            pace=pace,
            attempts=attempts,
            outage=outage,
            title=f"{root.name} to {source.name}",
            on_progress=on_progress,
            cancelled=cancelled,
        )
    report.write(reports_of(root, source))
    return report


def reports_of(folder: Path, archive: Archive) -> Path:
    """Where the reports of an upload lie: not beside the data set, where those of the fetching are."""
    return folder / "logs" / f"upload-{plain(archive.name)}"


def _series_of(root: Path) -> Iterator[Item]:
    """Each series folder with what lies in it, so that one that has changed is sent again."""
    for place in series_of(root):
        files = [path for path in sorted(place.iterdir()) if path.is_file() and not path.name.startswith(".")]
        if files:
            described = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
            key = place.relative_to(root).as_posix()
            yield Item(key, {"folder": key, "files": described})


def _send(archive: Archive, root: str, payload: Mapping[str, Any]) -> Done:
    """Send the files of one series folder; raises unless the archive has every one of them."""
    place = Path(root, payload["folder"])
    files = [place / name for name, _, _ in payload["files"]]
    archive.again(budget=PATIENCE).send(files)
    return Done(sum(size for _, size, _ in payload["files"]), {"objects": len(files)})
