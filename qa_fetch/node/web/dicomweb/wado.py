"""WADO-RS: whole objects as they are stored, and their metadata."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from django.http import HttpRequest, HttpResponseBase

from .... import part10
from . import dicom_json, media
from .answering import Refused, base, joined, json_list, json_media, streamed
from .held import Held, found
from .joined import Joined, Piece

PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_PLAIN = (part10.IMPLICIT_LITTLE, part10.EXPLICIT_LITTLE, part10.EXPLICIT_BIG, part10.DEFLATED)
_ANY = ("", "*")
_AVAILABLE_SYNTAX = "00083002"


class Parts:
    """The frame around the parts of a multipart answer."""

    def __init__(self, inner: str) -> None:
        boundary = f"qa_fetch-{uuid.uuid4().hex}"
        self.media_type = f'{media.MULTIPART}; type="{inner}"; boundary={boundary}'
        self._begin = f"--{boundary}\r\nContent-Type: "
        self.end = f"\r\n--{boundary}--\r\n".encode("ascii")

    def head(self, media_type: str, length: int) -> bytes:
        """What stands before a part."""
        head = f"{self._begin}{media_type}\r\nContent-Length: {length}\r\n\r\n".encode("ascii")
        if not self._begin.startswith("\r\n"):
            self._begin = f"\r\n{self._begin}"
        return head


def objects(request: HttpRequest, **uids: str) -> HttpResponseBase:
    """The objects of a study or a series, or a single one."""
    single, syntaxes = _accepted(request, "instance" in uids)
    some = found(uids)
    turned = [_is_turned(held, syntaxes) for held in some]
    if single:
        if turned[0]:
            return streamed(iter([_turned(some[0])]), media.DICOM, {})
        return joined(request, [some[0].file()], media.DICOM)
    parts = Parts(media.DICOM)
    if any(turned):
        return streamed(_one_by_one(some, turned, parts), parts.media_type, {})
    pieces: list[Piece] = []
    for held in some:
        stretch = held.file()
        pieces += (parts.head(_named(held.TransferSyntaxUID), stretch.length), stretch)
    return joined(request, [*pieces, parts.end], parts.media_type)


def metadata(request: HttpRequest, **uids: str) -> HttpResponseBase:
    """What objects say of themselves, without their pixels."""
    media_type = json_media(request)
    root = base(request)
    return json_list(request, (_metadata(held, root) for held in found(uids)), media_type)


# --- whole objects


def _accepted(request: HttpRequest, one: bool) -> tuple[bool, frozenset[str]]:
    """Whether an object is wanted by itself instead of as a part, and the transfer syntaxes that a client takes."""
    single, syntaxes = None, set()
    for accepted in media.accepted(request.headers.get("Accept", "")):
        if accepted.covers(media.MULTIPART) and media.covers(accepted.inner, media.DICOM):
            alone = False
        elif one and accepted.covers(media.DICOM):
            alone = True
        else:
            continue
        if single is None:
            single = alone
        if single == alone:
            syntaxes.add(accepted.transfer_syntax)
    if single is None:
        raise Refused(
            406,
            "objects are sent as DICOM files only. "
            'Accept multipart/related; type="application/dicom"; transfer-syntax=*.',
        )
    return single, frozenset(syntaxes)


def _is_turned(held: Held, syntaxes: frozenset[str]) -> bool:
    """Whether an object has to be turned into another encoding for a client; 406 where that cannot be done."""
    if held.TransferSyntaxUID in syntaxes or syntaxes & set(_ANY):
        return False
    if part10.EXPLICIT_LITTLE in syntaxes and held.TransferSyntaxUID in _PLAIN:
        return True
    raise Refused(
        406,
        "an object is stored in a transfer syntax that is not accepted, and is not turned into another one. "
        "Accept it with transfer-syntax=*.",
    )


def _turned(held: Held) -> bytes:
    with held.opened() as content:
        dataset = part10.transcode(content.dataset, content.transfer_syntax, part10.EXPLICIT_LITTLE)
    return part10.file_meta(held.SOPClassUID, held.SOPInstanceUID, part10.EXPLICIT_LITTLE) + dataset


def _one_by_one(some: Sequence[Held], turned: Sequence[bool], parts: Parts) -> Iterator[bytes]:
    for held, other in zip(some, turned):
        if other:
            whole = _turned(held)
            yield parts.head(_named(part10.EXPLICIT_LITTLE), len(whole))
            yield whole
            continue
        stretch = held.file()
        yield parts.head(_named(held.TransferSyntaxUID), stretch.length)
        file = Joined([stretch])
        try:
            while block := file.read():
                yield bytes(block)
        finally:
            file.close()
    yield parts.end


def _named(transfer_syntax: str) -> str:
    # A transfer syntax is the peer's text, if an odd one, and must not become a header of ours.
    plain = set(transfer_syntax) <= set("0123456789.")
    return f"{media.DICOM}; transfer-syntax={transfer_syntax}" if plain and transfer_syntax else media.DICOM


# --- metadata


def _metadata(held: Held, root: str) -> dicom_json.Json:
    address = f"{root}{held.address}/bulkdata/"
    bulk: dicom_json.Json = {}
    with held.opened() as content:
        data, syntax = plain(content)
        small = []
        for element in part10.elements(data, syntax):
            vr = dicom_json.plain_vr(element.vr.decode("ascii", "replace") or dicom_json.vr_of(element.tag))
            length = element.end - element.value
            name = f"{element.tag:08X}"
            if element.tag in PIXELS or (vr in dicom_json.BYTES and length > dicom_json.LONGEST):
                bulk[name] = dicom_json.at(vr, f"{address}{name}")
            else:
                small.append(data[element.start : element.end])
        told = dicom_json.encoded_to_json(b"".join(small), syntax, lambda where: address + "/".join(where))
    told[_AVAILABLE_SYNTAX] = {"vr": "UI", "Value": [held.TransferSyntaxUID]}
    return dict(sorted({**told, **bulk}.items()))


def plain(content: part10.Part10) -> tuple[memoryview, str]:
    """A data set that can be walked, and its encoding."""
    if content.transfer_syntax == part10.DEFLATED:
        return memoryview(part10.inflated(content.dataset)), part10.EXPLICIT_LITTLE
    return content.dataset, content.transfer_syntax
