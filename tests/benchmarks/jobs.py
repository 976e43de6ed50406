"""The side of a worker: read jobs from standard input, answer on standard output; the standard library alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Callable


def serve(jobs: Mapping[str, Callable[..., Any]]) -> None:
    """Do one job per line until the input ends; what a job prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"done": jobs[name](**arguments)}
        except Exception as error:  # noqa: BLE001 - the harness raises it again, with the name of the worker
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
