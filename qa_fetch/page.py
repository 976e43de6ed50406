"""How the pages of reports look, and how a value gets onto one."""

from __future__ import annotations

import html
import re

_LONGEST = 400  # letters of a key or a sentence
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f8; --sheet: #fff; --ink: #1b2329; --soft: #58646e; --rule: #dfe4e8;
  --good: #17693a; --good-faint: #e2f3e8; --bad: #a3211d; --bad-faint: #fbe9e7; --open: #7a5200;
  --open-faint: #fbf1d9; }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #12171b; --sheet: #1a2126; --ink: #e6ebef;
  --soft: #9fadb8; --rule: #2d373e; --good: #7fd6a0; --good-faint: #163324; --bad: #ff9c92; --bad-faint: #3d1d1b;
  --open: #f0c66a; --open-faint: #382c10; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 32px 0 12px; }
p { margin: 0 0 12px; max-width: 80ch; overflow-wrap: anywhere; }
.calm { color: var(--soft); }
.verdict { display: inline-block; margin: 16px 0; padding: 8px 14px; border-radius: 8px; font-weight: 600;
  max-width: none; }
.good { color: var(--good); background: var(--good-faint); }
.bad { color: var(--bad); background: var(--bad-faint); }
.open { color: var(--open); background: var(--open-faint); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 0; }
dl div { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
dt { color: var(--soft); font-size: .86rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.sheet { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: .86rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--rule); vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
td.key { width: 34%; font: .86em/1.7 ui-monospace, "SF Mono", Consolas, "Liberation Mono", "DejaVu Sans Mono",
  monospace; overflow-wrap: anywhere; min-width: 16ch; }
td.says { overflow-wrap: anywhere; min-width: 30ch; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; font-size: 1.1rem; font-weight: 600; margin: 28px 0 12px; }
summary:focus-visible { outline: 2px solid currentcolor; outline-offset: 4px; border-radius: 4px; }
@media (max-width: 640px) { thead { display: none; } table, tbody, tr, td { display: block; width: auto !important; }
  tr { padding: 8px 0; border-bottom: 1px solid var(--rule); } tbody tr:last-child { border-bottom: 0; }
  td { border: 0; padding: 1px 14px; text-align: left !important; } }
@media print { body { background: #fff; color: #000; } main { max-width: none; padding: 0; } }
"""


def text(value: str, longest: int = _LONGEST) -> str:
    """A value as a browser may have it: escaped, on one line, not endless, and without what turns its direction."""
    plain = _CONTROL.sub(" ", value)
    return html.escape(plain if len(plain) <= longest else plain[:longest] + "…")
