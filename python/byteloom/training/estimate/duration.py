"""How long a run will take: by measured speeds, or by a data sheet and an assumed utilisation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from byteloom.training.config import RunConfig
from byteloom.training.estimate.machine import Machine
from byteloom.training.estimate.operations import Operations
from byteloom.training.estimate.speed import Speed
from byteloom.training.estimate.trace import Trace
from byteloom.training.plan import Plan

#: Fused kernels of a compiled model read and write about so much of what separate ones do.
_FUSED = 0.4
#: How fast products are beside those of bf16, where that is not measured: an H100's and A100's.
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
    products: float
    """Of a step: products of matrices."""
    scores: float
    """Of a step: attention."""
    rest: float
    """Of a step: everything else, the optimizer included."""
    source: str
    """Where the speeds are from."""


def measured(run_config: RunConfig, trace: Trace, speed: Speed, device: str) -> Duration:
    """From the speed of the device."""
    training = run_config.training
    by_kind: Counter[str] = Counter()
    forward = 0.0
    for (phase, _, kind), count in trace.flops.items():
        by_kind[kind] += count
        one = {"forward": 1.0, "loss": 1 / 3}.get(phase, 0.0)
        forward += one * count / (speed.products if kind == "products" else speed.scores)

    def rest_of(phases: set[str]) -> float:
        fused = _FUSED if training.compile else 1.0
        moved = sum(trace.moved[phase] for phase in phases) / speed.bytes
        calls = sum(trace.calls[phase] for phase in phases) * speed.call
        # A GPU works while the processor prepares what comes next.
        return fused * (max(moved, calls) if device == "cuda" else moved + calls)

    products = by_kind["products"] / speed.products
    scores = by_kind["scores"] / speed.scores
    rest = rest_of({"forward", "loss", "backward"})
    batch, optimizer = products + scores + rest, rest_of({"optimizer"})
    n = training.accumulation
    step = n * batch + optimizer
    return Duration(
        step=step,
        tokens_per_second=n * _tokens(run_config) / step,
        run=_batches(run_config) * batch
        + training.steps * optimizer
        + _evaluated(run_config) * (forward + rest_of({"forward"})),
        products=n * products,
        scores=n * scores,
        rest=n * rest + optimizer,
        source="speeds measured on this machine just now",
    )


def assumed(
    run_config: RunConfig, operations: Operations, machine: Machine, mfu: float
) -> Duration:
    """From a data sheet: ``mfu`` of its peak goes into 6 N + 12 L d T operations a token.

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
        products=tokens / speed,
        scores=0.0,
        rest=0.0,
        source=f"assumed: {mfu:.0%} of {machine.name}'s {peak / 1e12:,.0f} TFLOPS by data sheet",
    )


def _tokens(run_config: RunConfig) -> int:
    return run_config.training.batch_size * run_config.model.context_length


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
