"""What the folder of a patient is called, by a pattern: safe as a path, and no two patients in one."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from typing import Optional

from ..errors import ConfigError
from ..part10 import plain

PATTERN = "{last}_{first}_{id}_{number}"
PIECES = ("last", "first", "middle", "id", "number", "birth")
_LONGEST = 120  # characters of a folder's name
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?\Z", re.IGNORECASE)  # what Windows makes no folder of
_OUTSIDE = re.compile(r'[/\\:*?"<>|]')


class Names:
    """Gives every patient a folder name of its own; what an earlier run has given stays as it is.

    Parameters
    ----------
    pattern
        Placeholders in braces, and what stands between them; ConfigError where it makes no names.
    """

    def __init__(self, pattern: str = PATTERN) -> None:
        self._parts = _checked(pattern)
        self._owners: dict[str, str] = {}

    def keep(self, name: str, patient: str) -> None:
        """What an earlier run has given belongs to whom it was given."""
        self._owners[name.casefold()] = patient

    def name(self, patient: str, pieces: Mapping[str, str]) -> str:
        """The name for a patient, or where another one has it, the name with a mark of this one."""
        made = "".join(
            text if piece is None else text + (plain(pieces.get(piece, "")).strip("_") or "unknown")
            for text, piece in self._parts
        )
        name = made.strip(" .") or "patient"
        if _DEVICE.match(name):
            name = f"patient_{name}"
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 9]}-{_mark(patient)}"
        if self._owners.setdefault(name.casefold(), patient) == patient:
            return name
        marked = f"{name[: _LONGEST - 9]}-{_mark(patient)}"  # letter case does not tell, since Windows' folders do not
        self._owners[marked.casefold()] = patient
        return marked


def _checked(pattern: str) -> list[tuple[str, Optional[str]]]:
    try:
        parts = [(text, piece, form, as_) for text, piece, form, as_ in string.Formatter().parse(pattern)]
    except ValueError:
        raise ConfigError(
            f"the pattern {pattern!r} has a brace without its other one. Write it as {PATTERN!r}."
        ) from None
    wrong = [piece for _, piece, form, as_ in parts if piece is not None and (piece not in PIECES or form or as_)]
    if wrong:
        raise ConfigError(
            f"the pattern {pattern!r} has {{{wrong[0]}}} in it, which stands for nothing. "
            f"Use {', '.join(f'{{{piece}}}' for piece in PIECES)}."
        )
    if not any(piece for _, piece, _, _ in parts):
        raise ConfigError(f"the pattern {pattern!r} gives every patient one name. Write it as {PATTERN!r}.")
    between = "".join(text for text, *_ in parts)
    if _OUTSIDE.search(between) or not between.isprintable():
        raise ConfigError(
            f'the pattern {pattern!r} is no name of a folder: / \\ : * ? " < > | cannot be in it. '
            f"Write it as {PATTERN!r}."
        )
    return [(text, piece) for text, piece, _, _ in parts]


def _mark(patient: str) -> str:
    return hashlib.sha256(patient.encode("utf-8", "surrogatepass")).hexdigest()[:8]
