"""A batch whose objects leave anonymised: what is fetched stays in a working folder beside the key."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Optional

from ..anonymise import Anonymiser
from ..anonymise.audit import Anonymised
from ..anonymise.identities import Identities, outside
from ..anonymise.naming import mark
from ..bulk import Report
from ..bulk.progress import OnProgress
from ..errors import ConfigError
from ..shelf.disk import make_folder
from .storing import settle_all

ORIGINALS = "originals"


@dataclass(frozen=True)
class Released(Report):
    """The end of a batch that is anonymised; the numbers are those of what was fetched.

    ``working`` is the folder with the originals and with the ledger and the reports of the fetching, all of which name
    patients; ``anonymised`` says what came of the other half, and is None where not everything had been tried yet.
    """

    output: Path
    working: Path
    anonymised: Optional[Anonymised] = None

    @property
    def complete(self) -> bool:
        """Whether everything was fetched, and is in the output."""
        done = self.anonymised
        return super().complete and done is not None and done.complete and not done.held


def workplace(anonymiser: Anonymiser, output: Path) -> Path:
    """The folder in which the batch for this output is fetched; ConfigError where the output cannot be one.

    What the anonymiser would say after hours of fetching is said here.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file. Name a folder.")
    outside(anonymiser.ids, output)
    outside(anonymiser.key.path, output)
    if anonymiser.ids.resolve() in output.resolve().parents:
        raise ConfigError(f"{output} lies in {anonymiser.ids}, which says who is who. Name a folder outside of it.")
    folder = anonymiser.ids
    for name in ("", "batch", mark(str(output.resolve()))):
        folder = make_folder(folder / name)
    return folder


@dataclass(frozen=True)
class Release:
    """The second half of a batch.

    Parameters
    ----------
    anonymiser
        By which key and profile.
    output, working
        Where the anonymised objects go, and where everything else is.
    workers
        Processes.
    on_progress, cancelled
        As for ``qa_fetch.bulk.run``.
    """

    anonymiser: Anonymiser
    output: Path
    working: Path
    workers: int = 1
    on_progress: Optional[OnProgress] = None
    cancelled: Optional[threading.Event] = None

    def of(self, report: Report, new_ids: Mapping[str, str]) -> Released:
        """Anonymise what has been fetched, all of it, once every row has been tried.

        Parameters
        ----------
        report
            What came of the fetching.
        new_ids
            The codes that rows gave to their patients.
        """
        known = {each.name: getattr(report, each.name) for each in fields(report)}
        if report.stopped or report.waiting or not report.whole:
            return Released(**known, output=self.output, working=self.working)
        done = self._anonymised(new_ids)
        return Released(**{**known, "stopped": done.stopped}, output=self.output, working=self.working, anonymised=done)

    def _anonymised(self, new_ids: Mapping[str, str]) -> Anonymised:
        originals = self.working / ORIGINALS
        settle_all(originals)  # a worker that was killed in this run has left what is not whole
        if next(originals.glob("*/*/*/*.dcm"), None) is None:
            return Anonymised(self.output)
        anonymiser = _with(self.anonymiser, new_ids) if new_ids else self.anonymiser
        return anonymiser.folder(
            originals, self.output, workers=self.workers, on_progress=self.on_progress, cancelled=self.cancelled
        )


def identities(anonymiser: Anonymiser, new_ids: Mapping[str, str]) -> Identities:
    """Who becomes whom by the codes that rows give to their patients; ConfigError where one cannot be a code."""
    found = Identities(anonymiser.key, anonymiser.ids, new_ids=new_ids)
    for patient in new_ids:
        found.code(patient)
    return found


def _with(anonymiser: Anonymiser, new_ids: Mapping[str, str]) -> Anonymiser:
    """The same with these codes, which become those of its key's folder."""
    identities(anonymiser, new_ids).save()
    return copy.copy(anonymiser)  # which reads them
