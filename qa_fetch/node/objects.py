"""Taking an object in: checked, on the disk, in the index, and only then acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from django.db import Error as DatabaseError
from django.db import transaction

from .. import part10
from ..errors import BadArchive
from ..shelf.disk import flush_folder
from ..shelf.incoming import Draft
from . import headers
from .models import Instance, Patient, ReferencedPlan, Series, Study

LOG = logging.getLogger("qa_fetch.node")

SUCCESS, DUPLICATE, NO_RESOURCES, DOES_NOT_FIT, CANNOT_UNDERSTAND = 0x0000, 0x0111, 0xA700, 0xA900, 0xC000
_ANOTHER = "another object with its SOP Instance UID is stored already; the first one stays"


@dataclass(frozen=True)
class Announced:
    """What a C-STORE says of the object that it brings."""

    SOPClassUID: str
    SOPInstanceUID: str
    TransferSyntaxUID: str


class Refusal(Exception):
    """Why an object is not taken, for the log; never with a value that came from the peer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ObjectStore:
    """The files of a node and the rows that describe them."""

    def __init__(self, data: Path) -> None:
        self._objects = data / "objects"
        self._incoming = data / "incoming"
        self._numbers = itertools.count()
        self._one_writer = threading.Lock()

    def prepare(self) -> None:
        """Make the folders, and remove what a crash left half-written."""
        for folder in (self._objects, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_over in self._incoming.iterdir():
            left_over.unlink()

    def path(self, uid: str) -> Path:
        """Where the object with this UID lies; 256 folders, so that none grows too large."""
        folder = hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:2]
        return self._objects / folder / f"{part10.file_stem(uid)}.dcm"

    def temporary(self) -> Path:
        """A name for an object that is arriving; only one process uses this folder."""
        return self._incoming / f"{next(self._numbers)}.part"

    def keep(self, file: Path, new: Described) -> None:
        """Move a file that is checked and on the disk to its place, and describe it in the index."""
        with self._one_writer:
            target = self.path(new.identity.sop_instance)
            found = Instance.objects.filter(SOPInstanceUID=new.identity.sop_instance)
            known = next(iter(found.values_list("digest", flat=True)), None)
            if known is not None and known != new.digest:
                raise Refusal(DUPLICATE, _ANOTHER)
            if known is not None and target.is_file():
                return
            target.parent.mkdir(exist_ok=True, mode=0o700)
            file.replace(target)
            flush_folder(target.parent)
            if known is None:
                try:
                    with transaction.atomic():
                        _insert(new)
                except DatabaseError:
                    target.unlink(missing_ok=True)
                    raise


@dataclass(frozen=True)
class Described:
    """An object as it goes into the index."""

    identity: part10.Identity
    header: headers.Header
    transfer_syntax: str
    size: int
    digest: str


class Arrival:
    """An object on its way in: to a temporary file as it comes, and at the end either kept or refused.

    What goes wrong with it becomes its ``status``, and what still comes of it is let by.
    """

    def __init__(self, store: ObjectStore, announced: Announced) -> None:
        self.status = SUCCESS
        self.size = 0
        self._store = store
        self._announced = announced
        self._digest = hashlib.sha256(announced.TransferSyntaxUID.encode() + b"\n")
        self._path = store.temporary()
        self._draft: Optional[Draft] = None
        with self._refusing():
            self._draft = Draft(
                self._path, announced.SOPClassUID, announced.SOPInstanceUID, announced.TransferSyntaxUID
            )

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Take more of the data set; the pieces are not looked at again after the call."""
        self.size += sum(map(len, pieces))
        if self._draft is not None and self.status == SUCCESS:
            with self._refusing():
                self._draft.write(pieces)
                for piece in pieces:
                    self._digest.update(piece)

    def finish(self) -> int:
        """Keep the object when it is what was announced; the status with which to answer."""
        if self._draft is not None and self.status == SUCCESS:
            with self._refusing():
                whole = self._path.with_suffix(".dcm")
                try:
                    self._draft.become(whole, flush=True)
                    self._store.keep(whole, self._described(whole))
                finally:
                    whole.unlink(missing_ok=True)
        return self.status

    def close(self) -> None:
        """Forget the temporary file."""
        if self._draft is not None:
            self._draft.discard()
            self._draft.close()

    def _described(self, path: Path) -> Described:
        announced = self._announced
        with path.open("rb") as file:
            with part10.opened(file, "an object") as content:
                if len(content.dataset) != self.size:
                    raise Refusal(CANNOT_UNDERSTAND, "its data set begins with elements of a file header")
                identity = content.identity()
            if (identity.sop_class, identity.sop_instance) != (announced.SOPClassUID, announced.SOPInstanceUID):
                raise Refusal(DOES_NOT_FIT, "its SOP UIDs are not those of the C-STORE request")
            if not identity.study or not identity.series:
                raise Refusal(DOES_NOT_FIT, "it has no Study or Series Instance UID")
            if any("\\" in uid for uid in (identity.sop_instance, identity.study, identity.series)):
                raise Refusal(DOES_NOT_FIT, "one of its UIDs has several values, so nobody could ask for it")
            header = headers.build(file)
        return Described(identity, header, announced.TransferSyntaxUID, self.size, self._digest.hexdigest())

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


def _insert(new: Described) -> None:
    instance = Instance.objects.create(
        series_id=_series(new.header.PatientID, new.identity.study, new.identity.series),
        SOPInstanceUID=new.identity.sop_instance,
        SOPClassUID=new.identity.sop_class,
        TransferSyntaxUID=new.transfer_syntax,
        size=new.size,
        digest=new.digest,
        header=new.header.encoded,
        left_out=new.header.left_out,
        **new.header.columns,
    )
    if new.header.plans:
        ReferencedPlan.objects.bulk_create(
            ReferencedPlan(instance=instance, ReferencedSOPInstanceUID=uid) for uid in new.header.plans
        )


def _series(patient_id: str, study_uid: str, series_uid: str) -> int:
    """The key of a series, which is there already for most objects."""
    keys = {"study__patient__PatientID": patient_id, "study__StudyInstanceUID": study_uid}
    for key in Series.objects.filter(SeriesInstanceUID=series_uid, **keys).values_list("pk", flat=True):
        return int(key)
    patient, _ = Patient.objects.get_or_create(PatientID=patient_id)
    study, _ = Study.objects.get_or_create(patient=patient, StudyInstanceUID=study_uid)
    return int(Series.objects.create(study=study, SeriesInstanceUID=series_uid).pk)
