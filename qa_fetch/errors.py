"""Every failure a user can meet, each one line: what happened, then what to do.

QAFetchError
├── ConfigError        a setting is missing or wrong; nothing was sent
├── ConnectionFailed   the archive could not be reached, or stopped answering
├── Refused            the archive answered and said no (``status``)
├── NotFound           the archive has nothing that fits
├── Ambiguous          several fit and the caller has to choose (``candidates``)
├── Incomplete         part of a set is missing (``missing``); nothing is returned
└── BadArchive         what was read or received is not what it claims to be

``retriable`` says whether the same call can succeed later without anyone
changing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional


class QAFetchError(Exception):
    """The root of the tree; its text is one line that stands alone."""

    retriable = False

    def __init__(self, message: str, *, retriable: Optional[bool] = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        if retriable is not None:
            self.retriable = retriable
        self._facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders (bulk workers), so they must survive pickling."""
        return _rebuild, (type(self), self.message, self.retriable, self._facts)


def _rebuild(kind: type[QAFetchError], message: str, retriable: bool, facts: dict[str, Any]) -> QAFetchError:
    return kind(message, retriable=retriable, **facts)


class ConfigError(QAFetchError):
    """A setting is missing or wrong; nothing was sent."""


class ConnectionFailed(QAFetchError):
    """The archive could not be reached, or stopped answering."""

    retriable = True


class Refused(QAFetchError):
    """The archive answered and said no; ``status`` is its code where it gave one."""

    status: Optional[int] = None


class NotFound(QAFetchError):
    """The archive has nothing that fits."""


class Ambiguous(QAFetchError):
    """Several objects fit and nothing says which is meant; ``candidates`` lists them."""

    candidates: Sequence[Any] = ()


class Incomplete(QAFetchError):
    """Part of a set is missing, so nothing is returned; ``missing`` names what did not come."""

    retriable = True
    missing: Sequence[str] = ()


class BadArchive(QAFetchError):
    """What was read or received is not what it claims to be."""


# What a DIMSE status means for the person who reads it: (what happened, what to do, retriable).
# Keys are (service, status), "" standing for any service; a range is written with its first code and found by mask.
_STATUS: dict[tuple[str, int], tuple[str, str, bool]] = {
    ("C-MOVE", 0xA801): (
        "{archive} does not know {ae_title} as a destination (C-MOVE {status})",
        "Add that AE title, this host and port {port} to its DICOM destinations (in ARIA: the DB Service), "
        "then run: qa-fetch echo {archive}",
        False,
    ),
    ("C-MOVE", 0xA701): (
        "{archive} could not count what matches the request (C-MOVE {status})",
        "Ask for less at a time, or try again later",
        True,
    ),
    ("C-MOVE", 0xA702): (
        "{archive} could not send the objects to {ae_title} (C-MOVE {status})",
        "Check that it can reach this host on port {port} (address in its destination entry, firewall), "
        "then run: qa-fetch echo {archive}",
        True,
    ),
    ("C-GET", 0xA701): (
        "{archive} could not count what matches the request (C-GET {status})",
        "Ask for less at a time, or try again later",
        True,
    ),
    ("C-GET", 0xA702): (
        "{archive} could not send the objects over this connection (C-GET {status})",
        'Set retrieve = "move" for this archive, or try again later',
        True,
    ),
    ("C-FIND", 0xA700): (
        "{archive} is out of resources for this query (C-FIND {status})",
        "Narrow the query, or try again later",
        True,
    ),
    ("C-STORE", 0xA700): (
        "{archive} has no room for the object (C-STORE {status})",
        "Free space in the archive, then send again",
        True,
    ),
    ("C-STORE", 0xA900): (
        "{archive} says that the object does not fit its SOP class (C-STORE {status})",
        "Check the object with a DICOM validator; the archive's log names the attribute",
        False,
    ),
    ("C-STORE", 0xC000): (
        "{archive} could not understand the object (C-STORE {status})",
        "Check the object with a DICOM validator; the archive's log names the attribute",
        False,
    ),
    ("", 0xA900): (
        "{archive} cannot answer this question as it was put ({service} {status}, identifier does not match the SOP class)",
        "Set relational = false for this archive; if that does not help, its conformance statement names the keys it needs",
        False,
    ),
    ("", 0xC000): (
        "{archive} was unable to process the request ({service} {status})",
        "Its log says why; try again later",
        True,
    ),
    ("", 0xFE00): ("the {service} to {archive} was cancelled", "Call again to go on from there", True),
    ("", 0x0122): (
        "{archive} does not support this kind of object or query ({service} {status})",
        "Its conformance statement lists what it supports",
        False,
    ),
    ("", 0x0124): (
        "{archive} does not allow {ae_title} to do this ({service} {status})",
        "Ask its administrator to grant {service} to that AE title",
        False,
    ),
    ("", 0x0105): (
        "{archive} says there is no such attribute ({service} {status})",
        "Its conformance statement lists the attributes it answers",
        False,
    ),
    ("", 0x0106): (
        "{archive} rejected an attribute's value ({service} {status})",
        "Check the values of the query or object",
        False,
    ),
    ("", 0x0110): ("{archive} failed while processing ({service} {status})", "Its log says why; try again later", True),
    ("", 0x0111): ("{archive} already has this object ({service} {status})", "Nothing needs to be sent", False),
    ("", 0x0112): ("{archive} does not have this object ({service} {status})", "Check the UIDs", False),
    ("", 0x0115): ("{archive} rejected an argument ({service} {status})", "Check the query", False),
    ("", 0x0117): ("{archive} calls the object's UID invalid ({service} {status})", "Check the object's UIDs", False),
    ("", 0x0118): (
        "{archive} does not know this SOP class ({service} {status})",
        "Its conformance statement lists what it supports",
        False,
    ),
    ("", 0x0210): ("{archive} saw the same message twice ({service} {status})", "Try again", True),
    ("", 0x0211): (
        "{archive} does not offer {service} ({status})",
        "Its conformance statement lists its services",
        False,
    ),
    ("", 0x0212): ("{archive} calls the message malformed ({service} {status})", "Report this with its log", False),
    ("", 0x0213): ("{archive} is out of resources ({service} {status})", "Try again later", True),
}
_MASKS = ((0xFF00, 0xA700), (0xFF00, 0xA900), (0xF000, 0xC000))


def dimse_refusal(
    service: str, status: int, *, archive: str, ae_title: str, port: int, comment: str = ""
) -> Refused:
    """Turn the status with which an archive refused a DIMSE request into an error.

    Parameters
    ----------
    service
        ``"C-FIND"``, ``"C-MOVE"``, ``"C-GET"``, ``"C-STORE"`` or ``"C-ECHO"``.
    status
        The status code of the answer.
    archive, ae_title, port
        The archive's name, and who we are to it.
    comment
        The peer's ErrorComment; left out of the sentence, since it may hold patient data.
    """
    codes = [status] + [code for mask, code in _MASKS if status & mask == code]
    for key in [(name, code) for code in codes for name in (service, "")]:
        if key in _STATUS:
            happened, todo, retriable = _STATUS[key]
            break
    else:
        happened, todo, retriable = (
            "{archive} refused with a status that DICOM does not define ({service} {status})",
            "Its log or conformance statement says what it means",
            False,
        )
    words = {"archive": archive, "service": service, "status": f"0x{status:04X}", "ae_title": ae_title, "port": port}
    return Refused(f"{happened}. {todo}.".format(**words), retriable=retriable, status=status, comment=comment)
