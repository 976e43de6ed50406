"""The command ``qa-fetch``: each command wraps one public function of the same name."""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Sequence
from typing import Optional

from .. import __version__
from ..errors import ConfigError, QAFetchError
from . import (
    anonymise,
    archives,
    batch,
    cohort,
    companions,
    fetching,
    local,
    moving,
    node,
    pinnacle,
    pseudonyms,
    qatrack,
    testpack,
)
from .output import complain

_EXAMPLES = """\
examples:
  qa-fetch demo                                             see it work, with images made on the spot
  qa-fetch config                                           every setting, and where it comes from
  qa-fetch echo aria                                        why a connection fails, step by step
  qa-fetch fetch aria --patient QA_TB1 --plan WL_6X --to wl/    the newest portal images of a plan

An archive is a name from qa_fetch.toml, or an address: dimse://AET@host:port, folder:PATH.
exit codes: 0 all done, 1 something failed (and is named), 2 wrong use
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line; tests hold its help against the README."""
    top = argparse.ArgumentParser(
        prog="qa-fetch",
        description="Fetch RT images, plans and archived patients for machine QA.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"qa-fetch {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    local.add_demo(commands)
    local.add_config(commands)
    archives.add_echo(commands)
    archives.add_find(commands)
    fetching.add_fetch(commands)
    fetching.add_send(commands)
    moving.add_move(commands)
    local.add_receive(commands)
    local.add_shelf(commands)
    node.add_node(commands)
    batch.add_batch(commands)
    companions.add_dumps(commands)
    companions.add_dicomdir(commands)
    companions.add_nifti(commands)
    companions.add_report_text(commands)
    anonymise.add_anonymise(commands)
    pseudonyms.add_pseudonyms(commands)
    pseudonyms.add_karnak_tag(commands)
    pinnacle.add_pinnacle(commands)
    cohort.add_cohort(commands)
    testpack.add_testpack(commands)
    qatrack.add_qatrack(commands)
    return top


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; the exit code says whether all is done, something failed, or it was used wrongly."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal has no letters for must not end the command
            stream.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # pydicom warns with the value at fault, which may be a patient's, and nobody asked for it here.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
            code: int = given.run(given)
            return code
    except ConfigError as error:
        complain(error)
        return 2
    except QAFetchError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        return 1
    except OSError as error:
        complain(
            QAFetchError(f"{error.filename or 'a file'}: {error.strerror or error}. Check the path and its rights.")
        )
        return 1
