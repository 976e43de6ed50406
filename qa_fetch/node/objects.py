"""Taking an object in: checked, on the disk, in the index, and only then acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import timezone as dt_timezone
from pathlib import Path
from typing import Optional

from django.db import Error as DatabaseError
from django.utils import timezone

from .. import part10
from ..errors import BadArchive
from ..shelf.disk import flush_folder
from ..shelf.incoming import Draft, Piece
from . import headers, reading
from .indexing import Described, Indexer
from .options import NodeOptions

LOG = logging.getLogger("qa_fetch.node")

SUCCESS, DUPLICATE, NO_RESOURCES, DOES_NOT_FIT, CANNOT_UNDERSTAND = 0x0000, 0x0111, 0xA700, 0xA900, 0xC000
_ANOTHER = "another object with its SOP Instance UID is stored already; this one is kept apart in the folder conflicts"
_IN_THE_WAY = "a file that cannot be read lies in its place; node data index names it"
_FILE_HEADER = b"\x02\x00"


@dataclass(frozen=True)
class Announced:
    """What a C-STORE says of the object that it brings, and who sends it; STOW may name the study it has to be of."""

    SOPClassUID: str
    SOPInstanceUID: str
    TransferSyntaxUID: str
    source: str = ""
    study: str = ""


class Refusal(Exception):
    """Why an object is not taken, for the log; never with a value that came from the peer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ObjectStore:
    """The files of a node and the rows that describe them."""

    def __init__(self, options: NodeOptions) -> None:
        self.extra = tuple(headers.tag_of(name) for name in options.extra)
        self.largest = options.bounds.object_megabytes << 20
        self._objects = options.data / "objects"
        self._incoming = options.data / "incoming"
        self._conflicts = options.data / "conflicts"
        self._numbers = itertools.count()
        self._one_writer = threading.Lock()
        self._indexer = Indexer()

    def prepare(self) -> None:
        """Make the folders, and remove what a crash left half-written."""
        for folder in (self._incoming, *(self._objects / f"{number:02x}" for number in range(256))):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_over in self._incoming.iterdir():
            left_over.unlink()

    def path(self, uid: str) -> Path:
        """Where the object with this UID lies; 256 folders, so that none grows too large."""
        folder = hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:2]
        return Path(f"{self._objects}{os.sep}{folder}{os.sep}{part10.file_stem(uid)}.dcm")

    def apart(self, uid: str, digest: str) -> Path:
        """Where an object lies that came under the UID of another one."""
        return self._conflicts / f"{part10.file_stem(uid)}-{digest[:16]}.dcm"

    def temporary(self) -> Path:
        """A name for an object that is arriving; only one process uses this folder."""
        return self._incoming / f"{next(self._numbers)}.part"

    def keep(self, draft: Draft, new: Described) -> None:
        """Give an object that is checked its place on the disk and in the index."""
        draft.flush()  # not while others wait
        with self._one_writer:
            target = self.path(new.identity.sop_instance)
            known = self._indexer.digest_of(new.identity.sop_instance)
            stored = target.is_file()
            if known is None and stored:
                known = self._catch_up(target, new)
            if known is not None and known != new.digest:
                self._keep_apart(draft, new)
                raise Refusal(DUPLICATE, _ANOTHER)
            if known is not None and stored:
                return
            draft.become(target)
            flush_folder(target.parent)
            if known is None:
                # A database that fails may have kept the row all the same, so the file stays: to lie there without a
                # row does no harm, and a row without its file would.
                self._indexer.add(new)

    def _catch_up(self, path: Path, new: Described) -> str:
        """Describe a file that the index has lost before a new object can take its place; the digest of its object."""
        found = reading.read(path, self.extra)
        if found.digest == new.digest:
            flush_folder(path.parent)  # which may be what failed when it came first
            self._indexer.add(new)
        elif found.problem or self.describe(found):
            raise Refusal(NO_RESOURCES, _IN_THE_WAY)
        return found.digest

    def describe(self, found: reading.FromFile) -> str:
        """Describe a file that lies here already, in its place or apart; what is wrong with it, if anything is."""
        try:
            check_names(found.identity)
        except Refusal as refusal:
            return f"{refusal}."
        uid, stored = found.identity.sop_instance, datetime.fromtimestamp(found.written, dt_timezone.utc)
        described = Described(found.identity, found.header, found.transfer_syntax, found.size, found.digest, stored)
        if found.path == self.path(uid):
            self._indexer.add(described)
        elif found.path == self.apart(uid, found.digest):
            self._indexer.add_conflict(described)
        else:
            return "its name is not that of the object in it."
        return ""

    def _keep_apart(self, draft: Draft, new: Described) -> None:
        self._conflicts.mkdir(exist_ok=True, mode=0o700)
        draft.become(self.apart(new.identity.sop_instance, new.digest))
        flush_folder(self._conflicts)
        self._indexer.add_conflict(new)


class Arrival:
    """An object on its way in: to a temporary file as it comes, and at the end either kept or refused.

    What goes wrong with it becomes its ``status``, and what still comes of it is let by.
    """

    def __init__(self, store: ObjectStore, announced: Announced) -> None:
        self.status = SUCCESS
        self.size = 0
        self.identity: Optional[part10.Identity] = None  # when it was found to be what was announced
        self._store = store
        self._announced = announced
        self._begun = time.perf_counter()
        self._digest = reading.begin_digest(announced.TransferSyntaxUID)
        self._draft: Optional[Draft] = None
        with self._refusing():
            self._draft = Draft(
                store.temporary(), announced.SOPClassUID, announced.SOPInstanceUID, announced.TransferSyntaxUID
            )

    def write(self, pieces: Sequence[Piece]) -> None:
        """Take more of the data set; the pieces are not looked at again after the call."""
        self.size += sum(map(len, pieces))
        if self._draft is None or self.status != SUCCESS:
            return
        with self._refusing():
            if self.size > self._store.largest:
                raise Refusal(NO_RESOURCES, "it is larger than bounds.object_megabytes allows")
            self._draft.write(pieces)
            for piece in pieces:
                self._digest.update(piece)

    def finish(self) -> int:
        """Keep the object when it is what was announced; the status with which to answer."""
        if self._draft is not None and self.status == SUCCESS:
            with self._refusing():
                self._store.keep(self._draft, self._described(self._draft))
        return self.status

    def close(self) -> None:
        """Forget the temporary file."""
        if self._draft is not None:
            self._draft.discard()
            self._draft.close()

    def _described(self, draft: Draft) -> Described:
        announced, identity = self._announced, draft.identity()
        if bytes(draft.dataset[:2]) == _FILE_HEADER:
            raise Refusal(CANNOT_UNDERSTAND, "its data set begins with elements of a file header")
        if (identity.sop_class, identity.sop_instance) != (announced.SOPClassUID, announced.SOPInstanceUID):
            raise Refusal(DOES_NOT_FIT, "its SOP UIDs are not those of the C-STORE request")
        check_names(identity)
        if announced.study and identity.study != announced.study:
            raise Refusal(DOES_NOT_FIT, "it belongs to another study than the one to which it was sent")
        self.identity = identity
        return Described(
            identity,
            headers.build(draft.dataset, announced.TransferSyntaxUID, self._store.extra),
            announced.TransferSyntaxUID,
            self.size,
            self._digest.hexdigest(),
            timezone.now(),
            headers.storable(announced.source),
            time.perf_counter() - self._begun,
        )

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """A block that refuses the object when it fails."""
        try:
            yield
        except Refusal as refusal:
            self._refuse(logging.WARNING, refusal.status, str(refusal))
        except BadArchive as error:
            self._refuse(logging.WARNING, CANNOT_UNDERSTAND, str(error))
        except OSError as error:
            self._refuse(logging.ERROR, NO_RESOURCES, f"the disk says {error.strerror}")
        except DatabaseError as error:
            self._refuse(logging.ERROR, NO_RESOURCES, f"the database raised {type(error).__name__}")

    def _refuse(self, level: int, status: int, reason: str) -> None:
        self.status = status
        LOG.log(level, "object refused with 0x%04X: %s", status, reason)


def check_names(identity: part10.Identity) -> None:
    """Refuse an object that nobody could ask for."""
    if not identity.study or not identity.series:
        raise Refusal(DOES_NOT_FIT, "it has no Study or Series Instance UID")
    uids = (identity.sop_class, identity.sop_instance, identity.study, identity.series)
    if any("\0" in uid for uid in uids):
        raise Refusal(DOES_NOT_FIT, "one of its UIDs has a NUL in its middle, so nobody could ask for it")
    if any("\\" in uid for uid in uids):
        raise Refusal(DOES_NOT_FIT, "one of its UIDs has several values, so nobody could ask for it")
