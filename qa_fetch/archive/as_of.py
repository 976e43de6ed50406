"""A plan as the archive had it at a moment: fetched anew, then kept for that moment alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Callable, Optional

from ..errors import ConfigError, NotFound
from .fetching import Fetcher
from .images import Plan, short
from .question import fields_of
from .when import clock

_STILL_NOW = timedelta(days=1)  # a check that was begun this long ago is still about today's plan
_ROUNDED_UP = timedelta(minutes=2)  # work begins at whole minutes


def plan_as_of(
    fetcher: Fetcher,
    moment: datetime,
    find: Callable[[], Plan],
    *,
    patient: str,
    label: Optional[str],
    pick: Optional[str],
    approved: Optional[bool],
) -> Plan:
    """The plan that was found when this moment was the present, or is found now where it still is.

    Parameters
    ----------
    fetcher
        With a part of the shelf that belongs to this moment, so that neither an older nor a newer copy is taken.
    moment
        When the check began.
    find
        Asks the archive.
    patient, label, pick, approved
        What is asked for: the answer is for this question only.
    """
    question = {"plan": [patient, label, pick, approved], "as of": moment.isoformat()}
    answer = fetcher.shelf.recall(question)
    if answer is not None:
        return fetcher.recalled(answer["plan"])
    now = datetime.now()
    if moment < now - _STILL_NOW:
        called = f"the plan {short(label)}" if label is not None else "the plan"
        raise NotFound(
            f"{fetcher.archive} cannot show {called} as it was on {clock(moment)}: archives do not keep that, and "
            "it is not on the shelf. Leave that record as it is."
        )
    if moment > now + _ROUNDED_UP:
        raise ConfigError(
            f"{clock(moment)} is still to come, so nobody can know the plan of then. "
            "Give the present (in QATrack+: Work Started)."
        )
    plan = find()
    fetcher.shelf.remember(question, {"plan": [*fields_of(plan.reference), *plan.facts]})
    return plan
