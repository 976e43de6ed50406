"""How the pages of a cohort look, beside the style of all reports, and what each of them is made of."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from ... import page

NAMES_PATIENTS = '<p class="calm names">This page names patients. Keep it as you keep their records.</p>\n'
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST = 6_000_000  # bytes of a picture
_UNKNOWN = "–"
_STYLE = """
@media (prefers-color-scheme: dark) { .ink { --now: var(--dark) !important; } }
.ink { --now: var(--light); }
a { color: inherit; text-underline-offset: 3px; }
a:focus-visible { outline: 2px solid currentcolor; outline-offset: 3px; border-radius: 4px; }
h2 { font-size: 1.2rem; margin: 44px 0 12px; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 0 0 6px; overflow-wrap: anywhere; }
ul, ol { margin: 0 0 12px; padding-left: 20px; max-width: 88ch; overflow-wrap: anywhere; }
nav { display: flex; gap: 6px 22px; flex-wrap: wrap; margin-bottom: 20px; font-size: .93rem; }
nav a:first-child { margin-right: auto; }
.names { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--rule); max-width: none; }
.mark { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: .86rem; font-weight: 600;
  white-space: nowrap; }
.off { color: var(--soft); background: color-mix(in srgb, var(--soft) 14%, transparent); }
code, kbd { font: .86em/1.5 ui-monospace, "SF Mono", Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
kbd { display: inline-block; padding: 2px 9px; border: 1px solid var(--rule); border-radius: 6px;
  background: var(--ground); color: var(--ink); user-select: all; }
code { color: var(--soft); }
dl + h2, dl + p { margin-top: 36px; }
dd { overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; overflow-wrap: break-word; }
td.who { min-width: 17ch; }
td small, .card small { display: block; color: var(--soft); font-size: .86rem; line-height: 1.45; }
td.object { min-width: 26ch; }
td .mark { margin-right: 4px; }
th, th.number { white-space: normal; }
td.says[colspan] { min-width: 0; }
td p { margin: 0 0 4px; max-width: 80ch; }
td .caution { color: var(--open); }
.sheet + p, .sheet + ul, .sheet + details, .sheet + h3, .plot + h3 { margin-top: 18px; }
figure { margin: 0; break-inside: avoid; min-width: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: 8px; background: #000; }
figcaption { font-size: .86rem; color: var(--soft); margin-top: 6px; overflow-wrap: anywhere; }
.planes { display: grid; gap: 14px; align-items: start; }
@media (min-width: 700px), print { .planes { grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
  .planes.three { grid-template-columns: calc((100% - 6px) / 1.5) minmax(0, 1fr); }
  .planes.three figure:first-child { grid-row: span 2; } }
.thumbs { display: grid; gap: 16px 14px; grid-template-columns: repeat(auto-fill, minmax(min(44%, 158px), 1fr)); }
.thumbs a { text-decoration: none; display: block; }
.thumbs a:hover figcaption b { text-decoration: underline; }
.thumbs b { color: var(--ink); font-weight: 600; }
.blank { display: grid; place-items: center; aspect-ratio: 1; border: 1px dashed var(--rule); border-radius: 8px;
  color: var(--soft); font-size: .86rem; text-align: center; }
.outliers { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); }
.outlier, .card, .lost, .kept, .choice { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px 16px; break-inside: avoid; min-width: 0; }
.outlier { display: grid; grid-template-columns: 104px 1fr; gap: 4px 16px; align-items: start; }
.outlier .thumbs { grid-template-columns: 1fr !important; }
.outlier ul { margin: 0; padding-left: 16px; }
.flow { list-style: none; padding: 0; margin: 0; max-width: 940px; }
.kept { width: 250px; text-align: center; }
.kept b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.kept.last { border-color: var(--good); background: var(--good-faint); color: var(--good); }
.between { position: relative; margin-left: 124px; border-left: 2px solid var(--soft); padding: 16px 0 22px 56px;
  min-height: 40px; }
.between::after { content: ""; position: absolute; left: -7px; bottom: 0; border: 6px solid transparent;
  border-top: 9px solid var(--soft); border-bottom: 0; }
.lost { position: relative; }
.lost::before { content: ""; position: absolute; left: -57px; top: 24px; width: 48px;
  border-top: 2px solid var(--soft); }
.lost::after { content: ""; position: absolute; left: -10px; top: 19px; border: 6px solid transparent;
  border-left: 9px solid var(--soft); border-right: 0; }
.lost ul { list-style: none; padding: 0; margin: 0; max-width: none; }
.lost li { display: grid; grid-template-columns: 3.2em 1fr; padding: 5px 0; }
.lost li + li { border-top: 1px solid var(--rule); }
.lost b { font-variant-numeric: tabular-nums; }
.chain { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 34px; }
.chain > div { display: grid; gap: 12px; align-content: start; position: relative; }
.chain > div + div::before { content: "←"; position: absolute; left: -27px; top: 40px; color: var(--soft);
  font-size: 1.25rem; }
.chain h3, .role { color: var(--soft); font-size: .86rem; font-weight: 600; margin: 0; }
.card > * + * { margin-top: 6px; }
.card strong, .choice strong { display: block; overflow-wrap: anywhere; }
.card code, .choice code { display: block; font-size: .74em; }
.card p { margin-bottom: 0; font-size: .9rem; }
.choice + .choice { margin-top: 12px; }
.choice ul { margin: 6px 0 10px; }
.plot { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 16px 18px;
  break-inside: avoid; }
.plot svg.dvh { display: block; width: 100%; height: auto; }
.dvh text { fill: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.dvh .grid { stroke: var(--rule); }
.dvh .axis { stroke: var(--soft); }
.dvh .rx { stroke: var(--ink); stroke-dasharray: 2 5; stroke-width: 1.6; }
.dvh .said { fill: var(--ink); paint-order: stroke; stroke: var(--sheet); stroke-width: 5px; }
.ink path, .ink line { fill: none; stroke: var(--now); stroke-width: 1.8; stroke-linejoin: round; }
.ink.target path, .ink.target line { stroke-width: 3; }
.dvh .ink:hover path { stroke-width: 5; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0; margin: 12px 0 0;
  font-size: .9rem; max-width: none; }
.swatch { display: inline-block; width: 26px; height: 8px; margin-right: 7px; vertical-align: middle;
  overflow: visible; }
.notes li { margin-bottom: 4px; }
.notes li.coded { list-style: none; margin: 6px 0 10px -20px; padding: 7px 12px; border: 1px solid var(--rule);
  border-radius: 8px; background: var(--sheet); }
@media (max-width: 900px) { .chain { grid-template-columns: minmax(0, 1fr); gap: 12px; }
  .chain > div + div::before { content: none; } }
@media (max-width: 640px) { main { padding: 20px 14px 48px; } td[data-of]:not(:empty)::before {
  content: attr(data-of) ": "; color: var(--soft); } td .swatch + * { margin: 0; }
  .kept { width: 200px; } .between { margin-left: 22px; padding-left: 26px; }
  .lost::before { left: -27px; width: 18px; } .outlier { grid-template-columns: 76px 1fr; }
  .plot { padding: 12px 10px; } .dvh text { font-size: 29px; } .ink path { stroke-width: 3; }
  .ink.target path { stroke-width: 5; }
  td.key, td.says, td.object, td.who { min-width: 0; overflow-wrap: anywhere; } }
@media print { .ink { --now: var(--light) !important; } h2 { break-after: avoid; } tr { break-inside: avoid; }
  nav { display: none; } .mark, .verdict { border: 1px solid currentcolor; } html { font-size: 11px; }
  body { font-size: 10.5px; } th, td { padding: 4px 8px; } .flow li { break-inside: avoid; }
  img, svg, .swatch { print-color-adjust: exact; }
  .chain { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 20px; }
  .thumbs { grid-template-columns: repeat(6, 1fr); } details:not([open]) { display: none; } }
"""
_HEAD = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'\">\n"
    '<meta name="referrer" content="no-referrer">\n'
    "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n"
)
FOOT = f"{NAMES_PATIENTS}</main>\n</body>\n</html>\n"


def head(title: str) -> str:
    """What stands before the first word of a page."""
    return _HEAD.format(words(title), page.STYLE + _STYLE)


def words(value: object, longest: int = 400) -> str:
    """A value as a page may have it: escaped, on one line, not endless, and such that it can be written down."""
    return page.text(str(value).encode("utf-8", "replace").decode("utf-8"), longest)


def amount(value: object, digits: int = 2, unit: str = "") -> str:
    """A number as people read it; a dash where there is none. The unit is escaped."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return _UNKNOWN
    shown = f"{value:,.{digits}f}" if abs(value) < 1e9 else f"{value:.3g}"
    return f"{shown} {words(unit)}".rstrip()


def volume(value: object) -> str:
    """Cubic centimetres, of tiny regions with a third digit."""
    tiny = isinstance(value, (int, float)) and abs(value) < 0.1
    return amount(value, 3 if tiny else 2)


def count(number: int, what: str, several: str = "") -> str:
    """``1 patient``, ``2 patients``."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def listed(parts: list[str]) -> str:
    """``one``, ``one and two``, ``one, two and three``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def sentence(said: str) -> str:
    """What begins small and has no full stop, as a sentence; not escaped."""
    return said[:1].upper() + said[1:] + "." * bool(said and not said.endswith((".", "!", "?")))


def mark(text: str, kind: str) -> str:
    """A word that stands out: ``good``, ``bad``, ``open`` or ``off``."""
    return f'<span class="mark {kind}">{words(text)}</span>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, side by side."""
    return f"<dl>{''.join(f'<div><dt>{words(name)}</dt><dd>{words(value)}</dd></div>' for name, value in pairs)}</dl>\n"


def sheet(heads: Iterable[tuple[str, bool]], rows: Iterable[str]) -> Iterable[str]:
    """A table, row by row; of each column its name, and whether it has numbers."""
    numbers = ' class="number"'
    yield '<div class="sheet"><table>\n<thead><tr>'
    yield "".join(f"<th{numbers if right else ''}>{words(name)}</th>" for name, right in heads)
    yield "</tr></thead>\n<tbody>\n"
    yield from rows
    yield "</tbody></table></div>\n"


def cell(value: str, of: str = "", number: bool = False) -> str:
    """A cell of what may be there as it is; ``of`` is the name of its column, which narrow screens show beside it."""
    kind = ' class="number"' if number else ""
    return f"<td{kind}{f' data-of={chr(34)}{words(of)}{chr(34)}' if of else ''}>{value}</td>"


def picture(path: Path) -> Optional[str]:
    """A PNG as an address that holds it; None where there is none that a page could show."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    if not data.startswith(_PNG) or len(data) > _LARGEST:
        return None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def as_text(value: Any) -> str:
    """What a file of ours has as a text, whatever else may stand there."""
    return value if isinstance(value, str) else ""
