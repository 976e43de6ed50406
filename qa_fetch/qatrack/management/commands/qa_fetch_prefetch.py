"""``python manage.py qa_fetch_prefetch``: fill the shelf before the morning's sessions."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ....errors import QAFetchError
from ...lists import Prefetched, prefetch


class Command(BaseCommand):  # type: ignore[misc]  # Django ships no type hints
    """The same as ``qa-fetch qatrack prefetch``, with what the admin pages say."""

    help = "Fetch what the lists of [qatrack.lists] need, so that it is on the shelf when the page is opened."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The lists."""
        parser.add_argument("lists", metavar="LIST", nargs="*", help="names of [qatrack.lists]; without one, all")

    def handle(self, *args: Any, lists: list[str], **options: Any) -> None:
        """Print a line for each list; exit code 1 when one failed."""
        try:
            done = prefetch(lists, on_list=self._say)
        except QAFetchError as error:
            raise CommandError(str(error)) from error
        failed = [one.name for one in done if one.problem]
        if failed:
            raise CommandError(f"{len(failed)} of {len(done)} lists failed: {', '.join(failed)}.")

    def _say(self, one: Prefetched) -> None:
        if one.problem:
            self.stdout.write(f"{one.name}: {one.problem}")
            return
        origin = {True: "were on the shelf", False: "fetched", None: "brought"}[one.from_shelf]
        self.stdout.write(f"{one.name}: {one.objects} objects {origin}, {one.seconds:.1f} s")
