"""How long a run will take: by steps that were timed, or by a data sheet."""

from __future__ import annotations

from dataclasses import dataclass

from byteloom.training.config import RunConfig
from byteloom.training.estimate.machine import Machine
from byteloom.training.estimate.operations import Operations
from byteloom.training.estimate.rehearsal import Rehearsal
from byteloom.training.estimate.stand_in import tokens_of_text
from byteloom.training.plan import Plan

#: How fast products are beside those of bf16: an H100's and A100's.
_TYPES = {"bf16": 1.0, "fp16": 1.0, "tf32": 0.5, "fp32": 1 / 15}


@dataclass(frozen=True)
class Duration:
    """Seconds."""

    step: float
    """One step of full accumulation."""
    tokens_per_second: float
    """In such steps."""
    run: float
    """All steps and evaluations, without loading and compiling."""
    optimizer: float
    """Of a step: clipping and the update; 0: counted with the rest."""
    source: str
    """Where the speeds are from."""


def measured(run_config: RunConfig, rehearsal: Rehearsal) -> Duration:
    """From steps on the device."""
    training = run_config.training
    step = training.accumulation * rehearsal.batch + rehearsal.optimizer
    return Duration(
        step=step,
        tokens_per_second=training.accumulation * _tokens(run_config) / step,
        run=_batches(run_config) * rehearsal.batch
        + training.steps * rehearsal.optimizer
        + _evaluated(run_config) * rehearsal.evaluation,
        optimizer=rehearsal.optimizer,
        source="by a few steps of few blocks, timed on this machine just now",
    )


def assumed(
    run_config: RunConfig, operations: Operations, machine: Machine, mfu: float
) -> Duration:
    """From a data sheet: ``mfu`` of its peak goes into operations.

    Raises:
        ValueError: an ``mfu`` that is no part of 1.
    """
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu is {mfu}; it must be above 0 and at most 1")
    assert machine.peak is not None
    twice = 1 + operations.recomputed / operations.token
    peak = machine.peak * _TYPES[run_config.training.dtype]
    speed = mfu * peak / (operations.rule_of_thumb * twice)
    tokens = run_config.training.accumulation * _tokens(run_config)
    whole = (_batches(run_config) + _evaluated(run_config) / 3) * _tokens(run_config) / speed
    return Duration(
        step=tokens / speed,
        tokens_per_second=speed,
        run=whole,
        optimizer=0.0,
        source=f"assumed: {mfu:.0%} of {machine.name}'s {peak / 1e12:,.0f} TFLOPS by data sheet",
    )


def _tokens(run_config: RunConfig) -> int:
    return run_config.training.batch_size * tokens_of_text(run_config)


def _batches(run_config: RunConfig) -> int:
    training = run_config.training
    plan = Plan(training.accumulation, min(training.accumulation_warmup, training.steps))
    return plan.before(training.steps)


def _evaluated(run_config: RunConfig) -> int:
    """Batches in all evaluations; of "all" nothing is known before the file is looked at."""
    training = run_config.training
    if run_config.data.valid is None or training.eval_batches == "all":
        return 0
    return -(-training.steps // training.eval_interval) * training.eval_batches
