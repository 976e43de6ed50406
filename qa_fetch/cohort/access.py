"""The archive that a cohort's patients are in, opened as its settings say."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Optional

from ..archive import Archive
from ..errors import ConfigError
from .config import Settings

_CALLS = 10  # as many requests may one call take that each take as long as TIMEOUT allows
_SHORTEST = 25.0  # seconds
_MOST_ASSOCIATIONS = 32


class Held:
    """A secret that lies in memory where others lie in a file; nothing shows it, and only a pickle holds it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def read_text(self, encoding: str = "utf-8") -> str:
        """The secret, as from a file."""
        del encoding  # it is a text already
        return self._secret

    def __repr__(self) -> str:
        return "(hidden)"

    __str__ = __repr__


class CohortArchive(Archive):
    """An archive whose password may be known to the caller alone.

    Parameters
    ----------
    where
        As for ``Archive``.
    secret
        The password, where no file and no environment variable holds it.
    connections
        How many associations with a DICOM archive there may be.
    **given
        As for ``Archive``.
    """

    def __init__(
        self,
        where: Optional[str] = None,
        *,
        secret: Optional[Held] = None,
        connections: Optional[int] = None,
        **given: Any,
    ) -> None:
        super().__init__(where, **given)
        self._own: dict[str, Any] = {"secret": secret, "connections": connections}
        changes: dict[str, Any] = {}
        options = self.config.options
        if secret is not None:
            if "password_file" not in options:
                raise ConfigError(
                    f"{self.name}: a {self.config.kind} archive has no password. Leave password out of the cohort."
                )
            changes.update(password_file=secret, password_env=None)
        if connections is not None and "associations" in options:
            changes["associations"] = min(options["associations"], connections, _MOST_ASSOCIATIONS)
        self.config = replace(self.config, options={**options, **changes})

    def again(self, **changes: Any) -> Archive:
        """The same archive with another ``shelf``, ``budget`` or other parameter."""
        return CohortArchive(**{**self._given, **self._own, **changes})

    def __reduce__(self) -> Any:
        """In another process the archive is opened there, with the configuration that is found there."""
        return partial(CohortArchive, **self._given, **self._own), ()


def archive_of(settings: Settings) -> Archive:
    """The archive of a cohort, with a shelf of its own below the cohort's work folder; processes can be given it.

    One call has ten times ``TIMEOUT`` (and 25 s at least): a series of thousands of slices takes many requests, each
    of which has ``TIMEOUT`` where ``ipport`` is asked. ``CONNECTIONS`` bounds the associations with a DICOM archive.

    Raises
    ------
    ConfigError
        No archive can be opened like this, or the place of the password holds none.
    """
    budget = max(_SHORTEST, settings.TIMEOUT * _CALLS)
    given: dict[str, Any] = {"budget": budget, "shelf": settings.work / "shelf", "connections": settings.CONNECTIONS}
    if settings.password is not None:
        given["secret"] = Held(settings.password)
    for key, value in (
        ("user", settings.username),
        ("password_env", settings.password_env),
        ("password_file", settings.password_file),
    ):
        if value is not None:
            given[key] = value
    if settings.ipport is None:
        return CohortArchive(settings.archive, **given)
    return CohortArchive(f"orthanc+{settings.ipport}", timeout=settings.TIMEOUT, **given)
