"""Which plan is meant: by label, decided on our own side, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Callable, Optional, Union

from ..errors import Ambiguous, ConfigError, NotFound
from .images import Plan, short

LONGEST_LABEL = 16  # RTPlanLabel is a short string; what is longer can only be a UID
_ROOM = 220  # characters for candidates in a message, which has to fit into QATrack+'s tooltip
_UID = re.compile(r"[0-9]+(\.[0-9]+)+\Z")

PLAN_KEYWORDS = (
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "RTPlanLabel",
    "RTPlanName",
    "RTPlanDate",
    "RTPlanTime",
    "ApprovalStatus",
    "StudyID",
)


def is_uid(text: str) -> bool:
    """Whether a plan is named by its SOP Instance UID and not by its label."""
    return len(text) > LONGEST_LABEL and bool(_UID.match(text))


def check_pick(pick: Optional[str]) -> None:
    """``pick`` has one value so far; a slip must not silently mean "none"."""
    if pick not in (None, "newest"):
        raise ConfigError(f'pick={pick!r} is not a rule. Use pick="newest", or leave it out.')


def choose(
    plans: Sequence[Plan],
    label: Optional[str],
    *,
    archive: str,
    pick: Optional[str],
    approved: Optional[bool],
    complete: Callable[[Plan], Plan],
    by_name: bool = False,
) -> Plan:
    """The one plan that is meant.

    Parameters
    ----------
    plans
        All plans of the patient.
    label
        The RTPlanLabel or SOP Instance UID wanted; None where the patient is expected to have one plan.
    archive
        The archive's name, for messages.
    pick
        ``"newest"`` takes the latest RTPlanDate and RTPlanTime among several.
    approved
        True takes only plans whose ApprovalStatus is APPROVED.
    complete
        Reads a plan's own header, for what the archive's answer did not say.
    by_name
        Where no plan has the label, it may be the name of a plan of Pinnacle, and means each trial of it.
    """
    check_pick(pick)
    named = [plan for plan in plans if label is None or label in (plan.label, plan.uid)]
    if not named and by_name:
        named = [plan for plan in plans if label in (plan.name, plan.name.partition(" / ")[0])]
    if not named:
        raise _no_such_plan(plans, label, archive)
    if len(named) > 1 or approved:
        named = [complete(plan) for plan in named]
    fitting = [plan for plan in named if not approved or plan.approval == "APPROVED"]
    if not fitting:
        raise NotFound(
            f"{archive} has no approved plan {_called(label)}; there is {_listed(named)}. "
            "Approve one, or leave out approved=True."
        )
    if len(fitting) > 1 and pick == "newest":
        newest = max((str(plan.date or ""), plan.time) for plan in fitting)
        fitting = [plan for plan in fitting if (str(plan.date or ""), plan.time) == newest]
    if len(fitting) > 1:
        raise Ambiguous(
            f"{archive} has {len(fitting)} plans {_called(label)}: {_listed(fitting)}. "
            f"{_how_to_choose(fitting if by_name else (), pick, approved)}.",
            candidates=fitting,
        )
    return fitting[0]


def _called(label: Optional[str]) -> str:
    return f"called {short(label)}" if label is not None else "of this patient"


def _listed(plans: Sequence[Plan]) -> str:
    count = 2
    while count < len(plans) and sum(len(str(plan)) + 2 for plan in plans[: count + 1]) <= _ROOM:
        count += 1
    shown = "; ".join(str(plan) for plan in plans[:count])
    return shown + (f"; and {len(plans) - count} more" if len(plans) > count else "")


def _how_to_choose(plans: Sequence[Plan], pick: Optional[str], approved: Optional[bool]) -> str:
    """The ways; of ``plans``, where any are given, only those that can lead to one (trials are of one moment)."""
    ways = []
    if not approved and (not plans or any(plan.approval != "UNAPPROVED" for plan in plans)):
        ways.append("approved=True")
    moments = sorted((str(plan.date or ""), plan.time) for plan in plans)
    if pick is None and (not plans or moments[-1] != moments[-2]):
        ways.append('pick="newest"')
    return "Choose with " + (", ".join([*ways, "or plan=<its UID>"]) if ways else "plan=<its UID>")


def _no_such_plan(plans: Sequence[Plan], label: Optional[str], archive: str) -> NotFound:
    labels = sorted({short(plan.label) for plan in plans if plan.label})
    if not plans:
        return NotFound(
            f"{archive} shows no plan for this patient. Check the patient ID, and what this AE title may see."
        )
    shown = ", ".join(labels[:8]) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")
    return NotFound(f"{archive} has no plan {_called(label)} for this patient; it has {shown}. Check the label.")


PlanName = Union[str, Plan, None]
