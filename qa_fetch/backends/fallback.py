"""The fallback transport is pynetdicom's, which a host need not have."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import ConfigError


def check_installed() -> None:
    """ConfigError where pynetdicom is configured and not there.

    It is no part of the core: its newest version would bring pydicom 3, beside which pylinac and QATrack+ do not work.
    """
    if find_spec("pynetdicom") is None:
        raise ConfigError(
            'transport = "pynetdicom" needs pynetdicom, which is not installed. '
            'Run: pip install "qa_fetch[pynetdicom]", or leave transport out.'
        )
