"""What each HTTP status means for the person who reads it (RFC 9110, and PS3.18 for DICOMweb)."""

from __future__ import annotations

from typing import NamedTuple

from . import Refused


class _Meaning(NamedTuple):
    """What happened, what to do about it, and whether the same call can succeed later."""

    happened: str
    todo: str
    retriable: bool = False


_ADDRESS = "Check url of this archive, then run: qa-fetch echo {archive}"
_LATER = "Its log says why; try again later"
_CONFORMANCE = "Its conformance statement lists what it supports"

_MEANINGS: dict[int, _Meaning] = {
    400: _Meaning("{archive} calls the {service} malformed (HTTP 400)", _CONFORMANCE),
    401: _Meaning(
        "{archive} wants to know who asks, or does not accept the user and password or token (HTTP 401)",
        "Check user and password_env, or token_env, of this archive",
    ),
    403: _Meaning("{archive} does not allow this account the {service} (HTTP 403)", "Ask its administrator for it"),
    404: _Meaning("{archive} has nothing under the address of the {service} (HTTP 404)", _ADDRESS),
    405: _Meaning("{archive} does not offer the {service} (HTTP 405)", _ADDRESS),
    406: _Meaning("{archive} cannot answer the {service} in a format that is understood here (HTTP 406)", _CONFORMANCE),
    407: _Meaning("a proxy before {archive} wants to know who asks (HTTP 407)", "Give url its direct address"),
    408: _Meaning("{archive} waited too long for the {service} (HTTP 408)", "Try again", True),
    409: _Meaning("{archive} says that the {service} contradicts what it has (HTTP 409)", "Its log names the object"),
    410: _Meaning("{archive} no longer has what was asked for (HTTP 410)", "Ask for it again from the start"),
    411: _Meaning("{archive} wants the length of the {service} first (HTTP 411)", "Report this with its log"),
    413: _Meaning(
        "{archive} does not take as much at once (HTTP 413)", "Ask its administrator to raise the limit of uploads"
    ),
    414: _Meaning("{archive} calls the question too long (HTTP 414)", "Ask for less at a time"),
    415: _Meaning("{archive} does not take objects in this format (HTTP 415)", _CONFORMANCE),
    422: _Meaning("{archive} understands the {service} but cannot follow it (HTTP 422)", _CONFORMANCE),
    429: _Meaning("{archive} was asked too often (HTTP 429)", "Try again in a minute", True),
    431: _Meaning("{archive} calls the {service} too long (HTTP 431)", "Ask for less at a time"),
    500: _Meaning("{archive} failed inside at the {service} (HTTP 500)", _LATER, True),
    501: _Meaning("{archive} does not offer the {service} (HTTP 501)", _CONFORMANCE),
    502: _Meaning("the server before {archive} gets no answer from it (HTTP 502)", _LATER, True),
    503: _Meaning("{archive} is not ready, or too busy (HTTP 503)", "Try again later", True),
    504: _Meaning("the server before {archive} waited too long for it (HTTP 504)", "Try again later", True),
    507: _Meaning("{archive} has no room left (HTTP 507)", "Free space in the archive, then send again", True),
}
_CLASSES = {
    3: _Meaning("{archive} sends the {service} to another address (HTTP {status})", "Set url to where it lives now"),
    4: _Meaning("{archive} refused the {service} (HTTP {status})", _ADDRESS),
    5: _Meaning("{archive} failed at the {service} (HTTP {status})", _LATER, True),
}
_UNKNOWN = _Meaning("{archive} answered the {service} with a status that HTTP does not define ({status})", _ADDRESS)


def http_refusal(service: str, status: int, *, archive: str) -> Refused:
    """Turn the status with which an archive refused an HTTP request into an error.

    Parameters
    ----------
    service
        What was asked, as it stands in the sentence: ``"query"``, ``"retrieve"``, ``"upload"``.
    status
        The status code of the answer; what the answer says beside it is left out, since it may hold patient data.
    archive
        The archive's name.
    """
    meaning = _MEANINGS.get(status) or _CLASSES.get(status // 100, _UNKNOWN)
    text = f"{meaning.happened}. {meaning.todo}."
    return Refused(
        text.format(archive=archive, service=service, status=status), retriable=meaning.retriable, status=status
    )
