"""The core works without pynetdicom; who configures its transport is told what to install."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peers.process import free_port

from qa_fetch import Archive, ConfigError
from qa_fetch.backends import fallback
from qa_fetch.receive import receive

ABSENT = (
    'transport = "pynetdicom" needs pynetdicom, which is not installed. '
    'Run: pip install "qa_fetch[pynetdicom]", or leave transport out.'
)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Archive(f"dimse://ANY@127.0.0.1:{free_port()}", transport="pynetdicom").plans("QA_TB1"),
        lambda: receive(port=free_port()),
    ],
)
def test_the_fallback_without_pynetdicom_says_what_to_install(
    call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask and to listen."""
    monkeypatch.setenv("QA_FETCH_TRANSPORT", "pynetdicom")
    monkeypatch.setattr(fallback, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as raised:
        call()
    assert str(raised.value) == ABSENT
