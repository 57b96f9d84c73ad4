"""What a real step takes, for estimates to be compared with."""

from __future__ import annotations

from typing import Any

from byteloom.training.state import Run
from byteloom.training.step import train_step
from test_study_scripts import script


def batches_of(run: Run) -> list[Any]:
    """Those of the first step."""
    return [run.batches.batch_at(i) for i in range(run.config.training.accumulation)]


def peak_of_a_step(run: Run) -> int:
    """Bytes of tensors at the peak of a step that is not the first, by torch's profiler."""
    train_step(run, batches_of(run))
    return int(script("check_estimate").measure_peak(run, batches_of(run)))
