"""Looking after what a node holds: its index made anew from the files, everything read again, and copied out."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from .. import part10
from ..errors import ConfigError, Incomplete
from ..locks import FileLock
from . import index, own, reading
from .options import NodeOptions

if TYPE_CHECKING:
    from .objects import ObjectStore

_AT_ONCE = 200  # objects in a transaction: a stop in the middle costs no more than these
_PER_PROCESS = 32

Progress = Callable[[int, int], None]  # how many of how many are done


@dataclass
class Report:
    """What was found; ``problems`` name the files at fault, never a patient."""

    checked: int = 0
    added: int = 0
    problems: list[str] = field(default_factory=list)


@contextlib.contextmanager
def alone(options: NodeOptions) -> Iterator[None]:
    """A block in which no node runs on the folder."""
    if not options.data.is_dir():
        raise ConfigError(f"there is no node in {options.data}. Make one with qa-fetch node init, or name its folder.")
    lock = FileLock(options.data / "node.lock")
    if not lock.try_acquire():
        raise ConfigError(f"a node is running on {options.data}. Stop it first.")
    try:
        yield
    finally:
        lock.release()


def files_of(options: NodeOptions) -> list[Path]:
    """All files of objects, in a fixed order."""
    return sorted((options.data / "objects").glob("*/*.dcm"))


def count_files(options: NodeOptions) -> int:
    """How many files of objects there are."""
    return sum(1 for _ in (options.data / "objects").glob("*/*.dcm"))


def is_complete(options: NodeOptions) -> bool:
    """Whether an index that is open describes as many objects as there are files."""
    from .models import Instance

    return bool(Instance.objects.count() == count_files(options))


def make_index(
    options: NodeOptions, *, workers: Optional[int] = None, on_progress: Progress = lambda done, of: None
) -> Report:
    """Describe in the index what lies in the folder and is not described yet; a second run goes on from the first.

    Parameters
    ----------
    options
        The node's.
    workers
        How many processes read; without it, one for each processor.
    on_progress
        Called with how many of how many files are done.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"there cannot be {workers} workers. Give at least 1.")
    with alone(options), index.opened(options):
        from .objects import ObjectStore

        return describe_files(options, ObjectStore(options), workers, on_progress)


def describe_files(
    options: NodeOptions,
    store: ObjectStore,
    workers: Optional[int] = None,
    on_progress: Progress = lambda done, of: None,
    is_told: Callable[[], bool] = lambda: False,
) -> Report:
    """The same for an index that is open; ``store`` is the node's, and ``is_told`` says whether to leave the rest."""
    from django.db import transaction

    from .models import Conflict, Instance

    report = Report()
    known = {part10.file_stem(uid) for uid in Instance.objects.values_list("SOPInstanceUID", flat=True).iterator()}
    known |= {store.apart(*row).stem for row in Conflict.objects.values_list("SOPInstanceUID", "digest").iterator()}
    conflicts = sorted((options.data / "conflicts").glob("*.dcm"))
    files = [path for path in (*files_of(options), *conflicts) if path.stem not in known]
    read = itertools.takewhile(lambda _: not is_told(), _read_all(files, store.extra, workers))
    for some in _groups(read, _AT_ONCE):
        with transaction.atomic():
            for found in some:
                report.checked += 1
                problem = found.problem or _describe(store, found)
                if problem:
                    report.problems.append(f"{_named(found.path, options)}: {problem}")
                else:
                    report.added += 1
        on_progress(report.checked, len(files))
    return report


def _describe(store: ObjectStore, found: reading.FromFile) -> str:
    """Describe one file; a database that fails because of it alone, which SQLite never does, is a problem of it."""
    from django.db import Error as DatabaseError
    from django.db import connection

    try:
        return store.describe(found)
    except DatabaseError as error:
        if connection.vendor == "sqlite" or not connection.is_usable():
            raise
        return (
            f"the database does not take its values ({type(error).__name__}). "
            "See the database's log, or move the file out of the node's folder."
        )


def verify(options: NodeOptions, *, on_progress: Progress = lambda done, of: None) -> Report:
    """Read every object again and compare it with the index, and look for files that it does not know."""
    report = Report()
    with index.opened(options):
        from .models import Instance
        from .objects import ObjectStore

        store = ObjectStore(options)
        rows = dict(Instance.objects.values_list("SOPInstanceUID", "digest").iterator())
    expected = {store.path(uid): digest for uid, digest in rows.items()}
    strangers = [path for path in files_of(options) if path not in expected]
    for path, digest in expected.items():
        report.checked += 1
        problem = _difference(path, digest)
        if problem:
            report.problems.append(f"{_named(path, options)}: {problem}")
        on_progress(report.checked, len(expected))
    report.problems += [f"{_named(path, options)}: it is not in the index. Run data index." for path in strangers]
    return report


def _difference(path: Path, digest: str) -> str:
    found = reading.read(path)
    if found.problem:
        return found.problem
    return "" if found.digest == digest else "it is not what was stored. Restore it from a backup."


def export(
    options: NodeOptions, to: Path, uids: Sequence[str] = (), *, on_progress: Progress = lambda done, of: None
) -> Report:
    """Copy objects out, into a folder or a new .zip file: study, series and object by their UIDs.

    Parameters
    ----------
    options
        The node's.
    to
        A folder, or the name of a .zip file that is not there yet.
    uids
        Study, Series or SOP Instance UIDs; without any, everything. NotFound names the first that the node has not.
    on_progress
        Called with how many of how many objects are done.
    """
    report = Report()
    chosen = own.chosen(options, uids)
    with _target(to) as put:
        for source, name in chosen:
            problem = put(source, name)
            report.checked += 1
            if problem:
                report.problems.append(f"{_named(source, options)}: {problem}")
            else:
                report.added += 1
            on_progress(report.checked, len(chosen))
    return report


@contextlib.contextmanager
def _target(to: Path) -> Iterator[Callable[[Path, Path], str]]:
    if to.suffix.lower() != ".zip":
        yield lambda source, name: _copied(source, to / name)
        return
    draft = to.with_name(f".{to.name}.part")
    try:
        if to.exists():
            raise ConfigError(f"{to} is there already, and nothing is overwritten. Choose another name.")
        with zipfile.ZipFile(draft, "x", allowZip64=True) as archive:
            yield lambda source, name: _packed(archive, source, name)
        draft.replace(to)
    except OSError as error:
        raise Incomplete(f"{to} could not be written ({error.strerror}). Free space or check permissions.") from error
    finally:
        draft.unlink(missing_ok=True)


def _copied(source: Path, target: Path) -> str:
    """Copy one file under a temporary name first; what went wrong."""
    draft = target.with_name(f".{target.name}.part")
    try:
        if target.exists():
            same = target.stat().st_size == source.stat().st_size and filecmp.cmp(target, source, shallow=False)
            return "" if same else "another file has its name there already, and nothing is overwritten."
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, draft)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        return f"it could not be copied ({error.strerror})."
    return ""


def _packed(archive: zipfile.ZipFile, source: Path, name: Path) -> str:
    try:
        archive.write(source, name.as_posix())
    except FileNotFoundError:
        return "its file is missing. Restore it from a backup."
    return ""


def _read_all(files: Sequence[Path], extra: tuple[int, ...], workers: Optional[int]) -> Iterator[reading.FromFile]:
    read = partial(reading.read, extra=extra)
    processes = workers or os.cpu_count() or 1
    if processes == 1 or len(files) < _AT_ONCE:
        yield from map(read, files)
        return
    # Not forked: this process has database connections and threads, which a copy of it must not have.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(read, files, chunksize=_PER_PROCESS)


def _groups(found: Iterable[reading.FromFile], size: int) -> Iterator[list[reading.FromFile]]:
    iterator = iter(found)
    return iter(lambda: list(itertools.islice(iterator, size)), [])


def _named(path: Path, options: NodeOptions) -> str:
    return path.relative_to(options.data).as_posix()
