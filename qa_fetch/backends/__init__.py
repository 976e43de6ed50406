"""What every sort of archive can do, whatever speaks behind it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Optional, Protocol, runtime_checkable

from ..budget import Budget
from ..config import LOCAL, ArchiveConfig, Config
from ..errors import ConfigError
from ..matching import Value
from ..shelf import Claim, Reference

_log = logging.getLogger("qa_fetch.backends")

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")


@dataclass(frozen=True)
class Step:
    """One step of a connection test: True it works, False it does not, None it could not be tried."""

    name: str
    works: Optional[bool]
    says: str


def first_failure(steps: Sequence[Step]) -> str:
    """What the first step that does not work says; empty where all of them work."""
    return next((f"{step.name}: {step.says}" for step in steps if step.works is False), "")


@dataclass(frozen=True)
class Sent:
    """What became of one file that was sent; ``problem`` is empty when the archive has it.

    ``warning`` is what an archive says of an object that it took otherwise than it was sent.
    """

    path: Path
    problem: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Local:
    """Who we are to an archive, and where our shelf lies."""

    ae_title: str
    host: str
    port: int
    shelf: Path
    transport: str = "own"
    certificate_file: Optional[Path] = None
    key_file: Optional[Path] = None
    ca_file: Optional[Path] = None

    @classmethod
    def of(cls, config: Config, **instead: Any) -> Local:
        """What the configuration says of us, with what an archive or a caller wants instead, where that is not None."""
        given = {key: value for key, value in instead.items() if value is not None}
        return cls(**{"shelf": config.shelf("path").value, **{key: config.local(key).value for key in LOCAL}, **given})


class Backend(Protocol):
    """One archive. Nothing here knows patients' plans or kinds; nothing above knows DICOM's services."""

    name: str

    @property
    def relational(self) -> bool:
        """Whether one question can reach across all series of a patient; False where each series must be asked."""
        ...

    def find(self, level: str, keys: Mapping[str, Value], returned: Sequence[str], budget: Budget) -> list[Any]:
        """Data sets of that level that fit the keys, one per entity, checked on our own side."""
        ...

    def retrieve(self, references: Sequence[Reference], claim: Claim, budget: Budget) -> None:
        """Bring objects into a claim; raises when the archive fails, returns when it has no more to give."""
        ...

    def store(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Send files; each is accounted for."""
        ...

    def echo(self, budget: Budget, patient: str = "") -> Iterator[Step]:
        """Try the connection step by step, each with a sentence."""
        ...

    def close(self) -> None:
        """Give back connections; the next call opens them again."""
        ...


@runtime_checkable
class Committing(Protocol):
    """A backend whose archive can be asked to vouch for what it was sent."""

    @property
    def commits(self) -> bool:
        """Whether it can, as it is configured."""
        ...

    def commit(self, files: Sequence[Path], budget: Budget) -> list[Sent]:
        """Have the archive vouch for files that it was sent; what it says of each."""
        ...


@runtime_checkable
class Converting(Protocol):
    """A backend that makes its objects itself, from what an archive holds in another form."""

    @property
    def converts(self) -> bool:
        """Whether it does."""
        ...

    def left_out(self, patient: str, budget: Budget) -> list[str]:
        """What of a patient could not be made, each with its reason."""
        ...

    def where_else(self, budget: Budget) -> str:
        """What to do where a patient is not found."""
        ...

    def since(self, reference: Reference, budget: Budget) -> int:
        """Since when the archive is as it is now (ns since 1970): what was made of it before is out of date."""
        ...


_BUILT_IN = {
    "dimse": ("dimse", "DimseBackend"),
    "dicomweb": ("dicomweb", "DicomWebBackend"),
    "orthanc": ("orthanc", "OrthancBackend"),
    "folder": ("folder", "FolderBackend"),
    "pinnacle": ("pinnacle", "PinnacleBackend"),
}


def open_backend(archive: ArchiveConfig, config: Config) -> Backend:
    """The backend for an archive's settings; other packages add theirs under ``qa_fetch.backends``."""
    local = Local.of(
        config,
        ae_title=archive.options.get("local_ae_title"),
        port=archive.options.get("local_port"),
        transport=archive.options.get("transport"),
    )
    if archive.kind in _BUILT_IN:
        module, name = _BUILT_IN[archive.kind]
        factory = getattr(import_module(f".{module}", __name__), name)
    else:
        factory = _plugin(archive)
    backend: Backend = factory(archive, local)
    if not archive.options.get("also"):
        return backend
    from .several import Several

    others = []
    for other in [_alone(config.archive(name)) for name in archive["also"]]:
        try:
            others.append((other.kind, open_backend(other, config)))
        except ConfigError as error:  # a share that is not mounted today is a way that is down
            _log.warning("%s: %s", archive.name, error)
    return Several(backend, archive.kind, others)


def _alone(archive: ArchiveConfig) -> ArchiveConfig:
    """The same archive without further ways, so that two that name each other are no circle."""
    return replace(archive, options={**archive.options, "also": ()})


def _plugin(archive: ArchiveConfig) -> Any:
    found = metadata.entry_points()
    points = found.select(group="qa_fetch.backends") if hasattr(found, "select") else found.get("qa_fetch.backends", ())
    for point in points:
        if point.name == archive.kind:
            return point.load()
    raise ConfigError(
        f"no installed package offers archives of kind {archive.kind!r}. Install the one that does, or correct kind."
    )
