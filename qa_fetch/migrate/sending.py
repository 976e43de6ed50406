"""A patient's objects into an archive, which is then asked whether it has them all."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from .. import part10
from ..archive import Archive
from ..budget import Budget
from ..errors import ConfigError, Incomplete, Refused
from ..locks import FileLock

CONFIRMATIONS = ("find", "commit", "store")
LOCK = "sending.lock"
_PATIENCE = 900.0  # seconds that one call may take
_TURN = 86_400.0  # seconds to wait until the other workers have sent what they have
_SETTLING = 60.0  # seconds in which an archive may list what it has taken
_PAUSE = 0.5


def send(archive: Archive, files: Sequence[Path], confirm: str, work: Path) -> dict[str, int]:
    """Send files one patient at a time, and see to it that the archive has every one; Incomplete where it has not.

    What the archive has taken otherwise than it was sent comes back as sentences, with the number of objects.

    Parameters
    ----------
    archive, files
        What goes where.
    confirm
        ``find``: the archive has to list each object afterwards. ``commit``: it has to commit to them. ``store``: its
        answer to each object is enough, as for an archive that can only be sent to.
    work
        The folder of the job, of which one process at a time sends: archives have lost objects that came over several
        connections at once.
    """
    patient = archive.again(budget=_PATIENCE)
    with FileLock(work / LOCK) as turn:
        if not turn.acquire(Budget(_TURN)):
            raise Incomplete(f"it was never its turn to be sent to {archive.name}. Run again.", retriable=True)
        outcome = patient.send(files, commit=confirm == "commit")
    if confirm == "find":
        _confirm(patient, files)
    return Counter(sent.warning for sent in outcome if sent.warning)


def check(confirm: str) -> None:
    """ConfigError for a way to confirm that there is not."""
    if confirm not in CONFIRMATIONS:
        raise ConfigError(f"an archive cannot confirm by {confirm!r}. Say {', '.join(CONFIRMATIONS)}.")


def _confirm(archive: Archive, files: Sequence[Path]) -> None:
    """Ask for each series until all of its objects are listed, for as long as an archive may take to index them."""
    missing: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in files:
        with path.open("rb") as file, part10.opened(file, path.name) as content:
            identity = content.identity()
        missing[identity.study, identity.series].add(identity.sop_instance)
    budget = Budget(_SETTLING)
    while True:
        for series in list(missing):
            missing[series] -= _listed(archive, *series)
            if not missing[series]:
                del missing[series]
        if not missing:
            return
        if budget.spent:
            raise Incomplete(
                f"{archive.name} took {len(files)} objects, and does not list {sum(map(len, missing.values()))} of "
                "them. Look there what has become of them, and run again.",
                retriable=True,
                missing=sorted(uid for uids in missing.values() for uid in uids),
            )
        time.sleep(budget.at_most(_PAUSE))


def _listed(archive: Archive, study: str, series: str) -> set[str]:
    try:
        rows = archive.find("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series)
    except Refused as error:
        raise Refused(
            f"{archive.name} took the objects and does not answer whether it has them ({error.message.rstrip('.')}). "
            "Let it confirm in another way: commit or store (--confirm).",
            retriable=False,
        ) from error
    return {str(row.SOPInstanceUID) for row in rows}
