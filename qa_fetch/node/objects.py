"""Taking an object in: checked, on the disk, in the index, and only then acknowledged."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from django.db import Error as DatabaseError
from django.db import transaction

from .. import part10
from ..errors import BadArchive
from ..shelf.disk import flush_folder
from . import headers
from .models import Instance, Patient, ReferencedPlan, Series, Study

LOG = logging.getLogger("qa_fetch.node")

SUCCESS, DUPLICATE, NO_RESOURCES, DOES_NOT_FIT, CANNOT_UNDERSTAND = 0x0000, 0x0111, 0xA700, 0xA900, 0xC000


@dataclass(frozen=True)
class Arrival:
    """An object as a C-STORE brought it."""

    SOPClassUID: str
    SOPInstanceUID: str
    TransferSyntaxUID: str
    data: memoryview


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

    def take(self, arrival: Arrival) -> int:
        """Keep an object and say with which status to answer."""
        try:
            self._take(arrival)
        except Refusal as refusal:
            LOG.warning("object refused with 0x%04X: %s", refusal.status, refusal)
            return refusal.status
        except BadArchive as error:
            LOG.warning("object refused with 0x%04X: %s", CANNOT_UNDERSTAND, error)
            return CANNOT_UNDERSTAND
        except OSError as error:
            LOG.error("object refused with 0x%04X: the disk says %s", NO_RESOURCES, error.strerror)
            return NO_RESOURCES
        except DatabaseError as error:
            LOG.error("object refused with 0x%04X: the database raised %s", NO_RESOURCES, type(error).__name__)
            return NO_RESOURCES
        return SUCCESS

    def _take(self, arrival: Arrival) -> None:
        identity = part10.check(arrival.data, arrival.TransferSyntaxUID)
        if (identity.sop_class, identity.sop_instance) != (arrival.SOPClassUID, arrival.SOPInstanceUID):
            raise Refusal(DOES_NOT_FIT, "its SOP UIDs are not those of the C-STORE request")
        if not identity.study or not identity.series:
            raise Refusal(DOES_NOT_FIT, "it has no Study or Series Instance UID")
        meta = part10.file_meta(identity.sop_class, identity.sop_instance, arrival.TransferSyntaxUID)
        header = headers.build(io.BytesIO(b"".join((meta, arrival.data))))
        digest = hashlib.sha256(arrival.TransferSyntaxUID.encode() + b"\n")
        digest.update(arrival.data)
        temporary = self._write((meta, arrival.data))
        try:
            with self._one_writer:
                self._keep(temporary, arrival, identity, header, digest.hexdigest())
        finally:
            temporary.unlink(missing_ok=True)

    def _write(self, parts: Sequence[Union[bytes, memoryview]]) -> Path:
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _keep(
        self, temporary: Path, arrival: Arrival, identity: part10.Identity, header: headers.Header, digest: str
    ) -> None:
        target = self.path(identity.sop_instance)
        known = Instance.objects.filter(SOPInstanceUID=identity.sop_instance).values_list("digest", flat=True).first()
        if known is not None and known != digest:
            raise Refusal(DUPLICATE, "another object with its SOP Instance UID is stored already; the first one stays")
        if known is not None and target.is_file():
            return
        target.parent.mkdir(exist_ok=True, mode=0o700)
        temporary.replace(target)
        flush_folder(target.parent)
        if known is not None:
            return
        try:
            with transaction.atomic():
                _insert(arrival, identity, header, digest)
        except DatabaseError:
            target.unlink(missing_ok=True)
            raise


def _insert(arrival: Arrival, identity: part10.Identity, header: headers.Header, digest: str) -> None:
    patient, _ = Patient.objects.get_or_create(PatientID=header.PatientID)
    study, _ = Study.objects.get_or_create(patient=patient, StudyInstanceUID=identity.study)
    series, _ = Series.objects.get_or_create(study=study, SeriesInstanceUID=identity.series)
    instance = Instance.objects.create(
        series=series,
        SOPInstanceUID=identity.sop_instance,
        SOPClassUID=identity.sop_class,
        TransferSyntaxUID=arrival.TransferSyntaxUID,
        size=len(arrival.data),
        digest=digest,
        header=header.encoded,
        left_out=header.left_out,
        **header.columns,
    )
    ReferencedPlan.objects.bulk_create(
        ReferencedPlan(instance=instance, ReferencedSOPInstanceUID=uid) for uid in header.plans
    )
