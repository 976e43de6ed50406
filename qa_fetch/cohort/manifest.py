"""The manifest of a locked cohort: a JSON object with a line for each patient, always the same for the same content."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Optional

from .. import __version__
from ..errors import BadArchive
from ..shelf.disk import blocks_of, write_text
from .built import Built
from .folders import PatientFolder

UNREADABLE = "unreadable"
_FORMAT = 1
_LARGEST = 1 << 30  # bytes
_WORKED = ("numpy", "pydicom", "nibabel")  # what numbers depend on


class Entry(NamedTuple):
    """A file: SHA-256, bytes, and the SOPInstanceUID where it is a DICOM object."""

    sha256: str
    size: int
    uid: str = ""


@dataclass(frozen=True)
class Member:
    """A patient of a locked cohort; the paths of files are relative to the patient's folder, with ``/``.

    ``record`` is the SHA-256 of what the build says of them, but for its notes, which tell how long it took.
    """

    patient: str
    modality: str
    study: str
    series: str
    frame_of_reference: str
    record: str
    files: Mapping[str, Entry]

    def line(self) -> str:
        """It as JSON."""
        files = {
            path: {key: value for key, value in each._asdict().items() if value != ""}
            for path, each in self.files.items()
        }
        return json.dumps({**vars(self), "files": files}, sort_keys=True)


@dataclass(frozen=True)
class Manifest:
    """What a locked cohort consists of."""

    members: tuple[Member, ...]
    rules: Mapping[str, Any]
    versions: Mapping[str, str]
    locked: Optional[str] = None  # a day

    def write(self, target: Path) -> None:
        """Write it, at once or not at all."""
        head: dict[str, Any] = {"format": _FORMAT, "rules": self.rules, "versions": self.versions}
        if self.locked is not None:
            head["locked"] = self.locked
        lines = [f"{json.dumps(key)}: {json.dumps(head[key], sort_keys=True)}" for key in sorted(head)]
        patients = ",\n".join(member.line() for member in sorted(self.members, key=lambda each: each.patient))
        write_text(target, "{\n" + ",\n".join(lines) + f',\n"patients": [\n{patients}\n]\n' + "}\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest in a file.

        Raises
        ------
        BadArchive
            It is none, or names files outside of a patient's folder.
        """
        try:
            with path.open("rb") as file:
                found = json.loads(file.read(_LARGEST))
            if found["format"] != _FORMAT:
                raise ValueError
            members = tuple(map(_member, found["patients"]))
            day = found.get("locked")
            return cls(members, dict(found["rules"]), dict(found["versions"]), None if day is None else str(day))
        except OSError as error:
            raise BadArchive(f"{path} cannot be read ({error.strerror}). Check its permissions.") from error
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise BadArchive(
                f"{path} is not a manifest that qa-fetch wrote, or it is damaged. "
                "Bring back a copy of it, or remove it and lock the cohort again."
            ) from None


def _member(found: Any) -> Member:
    files = {
        _inside(path): Entry(each["sha256"], each["size"], each.get("uid", "")) for path, each in found["files"].items()
    }
    names = ("patient", "modality", "study", "series", "frame_of_reference", "record")
    texts = {name: found[name] for name in names}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError
    return Member(**texts, files=files)


def _inside(path: str) -> str:
    """A path that stays in its folder, whatever made it."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\\" in path or ":" in parts[0]:
        raise ValueError
    return path


def versions() -> dict[str, str]:
    """What works on a cohort here, and which version of it."""
    found = {"qa_fetch": __version__, "python": platform.python_version()}
    for name in _WORKED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not needed for what was done here
    return found


def files_of(folder: PatientFolder) -> list[str]:
    """The files of a patient that count: what came, and what was built of it."""
    places = (
        folder.images,
        folder.images_nifti,
        folder.structures,
        folder.masks,
        folder.plans,
        folder.doses,
        folder.doses_nifti,
        folder.doses_on_images,
    )
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    # What begins with a dot is being written, or was when the power went.
    return sorted(path.relative_to(folder.root).as_posix() for path in found if not path.name.startswith("."))


def named_by(built: Built) -> dict[str, str]:
    """The files that a build left, and the SOPInstanceUID of each that is a DICOM object."""
    found = dict(zip(built.images, built.instances))
    for objects in (built.structures, built.plans, built.doses):
        found.update({each.file: each.uid for each in objects})
    masks = [roi.file for one in built.structures for roi in one.rois if roi.file is not None]
    made = [built.nifti, *masks, *(dose.nifti for dose in built.doses)]
    return {**found, **dict.fromkeys(made, "")}


def record_of(built: Built) -> str:
    """The SHA-256 of what a build says of a patient, without its notes."""
    said = {key: value for key, value in asdict(built).items() if key != "notes"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode("ascii")).hexdigest()


def digest(path: Path) -> Optional[tuple[str, int]]:
    """The SHA-256 and the size of a file, read in blocks; None where it cannot be read."""
    hashed, size = hashlib.sha256(), 0
    try:
        for block in blocks_of(path):
            hashed.update(block)
            size += len(block)
    except OSError:
        return None
    return hashed.hexdigest(), size
