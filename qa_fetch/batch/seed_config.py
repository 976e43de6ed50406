"""The ``config.json`` of PACSMAN and of PACSIFIER, accepted as it is."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

from ..config.options import AE_TITLE, HOST, PORT, Option, shown
from ..config.values import as_ae_title, as_host, as_number, as_port
from ..errors import ConfigError

_LARGEST = 1 << 20  # bytes


@dataclass(frozen=True)
class SeedConfig:
    """An archive and a pace; ``archive`` holds the arguments of ``qa_fetch.Archive``."""

    archive: dict[str, Any] = field(hash=False)
    batch_size: int
    batch_wait_time: float
    move_aet: Optional[str]


def _as_move_aet(value: Any) -> Optional[str]:
    return None if isinstance(value, str) and not value.strip() else as_ae_title(value)


def _as_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    count = int(value)
    if not 1 <= count <= 1_000_000:
        raise ValueError
    return count


_KEYS: dict[str, Option] = {
    "server_address": Option(HOST, as_host),  # PACSMAN calls it server_ip
    "port": Option(PORT, as_port),
    "server_AET": Option(AE_TITLE, as_ae_title),
    "AET": Option(AE_TITLE, as_ae_title),
    "move_AET": Option(AE_TITLE, _as_move_aet),
    "move_port": Option(PORT, as_port),
    "batch_size": Option("a whole number from 1 up", _as_count),
    "batch_wait_time": Option("a number of seconds from 0 up", as_number),
}


def load(path: Union[str, Path]) -> SeedConfig:
    """What a ``config.json`` says; PACSMAN writes numbers as texts, PACSIFIER as numbers.

    Raises
    ------
    ConfigError
        The file cannot be read, or keys are missing or wrong: ``.mistakes`` and the text name all of them.
    """
    given, mistakes = _given(Path(path))
    values: dict[str, Any] = {}
    for key, option in _KEYS.items():
        if key not in given:
            mistakes.append(f"{_both(key)} is missing")
            continue
        try:
            values[key] = option.convert(given.pop(key))
        except (ValueError, TypeError, OverflowError):
            mistakes.append(f"{_both(key)} must be {option.expected}")
    for key in given:
        near = difflib.get_close_matches(key.casefold(), {known.casefold(): known for known in _KEYS}, n=1)
        meant = next((known for known in _KEYS if near and known.casefold() == near[0]), "")
        mistakes.append(f"{shown(key)} is not one of its keys" + (f" (did you mean {meant}?)" if meant else ""))
    if mistakes:
        raise ConfigError(
            f"{path} is not a config.json of PACSMAN or PACSIFIER: {'; '.join(mistakes)}. Correct it and run again.",
            mistakes=tuple(mistakes),
        )
    return SeedConfig(
        archive={
            "kind": "dimse",
            "ae_title": values["server_AET"],
            "host": values["server_address"],
            "port": values["port"],
            "local_ae_title": values["AET"],
            "local_port": values["move_port"],
        },
        batch_size=values["batch_size"],
        batch_wait_time=values["batch_wait_time"],
        move_aet=values["move_AET"],
    )


def _both(key: str) -> str:
    return "server_address (or server_ip)" if key == "server_address" else key


def _given(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The keys of the file with PACSMAN's under PACSIFIER's name, and what is there twice."""
    mistakes: list[str] = []
    try:
        with path.open("rb") as file:
            written = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path} cannot be read ({reason}). Check the path and its permissions.") from None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            name = "server_address" if key == "server_ip" else key
            if name in found:
                mistakes.append(f"{_both(name) if name in _KEYS else shown(name)} is there twice")
            found[name] = value
        return found

    try:
        if len(written) > _LARGEST:
            raise ValueError
        found = _loads(written, once)
    except (ValueError, RecursionError):
        found = None  # also what is nested too deeply, or no text
    if not isinstance(found, dict):
        raise ConfigError(
            f"{path} is not a config.json of PACSMAN or PACSIFIER, since it is not a JSON object. "
            "Check its braces, quotes and commas."
        )
    return found, mistakes


def _loads(written: bytes, once: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Any:
    text = written.decode("utf-8-sig" if written.startswith(b"\xef\xbb\xbf") else json.detect_encoding(written))
    return json.loads(text, object_pairs_hook=once)
