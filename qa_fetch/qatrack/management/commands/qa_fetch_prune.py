"""``python manage.py qa_fetch_prune``: make room on the shelf, and remove old rows of the fetch log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Optional

from django.core.management.base import BaseCommand, CommandError

from .... import shelf
from ....amounts import amount
from ....config import Config
from ....errors import QAFetchError
from ... import fetch_log


class Command(BaseCommand):  # type: ignore[misc]  # Django ships no type hints
    """What a nightly job calls."""

    help = "Remove old rows of the fetch log, and from the shelf what has not been used for long."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How much stays."""
        parser.add_argument(
            "--older-than", type=float, metavar="DAYS", help="take off the shelf what is unused so long"
        )
        parser.add_argument("--max-gb", type=float, metavar="N", help="then the longest unused, until the shelf fits")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")

    def handle(
        self,
        *args: Any,
        older_than: Optional[float] = None,
        max_gb: Optional[float] = None,
        dry_run: bool = False,
        **options: Any,
    ) -> None:
        """Prune both, and say how much went."""
        verb = "would be removed" if dry_run else "removed"
        try:
            rows = fetch_log.prune(dry_run=dry_run)
            self.stdout.write(f"fetch log: {rows} rows older than {fetch_log.days_kept():g} days {verb}")
            if older_than is None and max_gb is None:
                self.stdout.write("shelf: left as it is. Give --older-than DAYS or --max-gb N.")
                return
            root: Path = Config.load().shelf("path").value
            most = None if max_gb is None else int(max_gb * 1e9)
            report = shelf.prune(root, older_than_days=older_than, max_bytes=most, dry_run=dry_run)
        except QAFetchError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"shelf: {len(report.removed)} sets and objects {verb}, {amount(report.freed)}")
