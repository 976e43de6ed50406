"""The page of one patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional
from urllib.parse import quote

from ..codes import EXECLUDE, REVIEW
from ..columns import given
from ..notes import codes_in, stem
from .chain import MODALITIES, choices, dated, diagram, left_out
from .doses import constraints, metrics, prescriptions, regions, with_tps
from .outliers import Outlier, positive
from .plot import ordered, plot
from .style import FOOT, amount, as_text, count, facts, head, mark, picture, sentence, words
from .subject import CHOOSE, EXCLUDED, FAILED, LOOKS, OPEN, USABLE, Subject

_PLANES = ("axial", "coronal", "sagittal")
_SECTIONS = (
    ("verification_notes", "Choosing"), ("retrieval_notes", "Fetching and building"), ("loading_notes", "Reading back"),
)  # fmt: skip
_MOST_LINES = 2_000
_MOST_REASONS = 6
_LONGEST_LINE = 1_000
_PREFIXES = ("Initial Verification: ", "Study verification: ", "CT verification: ")
_SAYS_NOTHING = (
    "No phantom was found",
    "Study verification",
    "Checking ",
    "No RTPLANS ",
    "NO RTSTRUCTS ",
    "No RTDOSES ",
)
_VERDICTS = {
    USABLE: "Usable.",
    CHOOSE: "Waits for a choice.",
    FAILED: "Failed.",
    OPEN: "Not built yet.",
    EXCLUDED: "Excluded.",
}


class Neighbours(NamedTuple):
    """The patients before and after one, in the order of the cohort page."""

    before: Optional[str]
    after: Optional[str]


_ALONE = Neighbours(None, None)


def name_of(patient: str) -> str:
    """The file of a patient's page."""
    return f"{stem(patient)}.html"


def address(patient: str) -> str:
    """That as a link has it."""
    return words(quote(name_of(patient)))


def page(subject: Subject, outliers: Sequence[Outlier] = (), neighbours: Neighbours = _ALONE) -> Iterator[str]:
    """The page, piece by piece.

    Parameters
    ----------
    subject
        The patient, with links.
    outliers
        What is unusual about it.
    neighbours
        Where its links lead to.
    """
    yield head(f"Patient {subject.patient}")
    yield _navigation(neighbours)
    yield f"<h1>Patient <bdi>{words(subject.patient)}</bdi></h1>\n{_who(subject)}"
    yield from _verdict(subject)
    yield from _said("Could not be read", subject.troubles)
    yield from _said("Unusual in this cohort", [outlier.sentence for outlier in outliers])
    yield facts(_facts(subject))
    yield from choices(subject)
    yield from _pictures(subject)
    dosimetry = subject.dosimetry
    if dosimetry is not None and subject.built is not None:
        yield "<h2>Dose and volume</h2>\n"
        yield from plot(ordered(dosimetry.rois), subject.built, dosimetry.prescription_gy, dosimetry.highest_gy)
    elif subject.built is not None and subject.built.doses:
        yield "<h2>Dose and volume</h2>\n<p>There are no dose-volume histograms yet. Run: "
        yield "<kbd>qa-fetch cohort dvh CONFIG</kbd></p>\n"
    for part in (regions, constraints, with_tps, metrics, prescriptions):
        yield from part(subject)
    drawn = "".join(diagram(subject))
    if drawn:
        yield f"<h2>What belongs together, and why</h2>\n{drawn}"
    yield from left_out(subject)
    yield from _notes(subject)
    yield FOOT


def _navigation(neighbours: Neighbours) -> str:
    links = ['<a href="../index.html">← All patients</a>']
    for patient, said in ((neighbours.before, "Previous"), (neighbours.after, "Next")):
        if patient is not None:
            links.append(f'<a href="{address(patient)}">{said}: <bdi>{words(patient, 40)}</bdi></a>')
    return f"<nav>{''.join(links)}</nav>\n"


def _who(subject: Subject) -> str:
    nodes = subject.decision.graph.nodes.values() if subject.decision is not None else ()
    rows = [node.first for node in nodes if node.uid in subject.chosen] or [node.first for node in nodes]
    studies = dict.fromkeys(
        " ".join(part for part in (dated(row["StudyDate"]), given(row["StudyDescription"])) if part) for row in rows
    )
    parts = [subject.name.replace("^", " ").strip(), *list(studies)[:4]]
    said = " · ".join(f"<bdi>{words(part)}</bdi>" for part in parts if part)
    return f'<p class="calm">{said}</p>\n' if said else ""


def _verdict(subject: Subject) -> Iterator[str]:
    state, code = subject.state, subject.code
    reviews = subject.reviews if state == USABLE else []
    look = bool(reviews)
    said = "Usable, and somebody should look at it." if look else _VERDICTS[state]
    yield f'<p class="verdict {"open" if look else LOOKS[state]}">{said}</p>\n'
    if code is not None:
        yield f"<p>{words(code.sentence)} <code>{words(code.name)}</code></p>\n"
    for review in reviews:
        yield f"<p>{words(review.sentence)} <code>{words(review.name)}</code></p>\n"
    reasons = _reasons(subject)
    if reasons:
        yield f"<ul>{''.join(f'<li>{words(reason, _LONGEST_LINE)}</li>' for reason in reasons)}</ul>\n"
    if subject.command:
        yield f"<p>Next: <kbd>{words(subject.command)}</kbd></p>\n"
    if not subject.written and not subject.troubles:
        yield '<p class="calm">No step has left notes of this patient yet; this is what the rules say.</p>\n'
    if subject.outdated:
        yield f'<p><span class="mark open">Rules have changed</span> {words(subject.outdated)} Run: '
        yield "<kbd>qa-fetch cohort verify CONFIG</kbd></p>\n"


def _reasons(subject: Subject) -> list[str]:
    """What the notes say right before the code that excludes the patient."""
    code = subject.code
    if code is None:
        return []
    found: list[str] = []
    for line in subject.notes.lines(code.section):
        given_here = codes_in([line])
        if given_here == [code]:
            break
        if given_here:
            found = []
        elif line.startswith(f"{code.step}: "):
            found.append(line)
    told = [_plain(line, code.step) for line in found[:-1]]  # the last one is the code's own words
    shown_below = [*subject.chosen, *(node.uid for node in subject.others)]
    said = [
        line for line in told
        if line and not line.startswith(_SAYS_NOTHING)
        and not (" does not count: " in line and any(uid in line for uid in shown_below))
    ]  # fmt: skip
    return said[-_MOST_REASONS:]


def _plain(line: str, step: str) -> str:
    """A note without the names of its step."""
    said = line[len(step) + 2 :]
    for prefix in _PREFIXES:
        said = said[len(prefix) :] if said.startswith(prefix) else said
    return sentence(said)


def _said(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        items = "".join(f"<li>{words(sentence, _LONGEST_LINE)}</li>" for sentence in sentences)
        yield f"<p>{mark(title, 'open')}</p>\n<ul>{items}</ul>\n"


def _facts(subject: Subject) -> Iterable[tuple[str, str]]:
    built, dosimetry = subject.built, subject.dosimetry
    if built is None:
        found = Counter(node.modality for node in subject.others)
        for modality in sorted(found, key=MODALITIES.index):
            number = found[modality]
            yield modality, count(number, "object") if modality.startswith("RT") else f"{number:,} series"
        return
    rois = sum(len(each.rois) for each in built.structures)
    yield built.modality, count(len(built.images), "slice")
    yield "Structures", count(rois, "ROI")
    if built.plans:
        yield (
            count(len(built.plans), "plan").split(" ", 1)[1].capitalize(),
            ", ".join(plan.label for plan in built.plans),
        )
    if dosimetry is not None:
        fractions = f" in {dosimetry.fractions}" if dosimetry.fractions else ""
        rx = positive(dosimetry.prescription_gy)
        yield "Prescription", f"{rx:g} Gy{fractions}" if rx is not None else "not known"
        yield "Highest dose", amount(dosimetry.highest_gy, 1, "Gy")
        results = Counter(as_text(each.get("result")) for each in dosimetry.constraints)
        said = ((results["fail"], "not met"), (results["unknown"], "unknown"), (results["pass"], "met"))
        if dosimetry.constraints:
            yield "Constraints", ", ".join(f"{number:,} {what}" for number, what in said if number)
    elif built.doses:
        yield "Doses", ", ".join(amount(dose.highest_gy, 1, "Gy") for dose in built.doses)


def _pictures(subject: Subject) -> Iterator[str]:
    if subject.built is None:
        return
    figures = []
    for plane in _PLANES:
        shown = picture(subject.folder.pictures / f"{plane}.png")
        if shown is not None:
            figures.append(f'<figure><img alt="{plane.capitalize()} plane" src="{shown}"></figure>\n')
    yield "<h2>Three planes</h2>\n"
    if figures:
        yield f'<div class="planes{" three" * (len(figures) == len(_PLANES))}">\n{"".join(figures)}</div>\n'
    else:
        yield "<p>There are no pictures yet. Run: <kbd>qa-fetch cohort slices CONFIG</kbd></p>\n"


def _notes(subject: Subject) -> Iterator[str]:
    """Everything that the steps have said, folded away."""
    lines = {title: subject.notes.lines(section) for section, title in _SECTIONS}
    total = sum(map(len, lines.values()))
    if not total:
        return
    yield f"<details class=notes><summary>All notes: {total:,}</summary>\n"
    for title, said in lines.items():
        if said:
            yield f"<h3>{title}</h3>\n<ul>"
            yield from map(_note, said[:_MOST_LINES])
            yield (
                f"</ul>\n<p class=calm>and {len(said) - _MOST_LINES:,} more</p>"
                if len(said) > _MOST_LINES
                else "</ul>\n"
            )
    yield "</details>\n"


def _note(line: str) -> str:
    for code in codes_in([line]):
        look = {EXECLUDE: "bad", REVIEW: "open"}.get(code.outcome, "good")
        return f"<li class=coded>{mark(code.name, look)} {words(code.sentence)}</li>\n"
    return f"<li>{words(line, _LONGEST_LINE)}</li>\n"
