"""How commands speak: tables and JSON on standard output, errors and progress on standard error."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

from ..errors import QAFetchError


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], *, summary: str, example: str
) -> argparse.ArgumentParser:
    """A command with its one-line summary and an example."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run)
    return made


def for_machines(made: argparse.ArgumentParser) -> None:
    """The option that every command with a result has."""
    made.add_argument("--json", action="store_true", help="print JSON for machines instead of a table")


def complain(error: QAFetchError) -> None:
    """One line on standard error."""
    print(f"qa-fetch: {error}", file=sys.stderr)


def say_json(value: Any) -> None:
    """The result for machines."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """The result for people; wide enough for every value when it goes into a file or a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 200, highlight=False).print(table)


def say_facts(facts: Mapping[str, object]) -> None:
    """A few named values, one a line, each whole."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


@contextlib.contextmanager
def progress(doing: str) -> Iterator[Optional[Callable[[int, int], None]]]:
    """A bar on standard error while objects arrive; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda arrived, total: bar.update(task, completed=arrived, total=total)
