"""TLS for DICOM connections: certificates are always checked (PS3.15 Annex B)."""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Protocol

from ..config import ArchiveConfig
from ..errors import ConfigError


def client_context(archive: ArchiveConfig) -> Optional[ssl.SSLContext]:
    """How to encrypt the connection to an archive; None where it is not encrypted."""
    if not archive["tls"]:
        if archive["ca_file"] or archive["certificate_file"] or archive["key_file"]:
            raise ConfigError(f"{archive.name} has certificates but no tls = true. Add it, or leave them out.")
        return None
    return _calling(archive.name, archive["ca_file"], archive["certificate_file"], archive["key_file"])


def calling_context(files: Certified, table: str) -> ssl.SSLContext:
    """How to encrypt what a server sends on, with the certificates that this table of settings names."""
    return _calling(table, files.ca_file, files.certificate_file, files.key_file)


def _calling(whose: str, authority: Optional[Path], certificate: Optional[Path], key: Optional[Path]) -> ssl.SSLContext:
    with _sentence(whose):
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        if sys.version_info >= (3, 13):  # which else refuses certificates without key identifiers, as clinics have them
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        _prepare(context, certificate, key)
    return context


class Certified(Protocol):
    """Settings that name the certificates of a server."""

    @property
    def certificate_file(self) -> Optional[Path]: ...

    @property
    def key_file(self) -> Optional[Path]: ...

    @property
    def ca_file(self) -> Optional[Path]: ...


def server_context(files: Certified, table: str) -> Optional[ssl.SSLContext]:
    """How to encrypt what comes to our own port; None where this table of settings names no certificate."""
    if files.certificate_file is None:
        if files.ca_file is not None or files.key_file is not None:
            raise ConfigError(
                f"{table} has ca_file or key_file but no certificate_file, without which nothing is encrypted. "
                "Add it, or leave them out."
            )
        return None
    with _sentence(table):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _prepare(context, files.certificate_file, files.key_file)
        if files.ca_file is not None:  # then whoever sends to us has to show a certificate too
            context.load_verify_locations(files.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    return context


def _prepare(context: ssl.SSLContext, certificate: Optional[Path], key: Optional[Path]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key, password="")  # which asks nobody at a terminal


@contextlib.contextmanager
def _sentence(whose: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"{whose}: a certificate cannot be read ({error.strerror or type(error).__name__}). "
            "Check that ca_file, certificate_file and key_file name PEM files that this user may read, "
            "and that the key belongs to the certificate and has no passphrase."
        ) from None
