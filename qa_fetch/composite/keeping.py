"""What composite tests keep between two runs of a page, on the shelf, for all processes of the host."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ..budget import Budget
from ..config import Config
from ..errors import Incomplete
from ..locks import FileLock
from ..shelf import Shelf
from ..shelf.disk import make_folder, sentences


class Kept:
    """Answers of analyses and notes of attachments; ``qa-fetch shelf prune`` takes away what is not used.

    What waits for other pages spends the same ``patience``, which begins when this is made.
    """

    def __init__(self) -> None:
        config = Config.load()
        self._shelf = Shelf(config.shelf("path").value, "composite", "composite")
        self.patience = Budget(config.top("budget").value)

    def recall(self, question: Mapping[str, Any]) -> Optional[dict[str, Any]]:
        """What was remembered, or None."""
        return self._shelf.recall(question)

    def remember(self, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep an answer."""
        self._shelf.remember(question, answer)

    @contextlib.contextmanager
    def turn(self, question: Mapping[str, Any]) -> Iterator[None]:
        """Only one at a time works on a question; whoever waited finds its answer remembered."""
        digest = hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).digest()
        folder = self._shelf.folder / "locks"
        with sentences(folder, "writing"):
            make_folder(folder)
        with FileLock(folder / f"{digest[0]:02x}.lock") as lock:
            if not lock.acquire(self.patience):
                raise Incomplete(
                    f"the same analysis is being made by another page and did not end within {self.patience}. "
                    "Change any field of the page to ask again.",
                    retriable=True,
                )
            yield
