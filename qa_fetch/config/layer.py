"""One source's settings, and one setting of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .options import Option, converted

ARGUMENTS = "arguments"
DEFAULT = "built-in default"


@dataclass(frozen=True)
class Setting:
    """A value and the layer it came from."""

    key: str
    value: Any
    origin: str


@dataclass(frozen=True)
class ArchiveConfig:
    """One archive's settings, checked and complete; its repr shows no setting, since some are secret."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, option: str) -> Any:
        return self.options[option]


@dataclass(frozen=True)
class Layer:
    """Settings as one source wrote them, not yet checked; relative paths in them start at ``folder``."""

    origin: str
    values: Mapping[str, Any] = field(repr=False)
    folder: Optional[Path] = None

    def table(self, name: str) -> Mapping[str, Any]:
        """One table of the layer; empty when it has none, and all that is outside tables for ``""``."""
        found: Mapping[str, Any] = self.values.get(name, {}) if name else self.values
        return found

    def converted(self, option: Option, value: Any, place: str) -> Any:
        """A value of this layer as the program uses it."""
        return converted(option, value, place, self.origin, self.folder)

    def archive(self, name: str) -> Optional[str]:
        """How the layer spells an archive's name; None when it does not define it."""
        return next((own for own in self.table("archives") if same(own) == same(name)), None)


def same(name: str) -> str:
    """Names compare without case and with - as _, since an environment variable can spell neither."""
    return name.casefold().replace("-", "_")
