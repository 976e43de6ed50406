"""``python -m qa_fetch.node``: run a node and say on stdout, in one line of JSON, where it listens."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..errors import QAFetchError
from .options import ROOTS, SERVICES, NodeOptions, parse_destination

if TYPE_CHECKING:
    from .server import Node


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a node until it is told to end; 2 when it cannot start."""
    given = _parser().parse_args(arguments)
    if given.verbose:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("qa_fetch").setLevel(logging.INFO)
    until = threading.Event()
    if given.until_eof:
        threading.Thread(target=_wait_for_eof, args=(until,), daemon=True).start()
    try:
        from .server import serve

        serve(_options(given), _say_ready, until)
    except QAFetchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qa_fetch.node", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of its objects and its index")
    parser.add_argument("--ae-title", default="QA_NODE", help="its AE title")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=11112, help="the port to listen on; 0 takes any free one")
    parser.add_argument("--caller", action="append", default=[], metavar="AET", help="who may call; default: everybody")
    parser.add_argument(
        "--destination", action="append", default=[], metavar="AET=HOST:PORT", help="where C-MOVE may send to"
    )
    parser.add_argument("--service", action="append", choices=SERVICES, help="what it offers; default: everything")
    parser.add_argument("--root", action="append", choices=ROOTS, help="its query roots; default: both")
    parser.add_argument("--hierarchical", action="store_true", help="answer no relational queries")
    parser.add_argument("--any-called", action="store_true", help="answer to any called AE title")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds that running associations get at the end")
    parser.add_argument("--until-eof", action="store_true", help="end when stdin does, as when the parent dies")
    parser.add_argument("--verbose", action="store_true", help="log one line per operation on stderr")
    return parser


def _options(given: argparse.Namespace) -> NodeOptions:
    return NodeOptions(
        data=given.data,
        ae_title=given.ae_title,
        host=given.host,
        port=given.port,
        callers=tuple(given.caller),
        destinations=dict(parse_destination(text) for text in given.destination),
        services=tuple(given.service or SERVICES),
        roots=tuple(given.root or ROOTS),
        relational=not given.hierarchical,
        check_called=not given.any_called,
        grace=given.grace,
    )


def _say_ready(node: Node) -> None:
    where = {"ae_title": node.options.ae_title, "host": node.options.host, "port": node.port}
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()


def _wait_for_eof(until: threading.Event) -> None:
    # Not through sys.stdin: a thread that waits inside its buffer makes the interpreter abort at the end.
    while os.read(0, 4096):
        continue
    until.set()


if __name__ == "__main__":
    sys.exit(main())
