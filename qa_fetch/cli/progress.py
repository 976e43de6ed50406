"""The bar of a long job: how far it is, how long it still takes, what failed and why it waits."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, Callable, Optional

from .output import amount


@contextlib.contextmanager
def bar(doing: str, *, rate: bool = False) -> Iterator[Optional[Callable[[Any], None]]]:
    """What a job on the bulk engine tells of itself, on standard error; nothing where nobody watches.

    Parameters
    ----------
    doing
        What is said until the first item is under way.
    rate
        Whether the bytes a second are told.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.completed}/{task.fields[of]}"),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=None, of="?")

        def show(now: Any) -> None:
            shown.update(
                task,
                completed=now.done + now.failed,
                total=now.total,
                of=now.total if now.total is not None else "?",
                description=words(now, rate=rate),
            )

        yield show


def words(now: Any, *, rate: bool = False) -> str:
    """One moment of a job (``qa_fetch.bulk.Progress``) in words."""
    parts = [
        f"{amount(now.rate)}/s" if rate else "",
        "" if now.left is None else f"{time(now.left)} left",
        f"{now.failed} failed" if now.failed else "",
        now.says,
    ]
    return ", ".join(filter(None, parts))


def time(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
