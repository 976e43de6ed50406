"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a test pack.

    Parameters
    ----------
    severity
        ``"error"``: the import fails, or something cannot work. ``"warning"``: it works, and not as one would wish.
    place
        The slug of the list, then that of the test, then the field or the line of the procedure.
    says
        What happens, then what to do.
    """

    severity: str
    place: str
    says: str


def error(place: str, says: str) -> Finding:
    """A finding without which the pack does not work."""
    return Finding("error", place, says)


def warning(place: str, says: str) -> Finding:
    """A finding that somebody will regret."""
    return Finding("warning", place, says)
