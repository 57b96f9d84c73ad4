"""What a real step takes, for estimates to be compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from byteloom.training.state import Run
from byteloom.training.step import train_step


def batches_of(run: Run) -> list[Any]:
    """Those of the first step."""
    return [run.batches.batch_at(i) for i in range(run.config.training.accumulation)]


def peak_of_a_step(run: Run) -> int:
    """Bytes of tensors at the peak of a step that is not the first, by torch's profiler."""
    train_step(run, batches_of(run))
    batches = batches_of(run)
    states = [x for state in run.optimizer.state.values() for x in state.values()]
    states += [] if run.average is None else run.average.average.values()
    states += [] if run.narrow is None else run.narrow.lost
    there = [*run.model.parameters(), *run.model.buffers(), *states]
    there += [x for batch in batches for x in batch]
    peak = live = sum(x.nbytes for x in there if isinstance(x, torch.Tensor))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        train_step(run, batches)
    results: Any = seen.profiler
    events = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
