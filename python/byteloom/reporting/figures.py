"""The headline figures of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from byteloom.reporting.history import History
from byteloom.reporting.run import Run


@dataclass(frozen=True)
class Figures:
    """What a run came to. ``None``: it did not write that down."""

    steps: int
    """Steps done, as far as they were written down."""
    planned_steps: int | None
    """Steps that its configuration asks for."""
    tokens: int | None
    """Tokens read in training, repetitions included."""
    epochs: float | None
    """How often the training data were gone through."""
    parameters: int | None
    """Numbers that were learned."""
    loss: float | None
    """Training loss of the last record, nats a token."""
    valid_loss: float | None
    """The last validation loss."""
    best_valid_loss: float | None
    """The smallest."""
    best_step: int | None
    """The step that had it."""
    seconds: float | None
    """Time, evaluations included."""
    tokens_per_second: float | None
    """The median of the records."""
    mfu: float | None
    """Model FLOPs utilisation, 0 to 1: the median of the records."""
    memory_bytes: int | None
    """The most memory that was ever held."""
    skipped: int | None
    """Steps that were left out because a gradient was not finite."""

    @classmethod
    def of(cls, run: Run) -> Figures:
        """The figures of a run."""
        history = run.history
        steps, losses = history.series("valid_loss")
        finite = np.flatnonzero(np.isfinite(losses))
        best = finite[np.argmin(losses[finite])] if len(finite) else None
        return cls(
            steps=history.steps,
            planned_steps=_planned(run.config),
            tokens=_whole(_last(history, "tokens")),
            epochs=_last(history, "epoch"),
            parameters=run.parameters,
            loss=_last(history, "loss"),
            valid_loss=_last(history, "valid_loss"),
            best_valid_loss=None if best is None else float(losses[best]),
            best_step=None if best is None else int(steps[best]),
            seconds=_last(history, "seconds"),
            tokens_per_second=_median(history, "tokens_per_second"),
            mfu=_median(history, "mfu"),
            memory_bytes=_whole(_most(history, "memory_bytes")),
            skipped=_whole(_last(history, "skipped")),
        )

    @property
    def perplexity(self) -> float | None:
        """The exponential of the last validation loss."""
        return _exp(self.valid_loss)

    @property
    def best_perplexity(self) -> float | None:
        """The exponential of the smallest validation loss."""
        return _exp(self.best_valid_loss)

    def as_json(self) -> dict[str, Any]:
        """The figures by name; what is not finite, which JSON does not know, as ``None``."""
        perplexities = {"perplexity": self.perplexity, "best_perplexity": self.best_perplexity}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in (asdict(self) | perplexities).items()
        }


def rows(figures: Sequence[Figures]) -> list[tuple[str, list[str]]]:
    """What the figures are called, and how each run's is written; without what no run knows."""
    forms: dict[str, Callable[[Figures], str | None]] = {
        "steps": _steps,
        "tokens": lambda one: _form("{:,}", one.tokens),
        "epochs": lambda one: _form("{:.3g}", one.epochs),
        "parameters": lambda one: _form("{:,}", one.parameters),
        "training loss, last": lambda one: _form("{:.4f}", one.loss),
        "validation loss, last": lambda one: _form("{:.4f}", one.valid_loss),
        "validation loss, best": lambda one: _form("{:.4f}", one.best_valid_loss),
        "best at step": lambda one: _form("{:,}", one.best_step),
        "perplexity, last": lambda one: _form("{:,.2f}", one.perplexity),
        "perplexity, best": lambda one: _form("{:,.2f}", one.best_perplexity),
        "time": lambda one: None if one.seconds is None else duration(one.seconds),
        "tokens/s, median": lambda one: _form("{:,.0f}", one.tokens_per_second),
        "MFU, median": lambda one: _form("{:.1%}", one.mfu),
        "peak memory": lambda one: None if one.memory_bytes is None else memory(one.memory_bytes),
        "skipped steps": lambda one: _form("{:,}", one.skipped),
    }
    found = [(name, [form(one) for one in figures]) for name, form in forms.items()]
    return [(name, [cell or "–" for cell in row]) for name, row in found if any(row)]


def duration(seconds: float) -> str:
    """Time for people.

    Example:
        >>> duration(12.34), duration(754), duration(7384), duration(200_000)
        ('12.3 s', '12 min 34 s', '2 h 03 min', '2 d 07 h')
    """
    if not math.isfinite(seconds):
        return str(seconds)
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02} h"
    return f"{hours} h {minute:02} min" if hours else f"{minutes} min {second:02} s"


def memory(size: float) -> str:
    """Bytes for people, in powers of 1,000.

    Example:
        >>> memory(788_000_000), memory(21_300_000_000)
        ('788 MB', '21.3 GB')
    """
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _form(form: str, value: float | None) -> str | None:
    return None if value is None else form.format(value)


def _steps(one: Figures) -> str:
    if one.planned_steps is None or one.steps == one.planned_steps:
        return f"{one.steps:,}"
    return f"{one.steps:,} of {one.planned_steps:,}"


def _planned(config: dict[str, Any]) -> int | None:
    training = config.get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else None


def _last(history: History, key: str) -> float | None:
    values = history.values(key)
    return float(values[-1]) if len(values) else None


def _finite(history: History, key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = history.values(key)
    return values[np.isfinite(values)]


def _median(history: History, key: str) -> float | None:
    values = _finite(history, key)
    return float(np.median(values)) if len(values) else None


def _most(history: History, key: str) -> float | None:
    values = _finite(history, key)
    return float(values.max()) if len(values) else None


def _whole(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else round(value)


def _exp(loss: float | None) -> float | None:
    if loss is None:
        return None
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
