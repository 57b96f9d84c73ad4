"""Tables and plots of the ablations that are done: reads what scripts/ablations.py leaves."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trial import Trial

from byteloom.atomic import atomic_write
from byteloom.cli.common import say
from byteloom.markdown import table
from byteloom.plotting import COLOURS, need_matplotlib, plot
from byteloom.reporting.history import History

#: Nats above its own best at which a training that reached its end counts as diverged.
FAR = 0.5


@dataclass(frozen=True)
class Row:
    """A variant, with those of its trainings that are done."""

    label: str
    parameters: int
    in_blocks: int
    wanted: int
    """Trainings, one for each seed."""
    done: tuple[Trial, ...]

    @property
    def diverged(self) -> int:
        """How many of them were stopped, or ended far above where they had been."""
        return sum(map(has_diverged, self.done))

    @property
    def losses(self) -> list[float]:
        """In the end, of those that came to one."""
        return [one.loss for one in self.done if math.isfinite(one.loss)]


def has_diverged(trial: Trial) -> bool:
    """Whether a training is of no use."""
    valid = trial.history.values("valid_loss")
    if trial.is_stopped or not len(valid):
        return True
    return not (math.isfinite(valid[-1]) and valid[-1] <= np.nanmin(valid) + FAR)


def report(output: Path) -> str:
    """Writes ablations.md and the plots; returns the text.

    Raises:
        FileNotFoundError: there is nothing to report.
    """
    if not (output / "plan.json").exists():
        raise FileNotFoundError(f"no plan.json in {output}: nothing was started there")
    plan = json.loads((output / "plan.json").read_text())
    training, parts, can_draw = plan["baseline"]["training"], [], has_matplotlib()
    model = plan["baseline"]["model"]
    parts.append(
        f"Baseline: {model['num_layers']} layers, d_model {model['d_model']}, "
        f"{model['num_heads']} heads, context {model['context_length']}; {training['steps']:,} "
        f"steps of {training['batch_size'] * training['accumulation']:,} windows, "
        f"{training['dtype']}. Loss: nats a token of the validation file, in the end."
    )
    for name, ablation in plan["ablations"].items():
        rows = [read(output / "runs", one) for one in ablation["variants"]]
        parts += [f"## {name}: {ablation['question']}", show(rows)]
        if can_draw:
            draw(output / f"{name}.png", rows)
            parts.append(f"![{name}]({name}.png)")
    text = "\n\n".join(parts)
    with atomic_write(output / "ablations.md") as file:
        file.write(f"{text}\n".encode())
    return text


def has_matplotlib() -> bool:
    """Whether plots can be made; says so if not."""
    try:
        need_matplotlib()
    except ImportError as error:
        say(f"no plots: {error}; --plot-only makes them later")
        return False
    return True


def read(runs: Path, variant: dict[str, Any]) -> Row:
    """A variant's trainings, as far as they are done."""
    done = []
    for name in variant["runs"]:
        ended = runs / name / "ended.json"
        if ended.exists():
            is_stopped = json.loads(ended.read_text())["is_stopped"]
            done.append(Trial(History(runs / name / "metrics.jsonl"), is_stopped))
    count = len(variant["runs"])
    return Row(variant["label"], variant["parameters"], variant["in_blocks"], count, tuple(done))


def show(rows: Sequence[Row]) -> str:
    """A table; the first row is the baseline."""
    cells = []
    base = statistics.mean(rows[0].losses) if rows[0].losses else math.nan
    for row in rows:
        notes = []
        if row.diverged:
            of = f" {row.diverged} of {len(row.done)}" if len(row.done) > 1 else ""
            notes.append(f"diverged{of}{stopped_at(row)}")
        if len(row.done) < row.wanted:
            notes.append(f"{row.wanted - len(row.done)} not done")
        loss, spread, more = "", "", ""
        if row.losses:
            mean = statistics.mean(row.losses)
            loss, more = f"{mean:.4f}", "" if row is rows[0] else f"{mean - base:+.4f}"
            if len(row.losses) > 1:
                spread = f"{statistics.stdev(row.losses):.4f}"
        counts = [f"{row.parameters:,}", f"{row.in_blocks:,}"]
        cells.append([row.label, ", ".join(notes), *counts, loss, spread, more])
    header = ["variant", "", "parameters", "without embeddings", "loss", "± over seeds", "more"]
    if not any(one[1] for one in cells):
        header, cells = header[:1] + header[2:], [one[:1] + one[2:] for one in cells]
    if not any(one[-2] for one in cells):
        header, cells = header[:-2] + header[-1:], [one[:-2] + one[-1:] for one in cells]
    return table(header, cells, 2 if header[1] == "" else 1)


def stopped_at(row: Row) -> str:
    """Where the guard stopped the first of them that it stopped."""
    steps = [one.history.steps for one in row.done if one.is_stopped]
    return f", stopped after step {min(steps):,}" if steps else ""


def curve(row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tokens, and the validation loss there: the mean of the seeds, as far as all have one."""
    found = [one.history.series("valid_loss", "tokens") for one in row.done]
    length = min(len(x) for x, _ in found)
    return found[0][0][:length], np.mean([y[:length] for _, y in found], axis=0)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Curves of the validation loss, one a variant."""
    ends: list[float] = []
    with plot(path) as axes:
        for i, row in enumerate(rows):
            if not row.done:
                continue
            tokens, losses = curve(row)
            note = " (diverged)" if row.diverged else ""
            colour = COLOURS[i % len(COLOURS)]
            axes.plot(tokens, losses, color=colour, label=row.label + note)
            if row.diverged and len(tokens):
                axes.plot(tokens[-1:], losses[-1:], color=colour, marker="X", linestyle="none")
            ends += [loss for loss in losses[-1:] if math.isfinite(loss)]
        if ends:
            axes.set_ylim(min(ends) - 0.1, min(ends) + 2)
        axes.set_xlabel("tokens")
        axes.set_ylabel("validation loss")
        if any(row.done for row in rows):
            axes.legend()
