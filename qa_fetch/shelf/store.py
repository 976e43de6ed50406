"""The layout of a shelf: each object once under ``objects``, and for each set asked for a folder of links to them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..budget import Budget
from ..errors import Incomplete
from .claim import Claim, Reference
from .disk import make_folder, sentences, write_text


@dataclass(frozen=True)
class Folder:
    """A folder that holds exactly the files of one set, in order."""

    path: Path
    files: tuple[Path, ...]
    uids: tuple[str, ...]


class Shelf:
    """The part of the shelf that belongs to one archive.

    Two archives may hold different versions of an object under one UID (a coerced patient, an anonymised copy), so
    nothing is shared between them.
    """

    def __init__(self, root: Path, archive: str, identity: str) -> None:
        self.root = root
        safe = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in archive)[:40]
        self.folder = root / f"{safe}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"

    def object_path(self, uid: str) -> Path:
        """Where the object of this UID is kept."""
        stem = part10.file_stem(uid)
        return self.folder / "objects" / hashlib.sha256(stem.encode()).hexdigest()[:2] / f"{stem}.dcm"

    def has(self, uid: str) -> bool:
        """Whether the object is here; only whole, checked files ever get their name."""
        return self.object_path(uid).is_file()

    def claim(self, references: Sequence[Reference], budget: Budget) -> Claim:
        """Claim the right to fetch objects; waits while another process holds it."""
        with sentences(self.folder, "writing"):
            make_folder(self.root)
            make_folder(self.folder)
        return Claim(self, references, budget)

    def gather(self, uids: Sequence[str], about: str) -> Folder:
        """The folder that holds exactly these objects, in this order; made once and checked at each use.

        Parameters
        ----------
        uids
            The objects, all of which must be on the shelf.
        about
            What the set is, without patient identifiers, for ``qa-fetch shelf list``.

        Raises
        ------
        Incomplete
            An object is missing, or what was kept has changed and was put aside; fetching again mends both.
        """
        name = hashlib.sha256("\n".join(uids).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        sets = self.folder / "sets"
        for attempt in range(100):
            path = sets / (f"{name}-{attempt}" if attempt else name)
            manifest = path.with_name(path.name + ".json")
            if not manifest.is_file():
                with sentences(self.folder, "putting a set together", uids):
                    self._make(path, manifest, uids, about)
            folder = self._checked(path, manifest, uids)
            if folder is not None:
                return folder
        raise Incomplete(
            f"every copy of this set in {sets} was changed by hand. Run: qa-fetch shelf verify.",
            retriable=False,
            missing=list(uids),
        )

    def _make(self, path: Path, manifest: Path, uids: Sequence[str], about: str) -> None:
        missing = [uid for uid in uids if not self.has(uid)]
        if missing:
            raise Incomplete(
                f"{len(missing)} of {len(uids)} objects are not on the shelf any more. Call again to fetch them.",
                missing=missing,
            )
        make_folder(path.parent)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
        files = []
        for number, uid in enumerate(uids, start=1):
            target = building / f"{number:04d}.dcm"
            _link(self.object_path(uid), target)
            state = target.stat()
            files.append(
                {
                    "name": target.name,
                    "uid": uid,
                    "size": state.st_size,
                    "mtime_ns": state.st_mtime_ns,
                    "sha256": digest(target),
                }
            )
        try:
            building.replace(path)
        except OSError:
            if not path.is_dir():
                raise
            shutil.rmtree(building)  # another process was faster, or was killed before it wrote the manifest
            if not _same_files(path, files):
                return
        write_text(manifest, json.dumps({"about": about, "files": files}, indent=1))

    def _checked(self, path: Path, manifest: Path, uids: Sequence[str]) -> Optional[Folder]:
        """The set, if it is exactly what was put there; None if somebody added, changed or took away a file."""
        if not manifest.is_file():
            return None
        described = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        if [item["uid"] for item in described] != list(uids) or not path.is_dir():
            return None
        if sorted(entry.name for entry in os.scandir(path)) != [item["name"] for item in described]:
            return None
        for item in described:
            if not unchanged(path / item["name"], item):
                self._put_aside(item)
                return None
        os.utime(manifest)  # when it was last used: prune goes by it
        return Folder(path, tuple(path / item["name"] for item in described), tuple(uids))

    def _put_aside(self, item: Mapping[str, Any]) -> None:
        """An object whose file was changed is no longer that object: forget it, so that it is fetched again."""
        kept = self.object_path(str(item["uid"]))
        if kept.is_file() and digest(kept) != item["sha256"]:
            kept.chmod(0o600)
            kept.unlink()

    def recall(self, question: Mapping[str, Any]) -> Optional[dict[str, Any]]:
        """The answer to a question that was settled before, or None."""
        path = self._answer_path(question)
        if not path.is_file():
            return None
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        os.utime(path)
        return answer

    def remember(self, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep the answer to a question that can only ever have this answer."""
        with sentences(self.folder, "keeping an answer"):
            write_text(self._answer_path(question), json.dumps(answer))

    def _answer_path(self, question: Mapping[str, Any]) -> Path:
        text = json.dumps(question, sort_keys=True, default=str)
        return self.folder / "answers" / (hashlib.sha256(text.encode()).hexdigest()[:32] + ".json")


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def unchanged(path: Path, item: Mapping[str, Any]) -> bool:
    """Whether a file is still what its manifest says; hashed only when its time or size gives a reason to."""
    if not path.is_file():
        return False
    state = path.stat()
    if state.st_size != item["size"]:
        return False
    return bool(state.st_mtime_ns == item["mtime_ns"] or digest(path) == item["sha256"])


def _same_files(path: Path, files: Sequence[Mapping[str, Any]]) -> bool:
    return sorted(entry.name for entry in os.scandir(path)) == [item["name"] for item in files]


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system has them, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
