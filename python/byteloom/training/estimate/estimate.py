"""Everything that can be said about a run before it starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from byteloom.training.config import RunConfig
from byteloom.training.estimate.duration import Duration, assumed, measured
from byteloom.training.estimate.machine import Machine
from byteloom.training.estimate.memory import Memory, count_memory
from byteloom.training.estimate.operations import Operations, count_operations
from byteloom.training.estimate.parameters import Parameters, count_parameters
from byteloom.training.estimate.rehearsal import rehearse
from byteloom.training.estimate.trace import Source, trace
from byteloom.training.estimate.verdict import Verdict, decide, needed_bytes


@dataclass(frozen=True)
class Estimate:
    """What a run costs, and whether it fits."""

    machine: Machine
    """Where it would run."""
    parameters: Parameters
    """What it learns."""
    operations: Operations
    """What it computes."""
    memory: Memory
    """What it holds."""
    duration: Duration | None
    """How long it takes; ``None``: it does not fit, and could not be timed."""
    verdict: Verdict
    """Whether it fits."""
    memory_source: Source
    """What says what is held: the code, the compiler's graphs, or, where those cannot be had, a
    guess of what compiling does."""

    def as_json(self) -> dict[str, Any]:
        """Plain tables, for scripts."""
        tables = dataclasses.asdict(self)
        tables["memory"]["peak"] = dataclasses.asdict(self.memory.peak)
        tables["verdict"]["fits"] = self.verdict.fits
        return tables


def estimate(
    run_config: RunConfig,
    machine: Machine,
    *,
    mfu: float = 0.4,
    cache_batch: int = 1,
    cache_length: int | None = None,
) -> Estimate:
    """Estimates a run; nothing of its size is made, and no token file is read.

    Args:
        run_config: the run.
        machine: where it would run; if it is here, a few steps are timed, which takes seconds, and
            as long as compiling two times if the run is compiled.
        mfu: of a machine that is elsewhere, the part of its peak that training reaches.
        cache_batch: texts generated at once, for the size of the cache.
        cache_length: tokens of each; ``None`` the whole context.
    """
    parameters = count_parameters(run_config.model)
    taken = trace(run_config, machine.type, machine.workspaces)
    operations = count_operations(run_config, taken)
    memory = count_memory(run_config, taken, machine.type, cache_batch, cache_length)
    needed = needed_bytes(memory.peak.bytes, memory.checkpoint_copy, machine.type)
    verdict = decide(run_config, machine, needed)
    duration = None
    if not machine.is_here:
        duration = assumed(run_config, operations, machine, mfu)
    elif verdict.fits is not False:
        duration = measured(run_config, rehearse(run_config))
    return Estimate(
        machine,
        parameters,
        operations,
        memory,
        duration,
        verdict,
        taken.source,
    )
