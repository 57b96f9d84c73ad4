"""A report as one page of HTML that needs nothing beside itself: no script, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from string import Template
from typing import Any

import numpy as np

from byteloom import __version__
from byteloom.plotting import COLOURS
from byteloom.reporting.figures import Figures, rows
from byteloom.reporting.history import Axis
from byteloom.reporting.plots import Plot
from byteloom.reporting.run import Run
from byteloom.reporting.text import one_line

#: Colours of text and grid are those that both modes of a browser can tell apart from the ground;
#: the curves bring their own.
_STYLE = """\
:root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --soft: #595959; --line: #d4d4d4;
  --grid: #e2e2e2; --box: #f5f5f5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161616; --ink: #ececec; --soft: #a8a8a8; --line: #434343; --grid: #343434;
    --box: #212121; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(0.9rem, 3vw, 2.5rem) 3rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: clamp(1.3rem, 4vw, 1.7rem); line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.8rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; overflow-wrap: anywhere; }
header p, figcaption, .note { color: var(--soft); font-size: 0.9rem; }
header p { margin: 0.3rem 0 0; }
ul.note { padding-left: 1.2rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 1.6rem 0.3rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; text-align: right; }
th { font-weight: 600; }
thead th { white-space: normal; overflow-wrap: anywhere; vertical-align: bottom;
  min-width: 4rem; max-width: 13rem; }
tbody th, thead td { text-align: left; position: sticky; left: 0; background: var(--ground); }
tbody th { font-weight: 400; color: var(--soft); }
@media (max-width: 40rem) { th, td { padding-right: 0.9rem; } table { font-size: 0.9rem; } }
table.keys :is(td, thead th) { text-align: left; }
table.keys td { font: 0.85rem/1.5 ui-monospace, monospace; }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 50%;
  margin-right: 0.45em; }
.plots { display: grid; gap: 1.8rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
figure { margin: 0; min-width: 0; max-width: 44rem; }
figure h3 { margin: 0 0 0.4rem; }
figure svg { display: block; width: 100%; height: auto; }
pre { background: var(--box); border-radius: 0.4rem; padding: 0.9rem 1rem; margin: 0;
  font: 0.85rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: 0.7rem 0; }
summary { cursor: pointer; margin-bottom: 0.5rem; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid #56b4e9; outline-offset: 2px; }
"""

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="byteloom $version">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>byteloom $version, <time datetime="$iso">$date</time></p>
</header>
<main>
$body
</main>
</body>
</html>
""")

_SECTION = Template("""\
<section aria-labelledby="$id">
<h2 id="$id">$title</h2>
$body
</section>
""")

_FIGURE = Template("""\
<figure>
<h3>$title</h3>
$svg
$caption</figure>""")

_TABLE = Template("""\
<div class="scroll" role="region" aria-label="$label" tabindex="0">
<table class="$kind">
<thead><tr><td></td>$head</tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>""")


def page(
    runs: Sequence[Run],
    figures: Sequence[Figures],
    plots: Sequence[Plot],
    axis: Axis,
    now: datetime,
) -> str:
    """The whole page.

    Args:
        runs: what it is about.
        figures: of each run.
        plots: of all of them.
        axis: what is on the horizontal axis of the plots.
        now: what the page says when it was made.
    """
    names = [run.name for run in runs]
    title = f"Run {names[0]}" if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names[:4])}"
    title += ", …" if len(runs) > 4 else ""
    heads = [f"{_swatch(number, runs)}{escape(name)}" for number, name in enumerate(names)]
    sections = [
        ("Figures", _table("figures", "Figures", heads, rows(figures)) + _notes(runs, figures)),
        ("Plots", _plots(plots, axis)),
        ("Samples" if len(runs) > 1 else "Sample", "\n".join(_samples(runs))),
        ("Configuration", "\n".join(_configuration(runs, heads))),
    ]
    return _PAGE.substitute(
        version=escape(__version__),
        title=escape(title),
        style=_STYLE,
        iso=now.isoformat(timespec="seconds"),
        date=f"{now.day} {now:%B %Y, %H:%M}",
        body="".join(
            _SECTION.substitute(id=f"section-{name.lower()}", title=name, body=body)
            for name, body in sections
        ),
    )


def _swatch(number: int, runs: Sequence[Run]) -> str:
    """The colour of a run in the plots; nothing where there is but one."""
    if len(runs) == 1:
        return ""
    colour = COLOURS[number % len(COLOURS)].replace("#000000", "currentColor")
    return f'<span class="swatch" style="background: {colour}"></span>'


def _table(
    kind: str, label: str, heads: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]
) -> str:
    """A table in a box of its own, which scrolls when it is wide; heads are HTML already."""
    return _TABLE.substitute(
        kind=kind,
        label=escape(label),
        head="".join(f'<th scope="col">{head}</th>' for head in heads),
        rows="\n".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, cells in lines
        ),
    )


# -- what is missing -------------------------------------------------------------------------------


def _notes(runs: Sequence[Run], figures: Sequence[Figures]) -> str:
    """What a reader must know of the figures."""
    notes = [
        escape(f"{run.name}: {note}" if len(runs) > 1 else note[0].upper() + note[1:])
        for run, one in zip(runs, figures, strict=True)
        for note in _remarks(run, one)
    ]
    if not notes:
        return ""
    return '\n<ul class="note">\n' + "\n".join(f"<li>{note}</li>" for note in notes) + "\n</ul>"


def _remarks(run: Run, figures: Figures) -> Iterator[str]:
    history = run.history
    if not history.records:
        yield "no metrics are written down yet."
        return
    if figures.planned_steps is not None and figures.steps < figures.planned_steps:
        yield (
            f"not finished: {figures.steps:,} of {figures.planned_steps:,} steps are written down; "
            "the run goes on, or was stopped."
        )
    if history.is_torn:
        yield "the last line of metrics.jsonl is incomplete, and was passed over."
    if "valid_loss" not in history.keys:
        yield "no validation was made."
    for key, what in (("loss", "training"), ("valid_loss", "validation")):
        steps, losses = history.series(key)
        wrong = steps[~np.isfinite(losses)]
        if len(wrong):
            yield (
                f"the {what} loss is not finite in {len(wrong):,} of {len(steps):,} records, "
                f"first at step {wrong[0]:,.0f}."
            )


# -- plots, samples, configuration -----------------------------------------------------------------


def _plots(plots: Sequence[Plot], axis: Axis) -> str:
    if not plots:
        return f'<p class="note">There is nothing to plot by {axis} yet.</p>'
    drawn = "\n".join(
        _FIGURE.substitute(
            title=escape(plot.title),
            svg=plot.svg,
            caption=f"<figcaption>{escape(plot.caption)}</figcaption>\n" if plot.caption else "",
        )
        for plot in plots
    )
    return f'<div class="plots">\n{drawn}\n</div>'


def _samples(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if len(runs) > 1:
            yield f"<h3>{escape(run.name)}</h3>"
        if run.sample is None:
            yield '<p class="note">There is no sample: it is written at the end of a run.</p>'
        else:
            # The parser of HTML drops a first line that is empty: this is that line.
            yield f"<pre>\n{escape(run.sample)}</pre>"


def _configuration(runs: Sequence[Run], heads: Sequence[str]) -> Iterator[str]:
    if len(runs) == 1:
        yield f"<pre>\n{escape(runs[0].toml)}</pre>"
        return
    flat = [dict(_flatten(run.config)) for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one)
    lines = [(one_line(key), [one.get(key, "–") for one in flat]) for key in keys]
    differing = [(key, cells) for key, cells in lines if len(set(cells)) > 1]
    if differing:
        yield "<p>Keys in which the runs differ:</p>"
        yield _table("keys", "Keys in which the runs differ", heads, differing)
    else:
        yield "<p>The runs have the same configuration.</p>"
    for run in runs:
        yield (
            f"<details><summary>config.toml of {escape(run.name)}</summary>\n"
            f"<pre>\n{escape(run.toml)}</pre></details>"
        )


def _flatten(tables: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys, and values as TOML writes them."""
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", one_line(json.dumps(value, ensure_ascii=False, default=str))
