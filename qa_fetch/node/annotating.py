"""Files that people and programs put to a study, a series or an object: kept by their digest, never by their name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from ..shelf.disk import flush_folder
from .models import Annotation, Instance, Series, Study

LARGEST = 64 << 20  # bytes
STUDY, SERIES, INSTANCE = "study", "series", "instance"
_ANNOTATED: dict[str, tuple[Any, str]] = {
    STUDY: (Study, "StudyInstanceUID"),
    SERIES: (Series, "SeriesInstanceUID"),
    INSTANCE: (Instance, "SOPInstanceUID"),
}
_LONGEST_NAME = 150  # characters
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,63}\Z")


class NotAnnotated(Exception):
    """Why something is not taken: a sentence, and the HTTP status that goes with it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Upload:
    """What somebody gives.

    Parameters
    ----------
    name
        What its file is called there; nothing on this machine is.
    media_type
        What it is said to be.
    author
        Who gives it.
    pieces
        Its content.
    """

    name: str
    media_type: str
    author: str
    pieces: Iterable[bytes]


def known(level: str, uid: str) -> None:
    """NotAnnotated where there is nothing with this UID."""
    if level not in _ANNOTATED:
        raise NotAnnotated(404, "this level is not known. Use study, series or instance.")
    model, keyword = _ANNOTATED[level]
    if not model.objects.filter(**{keyword: uid}).exists():
        raise NotAnnotated(404, f"this node has no {level} with this UID. Store it first, or check the UID.")


def add(folder: Path, level: str, uid: str, upload: Upload) -> Any:
    """Keep an upload; its row. The same content given twice is one file with two rows."""
    known(level, uid)
    with _written(folder, upload.pieces) as (draft, digest, size):
        target = path(folder, digest)
        if target.is_file():
            draft.unlink()
        else:
            draft.replace(target)
            flush_folder(folder)
    return Annotation.objects.create(
        level=level,
        uid=uid,
        name=plain_name(upload.name),
        media_type=plain_media_type(upload.media_type),
        size=size,
        digest=digest,
        author=upload.author,
        created=timezone.now(),
    )


def of(level: str, uid: str) -> list[Any]:
    """What has been put there, the oldest first."""
    return list(Annotation.objects.filter(level=level, uid=uid).order_by("created", "pk"))


def path(folder: Path, digest: str) -> Path:
    """Where the content with this digest lies."""
    return folder / digest


def plain_name(name: str) -> str:
    """A name without folders and without characters that steer a terminal, a header or the direction of text."""
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join(sign for sign in last if not unicodedata.category(sign).startswith(("C", "Z")) or sign == " ")
    return visible.strip(" .")[-_LONGEST_NAME:] or "annotation"


def plain_media_type(given: str) -> str:
    """A media type without parameters; anything else is just bytes."""
    plain = given.split(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.match(plain) else "application/octet-stream"


@contextlib.contextmanager
def _written(folder: Path, pieces: Iterable[bytes]) -> Iterator[tuple[Path, str, int]]:
    """A temporary file that is on the disk, its digest and its size; removed unless the block moves it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        draft = Path(file.name)
        try:
            for piece in pieces:
                size += len(piece)
                if size > LARGEST:
                    raise too_large()
                digest.update(piece)
                file.write(piece)
            if not size:
                raise NotAnnotated(400, "the upload is empty. Send the content of the file.")
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows moves no open file
            yield draft, digest.hexdigest(), size
        finally:
            file.close()
            draft.unlink(missing_ok=True)


def too_large() -> NotAnnotated:
    """What is said to who gives more than there is room for."""
    return NotAnnotated(
        413, f"the upload is larger than {LARGEST >> 20} MB. Put it elsewhere, and annotate a link to it."
    )
