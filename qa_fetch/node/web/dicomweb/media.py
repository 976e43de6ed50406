"""Media types: what a client accepts (``Accept``), and what it sends (``Content-Type``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

DICOM, OCTETS, PNG = "application/dicom", "application/octet-stream", "image/png"
JSON, PLAIN_JSON = "application/dicom+json", "application/json"
MULTIPART = "multipart/related"
_LONGEST = 4096
_MOST = 64
# A quoted text, or anything else up to the separator.
_PARTS = {mark: re.compile(rf'(?:"(?:[^"\\]|\\.)*"|[^"{mark}])+') for mark in ",;"}


@dataclass(frozen=True)
class Media:
    """A media type or range with its parameters, whose names are in small letters."""

    kind: str
    parameters: Mapping[str, str]

    @property
    def quality(self) -> float:
        """How welcome it is, from 0 to 1."""
        try:
            return min(1.0, max(0.0, float(self.parameters.get("q", 1))))
        except ValueError:
            return 0.0

    @property
    def inner(self) -> str:
        """What the parts of a multipart are; whatever suits the server where it does not say."""
        return self.parameters.get("type", "*/*").lower()

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax that it asks for; empty where it does not."""
        return self.parameters.get("transfer-syntax", "")

    def covers(self, kind: str) -> bool:
        """Whether it is, or includes, a media type."""
        return covers(self.kind, kind)


def covers(pattern: str, kind: str) -> bool:
    """Whether a media range such as ``image/*`` includes a media type."""
    return pattern in ("*/*", "*", kind) or (pattern.endswith("/*") and kind.startswith(pattern[:-1]))


def parsed(text: str) -> Optional[Media]:
    """One media type; None for what is none."""
    first, *rest = _split(text, ";")
    kind = first.strip().lower()
    if not re.match(r"[!-+\--:<-~]+\Z", kind):
        return None
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        parameters.setdefault(name.strip().lower(), value)
    return Media(kind, parameters)


def accepted(header: str) -> Sequence[Media]:
    """What a client takes, the most welcome first; everything where it does not say."""
    if not header.strip():
        return (Media("*/*", {}),)
    some = [media for media in map(parsed, _split(header[:_LONGEST], ",")[:_MOST]) if media is not None]
    return sorted((media for media in some if media.quality > 0), key=lambda media: -media.quality)


def chosen(header: str, offered: Sequence[str]) -> Optional[str]:
    """The first of what is offered that a client takes most gladly; None where it takes none of it."""
    for media in accepted(header):
        for kind in offered:
            if media.covers(kind):
                return kind
    return None


def _split(text: str, mark: str) -> list[str]:
    return [part for part in _parts(text, mark) if part.strip()] or [""]


def _parts(text: str, mark: str) -> Iterator[str]:
    # An opening quotation mark that is never closed ends nothing and hides nothing: it is passed over.
    return (found.group() for found in _PARTS[mark].finditer(text))
