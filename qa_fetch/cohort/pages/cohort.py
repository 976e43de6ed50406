"""The page of a whole cohort: how many are usable, where the others were lost, who needs somebody, then everybody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Callable, Optional

from ..codes import Code
from ..config import Settings
from ..roles import TARGETS, role
from .funnel import counted, funnel
from .outliers import FARTHEST, FEWEST, Outlier, positive
from .patient import address
from .style import FOOT, amount, cell, count, facts, head, listed, mark, picture, sheet, words
from .subject import CHOOSE, EXCLUDED, FAILED, LOOKS, OPEN, STATES, USABLE, Subject

_MOST = 5_000  # rows that a browser shows at once without trouble
_MOST_PICTURES = 60  # of each sort
_MOST_WAITING = 500
_MOST_SENTENCES = 5  # of an outlier
_SAID = {
    USABLE: "usable",
    CHOOSE: ("waits for a choice", "wait for a choice"),
    FAILED: ("has failed", "have failed"),
    OPEN: ("is not built yet", "are not built yet"),
    EXCLUDED: ("is excluded", "are excluded"),
}


@dataclass(frozen=True)
class Line:
    """What the page of the cohort says of one patient: little enough to keep all of them."""

    patient: str
    state: str
    code: Optional[Code]
    look: bool  # whether somebody should look at it although it is usable
    slices: Optional[int]
    rois: Optional[int]
    rx: Optional[float]
    highest: Optional[float]
    coverage: Optional[float]  # the lowest D95 of all targets, in % of the prescription
    thumbnail: Path
    choices: int
    command: str
    outdated: bool
    troubles: tuple[str, ...]


def line_of(subject: Subject) -> Line:
    """That of a patient, from everything that is known of it."""
    built, dosimetry, decision = subject.built, subject.dosimetry, subject.decision
    rx = positive(dosimetry.prescription_gy) if dosimetry is not None else None
    rois = dosimetry.rois if dosimetry is not None else ()
    targets = [roi for roi in rois if role(roi.kind, roi.name) in TARGETS]
    shares = [roi.d95 / rx * 100 for roi in targets if rx is not None and positive(roi.d95) and roi.d95 is not None]
    return Line(
        patient=subject.patient,
        state=subject.state,
        code=subject.code,
        look=bool(subject.reviews),
        slices=len(built.images) if built is not None else None,
        rois=sum(len(each.rois) for each in built.structures) if built is not None else None,
        rx=rx,
        highest=positive(dosimetry.highest_gy) if dosimetry is not None else None,
        coverage=min(shares, default=None),
        thumbnail=subject.folder.pictures / "thumbnail.png",
        choices=len(decision.candidates) if decision is not None and subject.state == CHOOSE else 0,
        command=subject.command,
        outdated=subject.outdated is not None,
        troubles=subject.troubles,
    )


def page(
    lines: Sequence[Line],
    outliers: Mapping[str, Sequence[Outlier]],
    settings: Settings,
    *,
    unknown: int,
    made: datetime,
) -> Iterator[str]:
    """The page, piece by piece.

    Parameters
    ----------
    lines
        All patients, in their order.
    outliers
        What is unusual, by patient, the most unusual first.
    settings
        Of the cohort.
    unknown
        How many notes are of patients whose IDs nobody knows.
    made
        When.
    """
    by_patient = {line.patient: line for line in lines}
    unusual = [(by_patient[patient], found) for patient, found in outliers.items() if patient in by_patient]
    yield head("Cohort")
    yield f'<h1>Cohort</h1>\n<p class="calm">{made:%A, %d %B %Y, %H:%M} · {words(_profile(settings))}</p>\n'
    yield from _verdict(lines)
    yield facts(_facts(lines, len(unusual)))
    yield from _cautions(lines, unknown)
    yield "<h2>From the list to the data</h2>\n"
    yield from funnel(counted((line.code, line.state) for line in lines))
    yield from _needing(lines)
    yield from _unusual(unusual)
    yield from _sheet_of_pictures(lines, {line.patient for line, _ in unusual})
    yield from _everybody(lines, outliers)
    yield from _rules(settings)
    yield FOOT


def _profile(settings: Settings) -> str:
    profile = settings.profile
    version = f" · version {settings.version}" if settings.version else ""
    return f"Profile {profile.name}: {', '.join(profile.modalities)}{version}"


def _verdict(lines: Sequence[Line]) -> Iterator[str]:
    numbers = {state: sum(line.state == state for line in lines) for state in STATES}
    usable = numbers[USABLE]
    others = [
        f"{numbers[state]:,} {said[numbers[state] != 1]}" for state, said in _SAID.items()
        if numbers[state] and not isinstance(said, str)
    ]  # fmt: skip
    look = "open" if others else "good"
    are = "is" if len(lines) == 1 else "are"
    every = f"{usable:,} of {count(len(lines), 'patient')}" if others else f"All {count(len(lines), 'patient')}"
    every = every if len(lines) > 1 or others else "The one patient"
    rest = f"; {listed(others)}" if others else ""
    yield f'<p class="verdict {look}">{every} {are} usable{rest}.</p>\n'


def _facts(lines: Sequence[Line], unusual: int) -> Iterator[tuple[str, str]]:
    yield "Patients", f"{len(lines):,}"
    for state in STATES:
        number = sum(line.state == state for line in lines)
        if number or state == USABLE:
            yield state.capitalize(), f"{number:,}"
    look = sum(line.look and line.state == USABLE for line in lines)
    if look:
        yield "Usable, to be looked at", f"{look:,}"
    if unusual:
        yield "Unusual", f"{unusual:,}"


def _cautions(lines: Sequence[Line], unknown: int) -> Iterator[str]:
    said = []
    outdated = sum(line.outdated for line in lines)
    if outdated:
        many = count(outdated, "patient")
        said.append(f"The rules have changed since for {many}. Run: <kbd>qa-fetch cohort verify CONFIG</kbd>")
    if unknown:
        said.append(
            f"{count(unknown, 'file')} in the folder of notes {'is' if unknown == 1 else 'are'} of nobody in the list "
            "of ids. Run: <kbd>qa-fetch cohort ids CONFIG</kbd>"
        )
    troubled = [line for line in lines if line.troubles]
    for line in troubled[:_MOST_WAITING]:
        said.append(f"{_link(line)}: {words(' '.join(line.troubles), 1_000)}")
    if said:
        yield f"<h2>To be mended</h2>\n<ul>{''.join(f'<li>{each}</li>' for each in said)}</ul>\n"


def _needing(lines: Sequence[Line]) -> Iterator[str]:
    """Those for whom somebody has to do something."""
    yield from _group(
        lines,
        CHOOSE,
        "Waiting for a choice",
        "Several sets of objects fit, and only a person can tell which is meant. The page of each patient shows them.",
        lambda line: count(line.choices, "choice") if line.choices else "nothing to choose from",
    )
    yield from _group(
        lines,
        FAILED,
        "Failed",
        "The archive did not answer, or not to the end. The next run takes up only these.",
        None,
    )
    waiting = sum(line.state == OPEN for line in lines)
    if waiting:
        yield f"<h2>Not built yet: {waiting:,}</h2>\n<p>Run: <kbd>qa-fetch cohort build CONFIG</kbd></p>\n"


def _group(
    lines: Sequence[Line], state: str, title: str, says: str, also: Optional[Callable[[Line], str]]
) -> Iterator[str]:
    found = [line for line in lines if line.state == state]
    if not found:
        return
    commands = "".join(
        f"<p><kbd>{words(command)}</kbd></p>" for command in dict.fromkeys(line.command for line in found)
    )
    yield f"<h2>{title}: {len(found):,}</h2>\n<p>{says}</p>\n{commands}\n"
    rows = (
        f"<tr>{cell(_link(line))}{cell(_why(line))}{cell(words(also(line))) if also is not None else ''}</tr>\n"
        for line in found[:_MOST_WAITING]
    )
    yield from sheet([("patient", False), ("why", False), *([("choices", False)] if also else [])], rows)
    if len(found) > _MOST_WAITING:
        yield f'<p class="calm">The first {_MOST_WAITING:,} of {len(found):,}; the table below has the rest.</p>\n'


def _unusual(unusual: Sequence[tuple[Line, Sequence[Outlier]]]) -> Iterator[str]:
    if not unusual:
        return
    yield f"<h2>Unusual: {len(unusual):,}</h2>\n"
    yield (
        f'<p class="calm">Usable patients whose numbers are more than {FARTHEST} robust standard deviations (by median '
        "and median absolute deviation) from those of the others, or differ from the planning system's. The most "
        f"unusual come first. What fewer than {FEWEST} patients have is not judged.</p>\n"
    )
    yield '<div class="outliers">\n'
    for line, found in unusual[:_MOST_PICTURES]:
        items = "".join(f"<li>{words(each.sentence)}</li>" for each in found[:_MOST_SENTENCES])
        more = len(found) - _MOST_SENTENCES
        items += f"<li>and {more:,} more on the page of the patient</li>" if more > 0 else ""
        yield f'<div class="outlier"><div class="thumbs">{_thumbnail(line, caption=False)}</div>'
        yield f"<div><h3>{_link(line)}</h3><ul>{items}</ul></div></div>\n"
    yield "</div>\n"
    if len(unusual) > _MOST_PICTURES:
        yield f'<p class="calm">The first {_MOST_PICTURES:,} of {len(unusual):,}; the table below marks all.</p>\n'


def _sheet_of_pictures(lines: Sequence[Line], shown: set[str]) -> Iterator[str]:
    """A small picture of each patient that has one, of so many as a page can hold."""
    others = (line for line in lines if line.state == USABLE and line.patient not in shown)
    with_picture = (line for line in others if line.thumbnail.is_file())
    some = list(itertools.islice(with_picture, _MOST_PICTURES))
    if not some:
        return
    yield '<h2>Contact sheet</h2>\n<div class="thumbs">\n'
    yield from (f"{_thumbnail(line)}\n" for line in some)
    yield "</div>\n"
    if next(with_picture, None) is not None:
        yield f'<p class="calm">The first {len(some):,}; the table below leads to the others.</p>\n'


def _thumbnail(line: Line, *, caption: bool = True) -> str:
    shown = picture(line.thumbnail)
    image = f'<img alt="" src="{shown}">' if shown else '<span class="blank">no picture</span>'
    below = ""
    if caption:
        dose = f"<br>up to {amount(line.highest, 1, 'Gy')}" if line.highest is not None else ""
        below = f"<figcaption><b><bdi>{words(line.patient, 60)}</bdi></b>{dose}</figcaption>"
    label = "" if caption else f' aria-label="Patient {words(line.patient, 60)}"'
    return f'<a href="patients/{address(line.patient)}"{label}><figure>{image}{below}</figure></a>'


def _everybody(lines: Sequence[Line], outliers: Mapping[str, Sequence[Outlier]]) -> Iterator[str]:
    yield f"<h2>All patients: {len(lines):,}</h2>\n"
    heads = [
        ("patient", False), ("", False), ("slices", True), ("ROIs", True), ("prescription (Gy)", True),
        ("highest dose (Gy)", True), ("lowest D95 of targets (%)", True),
    ]  # fmt: skip
    yield from sheet(heads, (_row(line, bool(outliers.get(line.patient))) for line in lines[:_MOST]))
    if len(lines) > _MOST:
        yield f'<p class="calm">The first {_MOST:,} of {len(lines):,}; the folder patients has a page of each.</p>\n'


def _row(line: Line, unusual: bool) -> str:
    marks = [mark(line.state, LOOKS[line.state])]
    if line.state in (USABLE, OPEN):
        marks += [mark(text, "open") for text, on in (("to be looked at", line.look), ("unusual", unusual)) if on]
    numbers = (
        ("slices", line.slices, 0), ("ROIs", line.rois, 0), ("prescription (Gy)", line.rx, 1),
        ("highest dose (Gy)", line.highest, 1), ("lowest D95 of targets (%)", line.coverage, 1),
    )  # fmt: skip
    why = _why(line)
    if all(value is None for _, value, _ in numbers):  # then there is room for the reason
        rest = f'<td class="says" colspan="{len(numbers)}">{why}</td>'
    else:
        marks += [f"<small>{why}</small>"] if why else []
        rest = "".join(
            cell(amount(value, digits) if value is not None else "", of, True) for of, value, digits in numbers
        )
    return f"<tr>{cell(_link(line))}{cell(' '.join(marks))}{rest}</tr>\n"


def _link(line: Line) -> str:
    return f'<a href="patients/{address(line.patient)}"><b><bdi>{words(line.patient, 80)}</bdi></b></a>'


def _why(line: Line) -> str:
    return f"{words(line.code.sentence)} <code>{words(line.code.name)}</code>" if line.code is not None else ""


def _rules(settings: Settings) -> Iterator[str]:
    """By which rules the cohort was chosen: those that say nothing of where, who and how to sign in."""

    def many(values: Sequence[str]) -> str:
        return ", ".join(values) or "–"

    low, high = settings.suspicious_max_dose_lower_bound, settings.suspicious_max_dose_upper_bound
    rules = [
        ("Profile", settings.profile.name),
        ("Required", many(settings.required_modalities_for_patient)),
        ("Banned in study descriptions", many(settings.study_desc_should_not_contain)),
        ("Structure sets name one of", many(settings.possibilities)),
        ("Slices", f"{settings.slices_drop_below} to {settings.slices_drop_above}"),
        ("Slices, to be looked at", f"above {settings.slices_review_above}"),
        ("Highest dose", f"{low:g} to {high:g} Gy"),
        ("Approval", settings.approval),
        ("Several plans of a course", f"{settings.boosts}, within {settings.course_days} days"),
    ]
    rows = (f"<tr>{cell(words(name))}{cell(words(value, 2_000))}</tr>\n" for name, value in rules)
    yield "<details><summary>The rules of this cohort</summary>\n"
    yield from sheet([("rule", False), ("", False)], rows)
    yield "</details>\n"
