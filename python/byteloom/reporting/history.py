"""metrics.jsonl as columns."""

from __future__ import annotations

import json
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

Values: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]

#: What a plot can have on its horizontal axis.
Axis: TypeAlias = Literal["step", "tokens", "seconds"]
AXES: tuple[Axis, ...] = get_args(Axis)


@dataclass
class _Column:
    """Numbers under one key, and the records that have it; 16 bytes a number."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class History:
    r"""What a run wrote down, by key.

    A record need not have every key: evaluations are records of their own. What is no number is
    left out, and so is a last line that is not finished, for the run may be going on, or was
    killed.

    Args:
        path: metrics.jsonl; none there: an empty history.

    Raises:
        ValueError: a line that is no record; the message names file and line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> lines = '{"step": 2, "loss": 3.5}\n{"step": 2, "valid_loss": 4.0}\n{"step": 4, "lo'
        >>> _ = path.write_text(lines)
        >>> history = History(path)
        >>> history.keys, history.steps, history.is_torn
        (('loss', 'valid_loss'), 2, True)
        >>> history.series("valid_loss")
        (array([2.]), array([4.]))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._columns: dict[str, _Column] = {}
        self.records = 0
        self.is_torn = False
        """Whether the last line is not finished."""
        if Path(path).exists():
            with Path(path).open("rb") as file:
                for number, line in enumerate(file, 1):
                    self._read(line, f"{os.fspath(path)}, line {number}")

    def _read(self, line: bytes, where: str) -> None:
        """Takes one line in."""
        if not line.strip():
            return
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no object in braces")
            numbers = {key: float(value) for key, value in record.items() if _is_number(value)}
            if not np.isfinite(numbers.get("step", np.nan)):
                raise ValueError("it has no number under step")
        except (ValueError, OverflowError, RecursionError) as error:
            if not line.endswith(b"\n"):  # only the last one can be so
                self.is_torn = True
                return
            raise ValueError(f"{where} is no record of a run: {error}") from None
        for key, number in numbers.items():
            column = self._columns.setdefault(key, _Column())
            column.rows.append(self.records)
            column.values.append(number)
        self.records += 1

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all figures, without those that can be a horizontal axis, as they first appeared."""
        return tuple(key for key in self._columns if key not in AXES)

    @property
    def steps(self) -> int:
        """The last step that was written down; 0: none was."""
        return int(self.values("step")[-1]) if self.records else 0

    def values(self, key: str) -> Values:
        """All numbers under a key, in the order of the file; none: an empty array."""
        return np.array(self._columns.get(key, _Column()).values)

    def series(self, key: str, axis: Axis = "step") -> tuple[Values, Values]:
        """Where on the axis, and what, for all numbers under a key.

        Where a record does not say how many tokens or seconds it stands at, this follows from its
        step and the records around it; where that is not known, the number is left out.
        """
        column = self._columns.get(key, _Column())
        x, y = self._positions(axis)[np.array(column.rows, dtype=np.int64)], np.array(column.values)
        known = np.isfinite(x)
        return x[known], y[known]

    def _positions(self, axis: Axis) -> Values:
        """The place of every record on the axis."""
        steps = self.values("step")
        if axis == "step" or not self.records:
            return steps
        column = self._columns.get(axis, _Column())
        known, found = np.array(column.rows, dtype=np.int64), np.array(column.values)
        places = np.full(self.records, np.nan)
        if len(known):
            at = steps[known]
            order = np.argsort(at, kind="stable")
            # A run starts at 0; past what is known there is nothing to go by.
            places = np.interp(steps, np.r_[0, at[order]], np.r_[0, found[order]], right=np.nan)
            places[known] = found
        return places


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)  # a bool, too, is 0 or 1
