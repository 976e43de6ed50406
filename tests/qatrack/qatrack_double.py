"""The part of QATrack+'s UTILS that ``qa_fetch`` looks at, for tests that need no page."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

STARTED = datetime(2025, 11, 3, 18, 0, tzinfo=timezone.utc)


@dataclass
class Utils:
    """UTILS of one POST of a page; ``written`` gathers over several POSTs what became an attachment."""

    number: int = 1
    user: str = "physicist"
    started: datetime = STARTED
    records: dict[str, str] = field(default_factory=dict)
    written: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unit = SimpleNamespace(number=self.number, name=f"TB{self.number}")
        self.test_list = SimpleNamespace(slug="winston-lutz")
        self.meta = {"work_started": self.started, "unit_number": self.number, "cycle_day": 1}
        self.context: dict[str, Any] = {"__user_attached__": []}

    def write_file(self, name: str, content: bytes) -> None:
        self.written.append((name, content))
        self.context["__user_attached__"].append({"attachment_id": len(self.written), "name": Path(name).name})

    def previous_test_instance(self, slug: str) -> Optional[SimpleNamespace]:
        text = self.records.get(slug)
        return None if text is None else SimpleNamespace(string_value=text)

    def another_post(self) -> Utils:
        """The same page, computed again."""
        return Utils(self.number, self.user, self.started, self.records, self.written)

    @property
    def attached(self) -> list[int]:
        """The attachments that this POST gives to the page."""
        return [told["attachment_id"] for told in self.context["__user_attached__"]]
