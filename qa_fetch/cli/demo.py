"""How ``qa-fetch demo`` speaks: what was made and found, side by side, and the three lines that found it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from .output import say_json

if TYPE_CHECKING:
    from ..demo import DemoResult


def run(to: Path, *, as_json: bool) -> int:
    """Run the demo and say what it found."""
    from ..demo import demo

    os.environ["MPLBACKEND"] = "Agg"  # this process draws into files only, and has to work where there is no screen
    with _ended_by_sigterm(), _steps() as on_step:
        result = demo(to, on_step=on_step)
    if as_json:
        say_json(asdict(result))
    else:
        _say(result)
    return 0


def _say(result: DemoResult) -> None:
    from rich import box
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)

    def paragraph(title: str, text: Text) -> None:
        console.print(Text(title, style="bold"))
        console.print(text, soft_wrap=True)
        console.print()

    code = Syntax("", "python", theme="ansi_dark", background_color="default")
    code_lines = code.highlight(result.lines)
    code_lines.rstrip()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("", "found", "made"):
        table.add_column(column, overflow="fold")
    for row in _rows(result):
        table.add_row(*map(Text, row))
    console.print(
        f"A DICOM node was given {result.sent} objects: two plans with one label, "
        "two sessions of MV images, and kV images.",
        soft_wrap=True,
    )
    console.print()
    paragraph("These three lines ran:", code_lines)
    console.print(table)
    console.print()
    paragraph("Two plans have this label. Without approved=True the answer is:", Text(result.without_approved))
    paragraph("The lines hold no address, because qa_fetch.toml does:", Text(result.settings.rstrip()))
    paragraph("Left for you:", Text(f"{result.pdf}\n{result.picture}"))


def _rows(result: DemoResult) -> list[tuple[str, str, str]]:
    found, made = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in (result.acquired, result.made_acquired))
    again = "from the shelf" if result.again_from_shelf else "over DICOM once more"
    bb, made_bb = result.position, result.made_position
    return [
        ("MV images", str(result.images), f"{result.made_images}, and {result.kilovoltage} kV in their series"),
        ("acquired", found, made),
        ("plan", result.plan, result.made_plans),
        ("BB to the left", _mm(bb.left), _mm(made_bb.left)),
        ("BB upwards", _mm(bb.up), _mm(made_bb.up)),
        ("BB towards the gantry", _mm(bb.into), _mm(made_bb.into)),
        ("max 2D CAX-BB distance", _mm(result.distance), _mm(result.made_distance)),
        ("first call", f"{result.first_seconds:.2f} s", "over DICOM"),
        ("the same call again", f"{result.again_seconds:.2f} s", again),
    ]


def _mm(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f} mm"  # adding zero turns -0.0 into 0.0


@contextlib.contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error; nothing where nobody watches."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda says: None
        return
    with console.status("") as status:
        yield lambda says: status.update(f"{says} ...")


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let a termination unwind the demo, so that its node is stopped and its folder removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
