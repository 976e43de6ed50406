"""How the page of a validation looks: light, dark and on paper, like the reports of runs."""

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f8; --sheet: #fff; --ink: #1b2329; --soft: #58646e; --rule: #dfe4e8;
  --good: #17693a; --good-faint: #e2f3e8; --bad: #a3211d; --bad-faint: #fbe9e7; --open: #7a5200;
  --open-faint: #fbf1d9; --ours: #0b62b8; --theirs: #c4570b; }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #12171b; --sheet: #1a2126; --ink: #e6ebef;
  --soft: #9fadb8; --rule: #2d373e; --good: #7fd6a0; --good-faint: #163324; --bad: #ff9c92; --bad-faint: #3d1d1b;
  --open: #f0c66a; --open-faint: #382c10; --ours: #6bb5ff; --theirs: #ffa25e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; overflow-wrap: anywhere; }
h3 { font-size: 1.02rem; margin: 0; overflow-wrap: anywhere; }
p, ul, ol { margin: 0 0 12px; max-width: 88ch; overflow-wrap: anywhere; }
ul, ol { padding-left: 24px; }
a { color: inherit; }
.calm { color: var(--soft); }
.verdict { display: inline-block; margin: 16px 0; padding: 10px 16px; border-radius: 8px; font-weight: 600;
  font-size: 1.1rem; max-width: none; }
.mark { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: .86rem; font-weight: 600;
  white-space: nowrap; }
.agrees { color: var(--good); background: var(--good-faint); }
.differs { color: var(--bad); background: var(--bad-faint); }
.not-compared { color: var(--open); background: var(--open-faint); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 0; }
dl div { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
dt { color: var(--soft); font-size: .86rem; }
dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.small dd { font-size: 1rem; }
.small div { background: none; border: 0; padding: 0; }
.sheet { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; overflow-x: auto; }
section { background: var(--sheet); border: 1px solid var(--rule); border-radius: 10px; padding: 16px 18px;
  margin: 0 0 16px; }
section > * + * { margin-top: 14px; }
section .sheet { border-radius: 8px; }
header { display: flex; gap: 12px; align-items: baseline; justify-content: space-between; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-size: .86rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
th, td { padding: 7px 14px; border-bottom: 1px solid var(--rule); vertical-align: top;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
tbody tr:last-child > * { border-bottom: 0; }
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
summary { cursor: pointer; font-weight: 600; }
summary:focus-visible { outline: 2px solid currentcolor; outline-offset: 4px; border-radius: 4px; }
details .sheet { margin-top: 10px; }
@media (max-width: 640px) { thead { display: none; } table, tbody, tr, td { display: block; width: auto !important; }
  tr { padding: 8px 0; border-bottom: 1px solid var(--rule); } tbody tr:last-child { border-bottom: 0; }
  td { border: 0; padding: 1px 14px; } td[data-of]:not(:empty)::before { content: attr(data-of) ": ";
  color: var(--soft); } header { display: block; } main { padding: 20px 14px 48px; } }
@media print { body { background: #fff; font-size: 11px; } main { max-width: none; padding: 0; }
  section { border: 0; border-top: 1px solid var(--rule); border-radius: 0; padding: 10px 0; }
  tr, header { break-inside: avoid; } h2 { break-after: avoid; } details:not([open]) { display: none; }
  .mark, .verdict { border: 1px solid currentcolor; } svg, .legend i { print-color-adjust: exact; } }
"""
