"""What a node is told when it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError

SERVICES = ("echo", "store", "find", "move", "get")
ROOTS = ("patient", "study")


@dataclass(frozen=True)
class NodeOptions:
    """Where a node keeps its objects, where it listens, and how much of DICOM it offers.

    Parameters
    ----------
    data
        The folder of its objects and its index; made when it is missing.
    ae_title, host, port
        Where it listens; port 0 takes any free one.
    callers
        The AE titles that may open an association; empty admits everybody.
    destinations
        Where C-MOVE may send: AE title to (host, port). Any other AE title is answered with 0xA801.
    services, roots
        What it offers, out of ``SERVICES`` and ``ROOTS``.
    relational
        Whether a query below its top level may leave out the unique keys of the levels above.
    check_called
        Whether the called AE title has to be ours.
    grace
        Seconds that associations in the middle of something get to finish when the node stops.
    """

    data: Path
    ae_title: str = "QA_NODE"
    host: str = "127.0.0.1"
    port: int = 11112
    callers: tuple[str, ...] = ()
    destinations: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    services: tuple[str, ...] = SERVICES
    roots: tuple[str, ...] = ROOTS
    relational: bool = True
    check_called: bool = True
    grace: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", Path(self.data))
        for name, allowed in (("services", SERVICES), ("roots", ROOTS)):
            object.__setattr__(self, name, _some_of(name, getattr(self, name), allowed))
        object.__setattr__(self, "callers", tuple(self.callers))
        object.__setattr__(self, "destinations", dict(self.destinations))
        for title in (self.ae_title, *self.callers, *self.destinations):
            _check_title(title)
        _check_port("the node's port", self.port, lowest=0)
        for title, (_, port) in self.destinations.items():
            _check_port(f"the port of destination {title}", port, lowest=1)

    def arguments(self) -> list[str]:
        """These options as arguments of ``python -m qa_fetch.node``."""
        line = ["--data", str(self.data), "--ae-title", self.ae_title, "--host", self.host, "--port", str(self.port)]
        line += ["--grace", str(self.grace)]
        line += [part for title in self.callers for part in ("--caller", title)]
        for title, (host, port) in self.destinations.items():
            line += ["--destination", f"{title}={host}:{port}"]
        line += [part for name in self.services for part in ("--service", name)]
        line += [part for name in self.roots for part in ("--root", name)]
        return line + ["--hierarchical"] * (not self.relational) + ["--any-called"] * (not self.check_called)


def parse_destination(text: str) -> tuple[str, tuple[str, int]]:
    """An entry of ``destinations`` written as ``AET=host:port``."""
    title, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not title or not host or not port.isdecimal():
        raise ConfigError(f"{text!r} is not a destination. Write it as AET=host:port.")
    return title, (host.strip("[]"), int(port))


def _some_of(name: str, given: Iterable[str], allowed: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(given)
    unknown = [value for value in chosen if value not in allowed]
    if unknown or not chosen:
        what = repr(unknown[0]) if unknown else "nothing"
        raise ConfigError(f"the node's {name} name {what}; expected some of {', '.join(allowed)}.")
    return chosen


def _check_title(title: str) -> None:
    if not 1 <= len(title.strip()) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ConfigError(f"{title!r} is not an AE title; expected 1 to 16 ASCII characters.")


def _check_port(what: str, port: int, lowest: int) -> None:
    if not lowest <= port <= 65535:
        raise ConfigError(f"{what} is {port}; expected a number from {lowest} to 65535.")
