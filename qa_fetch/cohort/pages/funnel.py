"""How many patients each step keeps and which codes exclude the others, as the flow diagram that trials publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Optional

from ..codes import CODES, EXECLUDE, Code
from .style import count, words
from .subject import OPEN

_OPEN_AT = 2  # the stage before which those are left who are not built yet


class Stage(NamedTuple):
    """Some of PDCP's steps: what they are called, whoever is left behind in them, and what the others have."""

    title: str
    steps: tuple[str, ...]
    kept: str


_STAGES = (
    Stage("First check", ("I",), "with one study that fits"),
    Stage("What belongs together", ("II",), "with one set of objects that belongs together"),
    Stage("Fetching and building", ("XI", "XII", "XIII", "XIV", "XV", "XVI"), "fetched and built"),
    Stage("Reading back", ("XXI", "XXII", "XXIII", "XXIV"), "usable"),
)


class Counted(NamedTuple):
    """A stage with its numbers: who came in, who is left behind, who is not that far yet, who is kept."""

    stage: Stage
    entering: int
    lost: tuple[tuple[Code, int], ...]
    waiting: int
    kept: int


def counted(outcomes: Iterable[tuple[Optional[Code], str]]) -> list[Counted]:
    """The numbers of each stage.

    Parameters
    ----------
    outcomes
        Of each patient the first code that excludes it, in the order of the steps, and its state.
    """
    numbers: Counter[str] = Counter()
    total = waiting = 0
    for code, state in outcomes:
        total += 1
        if code is not None:
            numbers[code.name] += 1
        elif state == OPEN:
            waiting += 1
    found = []
    for place, stage in enumerate(_STAGES):
        lost = tuple(_lost(stage, numbers))
        behind = waiting if place == _OPEN_AT else 0
        kept = total - sum(number for _, number in lost) - behind
        found.append(Counted(stage, total, lost, behind, kept))
        total = kept
    return found


def _lost(stage: Stage, numbers: Mapping[str, int]) -> Iterator[tuple[Code, int]]:
    for code in CODES.values():
        if code.step in stage.steps and code.outcome == EXECLUDE and numbers.get(code.name):
            yield code, numbers[code.name]


def funnel(stages: list[Counted]) -> Iterator[str]:
    """The diagram."""
    yield '<ol class="flow">\n'
    yield f'<li><div class="kept"><b>{stages[0].entering:,}</b> in the list of patients</div>\n'
    for number, each in enumerate(stages, 1):
        yield f'<div class="between">{_left_behind(each)}</div></li>\n'
        last = " last" if number == len(stages) else ""
        yield f'<li><div class="kept{last}"><b>{each.kept:,}</b> {each.stage.kept}</div>\n'
    yield "</li></ol>\n"


def _left_behind(each: Counted) -> str:
    if not each.lost and not each.waiting:
        return ""
    number = sum(number for _, number in each.lost)
    items = [
        f"<li><b>{number:,}</b><span>{words(code.sentence)} <code>{words(code.name)}</code></span></li>"
        for code, number in each.lost
    ]
    if each.waiting:
        items.insert(0, f"<li><b>{each.waiting:,}</b><span>Not built yet. Run: qa-fetch cohort build.</span></li>")
    parts = [f"{count(number, 'patient')} left out"] if number else []
    parts += [f"{each.waiting:,} not built yet"] if each.waiting else []
    return f'<div class="lost"><h3>{each.stage.title}: {", ".join(parts)}</h3><ul>{"".join(items)}</ul></div>'
