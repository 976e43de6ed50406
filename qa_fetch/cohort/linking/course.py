"""Several plans on one series of images: phases of one course, or things that only a person can tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Optional

from ..columns import day, given, literal
from ..config import Settings
from .graph import Chain, Graph, Node

_INSTEAD = ("PREDECESSOR", "ALTERNATIVE", "VERIFIED_PLAN")
_BESIDE = ("PRIOR", "CONCURRENT")  # such plans are treated too


def without_dose(chain: Chain) -> list[Node]:
    """The plans of a chain that have no dose in it."""
    with_dose = {edge.target for edge in chain.links if edge.source in {dose.uid for dose in chain.doses}}
    return [plan for plan in chain.plans if plan.uid not in with_dose]


def doubt(chain: Chain, settings: Settings) -> Optional[str]:
    """Why a person has to look at a chain; None where it is one course."""
    plans, doses = chain.plans, chain.doses
    if not settings.profile.plan:
        return f"{len(doses)} doses lie on one series and no plan tells them apart" if len(doses) > 1 else None
    for plan in plans:
        count = len(_doses_of(chain, plan))
        if count > 1:
            return f"the {plan} has {count} doses of type PLAN and nothing says which is meant"
    if len(plans) < 2:
        return None
    return _boost_doubt(chain, settings)


def _boost_doubt(chain: Chain, settings: Settings) -> Optional[str]:
    """Why several plans are not taken as phases of one course."""
    plans = chain.plans
    if settings.boosts == "quarantine":
        return f"{len(plans)} plans lie on one series"
    if any(plan.approval != "APPROVED" for plan in plans):
        return f"{len(plans)} plans lie on one series and not all of them are approved"
    instead = next(filter(None, (_instead(plan, plans) for plan in plans)), None)
    if instead is not None:
        return instead
    labels = {given(plan.first["RTPlanLabel"]).casefold() for plan in plans}
    if "" in labels or len(labels) < len(plans):
        return f"{len(plans)} plans lie on one series and their labels do not tell them apart"
    frames = {node.frame for node in (chain.images, *chain.doses) if node.frame}
    if len(frames) > 1:
        return f"the doses of {len(plans)} plans do not lie in one frame of reference"
    days = [_date(plan) for plan in plans]
    known = [found for found in days if found is not None]
    if len(known) < len(days):
        return f"{len(plans)} plans lie on one series and not all of them have a date"
    apart = (max(known) - min(known)).days
    if apart > settings.course_days:
        return f"{len(plans)} plans lie on one series and are {apart} days apart, so they may be several courses"
    if any(fractions(plan) is None for plan in plans):
        return f"{len(plans)} plans lie on one series and not all of them say how many fractions they have"
    if sum(_is_phase(plan, plans, settings) for plan in plans) < len(plans) - 1:
        return f"{len(plans)} plans lie on one series and nothing says that one does not replace the other"
    return None


def _is_phase(plan: Node, plans: Sequence[Node], settings: Settings) -> bool:
    """Whether a plan says that it is treated beside another one: by its words, or by naming that one."""
    told = " ".join(given(plan.first[key]) for key in ("RTPlanLabel", "RTPlanName", "RTPlanDescription")).casefold()
    if any(word in told for word in settings.boost_words):
        return True
    others = {other.uid for other in plans}
    return any(other in others and relation in _BESIDE for other, relation in _relations(plan))


def _instead(plan: Node, plans: Sequence[Node]) -> Optional[str]:
    """Whether a plan says of another one that only one of the two was meant to be treated."""
    try:
        relations = _relations(plan)
    except ValueError:
        return f"what the {plan} says of other plans cannot be read"
    others = {other.uid: other for other in plans}
    for uid, relation in relations:
        if uid in others and relation in _INSTEAD:
            return f"the {plan} calls the {others[uid]} its {relation}, so they are no phases of one course"
    return None


def _relations(plan: Node) -> list[tuple[str, str]]:
    """The plans that a plan names, and what it calls each; ValueError where that cannot be read."""
    items = [item for item in literal(plan.first["ReferencedRTPlanSequence"]) if isinstance(item, dict)]
    return [
        (given(str(item.get("ReferencedSOPInstanceUID", ""))), str(item.get("RTPlanRelationship", "")).strip())
        for item in items
    ]


def course_note(chain: Chain) -> str:
    """What a course of several plans is made of."""
    parts = " and ".join(f"{plan} with {fractions(plan)} fractions" for plan in chain.plans)
    return f"Study verification: {len(chain.plans)} approved plans make one course: {parts}"


def apart(chain: Chain) -> Iterator[Chain]:
    """A chain for each dose, for a person to choose from, and all of them where they may be phases of one course."""
    if len(chain.doses) < 2:
        yield chain
        return
    for dose in chain.doses:
        plans = tuple(plan for plan in chain.plans if dose in _doses_of(chain, plan))
        one = replace(chain, plans=plans, doses=(dose,))
        yield replace(one, links=tuple(edge for edge in chain.links if {edge.source, edge.target} <= one.uids))
    if _may_be_added(chain):
        yield chain


def _may_be_added(chain: Chain) -> bool:
    """Whether several plans, each with one dose in one frame of reference, could be one course."""
    frames = {node.frame for node in (chain.images, *chain.doses) if node.frame}
    each = all(len(_doses_of(chain, plan)) == 1 for plan in chain.plans)
    return (
        len(chain.plans) > 1
        and each
        and len(frames) < 2
        and not any(_instead(plan, chain.plans) for plan in chain.plans)
    )


def fractions(plan: Node) -> Optional[int]:
    """How many fractions a plan has; None where it does not say, or says several things."""
    try:
        groups = [item for item in literal(plan.first["FractionGroupSequence"]) if isinstance(item, dict)]
        counts = {int(str(group["NumberOfFractionsPlanned"])) for group in groups}
    except (ValueError, KeyError):
        return None
    found = counts.pop() if len(counts) == 1 else 0
    return found if found > 0 else None


def unfit(graph: Graph, settings: Settings) -> dict[str, str]:
    """The objects that their approval keeps out, and why."""
    rule, found = settings.approval, dict[str, str]()
    if rule == "ignore":
        return found
    for node in graph.of("RTSTRUCT", "RTPLAN", "RTDOSE"):
        status = node.approval
        if status == "REJECTED" or (status == "UNAPPROVED" and node.modality != "RTSTRUCT"):
            found[node.uid] = f"its approval status is {status}"
        elif node.modality == "RTPLAN" and status != "APPROVED" and rule == "require":
            found[node.uid] = "its approval status is not APPROVED"
        elif node.modality == "RTPLAN" and not status and _beside_an_approved(graph, node):
            found[node.uid] = "it has no approval status, while another plan on these structures is approved"
    for edge in graph.edges:
        if edge.by_uid and edge.target in found and graph.nodes[edge.source].modality == "RTDOSE":
            plan = graph.nodes[edge.target]
            found.setdefault(edge.source, f"the {plan} that it belongs to does not count, since {found[plan.uid]}")
    return found


def outside(slices: int, settings: Settings) -> Optional[str]:
    """Why a series with so many slices is left out; None where it is not."""
    if slices > settings.slices_drop_above:
        return f"it has {slices} slices, more than the {settings.slices_drop_above} of slices_drop_above"
    if slices < settings.slices_drop_below:
        return f"it has {slices} slices, fewer than the {settings.slices_drop_below} of slices_drop_below"
    return None


def slices_of(images: Node) -> int:
    """How many slices a series has; one that is listed twice counts once."""
    return len({given(row["SOPInstanceUID"]) for row in images.rows})


def _doses_of(chain: Chain, plan: Node) -> list[Node]:
    of_plan = {edge.source for edge in chain.links if edge.target == plan.uid}
    return [dose for dose in chain.doses if dose.uid in of_plan]


def _beside_an_approved(graph: Graph, plan: Node) -> bool:
    sets = {edge.target for edge in graph.leading(plan.uid, "RTSTRUCT")}
    others = (other for other in graph.of("RTPLAN") if other.approval == "APPROVED")
    return any(sets & {edge.target for edge in graph.leading(other.uid, "RTSTRUCT")} for other in others)


def _date(plan: Node) -> Optional[date]:
    found = day(plan.first["RTPlanDate"])
    if found is None:
        return None
    try:
        return date(found // 10000, found // 100 % 100, found % 100)
    except ValueError:
        return None
