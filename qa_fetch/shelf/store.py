"""The layout of a shelf: each object once under ``objects``, and for each set asked for a folder of links to them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import part10
from ..budget import Budget
from ..errors import Incomplete
from .claim import Claim, Reference
from .disk import (
    blocks_of,
    checksum,
    in_words,
    link,
    make_folder,
    remove_file,
    remove_tree,
    replace_small,
    sentences,
    write_small,
    write_text,
)

_CHECKSUMS = {"crc32", "sha256"}
_READERS = 2  # hashing leaves the interpreter free, so that a second core can read the next file


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
        self._folder = str(self.folder)

    def object_path(self, uid: str) -> Path:
        """Where the object of this UID is kept."""
        return object_path(self.folder, uid)

    def place(self, uid: str) -> tuple[str, str]:
        """The folder and the path where the object of this UID is kept, as text: a transfer needs them often."""
        return _place(self._folder, uid)

    def has(self, uid: str) -> bool:
        """Whether the object is here as it arrived; sets are hard links, so an edited file of a set is no longer it."""
        _, path = self.place(uid)
        try:
            state = os.stat(path)  # noqa: PTH116 - text here too
        except FileNotFoundError:
            return False
        except OSError as error:
            raise in_words(error, self.folder, "reading", [uid]) from error
        with sentences(self.folder, "reading", [uid]):
            arrived = read_json(record_of(Path(path)))
            if arrived is None:
                return False
            same = (state.st_size, state.st_mtime_ns) == (arrived["size"], arrived["mtime_ns"])
            return same or unchanged(Path(path), arrived)

    def record(self, path: str, state: os.stat_result, crc32: Optional[int]) -> None:
        """Note what arrived; an object without a readable note does not count, so the note needs no flush.

        A large object gets its checksum when it is first put into a set, and is read anyway.
        """
        checksum = "" if crc32 is None else f', "crc32": {crc32}'
        write_small(
            f"{path[: -len('.dcm')]}.json", f'{{"size": {state.st_size}, "mtime_ns": {state.st_mtime_ns}{checksum}}}'
        )

    def forget(self, uid: str) -> None:
        """Take an object off the shelf; what sets hold of it stays."""
        path = self.object_path(uid)
        remove_file(record_of(path))
        remove_file(path)

    def outdate(self, uid: str, since: int) -> None:
        """Take an object off the shelf that came before a moment (ns since 1970), at which its archive has changed."""
        with sentences(self.folder, "reading", [uid]), contextlib.suppress(FileNotFoundError):
            if self.object_path(uid).stat().st_mtime_ns < since:
                self.forget(uid)

    def claim(self, references: Sequence[Reference], budget: Budget, *, whole_series: bool = False) -> Claim:
        """Claim the right to fetch objects; waits while another process holds it.

        Parameters
        ----------
        references
            The objects.
        budget
            How long to wait.
        whole_series
            They are all objects of their series, so that an archive may be asked for series instead of objects.
        """
        with sentences(self.folder, "writing"):
            make_folder(self.folder)
        return Claim(self, references, budget, whole_series=whole_series)

    def gather(self, uids: Sequence[str], about: str, since: Optional[Mapping[str, int]] = None) -> Folder:
        """The folder that holds exactly these objects, in this order; made once and checked at each use.

        Parameters
        ----------
        uids
            The objects, all of which must be on the shelf.
        about
            What the set is, without patient identifiers, for ``qa-fetch shelf list``.
        since
            When objects have changed in their archive (ns since 1970); an older set of them is left alone and not used.

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
            older = since or {}
            if not manifest.is_file():
                older = {}  # of what is on the shelf now
                with sentences(self.folder, "putting a set together", uids):
                    self._make(path, manifest, uids, about)
            with sentences(self.folder, "reading a set", uids), contextlib.suppress(FileNotFoundError):
                folder = self._checked(path, manifest, uids, older)  # prune may be taking it away at this moment
                if folder is not None:
                    return folder
        raise Incomplete(
            f"all 100 copies of this set in {sets} hold changed or foreign files. "
            "Write results elsewhere, and delete those folders.",
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
        try:
            targets = [building / f"{number:04d}.dcm" for number in range(1, len(uids) + 1)]
            with ThreadPoolExecutor(_READERS) as readers:
                files = list(readers.map(self._add, targets, uids))
            building.replace(path)
        except OSError:
            if not path.is_dir():  # else another process was faster, or was killed before it wrote the manifest
                raise
        finally:
            if building.is_dir():
                remove_tree(building)
        if _names(path) == [item["name"] for item in files]:
            write_text(manifest, json.dumps({"about": about, "files": files}))

    def _add(self, target: Path, uid: str) -> dict[str, Any]:
        """One file of a new set, read once more: it must be what arrived, not what became of it."""
        path = self.object_path(uid)
        link(path, target)
        state, sha256, crc32 = target.stat(), hashlib.sha256(), 0
        note = read_json(record_of(path)) or {}
        for block in blocks_of(target):
            sha256.update(block)
            crc32 = zlib.crc32(block, crc32) if "crc32" in note else 0
        now = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": sha256.hexdigest(), "crc32": crc32}
        if note and not note.keys() & _CHECKSUMS and note.items() <= now.items():
            note["sha256"] = now["sha256"]
            replace_small(record_of(path), json.dumps(note))
        if not any(note.get(kind) == now[kind] for kind in _CHECKSUMS):
            self.forget(uid)
            raise Incomplete(
                f"an object on the shelf {self.folder} is not what arrived any more, so it was removed. "
                "Call again to fetch it.",
                missing=[uid],
            )
        del now["crc32"]
        return {"name": target.name, "uid": uid, **now}

    def _checked(self, path: Path, manifest: Path, uids: Sequence[str], since: Mapping[str, int]) -> Optional[Folder]:
        """The set, if it is exactly what was put there; None if somebody added, changed or took away a file."""
        described = (read_json(manifest) or {}).get("files", [])
        if [item["uid"] for item in described] != list(uids):
            return None
        if any(item["mtime_ns"] < since.get(item["uid"], 0) for item in described):
            return None
        if _names(path) != [item["name"] for item in described]:
            return None
        for item in described:
            if not unchanged(path / item["name"], item):
                if not self.has(item["uid"]):  # its file was the same one, by another name
                    self.forget(item["uid"])
                return None
        os.utime(manifest)  # when it was last used: prune goes by it
        return Folder(path, tuple(path / item["name"] for item in described), tuple(uids))

    def recall(self, question: Mapping[str, Any]) -> Optional[dict[str, Any]]:
        """The answer to a question that was settled before, or None."""
        path = self._answer_path(question)
        with sentences(self.folder, "reading"):
            answer = read_json(path)
            if answer is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)  # when it was last used: prune goes by it
            return answer

    def remember(self, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep the answer to a question that can only ever have this answer."""
        with sentences(self.folder, "keeping an answer"):
            write_text(self._answer_path(question), json.dumps(answer))

    def _answer_path(self, question: Mapping[str, Any]) -> Path:
        text = json.dumps(question, sort_keys=True, default=str)
        return self.folder / "answers" / (hashlib.sha256(text.encode()).hexdigest()[:32] + ".json")


def object_path(folder: Path, uid: str) -> Path:
    """Where the object of this UID is kept in the folder of its archive."""
    return Path(_place(str(folder), uid)[1])


def _place(shelf: str, uid: str) -> tuple[str, str]:
    """The layout: 256 folders, so that none grows too large. As text, which costs a tenth of what a Path does."""
    stem = part10.file_stem(uid)
    folder = f"{shelf}{os.sep}objects{os.sep}{hashlib.sha256(stem.encode()).hexdigest()[:2]}"
    return folder, f"{folder}{os.sep}{stem}.dcm"


def unchanged(path: Path, item: Mapping[str, Any], *, trust_time: bool = True) -> bool:
    """Whether a file is still what its manifest or note says; read only when its time or size gives a reason to."""
    if not path.is_file():
        return False
    state = path.stat()
    if state.st_size != item["size"]:
        return False
    if trust_time and state.st_mtime_ns == item["mtime_ns"]:
        return True
    if "crc32" in item:
        return bool(checksum(path) == item["crc32"])
    if "sha256" not in item:  # it was never read since it arrived
        return bool(state.st_mtime_ns == item["mtime_ns"])
    sha256 = hashlib.sha256()
    for block in blocks_of(path):
        sha256.update(block)
    return bool(sha256.hexdigest() == item["sha256"])


def record_of(path: Path) -> Path:
    """Where it is noted what arrived as this object."""
    return path.with_suffix(".json")


def read_json(path: Path) -> Optional[dict[str, Any]]:
    """What a small file of ours says; None where there is none, or a power cut has left it empty."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
