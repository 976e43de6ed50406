"""How commands speak: tables and JSON on standard output, errors and progress on standard error."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Callable, Optional

from ..amounts import amount as amount
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
    """The result for machines; in ASCII where the output cannot take more, as in many a Windows pipe."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    told = json.dumps(_finite(value), indent=2, default=str, ensure_ascii=not utf8)
    # What json leaves as it is and a terminal obeys: DEL and the C1 codes, which a peer's values may hold.
    print(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found.group()):04x}", told))


def _finite(value: Any) -> Any:
    """JSON has no word for "not a number", which archives do send."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def on_one_line(value: object) -> str:
    """A value's text without what moves the cursor or clears the screen: archives hold what they were sent."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(value))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """The result for people: a table; where the terminal is too narrow for one, each row's values one a line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(on_one_line(value)) for value in row))
    console = Console(width=None if sys.stdout.isatty() else _NO_LIMIT, highlight=False)
    unlimited = console.options.update(width=_NO_LIMIT)
    if len(columns) > 3 and console.measure(table, options=unlimited).maximum > console.width:
        for row in rows:
            say_facts({name: value for name, value in zip(columns, row) if value not in ("", None)})
            print()
    else:
        console.print(table)


_NO_LIMIT = 10_000  # columns of a file or pipe: nothing is folded there


def say_facts(facts: Mapping[str, object]) -> None:
    """A few named values, one a line, each whole."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print(f"{name:<{width}}  {on_one_line(value)}")


def moment(when: Optional[datetime]) -> str:
    """A time as this machine's clock shows it; nothing for none."""
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M}"


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
