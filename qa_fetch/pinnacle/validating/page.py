"""The report as one page that needs nothing else: the verdict and its figures, a line for each object, then details."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...page import text
from .results import AGREES, DIFFERS, OPEN, Comparison, Line, Picture, Validated, Validation, number
from .style import STYLE

_MOST_LINES = 300  # differing values of an object; the JSON has them all
_MOST_AGREEING = 200
_MOST_DETAILED = 200  # objects with details and pictures; of agreeing ones beyond them only the line of the table
_COLOUR = re.compile(r"#[0-9a-f]{3,6}|var\(--[a-z]+\)")
_HEAD = '<div class="sheet"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n'
_SAYS = {
    AGREES: "Agrees: {agree} of {all} objects agree.",
    DIFFERS: "Differs: {differ} of {all} objects differ{open}.",
    OPEN: "Not wholly compared: {not_compared} of {all} objects could not be compared; of the others, none differs.",
}


def page(validation: Validation) -> Iterator[str]:
    """The page, piece by piece."""
    title = f"Validation of {text(validation.archive)}"
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        f'<p class="calm">Converted to DICOM by qa_fetch, and compared with {text(validation.other)}.</p>\n'
    )
    yield f'<p class="verdict {_class(validation.verdict)}">{_says(validation)}</p>\n<dl>{_facts(validation)}</dl>\n'
    known = _Known(validation)
    yield from known.explained()
    several = len(validation.patients) > 1
    for patient in validation.patients:
        yield from _patient(patient, several, known)
    said = "; ".join(f"{text(name)}: {text(value)}" for name, value in validation.settings)
    yield f'<h2>When values agree</h2>\n<p class="calm">{said}.</p>\n</main>\n</body>\n</html>\n'


def _says(validation: Validation) -> str:
    counted = validation.counted()
    missing = counted[OPEN]
    values = {
        "agree": counted[AGREES],
        "differ": counted[DIFFERS],
        "not_compared": missing,
        "all": len(validation.comparisons),
        "open": f", {missing} could not be compared" if missing else "",
    }
    return _SAYS[validation.verdict].format(**values)


def _facts(validation: Validation) -> str:
    counted = validation.counted()
    facts = {"Agree": str(counted[AGREES]), "Differ": str(counted[DIFFERS]), "Not compared": str(counted[OPEN])}
    measures: tuple[tuple[str, str, Callable[[Iterable[float]], float], Callable[[float], str]], ...] = (
        ("Outlines, farthest apart", "outline_mm", max, lambda value: f"{number(value)} mm"),
        ("Gamma 3 %/3 mm, lowest", "gamma_3_3", min, lambda value: f"{number(100 * value, 2)} %"),
        ("Gamma 1 %/1 mm, lowest", "gamma_1_1", min, lambda value: f"{number(100 * value, 2)} %"),
        ("Dose of a voxel, most apart", "dose_share", max, lambda value: f"{number(100 * value, 2)} %"),
        ("Monitor units, most apart", "units", max, lambda value: f"{number(100 * value, 2)} %"),
        ("Images, most apart", "hounsfield", max, lambda value: f"{number(value, 1)} HU"),
    )
    for name, measure, choose, shown in measures:
        value = validation.worst(measure, choose)
        if value is not None:
            facts[name] = shown(value)
    return _listed(facts.items())


class _Known:
    """What is known of the other side, each reason with its number in this page."""

    def __init__(self, validation: Validation) -> None:
        self._differing = [line for each in validation.comparisons for line in each.differing]
        reasons = dict.fromkeys(reason for line in self._differing for reason in line.known)
        self._numbers = {reason: number for number, reason in enumerate(reasons, 1)}
        self._other = validation.other

    def explained(self) -> Iterator[str]:
        """How much of what differs is known to be the other side's fault, and why."""
        if not self._numbers:
            return
        count, every = sum(bool(line.known) for line in self._differing), len(self._differing)
        many = f"All {every:,}" if count == every else f"{count:,} of the {every:,}"
        yield (
            f"<h2>What is known of {text(self._other)}</h2>\n<p>{many} values that differ are such as this engine is "
            "known to get wrong. They are shown all the same, and count as differing: look at them, or compare with an "
            "export of the planning system itself.</p>\n<ol>"
        )
        yield from (f'<li id="known{number}">{text(reason)}</li>' for reason, number in self._numbers.items())
        yield "</ol>\n"

    def links(self, line: Line) -> str:
        """The numbers of what is known of a value."""
        links = (f'<a href="#known{self._numbers[each]}">{self._numbers[each]}</a>' for each in line.known)
        return f"<small>known: {', '.join(links)}</small>" if line.known else ""

    def note(self, note: str) -> str:
        """A note, with its number where it is a known reason."""
        number = self._numbers.get(note)
        said = text(note if number else note[:1].upper() + note[1:])
        return f'<p><a href="#known{number}">Known {number}</a>: {said}.</p>\n' if number else f"<p>{said}.</p>\n"


def _patient(patient: Validated, several: bool, known: _Known) -> Iterator[str]:
    who = f"Patient {text(patient.identifier or patient.folder)}"
    yield f"<h2>{who}{': ' + text(patient.folder) if several and patient.identifier else ''}</h2>\n"
    yield _HEAD.format("<th>object</th><th>verdict</th><th>figures</th>")
    yield from map(_row, patient.comparisons)
    yield "</tbody></table></div>\n"
    if patient.others:
        yield '<p class="calm">Beside these: ' + "; ".join(map(text, patient.others[:50])) + ".</p>\n"
    place: object = None
    ranked = sorted(patient.comparisons, key=lambda each: each.verdict == AGREES)
    detailed = {id(each) for each in ranked[:_MOST_DETAILED]}
    for each in patient.comparisons:
        if id(each) not in detailed:
            continue
        here = (each.image_set, each.plan)
        if here != place:
            title = f"Image set {each.image_set}" if each.plan is None else f"Plan {each.plan}"
            yield f"<h2>{title}{': ' + text(each.names[0]) if each.names else ''}</h2>\n"
            place = here
        yield from _details(each, known)


def _row(each: Comparison) -> str:
    figures = "; ".join(f"{name} {value}" for name, value in each.figures) or "; ".join(each.notes)
    names = f'<span class="calm"> {text(" / ".join(each.names))}</span>' if each.names else ""
    return f"<tr><td>{text(each.what)}{names}</td><td>{_mark(each.verdict)}</td><td>{text(figures)}</td></tr>\n"


def _details(each: Comparison, known: _Known) -> Iterator[str]:
    name = text(each.what) + (f' <span class="calm">{text(each.names[1])}</span>' if len(each.names) > 1 else "")
    yield f"<section>\n<header><h3>{name}</h3>{_mark(each.verdict)}</header>\n"
    if each.figures:
        yield f'<dl class="small">{_listed(each.figures)}</dl>\n'
    yield from map(known.note, each.notes)
    if each.differing:
        yield from _table(each.differing, _MOST_LINES, known)
    if each.pictures:
        yield f'<div class="pictures">{"".join(map(_picture, each.pictures))}</div>\n'
    agreeing = [line for line in each.lines if line.agrees]
    if agreeing:
        many = "1 value that agrees" if len(agreeing) == 1 else f"{len(agreeing):,} values that agree"
        yield f"<details><summary>{many}</summary>\n"
        yield from _table(agreeing, _MOST_AGREEING, known)
        yield "</details>\n"
    yield "</section>\n"


def _table(lines: Sequence[Line], most: int, known: _Known) -> Iterator[str]:
    yield _HEAD.format("<th>value</th><th>ours</th><th>theirs</th>")
    for line in lines[:most]:
        reasons = "" if line.agrees else known.links(line)
        both = f'<td data-of="ours">{text(line.ours)}</td><td data-of="theirs">{text(line.theirs)}</td>'
        values = both if line.theirs else f'<td colspan="2">{text(line.ours)}</td>'
        yield f"<tr><td>{text(line.what)}{reasons}</td>{values}</tr>\n"
    yield "</tbody></table></div>\n"
    if len(lines) > most:
        yield f'<p class="calm">The first {most:,} of {len(lines):,}; --json has those that differ.</p>\n'


def _picture(picture: Picture) -> str:
    legend = "".join(
        f'<li><i style="background: {colour}"></i>{text(name)}</li>'
        for name, colour in picture.legend
        if _COLOUR.fullmatch(colour)
    )
    legend = f'<ul class="legend">{legend}</ul>' if legend else ""
    return f"<figure>{picture.svg}<figcaption>{text(picture.caption)}{legend}</figcaption></figure>"


def _listed(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)


def _mark(verdict: str) -> str:
    return f'<span class="mark {_class(verdict)}">{text(verdict)}</span>'


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")
