"""One figure of one run as a line: where its points are, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from byteloom.plotting import COLOURS, MARKERS
from byteloom.reporting.history import Axis, Values
from byteloom.reporting.run import Run

#: Points of a line; where there are more, what stands out is kept.
POINTS = 1500
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Curve:
    """One key of one run, ready to be drawn."""

    run: str
    key: str
    number: int
    """Of the run."""
    x: Values
    y: Values
    """Not a number where there is nothing to draw."""

    @classmethod
    def of(cls, run: Run, number: int, key: str, axis: Axis, positive: bool = False) -> Curve:
        """The curve of a key, without points if there is nothing to draw.

        Args:
            run: whose.
            number: of the run.
            key: in its metrics.
            axis: what is on the horizontal axis.
            positive: whether only values above 0 can be drawn.
        """
        x, y = run.history.series(key, axis)
        fits = np.isfinite(y) & ((y > 0) | (not positive))
        if not fits.any():
            x, y, fits = x[:0], y[:0], fits[:0]
        return cls(run.name, key, number, x, np.where(fits, y, np.nan))

    @property
    def look(self) -> dict[str, Any]:
        """Colour and dashes of the run."""
        turns, place = divmod(self.number, len(COLOURS))
        return {"color": COLOURS[place], "linestyle": _DASHES[turns % len(_DASHES)]}

    @property
    def marker(self) -> str:
        """Of the run."""
        return MARKERS[self.number % len(MARKERS)]

    def describe(self) -> str:
        """The curve in words."""
        y = self.y[np.isfinite(self.y)]
        if len(y) == 1:
            return f"{y[0]:.4g}, a single point"
        return f"from {y[0]:.4g} to {y[-1]:.4g}, lowest {y.min():.4g}, highest {y.max():.4g}"


def smooth(y: Values) -> Values:
    """The mean of what is around each value, of a window that is a part of the whole.

    Towards the start, where a loss falls fast, the window grows narrow on both sides, so that the
    slope is not bent; towards the end it does on the right side only, so that the last values are
    smooth too.
    """
    count = len(y)
    places = np.arange(count)
    before = np.minimum(places, max(1, count // 50))
    begin, end = places - before, np.minimum(places + before + 1, count)
    finite = np.isfinite(y)
    sums = np.r_[0.0, np.cumsum(np.where(finite, y, 0.0))]
    counts = np.r_[0, np.cumsum(finite)]
    inside = np.maximum(counts[end] - counts[begin], 1)
    return np.where(finite, (sums[end] - sums[begin]) / inside, np.nan)


def thin(x: Values, y: Values) -> tuple[Values, Values]:
    """The curve with fewer points if it has many: of each piece the lowest and the highest."""
    if len(x) <= POINTS:
        return x, y
    finite = np.isfinite(y)
    keep = {0, len(x) - 1}
    for piece in np.array_split(np.arange(len(x)), POINTS // 2):
        keep.add(int(piece[np.where(finite[piece], y[piece], np.inf).argmin()]))
        keep.add(int(piece[np.where(finite[piece], y[piece], -np.inf).argmax()]))
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]
