"""Calls of ``Archive`` in processes of their own, as a web server's workers make them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_WORKER = """
import json, sys
from qa_fetch import Archive, QAFetchError
address, fields, patient, question = json.loads(sys.argv[1])
try:
    images = Archive(address, **fields).latest(patient, **question)
    print(json.dumps({"uids": images.uids, "folder": str(images.folder), "from_shelf": images.from_shelf}))
except QAFetchError as error:
    print(json.dumps({"error": type(error).__name__, "says": str(error)}))
"""


def start(address: str, fields: dict[str, Any], patient: str, question: dict[str, Any]) -> subprocess.Popen[str]:
    """One call of ``latest`` in a process of its own."""
    arguments = json.dumps([address, fields, patient, question])
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, arguments], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def results(running: Sequence[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What each printed; every one must have ended."""
    found = []
    for process in running:
        output, _ = process.communicate(timeout=60)
        found.append(json.loads(output))
    return found
