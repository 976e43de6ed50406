"""One patient of a migration: every plan of all of its archives converted, checked, delivered as a whole."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..archive import Archive
from ..backends import pinnacle_folder
from ..backends.pinnacle_conversion import superseded
from ..bulk import Done
from ..bulk.ledger import full_disk
from ..errors import BadArchive, Incomplete, NotFound, QAFetchError
from ..pinnacle.export import export
from ..pinnacle.making import Left
from ..pinnacle.report import Report
from ..shelf.disk import flush_folder, is_full
from .collection import without_names
from .place import Place, mark
from .sending import send

_OF_PLAN = re.compile(r"\bplan (\d+)\b")
_MOST = 500  # omissions and warnings that are kept of a patient
Said = list[str]  # of which archive, what, and the reason


@dataclass(frozen=True)
class Job:
    """What every worker has to know; it travels to other processes.

    Parameters
    ----------
    archives, work
        The folder of archives, and that of the job.
    to, send
        The import folder, and the archive that is sent to; one of them at least.
    confirm
        How that archive says that it has everything.
    mu
        How monitor units are found.
    whole_only
        Deliver nothing of a patient of whom something had to be left out.
    """

    archives: str
    work: str
    to: str = ""
    send: Optional[Archive] = None
    confirm: str = "find"
    mu: str = "agree"
    whole_only: bool = False


def move(job: Job, payload: Mapping[str, Any]) -> Done:
    """Convert one patient and deliver it; raises unless all that could be converted has arrived."""
    work = Path(job.work)
    if "strange" in payload:
        raise Incomplete(
            f"its archives have different {payload['strange']} under this patient ID, as those of different people, so "
            "nothing of them was converted. Look whose they are, keep only this patient's among the archives, and run "
            "again.",
            retriable=False,
        )
    asked = mark(repr(sorted(payload.items())))
    with _full_disk_in_words(work), Place(work, mark(payload["patient"])) as place:
        note = place.note
        if job.to and note is not None and note["asked"] == asked:  # by a run that was killed before it noted that
            return Done(note["bytes"], note["detail"])
        made = _Conversion(job, payload, place)
        made.all()
        if job.send is not None:
            made.warn(job.send.name, send(job.send, made.files, job.confirm, work))
        size, detail = made.bytes, made.detail()
        if job.to:
            _open_as(Path(job.to), place.product)
            place.deliver(Path(job.to, payload["folder"]), {"asked": asked, "bytes": size, "detail": detail})
    return Done(size, detail)


class _Conversion:
    """The objects of a patient in its temporary folder."""

    def __init__(self, job: Job, payload: Mapping[str, Any], place: Place) -> None:
        self._job, self._payload, self._place = job, payload, place
        self._here: dict[str, tuple[Path, str]] = {}  # SOP Instance UID -> where it is, and of which archive
        self._objects: Counter[str] = Counter()
        self._omissions: list[Said] = []
        self._warnings: list[Said] = []
        self._differ: Counter[tuple[str, str]] = Counter()

    @property
    def files(self) -> list[Path]:
        """Where the objects are."""
        return [path for path, _ in self._here.values()]

    @property
    def bytes(self) -> int:
        """How many they have in all."""
        return sum(path.stat().st_size for path in self.files)

    def all(self) -> None:
        """Convert what each archive has of the patient, the newest first."""
        self._place.product.mkdir()
        problems = []
        records = self._payload["records"]
        older = _superseded(Path(self._job.archives), records) if len(records) > 1 else {}
        for number, (archive, folder, state) in enumerate(records, 1):
            into = self._place.product if len(records) == 1 else self._place.product / f"{number}"
            made = self._place.temporary / "made"
            try:
                report = self._export(archive, folder, state, made)
            except (BadArchive, NotFound) as error:
                text = without_names(error.message, Path(self._job.archives, archive))
                problems.append(text)
                self._omissions.append([archive, "the archive", text])
                continue
            into.mkdir(exist_ok=True)
            self._take(archive, report, into, older.get(number - 1, set()))
            shutil.rmtree(made)
        if not self._here:
            raise _nothing(problems, self._omissions)
        for (newer, other), count in self._differ.items():
            self._warnings.append(
                [other, "objects", f"{count} are also in {newer}, with other content; the newer ones were taken"]
            )
        if self._omissions and self._job.whole_only:
            _, what, reason = self._omissions[0]
            count = len(self._omissions)
            raise Incomplete(
                f"{count} {'things' if count > 1 else 'thing'} could not be converted, so nothing of the patient was "
                f"delivered, as was asked for; the first: {what}: {reason.rstrip('.')}. "
                "Run without --whole-only to deliver the rest.",
                retriable=False,
            )

    def warn(self, archive: str, warnings: Mapping[str, int]) -> None:
        """Keep what an archive said of objects that it took."""
        for says, count in warnings.items():
            self._warnings.append(["", f"{count} object{'s' * (count != 1)} in {archive}", says])

    def detail(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {
            "objects": dict(sorted(self._objects.items())),
            "omissions": self._omissions[:_MOST],
            "omitted": len(self._omissions),
            "warnings": self._warnings[:_MOST],
            "warned": len(self._warnings),
        }

    def _export(self, archive: str, folder: str, state: Sequence[int], made: Path) -> Report:
        path = Path(self._job.archives, archive)
        _unchanged(path, state)
        report = export(path, made, patient=folder or None, mu=self._job.mu)
        _unchanged(path, state)
        return report

    def _take(self, archive: str, report: Report, into: Path, older: AbstractSet[int]) -> None:
        """Take the objects of an archive, and what is said of them.

        Parameters
        ----------
        archive, report
            What its conversion has written and left out.
        into
            Where the objects go.
        older
            The plans that another archive of the patient has as well, as they are or newer: they are not taken.
        """
        for written in report.written:
            known = self._here.get(written.sop_instance)
            if written.plan in older:
                continue
            if known is None:
                target = into / written.path.name
                written.path.rename(target)
                self._here[written.sop_instance] = (target, archive)
                self._objects[written.modality] += 1
            elif known[0].read_bytes() != written.path.read_bytes():
                self._differ[known[1], archive] += 1
        self._omissions += [_said(archive, left) for left in report.skipped if _plan(left) not in older]
        self._warnings += [_said(archive, left) for left in report.warnings if _plan(left) not in older]
        for number in sorted(older):
            reason = "another archive of this patient has it too, the same or newer; that one was taken"
            self._warnings.append([archive, f"plan {number}", reason])
        for patient in report.patients:
            if patient.origin.refused:
                count = len(patient.origin.refused)
                reason = f"{count} members that are no files (links, devices, names that lead outside) were not read"
                self._warnings.append([archive, "the archive", reason])


def _superseded(archives: Path, records: Sequence[Sequence[Any]]) -> dict[int, set[int]]:
    """For each of the records, newest first, the plans that another one has too, as they are or newer."""
    held = []
    for place, (archive, folder, _) in enumerate(records):
        contents = pinnacle_folder.contents(archives / archive)
        held += [(place, each) for each in contents.patients if each.patient.folder == folder]
    held.reverse()
    return {place: plans for (place, _), plans in zip(held, superseded([each for _, each in held]))}


def _plan(left: Left) -> Optional[int]:
    """Of which plan something is said."""
    found = _OF_PLAN.search(left.what)
    return int(found[1]) if found else None


def _said(archive: str, left: Left) -> Said:
    return [archive, left.what, left.reason]


def _nothing(problems: Sequence[str], omissions: Sequence[Said]) -> QAFetchError:
    if problems:
        return BadArchive(problems[0])
    reasons = list(dict.fromkeys(f"{what}: {reason.rstrip('.')}" for _, what, reason in omissions))
    if not reasons:
        return NotFound("there is nothing of this patient that could be converted. Look at its archive.")
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return BadArchive(
        f"nothing of this patient could be converted: {'; '.join(reasons[:3])}{more}. Look at its archive."
    )


def _unchanged(path: Path, state: Sequence[int]) -> None:
    """An archive that somebody writes to, or has taken away, is not converted."""
    if not path.exists():
        raise NotFound("the archive was there a moment ago and is gone. Put it back and run again.")
    if list(pinnacle_folder.state(path)) != list(state):
        raise Incomplete(
            "the archive has changed since it was looked at. Run again when nobody writes to it.", retriable=False
        )


def _open_as(to: Path, product: Path) -> None:
    """Whoever may read the import folder may read what appears in it; its importer is seldom the user who converts."""
    if os.name == "nt":
        return
    status = to.stat()
    mode = stat.S_IMODE(status.st_mode) & 0o777 | 0o700
    for path in (product, *product.rglob("*")):
        if path.stat().st_gid != status.st_gid:
            with contextlib.suppress(PermissionError):  # of a group that this user is not in: then the mode must do
                os.chown(path, -1, status.st_gid)
        path.chmod(mode if path.is_dir() else mode & 0o666)
        if path.is_dir():  # its files have been flushed when they were written
            flush_folder(path)


@contextlib.contextmanager
def _full_disk_in_words(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise full_disk(work) from error
