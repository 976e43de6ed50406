"""The three lines: this file's text is what the demo prints, and running it is what the demo does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pylinac import WinstonLutz

from ..archive import Archive


def run() -> Iterator[Any]:
    """The images as soon as they are there, then their analysis."""
    # the three lines
    images = Archive().latest("QA_DEMO", plan="WL_6X", kind="portal", approved=True)
    yield images
    analysis = WinstonLutz(str(images.folder))
    analysis.analyze(bb_size_mm=5)
    yield analysis


def text() -> str:
    """The lines of ``run`` without what is there for the stop-watch only."""
    _, _, body = inspect.getsource(run).partition("# the three lines\n")
    return "\n".join(line.strip() for line in body.splitlines() if "yield" not in line)


def without_approved() -> Any:
    """What a caller gets who does not say which of the two plans is meant."""
    return Archive().latest("QA_DEMO", plan="WL_6X", kind="portal")
