"""What belongs together, drawn with the evidence of each link; and what does not count, and why."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..columns import MISSING, day, given, roi_names
from ..linking import Chain, Decision, Edge, Node
from .style import count, mark, sentence, sheet, words
from .subject import CHOOSE, Subject

_MOST = 200  # objects that do not count
_MOST_CARDS = 12  # in a column
_MOST_CHOICES = 40
_ROLES = (
    ("Images", ("CT", "MR", "PT")),
    ("Structures", ("RTSTRUCT",)),
    ("Plan", ("RTPLAN",)),
    ("Dose", ("RTDOSE",)),
)
MODALITIES = tuple(modality for _, modalities in _ROLES for modality in modalities)  # in the order of the diagram
_WORDS = {"RTSTRUCT": "Structure set", "RTPLAN": "Plan", "RTDOSE": "Dose"}
_EVIDENCE = {"uid": ("by UID", "good"), "geometry": ("by place", "open"), "frame": ("by frame of reference", "open")}
_LONGEST_SENTENCE = 1_000
_NOT_ENOUGH = "Alone that is not enough."
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Card(NamedTuple):
    """An object as the diagram has it."""

    modality: str
    title: str
    details: str
    uid: str


def diagram(subject: Subject) -> Iterator[str]:
    """What is chosen, images first, each object with what it names; nothing where nothing is."""
    cards = _cards(subject)
    columns = [(role, [card for card in cards if card.modality in modalities]) for role, modalities in _ROLES]
    columns = [(role, found) for role, found in columns if found]
    if not columns:
        return
    links = subject.links
    yield f'<div class="chain" style="--columns: {len(columns)}">\n'
    for role, found in columns:
        yield f'<div><p class="role">{role if len(found) == 1 or role.endswith("s") else role + "s"}</p>\n'
        for card in found[:_MOST_CARDS]:
            yield _card(card, [edge for edge in links if edge.source == card.uid])
        if len(found) > _MOST_CARDS:
            yield f'<p class="calm">and {len(found) - _MOST_CARDS:,} more</p>'
        yield "</div>\n"
    yield "</div>\n"


def left_out(subject: Subject) -> Iterator[str]:
    """The objects that do not count, each with the reason."""
    decision = subject.decision
    if decision is None or not subject.others or subject.state == CHOOSE:
        return
    others = [(node, _why_not(decision, node)) for node in subject.others]
    others.sort(key=lambda each: (each[1].endswith(_NOT_ENOUGH), MODALITIES.index(each[0].modality)))
    yield f"<h2>What does not count, and why: {len(others):,}</h2>\n"
    rows = (
        f'<tr><td class="object"><b>{_title(node)}</b><small>{words(_details(node))}</small>'
        f"<code>{words(node.uid)}</code></td>"
        f'<td class="says">{words(why, _LONGEST_SENTENCE)}</td></tr>\n'
        for node, why in others[:_MOST]
    )
    yield from sheet([("object", False), ("why not", False)], rows)
    if len(others) > _MOST:
        yield f'<p class="calm">The first {_MOST:,} of {len(others):,}.</p>\n'


def _why_not(decision: Decision, node: Node) -> str:
    said = sentence(decision.why(node.uid))
    return said if "does not count" in said else f"{said} {_NOT_ENOUGH}"


def choices(subject: Subject) -> Iterator[str]:
    """What a person may choose from, where a person has to."""
    if subject.state != CHOOSE:
        return
    candidates = subject.decision.candidates if subject.decision is not None else ()
    yield "<h2>Choose one of these</h2>\n"
    if not candidates:
        yield "<p>Nothing is left to choose from: in each study something does not count.</p>\n"
    for place, chain in enumerate(candidates[:_MOST_CHOICES]):
        yield f'<div class="choice"><strong>Choice {place}</strong><ul>{"".join(_lines(chain))}</ul>'
        yield f"<kbd>{words(choosing(subject.patient, place))}</kbd></div>\n"


def choosing(patient: str, place: int) -> str:
    """The command that takes one of several into the cohort."""
    return f"qa-fetch cohort quarantine choose {shlex.quote(patient)} {place} CONFIG"


def _lines(chain: Chain) -> Iterator[str]:
    for node in (chain.images, *chain.structures, *chain.plans, *chain.doses):
        yield f"<li>{_title(node)} <span class=calm>{words(_details(node))}</span><code>{words(node.uid)}</code></li>"


def _card(card: _Card, links: Sequence[Edge]) -> str:
    evidence = [
        f"<p>{mark(*_look(each.kind, edge))} {words(sentence(each.sentence))}</p>"
        for edge in links
        for each in edge.evidence
    ]
    details = f"<small>{words(card.details)}</small>" if card.details else ""
    said = "".join(dict.fromkeys(evidence))
    return f'<div class="card"><strong>{card.title}</strong>{details}{said}<code>{words(card.uid)}</code></div>\n'


def _look(kind: str, edge: Edge) -> tuple[str, str]:
    """How evidence is marked: what only confirms a UID needs nobody's attention."""
    said, look = _EVIDENCE[kind]
    return said, "off" if kind != "uid" and any(each.kind == "uid" for each in edge.evidence) else look


def _cards(subject: Subject) -> list[_Card]:
    """The cards of what is chosen, from the summary, or from what was built where there is no summary any more."""
    nodes = subject.decision.graph.nodes if subject.decision is not None else {}
    found = [
        _Card(node.modality, _title(node), _details(node), uid) for uid, node in nodes.items() if uid in subject.chosen
    ]
    built = subject.built
    if built is None or len(found) == len(subject.chosen):
        return found
    known = {card.uid for card in found}
    others = [_Card(built.modality, f"{words(built.modality)} series", count(len(built.images), "slice"), built.series)]
    others += [_Card("RTSTRUCT", _WORDS["RTSTRUCT"], count(len(one.rois), "ROI"), one.uid) for one in built.structures]
    others += [_Card("RTPLAN", f"Plan <bdi>{words(one.label)}</bdi>", one.approval, one.uid) for one in built.plans]
    others += [_Card("RTDOSE", _WORDS["RTDOSE"], f"up to {one.highest_gy:.1f} Gy", one.uid) for one in built.doses]
    return [*found, *(card for card in others if card.uid not in known)]


def _title(node: Node) -> str:
    """What an object is called, escaped."""
    label = given(node.first["RTPlanLabel"]) if node.modality == "RTPLAN" else given(node.first["SeriesDescription"])
    what = _WORDS.get(node.modality, f"{node.modality} series")
    return f"{words(what)} <bdi>{words(label, 80)}</bdi>" if label else words(what)


def _details(node: Node) -> str:
    """What tells an object from others of its sort; not escaped."""
    row, found = node.first, list[str]()
    if node.modality == "RTSTRUCT":
        try:
            found.append(count(len(roi_names(row["organs"])), "ROI"))
        except ValueError:
            found.append("ROIs that cannot be read")
    elif node.modality == "RTDOSE":
        found.append(f"of {given(row['DoseSummationType']) or 'no summation type'}")
    elif node.modality != "RTPLAN":
        found.append(count(len(node.rows), "slice"))
    found.append(node.approval.lower())
    found.append(given(row["StudyDescription"]))
    dates = {"RTSTRUCT": "StructureSetDate", "RTPLAN": "RTPlanDate"}
    found.append(dated(row.get(dates.get(node.modality, ""), MISSING)) or dated(row["StudyDate"]))
    return ", ".join(part for part in found if part)


def dated(cell: str) -> str:
    """A date as people read it."""
    found = day(cell)
    if found is None:
        return ""
    month = _MONTHS[found // 100 % 100 - 1] if 1 <= found // 100 % 100 <= 12 else "?"
    return f"{found % 100}\xa0{month}\xa0{found // 10000}"
