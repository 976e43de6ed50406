"""Functions of the node that need a Django, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import qa_fetch
from qa_fetch.node import NodeOptions
from qa_fetch.node.options import to_tables

_ROOT = Path(qa_fetch.__file__).resolve().parents[1]
_SCRIPT = """
import json, sys
from pathlib import Path
from qa_fetch import QAFetchError
from qa_fetch.node import upkeep, database
from qa_fetch.node.options import from_tables
def main():
    options = from_tables(json.loads(sys.argv[1]), "the node's options")
    try:
        result = {expression}
    except QAFetchError as error:
        result = {{"error": type(error).__name__, "says": str(error)}}
    print(json.dumps(result, default=vars))
if __name__ == "__main__":
    main()
"""


def begin(options: NodeOptions, expression: str) -> subprocess.Popen[str]:
    """Start working out an expression about ``options``."""
    script = options.data.parent / "node_script_of_a_test.py"
    script.write_text(_SCRIPT.format(expression=expression))
    return subprocess.Popen(
        [sys.executable, str(script), json.dumps(to_tables(options))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )


def done(options: NodeOptions, expression: str) -> Any:
    """Its value, by way of JSON."""
    process = begin(options, expression)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])
