"""Worker: plain pynetdicom as pynetdicom_wrapper uses it, with its defaults; nothing of qa_fetch is imported here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt

from .jobs import serve

_LOOPBACK = "127.0.0.1"
_FIND, _MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"
_PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
_KILOVOLTAGE = "MINUTE"


def _question(level: str, **keys: Any) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _save(event: Any, folder: str) -> int:
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    if dataset.get("PrimaryDosimeterUnit") != _KILOVOLTAGE:
        dataset.save_as(Path(folder) / f"{dataset.SOPInstanceUID}.dcm", write_like_original=False)
    return 0x0000


@contextmanager
def _associated(entity: AE, port: int, called: str) -> Iterator[Any]:
    association = entity.associate(_LOOPBACK, port, ae_title=called)
    if not association.is_established:
        raise ConnectionError("no association")
    yield association
    association.release()


@contextmanager
def _receiving(entity: AE, port: int, folder: str) -> Iterator[None]:
    entity.supported_contexts = StoragePresentationContexts
    server = entity.start_server((_LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, _save, [folder])])
    try:
        yield
    finally:
        server.shutdown()


def _entity(title: str, *models: str) -> AE:
    entity = AE(ae_title=title)
    for model in models:
        entity.add_requested_context(model)
    return entity


def _rows(association: Any, question: Dataset, model: str = _FIND) -> list[Dataset]:
    return [row for status, row in association.send_c_find(question, model) if status and row is not None]


def _move(association: Any, question: Dataset, destination: str) -> None:
    for status, _ in association.send_c_move(question, destination, _MOVE):
        if status.get("Status") not in (0x0000, 0xFF00):
            raise ConnectionError(f"C-MOVE ended with {status.get('Status')}")


def retrieve(port: int, called: str, title: str, local_port: int, study: str, series: str, folder: str) -> float:
    """Seconds for a C-MOVE of one series into a folder."""
    begun = time.perf_counter()
    entity = _entity(title, _FIND, _MOVE)
    with _receiving(entity, local_port, folder), _associated(entity, port, called) as association:
        _move(association, _question("SERIES", StudyInstanceUID=study, SeriesInstanceUID=series), title)
    return time.perf_counter() - begun


def send(port: int, called: str, folder: str) -> float:
    """Seconds for sending the files of a folder, which are all of one class."""
    begun = time.perf_counter()
    files = sorted(Path(folder).iterdir())
    entity = _entity("PLAIN", str(dcmread(files[0], stop_before_pixels=True).SOPClassUID))
    with _associated(entity, port, called) as association:
        for path in files:
            status = association.send_c_store(dcmread(path)).get("Status")
            if status != 0x0000:
                raise ConnectionError(f"C-STORE ended with {status}")
    return time.perf_counter() - begun


def find(port: int, called: str, level: str, keys: dict[str, str]) -> dict[str, Any]:
    """Seconds and answers of one query over an association of its own."""
    begun = time.perf_counter()
    with _associated(_entity("PLAIN", _PATIENT_FIND), port, called) as association:
        found = _rows(association, _question(level, **keys), _PATIENT_FIND)
    return {"seconds": time.perf_counter() - begun, "answers": len(found)}


def latest(
    port: int, called: str, title: str, local_port: int, patient: str, plan: str, image_type: list[str], folder: str
) -> float:
    """Seconds for the newest series of a plan in the reference way: one query per series, then the newest is moved."""
    begun = time.perf_counter()
    with _associated(_entity(title, _FIND), port, called) as association:
        asked = _question("IMAGE", Modality="RTPLAN", PatientID=patient, RTPlanLabel=plan, SOPInstanceUID="")
        asked.StudyInstanceUID = ""
        (planned,) = _rows(association, asked)
    entity = _entity(title, _FIND, _MOVE)
    study = planned.StudyInstanceUID
    with _receiving(entity, local_port, folder), _associated(entity, port, called) as association:
        series = _rows(
            association, _question("SERIES", Modality="RTIMAGE", StudyInstanceUID=study, SeriesInstanceUID="")
        )
        fitting = []
        for one in series:
            keys = {"SeriesInstanceUID": one.SeriesInstanceUID, "AcquisitionDate": "", "AcquisitionTime": ""}
            asked = _question("IMAGE", Modality="RTIMAGE", StudyInstanceUID=study, ImageType=image_type, **keys)
            asked.ReferencedRTPlanSequence = []
            images = _rows(association, asked)
            if images and images[0].get("ReferencedRTPlanSequence"):
                first = images[0]
                if first.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == planned.SOPInstanceUID:
                    fitting.append((first.AcquisitionDate + first.AcquisitionTime, first.SeriesInstanceUID))
        newest = max(fitting)[1]
        _move(association, _question("SERIES", StudyInstanceUID=study, SeriesInstanceUID=newest), title)
    return time.perf_counter() - begun


if __name__ == "__main__":
    serve({"retrieve": retrieve, "send": send, "find": find, "latest": latest})
