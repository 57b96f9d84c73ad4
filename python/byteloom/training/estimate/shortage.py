"""A word of warning at the beginning of a run that will not fit."""

from __future__ import annotations

from dataclasses import replace

import torch

from byteloom.training.estimate.machine import machine_here
from byteloom.training.estimate.stand_in import blocks
from byteloom.training.estimate.verdict import needed_by
from byteloom.training.state import Run


def shortage(run: Run) -> str | None:
    """What a run that has just been made lacks in memory, in words; ``None``: it will do."""
    machine = machine_here(run.device)
    states = [x for s in run.optimizer.state.values() for x in s.values()]
    held = sum(x.nbytes for x in [*run.parameters, *states] if isinstance(x, torch.Tensor))
    # Of a CPU's memory, what the run has already is no longer free.
    available = machine.memory and machine.memory + (held if machine.type == "cpu" else 0)
    if available is None or _surely(run) < available / 2:
        return None
    training = replace(run.config.training, compile=False)
    needed = needed_by(replace(run.config, training=training), machine)
    if run.config.training.compile and needed > 0.9 * available:
        # Compiled it takes less, as a rule, but to know how much takes many times as long.
        needed = needed_by(run.config, machine)
    if needed <= available:
        return None
    return (
        f"this needs about {needed / 1e9:,.1f} GB of memory, and {available / 1e9:,.1f} GB are "
        "free: it may fail; `byteloom estimate` says what would fit"
    )


def _surely(run: Run) -> float:
    """More bytes than a run takes, without looking closely: spares most runs a second."""
    training, model = run.config.training, run.config.model
    numbers = sum(p.numel() for p in run.parameters)
    layers = sum(blocks(model))
    tokens = training.batch_size * model.context_length
    # The matrices' results are parameters / d_model numbers a token; around them is several times
    # that. Scores, if they are written out, come in several copies.
    kept = 8 * numbers / model.d_model + 8 * layers * model.num_heads * model.context_length
    return 4 * (16 * numbers + tokens * kept)
