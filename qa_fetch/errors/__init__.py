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

import re
from collections.abc import Sequence
from typing import Any, Optional

from .statuses import sentence

__all__ = [
    "Ambiguous",
    "BadArchive",
    "ConfigError",
    "ConnectionFailed",
    "Incomplete",
    "NotFound",
    "QAFetchError",
    "Refused",
    "dimse_refusal",
]

# Whatever ends a line somewhere, and what a log should not hold.
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")


class QAFetchError(Exception):
    """The root of the tree; its text is one line that stands alone.

    Keyword arguments become attributes. They and the type survive pickling, because errors cross process borders
    in bulk jobs.
    """

    retriable = False

    def __init__(self, message: str, *, retriable: Optional[bool] = None, **facts: Any) -> None:
        self.message = _CONTROL.sub(" ", message)  # a peer's plan label may hold a line break
        super().__init__(self.message)
        if retriable is not None:
            self.retriable = retriable
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return self.message


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


def dimse_refusal(service: str, status: int, *, archive: str, ae_title: str, port: int, comment: str = "") -> Refused:
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
    template, retriable = sentence(service, status)
    text = template.format(archive=archive, service=service, status=f"0x{status:04X}", ae_title=ae_title, port=port)
    return Refused(text, retriable=retriable, status=status, comment=comment)
