"""``python -m qa_fetch.node``: the other end of ``NodeProcess``.

Its options come as one line of JSON on stdin, where it listens goes as one line of JSON to stdout, and it ends when
stdin does: whoever started it has ended then. Before that line comes ``{"describing": true}`` where it has to describe
files first, which may take long. People use ``qa-fetch node serve``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING

from ..errors import QAFetchError
from .options import from_tables
from .process import DESCRIBING

if TYPE_CHECKING:
    from .server import Node


def main() -> int:
    """Run a node until it is told to end; 2 when it cannot start."""
    # Not through sys.stdin: a thread that waits inside its buffer makes the interpreter abort at the end.
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1 << 16)
        if not more:
            return 2
        line += more
    until = threading.Event()
    threading.Thread(target=_wait_for_eof, args=(until,), daemon=True).start()
    try:
        from .server import serve

        serve(from_tables(json.loads(line), "the node's options"), _say_ready, until, _say_describing)
    except QAFetchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _say_ready(node: Node) -> None:
    _say(json.dumps({"port": node.port, "web_port": node.web_port}))


def _say_describing() -> None:
    _say(DESCRIBING.decode())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait_for_eof(until: threading.Event) -> None:
    while os.read(0, 4096):
        continue
    until.set()


if __name__ == "__main__":
    sys.exit(main())
