"""STOW-RS: objects that come as the parts of a request, each written to the disk as it is read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Optional

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from .... import part10
from ....backends.http.multipart import Multipart
from ....errors import BadArchive, ConnectionFailed
from ...objects import CANNOT_UNDERSTAND, NO_RESOURCES, SUCCESS, Announced, Arrival
from .. import here
from . import media
from .answering import LOG, Refused, base, json_media
from .held import check_uids, quoted, series_address, study_address

_SOURCE = "DICOMweb"
_LONGEST_HEADER = 1 << 16
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,200}\Z")
_TAKEN = 'objects are sent as multipart/related; type="application/dicom"; boundary=... only.'
_MISFRAMED = "the parts of this request cannot be told apart. Send it again."
_CLASS, _INSTANCE = 0x00020002, 0x00020003
_TOO_LARGE = '299 qa_fetch "An object is larger than bounds.object_megabytes allows, or the disk is full."'
_CUT_SHORT = '299 qa_fetch "The parts of the request could not be told apart to its end. Send the rest again."'


@dataclass
class _Told:
    """What became of the objects of a request."""

    root: str
    stored: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    nameless: list[dict[str, Any]] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)
    size: int = 0
    warning: str = ""

    def note(self, announced: Announced, status: int, identity: Optional[part10.Identity]) -> None:
        """Note the status with which an object was taken."""
        item = {
            "00081150": {"vr": "UI", "Value": [announced.SOPClassUID]},
            "00081155": {"vr": "UI", "Value": [announced.SOPInstanceUID]},
        }
        if status == SUCCESS and identity is not None:
            address = series_address(identity.study, identity.series)
            self.studies.add(identity.study)
            item["00081190"] = _url(f"{self.root}{address}/instances/{quoted(announced.SOPInstanceUID)}")
            self.stored.append(item)
        else:
            self.failed.append({**item, **_reason(status)})
            if status == NO_RESOURCES:
                self.warning = _TOO_LARGE

    def answer(self, media_type: str) -> HttpResponse:
        """The same for the client: 200 when all are stored, 202 when some are, 409 when none is."""
        told: dict[str, Any] = {}
        if len(self.studies) == 1:
            told["00081190"] = _url(self.root + study_address(next(iter(self.studies))))
        for tag, items in (("00081198", self.failed), ("00081199", self.stored), ("0008119A", self.nameless)):
            if items:
                told[tag] = {"vr": "SQ", "Value": items}
        status = 200 if not self.failed and not self.nameless else 202 if self.stored else 409
        headers = {"Warning": self.warning} if self.warning else {}
        return HttpResponse(json.dumps(told), status=status, content_type=media_type, headers=headers)


def _url(address: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [address]}


def _reason(status: int) -> dict[str, Any]:
    return {"00081197": {"vr": "US", "Value": [status]}}


def store(request: HttpRequest, **uids: str) -> HttpResponseBase:
    """Take objects in, all of one study where the address names it."""
    media_type = json_media(request)
    check_uids(uids)
    body = Multipart(_Body(request), _boundary(request), "the sender")
    told = _Told(base(request))
    try:
        for part in body:
            _take(part, uids.get("study", ""), told)
    except (BadArchive, ConnectionFailed):
        if not told.stored and not told.nameless:
            raise Refused(400, _MISFRAMED) from None
        told.warning = _CUT_SHORT
    if not (told.stored or told.failed or told.nameless):
        raise Refused(400, "this request brings no object. Send at least one.")
    LOG.info("STOW-RS: %d stored, %d refused, %d bytes", len(told.stored), len(told.failed + told.nameless), told.size)
    return told.answer(media_type)


class _Body:
    """A request's body, which the web server has put aside as it came."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def readinto(self, target: memoryview) -> int:
        """Some bytes, or 0 at the end."""
        data = self._request.read(len(target))
        target[: len(data)] = data
        return len(data)


def _boundary(request: HttpRequest) -> str:
    given = media.parsed(request.headers.get("Content-Type", ""))
    if given is None or given.kind != media.MULTIPART or given.inner not in (media.DICOM, "*/*"):
        raise Refused(415, _TAKEN)
    boundary = given.parameters.get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise Refused(400, "this request does not say by which boundary its parts are told apart. Send it again.")
    return boundary


def _take(part: Multipart, study: str, told: _Told) -> None:
    """Take one object in as it is read."""
    broken: Optional[Exception] = None
    try:
        while len(part.ahead()) < _LONGEST_HEADER and part.more():
            continue
    except (BadArchive, ConnectionFailed) as error:
        broken = error
    try:
        announced, length = _announced(bytes(part.ahead()[:_LONGEST_HEADER]), study)
    except BadArchive:
        if broken is not None:
            raise broken from None
        told.nameless.append(_reason(CANNOT_UNDERSTAND))
        return
    if broken is not None:
        told.note(announced, CANNOT_UNDERSTAND, None)
        raise broken
    part.take(length)
    arrival = Arrival(here.objects(), announced)
    status = CANNOT_UNDERSTAND
    try:
        while True:
            ahead = part.ahead()
            if ahead:
                arrival.write([ahead])
                part.take(len(ahead))
            elif not part.more():
                break
        status = arrival.finish()
    finally:
        arrival.close()
        told.size += arrival.size
        told.note(announced, status, arrival.identity)


def _announced(beginning: bytes, study: str) -> tuple[Announced, int]:
    """What an object's file header says it is, and how long that is."""
    content = part10.split(beginning, "it")
    length = len(beginning) - len(content.dataset)
    said = {
        element.tag: part10.clean_uid(beginning[132 + element.value : 132 + element.end].decode("ascii", "replace"))
        for element in part10.elements(beginning[132:length], part10.EXPLICIT_LITTLE)
    }
    if not said.get(_CLASS) or not said.get(_INSTANCE):
        raise BadArchive("an object's file header does not name it. Export it again from its source.")
    return Announced(said[_CLASS], said[_INSTANCE], content.transfer_syntax, _SOURCE, study), length
