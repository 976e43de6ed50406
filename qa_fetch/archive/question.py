"""One question about images: who, which plan, what kind, when; and its answer, new or remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Optional

from ..budget import Budget
from ..errors import ConnectionFailed, Incomplete, NotFound, QAFetchError
from ..kinds import Kind
from ..shelf import Reference
from .candidates import Candidates
from .fetching import Fetcher
from .images import Images, Plan, short
from .plans import PlanName
from .sessions import Session, Wanted
from .when import When, clock, in_words, span

_STILL_GROWING = timedelta(hours=1)
_POLL = 2.0  # seconds between two looks at a session that is still growing


@dataclass(frozen=True)
class Question:
    """What ``latest`` and ``images`` were asked, checked."""

    archive: str
    patient: str
    plan: PlanName
    kind: Kind
    when: tuple[Optional[When], Optional[When], Optional[When]]
    grouping: str
    pick: Optional[str]
    approved: Optional[bool]
    at_least: int
    one_plan_per_series: bool
    settle_minutes: float

    def newest(self, fetcher: Fetcher, budget: Budget) -> Images:
        """The newest session that fits, whole."""
        remembered = self.recall(fetcher, budget)
        if remembered is not None:
            return remembered
        asked = datetime.now()
        plan = self._plan(fetcher, budget)
        session = self._found(fetcher, plan, budget)
        if len(session.images) < self.at_least:
            growing = session.ended > datetime.now() - _STILL_GROWING
            raise Incomplete(
                f"the newest session in {self.archive} ({self._says(plan)}, {clock(session.begun)}) "
                f"has {len(session.images)} of at least {self.at_least} images. "
                + (
                    "Call again when the rest has arrived, or use wait=True."
                    if growing
                    else "Send the rest to the archive, ask for another day, or lower at_least."
                ),
                retriable=growing,
                missing=[],
            )
        images = self._bring(fetcher, plan, session, budget)
        self._remember(fetcher, session, plan, asked)
        return images

    def all(self, fetcher: Fetcher, seconds: float) -> Iterator[Images]:
        """Every session that fits, newest first."""
        budget = Budget(seconds)
        plan = self._plan(fetcher, budget)
        sessions = self._candidates(fetcher, plan, budget).all(*span(*self.when))
        for session in sessions:
            yield self._bring(fetcher, plan, session, budget)
            budget.renew()

    def _found(self, fetcher: Fetcher, plan: Optional[Plan], budget: Budget) -> Session:
        low, high = span(*self.when)
        candidates = self._candidates(fetcher, plan, budget)
        session = candidates.newest(low, high)
        if session is not None:
            return session
        raise NotFound(f"{self.archive} has no {self._says(plan)}{self._in_span()}{self._instead(candidates)}")

    def _instead(self, candidates: Candidates) -> str:
        """What there is, for a physicist who asked for the wrong day."""
        if span(*self.when) == (None, None):
            return ". Check the plan and the kind, and whether the images have been sent to this archive."
        latest = candidates.newest(None, None)
        if latest is None:
            return ", nor at any other time. Check the plan and the kind."
        _, high = span(*self.when)
        if self.when[1] is not None and high is not None and latest.begun >= high:
            return f"; one began later, {clock(latest.begun)}. Ask with a later before (in QATrack+: Work Started)."
        return f"; the latest is of {clock(latest.begun)}. Ask for that date, or for no date."

    def _in_span(self) -> str:
        on, before, after = self.when
        low, high = span(on, before, after)
        if on is not None and low is not None:
            return f" on {in_words(low)}"
        words = [f"since {clock(low)}"] if low is not None else []
        words += [f"before {clock(high)}"] if high is not None else []
        return "".join(" " + word for word in words)

    def _says(self, plan: Optional[Plan]) -> str:
        return self.kind.says + (f" for plan {short(plan.label) or plan.uid}" if plan is not None else "")

    def _plan(self, fetcher: Fetcher, budget: Budget) -> Optional[Plan]:
        if self.plan is None or isinstance(self.plan, Plan):
            return self.plan
        return fetcher.plan(self.patient, self.plan.strip(), budget, pick=self.pick, approved=self.approved)

    def _candidates(self, fetcher: Fetcher, plan: Optional[Plan], budget: Budget) -> Candidates:
        return Candidates(
            fetcher.backend,
            self._wanted(plan),
            lambda images: fetcher.look(images, budget),
            budget,
            grouping=self.grouping,
            one_plan_per_series=self.one_plan_per_series,
        )

    def _wanted(self, plan: Optional[Plan]) -> Wanted:
        return Wanted(self.kind, plan.uid if plan is not None else None, self.patient)

    def _bring(self, fetcher: Fetcher, plan: Optional[Plan], session: Session, budget: Budget) -> Images:
        references = [found.reference for found in session.images]
        return fetcher.bring(references, budget, says=self._says(plan), plan=plan, wanted=self._wanted(plan))

    # --- answers that can no longer change

    def _key(self) -> dict[str, Any]:
        low, high = span(*self.when)
        plan = self.plan.uid if isinstance(self.plan, Plan) else self.plan
        facts = [self.patient, plan, self.kind.name, low, high, self.grouping, self.pick, self.approved, self.at_least]
        return {"latest": [*facts, self.one_plan_per_series]}

    def recall(self, fetcher: Fetcher, budget: Budget) -> Optional[Images]:
        """The answer given before, if no later image could change it: then the archive is not asked at all."""
        answer = fetcher.shelf.recall(self._key())
        if answer is None or (answer["plan"] is not None and len(answer["plan"]) < 11):
            return None
        plan = self.plan if isinstance(self.plan, Plan) else None
        if answer["plan"] is not None and plan is None:
            plan = fetcher.recalled(answer["plan"])
        references = [Reference(*fields) for fields in answer["images"]]
        return fetcher.bring(references, budget, says=self._says(plan), plan=plan, wanted=self._wanted(plan))

    def _remember(self, fetcher: Fetcher, session: Session, plan: Optional[Plan], asked: datetime) -> None:
        """Keep the answer once the span has been over for long enough that no image of it is still on its way."""
        _, high = span(*self.when)
        if high is None or asked < max(high, session.ended) + timedelta(minutes=self.settle_minutes):
            return
        answer = {
            "plan": [*fields_of(plan.reference), *plan.facts] if plan is not None else None,
            "images": [fields_of(found.reference) for found in session.images],
        }
        fetcher.shelf.remember(self._key(), answer)


def fields_of(reference: Reference) -> list[str]:
    """A reference as it is written down."""
    return [reference.study, reference.series, reference.instance, reference.sop_class, reference.patient]


def ask_until_complete(question: Question, fetcher: Fetcher, budget: Budget) -> Images:
    """Ask until the session has all its images and stays the same between two looks, or the budget ends."""
    settled = question.recall(fetcher, budget)
    if settled is not None:
        return settled
    before: Optional[tuple[str, ...]] = None
    while True:
        problem: Optional[QAFetchError] = None
        try:
            images = question.newest(fetcher, budget)
            if images.uids == before:
                return images
            before = images.uids
        except (NotFound, Incomplete) as error:
            problem = error
        except ConnectionFailed as error:
            if not budget.spent:
                raise
            problem = error
        if budget.left() < _POLL:
            raise problem or Incomplete(
                f"the session was still growing in {question.archive} when {budget} had passed. "
                "Call again, or leave out wait=True to take what is there.",
                missing=[],
            )
        time.sleep(_POLL)
