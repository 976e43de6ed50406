"""The tables of a patient's page: regions, constraints, metrics, the planning system's values, and the plans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..dosimetry_records import Compared, RoiDose
from .outliers import finite
from .plot import inks, ordered
from .style import amount, as_text, cell, count, mark, sentence, sheet, volume, words
from .subject import Subject

_MOST = 500  # rows
_MOST_METRICS = 7  # columns
_SIGNS = {"<=": "≤", ">=": "≥"}
_LOOKS = {"pass": "good", "fail": "bad"}
_DOSES = (("mean", "mean"), ("D95%", "d95"), ("D2%", "d2"), ("max", "max"))


def regions(subject: Subject) -> Iterator[str]:
    """The regions with their volumes and doses; without doses, what the masks and the planning system say."""
    dosimetry, built = subject.dosimetry, subject.built
    if dosimetry is None or built is None:
        if built is not None:
            yield from _masks(subject)
        return
    rois = ordered(dosimetry.rois)
    yield f"<h3>{count(len(dosimetry.rois), 'region')}</h3>\n"
    heads = [("region", False), ("cc", True), *((f"{name} (Gy)", True) for name, _ in _DOSES), ("take care", False)]
    shown = list(zip(rois, inks(rois, built)))[:_MOST]
    yield from sheet(heads, (_region(roi, ink.swatch) for roi, ink in shown))
    yield from _more(len(dosimetry.rois))
    if dosimetry.notes:
        yield f'<ul class="calm">{"".join(f"<li>{words(note)}</li>" for note in dosimetry.notes[:_MOST])}</ul>\n'


def _region(roi: RoiDose, swatch: str) -> str:
    kind = f"<small>{words(roi.kind)}</small>" if roi.kind else ""
    suggested = f"<small>TG-263: {words(roi.suggested_name)}</small>" if roi.suggested_name else ""
    cells = [
        _who(roi.name, kind + suggested, swatch),
        cell(volume(roi.volume_cc), "cc", True),
    ]
    cells += [cell(amount(getattr(roi, key)), f"{name} (Gy)", True) for name, key in _DOSES]
    cells.append(cell("".join(f'<p class="caution">{words(caution)}</p>' for caution in roi.cautions)))
    return f"<tr>{''.join(cells)}</tr>\n"


def _masks(subject: Subject) -> Iterator[str]:
    rois = [roi for each in subject.built.structures for roi in each.rois] if subject.built is not None else []
    yield f"<h2>Regions: {len(rois):,}</h2>\n"
    rows = (
        f"<tr>{_who(roi.name, f'<small>{words(roi.kind)}</small>')}"
        f"{cell(volume(roi.volume_cc), 'cc', True)}{cell(volume(roi.tps_volume_cc), 'planning system (cc)', True)}"
        f"{cell(''.join(f'<p class=caution>{words(said)}</p>' for said in (*roi.warnings, roi.why) if said))}</tr>\n"
        for roi in rois[:_MOST]
    )
    heads = [("region", False), ("cc", True), ("planning system (cc)", True), ("take care", False)]
    yield from sheet(heads, rows)
    yield from _more(len(rois))


def constraints(subject: Subject) -> Iterator[str]:
    """Which limits are kept, those that are not first."""
    rows = subject.dosimetry.constraints if subject.dosimetry is not None else ()
    if not rows:
        return
    ranks = {"fail": 0, "unknown": 1}
    ordered = sorted(rows, key=lambda row: ranks.get(as_text(row.get("result")), 2))
    yield "<h2>Constraints</h2>\n"
    heads = [("region", False), ("constraint", False), ("value", True), ("result", False), ("why", False)]
    yield from sheet(heads, map(_constraint, ordered[:_MOST]))
    yield from _more(len(rows))


def _constraint(row: Mapping[str, Any]) -> str:
    unit, result = as_text(row.get("unit")), as_text(row.get("result"))
    sign = _SIGNS.get(as_text(row.get("op")), as_text(row.get("op")))
    wanted = f"{as_text(row.get('metric'))} {sign} {_short(row.get('limit'))} {unit}"
    why = " ".join(said for said in (sentence(as_text(row.get("reason"))), as_text(row.get("cautions"))) if said)
    value = _beside(row.get("value"), row.get("limit"), unit)
    return (
        f"<tr>{_who(row.get('roi'))}{cell(words(wanted))}"
        f"{cell(value, 'value', True)}{cell(mark(result, _LOOKS.get(result, 'open')))}"
        f"{cell(words(why))}</tr>\n"
    )


def _beside(value: object, limit: object, unit: str) -> str:
    """A value with as many digits as it takes to tell it from its limit."""
    apart = abs((finite(value) or 0.0) - (finite(limit) or 0.0))
    digits = 2 if apart == 0 or apart >= 0.005 else min(math.ceil(-math.log10(apart)), 6)
    return amount(value, digits, unit)


def with_tps(subject: Subject) -> Iterator[str]:
    """Our values beside those of the planning system, those that disagree first."""
    rois = subject.dosimetry.rois if subject.dosimetry is not None else ()
    pairs = [(roi, each) for roi in rois for each in roi.tps]
    if not pairs:
        return
    compared = [pair for pair in pairs if pair[1].theirs is not None]
    differ = [pair for pair in pairs if not pair[1].agrees]
    agree = [pair for pair in pairs if pair[1].agrees]
    yield "<h2>Compared with the planning system</h2>\n"
    said = f"{count(len(agree), 'value')} of {len(compared):,} agree." if compared else "No value can be compared."
    yield f"<p>{said}</p>\n"
    heads = [("region", False), ("what", False), ("here", True), ("planning system", True), ("", False)]
    if differ:
        yield from sheet(heads, (_compared(roi, each) for roi, each in differ[:_MOST]))
        yield from _more(len(differ))
    if agree:
        yield f"<details><summary>{count(len(agree), 'value that agrees', 'values that agree')}</summary>\n"
        yield from sheet(heads, (_compared(roi, each) for roi, each in agree[:_MOST]))
        yield from _more(len(agree))
        yield "</details>\n"


def _compared(roi: RoiDose, each: Compared) -> str:
    look = (
        ("agrees", "good") if each.agrees else ("not compared", "open") if each.theirs is None else ("differs", "bad")
    )
    source = ", ".join(part for part in (as_text(each.source), as_text(each.plan)) if part)
    said = f"<small>{words(each.said)}</small>" if each.said else ""
    return (
        f"<tr>{_who(roi.name)}{cell(f'{words(each.what)}<small>{words(source)}</small>')}"
        f"{cell(amount(each.ours, 2, as_text(each.unit)), 'here', True)}"
        f"{cell(amount(each.theirs, 2, as_text(each.unit)), 'planning system', True)}{cell(mark(*look) + said)}</tr>\n"
    )


def metrics(subject: Subject) -> Iterator[str]:
    """The metrics that were asked for, and the doses in fractions of 2 Gy."""
    dosimetry = subject.dosimetry
    if dosimetry is None:
        return
    if dosimetry.metrics:
        yield "<h2>Metrics</h2>\n"
        yield from _metrics(dosimetry.metrics)
    if dosimetry.eqd2:
        yield "<h2>In fractions of 2 Gy (EQD2)</h2>\n"
        heads = [("region", False), ("α/β (Gy)", True), *((f"{name} (Gy)", True) for name, _ in _DOSES)]
        yield from sheet(heads, map(_eqd2, dosimetry.eqd2[:_MOST]))
        yield from _more(len(dosimetry.eqd2))


def _metrics(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each region and a column for each metric, in several tables where there are many."""
    names = list(dict.fromkeys(as_text(row.get("metric")) for row in rows))
    regions_of: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        key = (f"{row.get('structures')} {row.get('number')}", str(row.get("roi")))
        regions_of.setdefault(key, {})[as_text(row.get("metric"))] = row
    for first in range(0, len(names), _MOST_METRICS):
        some = names[first : first + _MOST_METRICS]
        lines = (
            f"<tr>{_who(roi)}{''.join(_metric(found.get(name, {}), name) for name in some)}</tr>\n"
            for (_, roi), found in list(regions_of.items())[:_MOST]
        )
        yield from sheet([("region", False), *((name, True) for name in some)], lines)
        yield from _more(len(regions_of))


def _metric(row: Mapping[str, Any], name: str) -> str:
    reason = as_text(row.get("reason"))
    why = f"<small>{words(reason)}</small>" if reason else ""
    why += '<small class="caution">take care</small>' if row.get("cautions") and not reason else ""
    return cell(f"{amount(row.get('value'), 2, as_text(row.get('unit')))}{why}", name, True)


def _eqd2(row: Mapping[str, Any]) -> str:
    cells = [_who(row.get("roi")), cell(_short(row.get("alpha_beta")), "α/β (Gy)", True)]
    cells += [cell(amount(row.get(key)), f"{name} (Gy)", True) for name, key in _DOSES]
    return f"<tr>{''.join(cells)}</tr>\n"


def prescriptions(subject: Subject) -> Iterator[str]:
    """What each plan prescribes, and why that is not known."""
    plans = subject.built.plans if subject.built is not None else ()
    if not plans:
        return
    yield "<h2>Prescription</h2>\n"
    rows = (
        f"<tr>{_who(plan.label, f'<small>{words(plan.approval.lower())}</small>')}"
        f"{cell(amount(plan.prescription_gy, 2), 'Gy', True)}{cell(amount(plan.fractions, 0), 'fractions', True)}"
        f"{cell(''.join(f'<p>{words(reason)}</p>' for reason in plan.reasons))}</tr>\n"
        for plan in plans[:_MOST]
    )
    yield from sheet([("plan", False), ("Gy", True), ("fractions", True), ("", False)], rows)
    doses = subject.dosimetry.plans if subject.dosimetry is not None else ()
    if doses:
        yield "<details><summary>What each plan gives</summary>\n"
        names = {(roi.structures, roi.number): roi.name for roi in subject.dosimetry.rois} if subject.dosimetry else {}
        lines = (
            f"<tr>{_who(names.get((each.structures, each.number), each.number))}"
            f"{cell(words(each.label))}"
            f"{''.join(cell(amount(getattr(each, key)), f'{name} (Gy)', True) for name, key in _DOSES)}</tr>\n"
            for each in doses[:_MOST]
        )
        heads = [("region", False), ("plan", False), *((f"{name} (Gy)", True) for name, _ in _DOSES)]
        yield from sheet(heads, lines)
        yield "</details>\n"


def _who(name: object, more: str = "", before: str = "") -> str:
    """The first cell of a line: a name, what stands before it and what below."""
    return f'<td class="who">{before}<b><bdi>{words(name)}</bdi></b>{more}</td>'


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else "–"


def _more(total: int) -> Iterator[str]:
    if total > _MOST:
        yield f'<p class="calm">The first {_MOST:,} of {total:,}; the tables in dosimetrydata have them all.</p>\n'
