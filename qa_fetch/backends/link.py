"""One association with a DICOM archive, whichever transport carries it, and what to say when it fails."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Protocol

from ..budget import Budget
from ..config import ArchiveConfig
from ..errors import BadArchive, ConnectionFailed, Refused, dimse_refusal
from ..shelf import Route
from . import Local
from .commitment import Committed, Outcome, Reports
from .fallback import check_installed
from .relaying import OnSent, Relayed
from .wire import Source

PENDING = (0xFF00, 0xFF01)

# Seconds that an archive may be silent in a transfer: it speaks once an object, and one can be a gigabyte.
TRANSFER = 60.0

Stop = Callable[[], bool]

_REJECTIONS = {
    (1, 3): "does not know the calling AE title {ours}. Enter {ours} with this host's address as a known client there",
    (1, 7): "says that it is not called {theirs}. Correct ae_title of this archive",
    (1, 2): "does not support this application context. It is not a DICOM archive of this century",
    (3, 1): "is too busy for another association. Try again later",
    (3, 2): "has reached its limit of associations. Try again later",
}


@dataclass(frozen=True)
class Purpose:
    """What an association is for: services asked of the peer, classes of objects that it may send, and our objects."""

    services: tuple[str, ...]
    receiving: tuple[str, ...] = ()
    sending: tuple[tuple[str, tuple[str, ...]], ...] = ()  # SOP classes, each with transfer syntaxes


@dataclass(frozen=True)
class Outgoing:
    """An object to be sent: what it is, and its encoded data set where it lies."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset: Source


class Link(Protocol):
    """An open association with an archive; for one thread at a time."""

    purpose: Purpose
    handshake: float  # seconds that the archive took to agree: no round trip is longer; 0 where it was not measured
    reused: bool  # it was opened for an earlier call, and the peer may have closed it meanwhile

    def accepts(self, sop_class: str) -> bool:
        """Whether the archive offers this service or object class."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the association can still be used."""
        ...

    def find(
        self, identifier: Any, model: str, budget: Budget, give_up: Optional[Callable[[Any], bool]] = None
    ) -> Optional[list[Any]]:
        """All answers to a C-FIND, or None if one of them made ``give_up`` true; raises rather than return some."""
        ...

    def move(self, identifier: Any, model: str, destination: str, budget: Budget, stop: Stop) -> tuple[int, int]:
        """A C-MOVE to its end: its status and how many objects the archive says it has sent."""
        ...

    def relay(self, identifier: Any, model: str, destination: str, budget: Budget, on_sent: OnSent) -> Relayed:
        """A C-MOVE to somebody else: all that the archive says of it, its progress too."""
        ...

    def get(self, identifier: Any, model: str, budget: Budget, stop: Stop, route: Route) -> tuple[int, int]:
        """A C-GET to its end, its objects handed to ``route``: its status and how many objects were sent."""
        ...

    def store(self, outgoing: Outgoing, budget: Budget) -> Optional[int]:
        """Send one object: the status that the archive gave; None where it accepts no encoding of it that we have."""
        ...

    def commit(self, transaction: str, objects: Sequence[Committed], reports: Reports, budget: Budget) -> Outcome:
        """Ask the archive to vouch for objects, and wait for its word, which may come over another association."""
        ...

    def echo(self, budget: Budget) -> int:
        """A C-ECHO; the status that the archive gave."""
        ...

    def release(self) -> None:
        """End the association in good order."""
        ...

    def abort(self) -> None:
        """End the association at once."""
        ...


@dataclass(frozen=True)
class Sentences:
    """What to say when an archive's association fails."""

    archive: ArchiveConfig
    local: Local

    def lost(self) -> ConnectionFailed:
        """For an association that ended in the middle of something."""
        return ConnectionFailed(
            f"{self.archive.name} dropped the connection or stopped answering. Try again; if it happens again, "
            f"check that it knows {self.local.ae_title} as a client, and run: qa-fetch echo {self.archive.name}."
        )

    def late(self, so_far: str) -> ConnectionFailed:
        """For a budget that ran out."""
        return ConnectionFailed(
            f"{self.archive.name} took longer than the time budget allows: {so_far}. "
            "Call again, or allow more with budget=."
        )

    def uncommitted(self) -> ConnectionFailed:
        """For an archive that took a request for commitment and then said nothing more."""
        return ConnectionFailed(
            f"{self.archive.name} has the objects, but has not said in time that it commits to them. "
            f"Check that it can reach {self.local.ae_title} at this host's port {self.local.port}, "
            "and allow more with budget=."
        )

    def unreadable(self) -> BadArchive:
        """For an answer that is no data set."""
        return BadArchive(
            f"{self.archive.name} sent an answer to a query that cannot be decoded, so none is used. "
            "Report it to the archive's administrator."
        )

    def refusal(self, service: str, status: int) -> Refused:
        """For a status with which the archive refused."""
        return dimse_refusal(
            service, status, archive=self.archive.name, ae_title=self.local.ae_title, port=self.local.port
        )

    def rejected(self, source: int, reason: int) -> Refused:
        """For an association that the archive does not want."""
        says = _REJECTIONS.get(
            (source, reason), "rejected the association without a usable reason. Its log says why"
        ).format(ours=self.local.ae_title, theirs=self.archive["ae_title"])
        return Refused(f"{self.archive.name} {says}.", retriable=source == 3)

    def broken_off(self) -> Refused:
        """For an association that the archive aborted while it was negotiated."""
        plain = "speaks DICOM without TLS" if not self.archive["tls"] else "expects TLS and this certificate"
        return Refused(
            f"{self.archive.name} at {self._place} broke off the association while it was negotiated. "
            f"Its log says why; check that it knows {self.local.ae_title} and {plain} on this port."
        )

    def no_archive(self) -> ConnectionFailed:
        """For a port that answers, but not as a DICOM archive."""
        return ConnectionFailed(
            f"{self.archive.name}: {self._place} accepts connections but does not answer as a DICOM archive. "
            "Check host and port."
        )

    def not_encrypted(self, error: Exception) -> ConnectionFailed:
        """For a TLS handshake that failed."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return ConnectionFailed(
                f"{self.archive.name}: the certificate of {self._place} is not trusted ({error.verify_message}). "
                "Set ca_file to the certificate of whoever signed it, and host to the name in it.",
                retriable=False,
            )
        return ConnectionFailed(
            f"{self.archive.name}: {self._place} does not agree on an encrypted connection "
            f"({type(error).__name__}). Check that it speaks TLS on this port, and whether it wants a certificate "
            "of ours (certificate_file, key_file)."
        )

    def named(self, error: ConnectionFailed) -> ConnectionFailed:
        """The error of a connection that could not be opened, with the archive's name."""
        return ConnectionFailed(f"{self.archive.name}: {error.message}", retriable=error.retriable)

    @property
    def _place(self) -> str:
        return f"{self.archive['host']}:{self.archive['port']}"


def connect(archive: ArchiveConfig, local: Local, purpose: Purpose, budget: Budget) -> Link:
    """Open an association with the transport that is configured."""
    if local.transport == "pynetdicom":
        check_installed()
        from .pynetdicom_link import connect as connect_with_pynetdicom

        return connect_with_pynetdicom(archive, local, purpose, budget)
    from .wire_link import connect as connect_on_the_wire

    return connect_on_the_wire(archive, local, purpose, budget)


def resolve(host: str, port: int) -> str:
    """The first address of a host; a clear line when its name is unknown."""
    try:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror:
        raise _unknown(host) from None


def _unknown(host: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"the host name {host} cannot be resolved. Correct host, or ask for a DNS entry.", retriable=False
    )


def reach(host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection; a clear line when nothing listens there or a firewall is in the way."""
    try:
        return socket.create_connection((host, port), timeout=max(0.1, timeout))
    except socket.gaierror:
        raise _unknown(host) from None
    except (TimeoutError, socket.timeout):
        raise ConnectionFailed(
            f"{host} does not answer on port {port}. Check the address, and that the firewall between lets it through."
        ) from None
    except ConnectionRefusedError:
        raise ConnectionFailed(
            f"nothing listens on {host} port {port}. Start the archive's DICOM service, or correct port."
        ) from None
    except OSError as error:
        raise ConnectionFailed(
            f"{host} cannot be reached ({error.strerror or type(error).__name__}). Check the address and the network."
        ) from None
