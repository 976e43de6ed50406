"""Commands run in this process: what they printed, and how they ended."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from qa_fetch.cli import main


class Ran:
    """What a command did: its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...]) -> None:
        try:
            self.code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            self.code = int(end.code or 0)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        """What it printed for machines."""
        assert self.err == ""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """A printed table, cell by cell."""
        return [re.split(" {2,}", line.strip()) for line in self.out.splitlines() if line.strip(" ─")]


def failed(ran: Ran, code: int, sentence: str) -> None:
    """One line on standard error, nothing else anywhere."""
    assert (ran.err, ran.out, ran.code) == (f"qa-fetch: {sentence}\n", "", code)
