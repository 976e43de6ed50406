"""Attaching a file to a test once, although QATrack+ runs the procedure again at every change of its page."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any, Callable, Union

from ..errors import ConfigError
from .keeping import Kept

Content = Union[bytes, Path, Any]


def attach(name: str, content: Content, UTILS: Any) -> None:
    """Attach a file to the test that runs, once for each page and content.

    Parameters
    ----------
    name
        The name of the attachment, such as ``report.pdf``.
    content
        Its bytes, the path of a file, a matplotlib figure, or a file that is open for reading.
    UTILS
        What QATrack+ gives to a procedure under this name.
    """
    data = _bytes_of(name, content)
    attach_made(name, hashlib.sha256(data).hexdigest(), lambda: data, UTILS)


def attach_made(name: str, key: str, make: Callable[[], bytes], UTILS: Any) -> None:
    """The same for a file that is only made where it is not attached yet.

    Parameters
    ----------
    name
        The name of the attachment.
    key
        Stands for the content.
    make
        Gives the content.
    UTILS
        What QATrack+ gives to a procedure under this name.
    """
    kept, question = Kept(), {"attached": [*_page_of(UTILS), name, key]}
    with kept.turn(question):
        told = kept.recall(question)
        if told is None or not _exists(told):
            UTILS.write_file(name, make())
            kept.remember(question, UTILS.context["__user_attached__"][-1])
        else:
            # A page that was loaded anew has forgotten it, and a record that is edited would lose it when it is saved.
            UTILS.context["__user_attached__"].append(told)


def _page_of(UTILS: Any) -> list[str]:
    """What stays the same while one record is worked on, and differs between two records."""
    meta = UTILS.meta
    facts = (UTILS.unit.number, UTILS.test_list.slug, meta.get("work_started"), meta.get("cycle_day"), UTILS.user)
    return [str(fact) for fact in facts]


def _bytes_of(name: str, content: Content) -> bytes:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, Path):
        return content.read_bytes()
    if callable(getattr(content, "savefig", None)):
        drawn = io.BytesIO()
        content.savefig(drawn, format=Path(name).suffix.lstrip(".") or "png")
        return drawn.getvalue()
    if isinstance(content, io.BytesIO):
        return content.getvalue()
    if callable(getattr(content, "read", None)):
        read = content.read()
        return read.encode("utf-8") if isinstance(read, str) else bytes(read)
    raise ConfigError(
        f"a {type(content).__name__} cannot be attached. Give bytes, a pathlib.Path, a figure, or an open file."
    )


def _exists(told: dict[str, Any]) -> bool:
    """Whether QATrack+ still has an attachment: saving a page with one that was deleted would be a server error."""
    models = sys.modules.get("qatrack.attachments.models")
    return models is None or bool(models.Attachment.objects.filter(pk=told["attachment_id"]).exists())
