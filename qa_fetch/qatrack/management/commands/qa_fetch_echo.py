"""``python manage.py qa_fetch_echo``: test the connection to archives step by step."""

from __future__ import annotations

import argparse
from typing import Any, Optional

from django.core.management.base import BaseCommand, CommandError

from ....config import Config
from ....errors import QAFetchError
from ...trying import Trial, try_archive

_MARKS = {True: "ok", False: "FAILED", None: "not tried"}


class Command(BaseCommand):  # type: ignore[misc]  # Django ships no type hints
    """Test archives from this server, with what the admin pages and the file say."""

    help = "Test the connection to archives step by step, and say what to do where it fails."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The archives, or the unit."""
        parser.add_argument("archives", metavar="ARCHIVE", nargs="*", help="names; without one, every archive there is")
        parser.add_argument("--unit", type=int, metavar="N", help="the archive of this unit, and its QA patient")

    def handle(self, *args: Any, archives: list[str], unit: Optional[int] = None, **options: Any) -> None:
        """Print each step; exit code 1 when one failed."""
        try:
            asked = _asked(archives, unit)
        except QAFetchError as error:
            raise CommandError(str(error)) from error
        trials = []
        for name, patient in asked:
            trials.append(try_archive(name, patient))
            self._say(trials[-1])
        failed = [trial.archive for trial in trials if not trial.works]
        if failed:
            raise CommandError(f"{len(failed)} of {len(trials)} archives failed: {', '.join(failed)}.")

    def _say(self, trial: Trial) -> None:
        self.stdout.write(trial.archive)
        for step in trial.steps:
            self.stdout.write(f"  {_MARKS[step.works]:<9}  {step.name}: {step.says}")
        if trial.problem:
            self.stdout.write(f"  {_MARKS[False]:<9}  {trial.problem}")


def _asked(names: list[str], unit: Optional[int]) -> list[tuple[str, str]]:
    """The archives to test, each with the patient to look for."""
    config = Config.load()
    found = [(name, "") for name in names]
    if unit is not None:
        own = config.unit(unit)
        found.append(
            (
                config.archive(own.archive).name if ":" not in (own.archive or "") else str(own.archive),
                own.patient or "",
            )
        )
    return found or [(name, "") for name in config.archive_names()] or [(config.archive().name, "")]
