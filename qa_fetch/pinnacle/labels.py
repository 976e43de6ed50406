"""What the RTPLAN of a trial is called: the names of plan and trial, and numbers where those do not tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from . import objects
from .records import Patient, PlanEntry


class Called(NamedTuple):
    """What an RTPLAN is called, and when it was written; all as in its attributes."""

    label: str  # RTPlanLabel
    name: str  # RTPlanName: the plan's and the trial's, not yet cut
    date: str
    time: str
    cut: bool = False  # whether the label holds less than both names


def called(patient: Patient, entry: PlanEntry, trials: Sequence[Optional[str]], number: int) -> Called:
    """What the RTPLAN of a trial is called.

    Parameters
    ----------
    patient, entry
        The plan; the labels of its namesakes are told apart.
    trials
        The names of all trials of the plan.
    number
        Which of them.
    """
    names = [objects.plain(name) for name in (entry.name, trials[number])]
    names = [name for name in names if name]
    label = " ".join(names)
    cut = len(label) > objects.SHORT
    twins = sum(each.name == entry.name for each in patient.plans) > 1 or list(trials).count(trials[number]) > 1
    if not label or cut or twins:
        numbers = f"{entry.number}.{number}"
        label = f"{label[: objects.SHORT - len(numbers) - 1].rstrip()} {numbers}".strip()
    date, time = objects.moment(entry.written)
    return Called(label, " / ".join(names), date or "", time or "", cut)
