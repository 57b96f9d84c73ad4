"""A run's figures as curves: one plot a figure, all runs in each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from byteloom.plotting import COLOURS, inline_svg, logarithmic_ticks, render
from byteloom.reporting.curve import POINTS, Curve, smooth, thin
from byteloom.reporting.history import Axis
from byteloom.reporting.run import Run
from byteloom.reporting.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: small, so that letters can still be read on a phone.
_SIZE = (4.8, 3.1)
#: Of one row of a legend.
_ROW = 0.21
#: Past this, the perplexity is no number that helps.
_LARGEST_LOSS = 20.0


@dataclass(frozen=True)
class Plot:
    """A drawn plot."""

    name: str
    """Of its files, without the ending; safe in a path and as an id."""
    title: str
    """What it shows."""
    caption: str
    """How to read it; may be empty."""
    description: str
    """What is to be seen, in words."""
    png: bytes
    """As a file, on white."""
    svg: str
    """As an element of a page."""


@dataclass(frozen=True)
class _Panel:
    """What is drawn of some keys."""

    title: str
    label: str
    """Of the vertical axis."""
    lines: tuple[str, ...] = ()
    """Keys drawn as thin lines, with a smooth one over each."""
    marked: tuple[str, ...] = ()
    """Keys drawn with markers."""
    plain: tuple[str, ...] = ()
    """Keys drawn as they are."""
    log: bool = False
    from_zero: bool = False
    perplexity: bool = False
    """Whether a second axis, at the right, shows the exponential."""
    form: str | Callable[[float, float], str] = "{x:g}"
    """Numbers on the vertical axis."""

    @property
    def keys(self) -> tuple[str, ...]:
        return self.lines + self.marked + self.plain


def _compact(value: float, _: float = 0) -> str:
    """A large number in few letters.

    Example:
        >>> _compact(400), _compact(12_500), _compact(3_000_000), _compact(2e9)
        ('400', '12.5k', '3M', '2B')
    """
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{letter}"
    return f"{value:.4g}"


def _memory(value: float, _: float = 0) -> str:
    if value < 1e6:
        return f"{value:g}"
    return f"{value / 1e9:g} GB" if value >= 1e9 else f"{value / 1e6:g} MB"


#: By name, in the order of the page. A key that is in none gets one of its own.
_PANELS = {
    "loss": _Panel("Loss", "loss, nats a token", lines=("loss",), marked=("valid_loss",)),
    "valid_loss": _Panel(
        "Validation loss and perplexity",
        "loss, nats a token",
        marked=("valid_loss",),
        perplexity=True,
    ),
    "learning_rate": _Panel(
        "Learning rate", "learning rate", plain=("learning_rate",), from_zero=True
    ),
    "grad_norm": _Panel("Gradient norm", "gradient norm", lines=("grad_norm",), log=True),
    "tokens_per_second": _Panel(
        "Throughput", "tokens/s", lines=("tokens_per_second",), from_zero=True, form=_compact
    ),
    "mfu": _Panel(
        "Model FLOPs utilisation",
        "MFU",
        lines=("mfu",),
        from_zero=True,
        form=lambda value, _: f"{100 * value:g}%",
    ),
    "memory_bytes": _Panel(
        "Memory", "peak memory", plain=("memory_bytes",), from_zero=True, form=_memory
    ),
    "loss_scale": _Panel(
        "Loss scale", "loss scale", plain=("loss_scale",), log=True, form=_compact
    ),
    "skipped": _Panel("Skipped steps", "skipped steps", plain=("skipped",), form=_compact),
    "epoch": _Panel("Epochs", "epochs", plain=("epoch",), form=_compact),
}


def draw(runs: Sequence[Run], axis: Axis = "step") -> Iterator[Plot]:
    """Draws all that the runs wrote down.

    Args:
        runs: each gets a colour and a marker, the same in every plot.
        axis: what is on the horizontal axis.

    Raises:
        ImportError: matplotlib is not installed; the message is what installs it.
    """
    known = {key for panel in _PANELS.values() for key in panel.keys}
    others = dict.fromkeys(key for run in runs for key in run.history.keys if key not in known)
    panels = _PANELS | {key: _Panel(one_line(key), one_line(key), lines=(key,)) for key in others}
    last = panels.pop("epoch")  # says the least
    taken: set[str] = set()
    for key, panel in (panels | {"epoch": last}).items():
        curves = [
            Curve.of(run, number, one, axis, panel.log)
            for number, run in enumerate(runs)
            for one in panel.keys
        ]
        curves = [curve for curve in curves if len(curve.x)]
        if not curves:
            continue
        name = re.sub(r"\W+", "_", key, flags=re.ASCII)[:80] or "_"
        while name in taken:
            name += "_"
        taken.add(name)
        yield _draw(name, panel, curves, axis, several=len(runs) > 1)


def _draw(name: str, panel: _Panel, curves: list[Curve], axis: Axis, several: bool) -> Plot:
    """One plot."""
    is_mixed = len({curve.key for curve in curves}) > 1
    width, height = _SIZE
    if several:  # a long legend does not take its room from the curves
        names = dict.fromkeys(curve.run for curve in curves)
        height += _ROW * (math.ceil(len(names) / _columns(names)) - 1)
    files = render(
        lambda axes: _paint(axes, panel, curves, axis, several), (".png", ".svg"), width, height
    )
    parts = []
    for curve in curves:
        what = {"loss": "training", "valid_loss": "validation"}[curve.key] if is_mixed else ""
        who = ", ".join(filter(None, (curve.run if several else "", what)))
        parts.append(f"{who}: {curve.describe()}" if who else curve.describe())
    description = f"{panel.title} by {axis}: {'; '.join(parts)}."
    return Plot(
        name=name,
        title=panel.title,
        caption=_caption(panel, curves, several),
        description=description,
        png=files[".png"],
        svg=inline_svg(files[".svg"], name, description),
    )


def _caption(panel: _Panel, curves: list[Curve], several: bool) -> str:
    """How to read a plot whose lines a legend does not tell."""
    keys = {curve.key for curve in curves}
    parts = []
    if keys & set(panel.lines):
        parts.append("thin: as recorded; thick: smoothed")
    if several and panel.lines and keys & set(panel.marked):
        parts.append("with markers: validation")
    return "; ".join(parts)


def _paint(axes: Axes, panel: _Panel, curves: list[Curve], axis: Axis, several: bool) -> None:
    """Draws the curves, axes and legend."""
    unit, label = _unit(axis, max(float(curve.x.max()) for curve in curves))
    legend: dict[str, Any] = {}
    for curve in curves:
        x, look = curve.x / unit, curve.look
        single = {"marker": curve.marker} if len(x) == 1 else {}
        if curve.key in panel.lines:
            axes.plot(*thin(x, curve.y), **look | single, linewidth=0.8, alpha=0.35)
            line = axes.plot(*thin(x, smooth(curve.y)), **look | single, linewidth=1.6)[0]
            legend.setdefault(curve.run if several else "training, smoothed", line)
        elif curve.key in panel.marked:
            if not several and panel.lines:  # beside the training loss, in a colour of its own
                look = {"color": COLOURS[1]}
            line = axes.plot(
                *thin(x, curve.y),
                **look,
                marker=curve.marker,
                markersize=4,
                markevery=max(1, min(len(x), POINTS) // 20),
                linewidth=1.2,
            )[0]
            legend.setdefault(curve.run if several else "validation", line)
        else:
            line = axes.plot(*thin(x, curve.y), **look | single, linewidth=1.4)[0]
            legend.setdefault(curve.run, line)
    axes.set_xlabel(label)
    axes.set_ylabel(panel.label)
    axes.xaxis.set_major_formatter(_compact)
    _scale(axes, panel, curves)
    if several or len(legend) > 1:
        _legend(axes, legend)


def _scale(axes: Axes, panel: _Panel, curves: list[Curve]) -> None:
    """The vertical axis."""
    lowest = min(float(np.nanmin(curve.y)) for curve in curves)
    highest = max(float(np.nanmax(curve.y)) for curve in curves)
    if panel.log:
        axes.set_yscale("log")
        logarithmic_ticks(axes.yaxis, lowest, highest)
    elif panel.from_zero and lowest >= 0 and highest > 0:
        axes.set_ylim(0, highest * 1.08)
    axes.yaxis.set_major_formatter(panel.form)
    if panel.perplexity and lowest >= 0 and highest < _LARGEST_LOSS:
        right = axes.secondary_yaxis("right", functions=(_exp, _log))
        right.set_ylabel("perplexity")
        logarithmic_ticks(right.yaxis, np.exp(lowest), np.exp(highest))
        right.yaxis.set_major_formatter(_compact)


def _exp(loss: Any) -> Any:
    """Loss to perplexity."""
    return np.exp(loss)


def _log(perplexity: Any) -> Any:
    """The way back, which matplotlib also asks of what is not above 0."""
    return np.log(np.maximum(perplexity, 1e-9))


def _legend(axes: Axes, lines: dict[str, Any]) -> None:
    """Names of the lines, below the plot."""
    names = [name if len(name) <= 40 else f"{name[:19]}…{name[-20:]}" for name in lines]
    columns = _columns(names)
    # matplotlib leaves out names that begin with _: a character without width goes before them.
    names = [f"\u200b{name}" if name.startswith("_") else name for name in names]
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(list(lines.values()), names, loc="outside lower center", ncols=columns)


def _columns(names: Iterable[str]) -> int:
    """How many names of this length stand beside one another."""
    longest = max(map(len, names))
    return 1 if longest > 20 else 2 if longest > 10 else 3


def _unit(axis: Axis, longest: float) -> tuple[float, str]:
    """What the horizontal axis counts in, and its label."""
    if axis != "seconds":
        return 1.0, axis
    for seconds, name in ((3600.0, "hours"), (60.0, "minutes")):
        if longest >= 2 * seconds:
            return seconds, f"time, {name}"
    return 1.0, "time, seconds"
