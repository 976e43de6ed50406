"""TLS for DICOM connections: certificates are always checked (PS3.15 Annex B)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Optional

from ..config import ArchiveConfig
from ..errors import ConfigError


def client_context(archive: ArchiveConfig) -> Optional[ssl.SSLContext]:
    """How to encrypt the connection to an archive; None where it is not encrypted."""
    if not archive["tls"]:
        return None
    authority: Optional[Path] = archive["ca_file"]
    certificate: Optional[Path] = archive["certificate_file"]
    key: Optional[Path] = archive["key_file"]
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key, password="")  # which asks nobody at a terminal
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"{archive.name}: a certificate cannot be read ({error.strerror or type(error).__name__}). "
            "Check that ca_file, certificate_file and key_file name PEM files that this user may read, "
            "and that the key belongs to the certificate and has no passphrase."
        ) from None
    return context
