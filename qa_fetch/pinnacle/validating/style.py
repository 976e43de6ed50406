"""How the page of a validation looks: like the reports of runs, with pictures and curves."""

from __future__ import annotations

from ...page import STYLE as _OF_REPORTS

STYLE = (
    _OF_REPORTS
    + """
:root { --ours: #0b62b8; --theirs: #c4570b; }
@media screen and (prefers-color-scheme: dark) { :root { --ours: #6bb5ff; --theirs: #ffa25e; } }
h2 { font-size: 1.2rem; margin: 40px 0 12px; overflow-wrap: anywhere; }
h3 { font-size: 1.02rem; margin: 0; overflow-wrap: anywhere; }
p, ul, ol { margin: 0 0 12px; max-width: 88ch; overflow-wrap: anywhere; }
ul, ol { padding-left: 24px; }
a { color: inherit; }
.verdict { padding: 10px 16px; font-size: 1.1rem; }
.mark { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: .86rem; font-weight: 600;
  white-space: nowrap; }
.agrees { color: var(--good); background: var(--good-faint); }
.differs { color: var(--bad); background: var(--bad-faint); }
.not-compared { color: var(--open); background: var(--open-faint); }
dl { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
dd { font-size: 1.15rem; overflow-wrap: anywhere; }
.small dd { font-size: 1rem; }
.small div { background: none; border: 0; padding: 0; }
section { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 16px 18px;
  margin: 0 0 16px; }
section > * + * { margin-top: 14px; }
section .sheet { border-radius: 8px; }
header { display: flex; gap: 12px; align-items: baseline; justify-content: space-between; }
th, td { padding: 7px 14px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
td small { display: block; color: var(--open); font-size: .86rem; white-space: nowrap; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 14px; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .86rem; color: var(--soft); margin-top: 4px; overflow-wrap: anywhere; }
.wide { max-width: 640px; }
svg { display: block; width: 100%; height: auto; border-radius: 6px; }
svg.slice path { fill: none; stroke-width: 1.6px; vector-effect: non-scaling-stroke; }
svg.slice path.theirs { stroke-width: 1px; stroke-dasharray: 3 4; }
svg.slice image { image-rendering: auto; }
svg.chart text { fill: var(--soft); font-size: 11px; }
svg.chart .grid { stroke: var(--rule); }
svg.chart polyline { fill: none; stroke-width: 1.6px; }
svg.chart .line-ours { stroke: var(--ours); }
svg.chart .line-theirs { stroke: var(--theirs); stroke-width: 3px; stroke-dasharray: 5 4; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 12px; list-style: none; padding: 0; margin: 4px 0 0;
  font-size: .86rem; }
.legend i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 5px;
  vertical-align: middle; }
summary { font-size: inherit; margin: 0; }
details .sheet { margin-top: 10px; }
@media (max-width: 640px) { td { padding: 1px 14px; } td[data-of]:not(:empty)::before { content: attr(data-of) ": ";
  color: var(--soft); } header { display: block; } main { padding: 20px 14px 48px; } }
@media print { body { font-size: 11px; } section { border: 0; border-top: 1px solid var(--rule); border-radius: 0;
  padding: 10px 0; } tr, header { break-inside: avoid; } h2 { break-after: avoid; }
  details:not([open]) { display: none; } .mark, .verdict { border: 1px solid currentcolor; }
  svg, .legend i { print-color-adjust: exact; } }
"""
)
