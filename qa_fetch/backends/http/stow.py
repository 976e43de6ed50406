"""Sending files by STOW-RS: batches streamed from the disk, and what the archive says of each object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...budget import Budget
from ...errors import BadArchive, QAFetchError, dimse_refusal
from ...errors.http import http_refusal
from ...part10 import clean_uid
from .. import Sent
from .client import Client
from .upload import File, examine, is_over, multipart, problem_of
from .values import from_dicom_json

_FILES, _BYTES = 100, 64 << 20
_TELLING = (200, 202, 400, 409)  # with these an archive may say what became of each object
_KEYWORDS = ("ReferencedSOPSequence", "FailedSOPSequence")


def send(client: Client, files: Sequence[Path], budget: Budget) -> list[Sent]:
    """Send files; each is accounted for."""
    outcome: dict[Path, Sent] = {}
    found: list[File] = []
    for path in files:
        try:
            found.append(examine(path))
            outcome[path] = Sent(path)
        except BadArchive as error:
            outcome[path] = Sent(path, problem_of(error))
        except OSError as error:
            outcome[path] = Sent(path, f"{path.name} cannot be read: {error.strerror}")
    waiting, over = list(_batches(found)), ""
    while waiting:
        batch = waiting.pop(0)
        try:
            said = [Sent(file.path, over) for file in batch] if over else _send(client, batch, budget)
        except QAFetchError as error:
            if getattr(error, "status", None) == 413 and len(batch) > 1:
                middle = len(batch) // 2
                waiting[:0] = [batch[:middle], batch[middle:]]
                continue
            said = [Sent(file.path, problem_of(error)) for file in batch]
            over = problem_of(error) if is_over(error) else ""
        outcome.update((one.path, one) for one in said)
    return list(outcome.values())


def _batches(files: Sequence[File]) -> Iterator[list[File]]:
    """Files together, but never two of one UID, whose answers could not be told apart."""
    batch: list[File] = []
    for file in files:
        full = len(batch) >= _FILES or sum(one.size for one in batch) + file.size > _BYTES
        if batch and (full or file.instance in {one.instance for one in batch}):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _send(client: Client, batch: Sequence[File], budget: Budget) -> list[Sent]:
    accept = "application/dicom+json"
    with client.request(
        "upload", "POST", "/studies", budget, accept=accept, upload=multipart(batch), fine=_TELLING
    ) as answer:
        telling = answer.content_type.endswith("json") or answer.status in (400, 409)
        said: Any = None
        if telling:
            text = answer.body.read(8 << 20, lambda: BadArchive(f"{client.name} answered an upload without end."))
            said = _parsed(text)
        if not said and answer.status in (400, 409):
            raise http_refusal("upload", answer.status, archive=client.name)
    stored = {_uid(item): item.get("WarningReason") for item in said.get("ReferencedSOPSequence", ())} if said else {}
    failed = {_uid(item): item.get("FailureReason") for item in said.get("FailedSOPSequence", ())} if said else {}
    return [_outcome(client.name, file, stored, failed) for file in batch]


def _parsed(text: bytes) -> Any:
    import json

    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    said = said[0] if isinstance(said, list) and said else said
    found = from_dicom_json(said, _KEYWORDS)
    return found if any(keyword in found for keyword in _KEYWORDS) else None


def _uid(item: Any) -> str:
    return clean_uid(item.get("ReferencedSOPInstanceUID") or "")


def _outcome(name: str, file: File, stored: dict[str, Any], failed: dict[str, Any]) -> Sent:
    if file.instance in failed:
        reason = failed[file.instance]
        if not isinstance(reason, int):
            return Sent(file.path, f"{name} refused {file.path.name} without a reason; its log may have one")
        return Sent(file.path, _says(name, reason))
    if file.instance in stored:
        warning = stored[file.instance]
        return Sent(file.path, warning=_says(name, warning) if isinstance(warning, int) else "")
    return Sent(file.path, f"{name} did not say that it has stored {file.path.name}; its log may say why")


def _says(name: str, reason: int) -> str:
    return problem_of(dimse_refusal("C-STORE", reason, archive=name, ae_title="this account", port=0))
