"""Whether a run fits, and what would if it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from byteloom.training.config import RunConfig
from byteloom.training.estimate.machine import Machine
from byteloom.training.estimate.trace import trace

#: What allocators lose between tensors, and libraries take for themselves.
_MARGIN = 1.05
#: Settings that fit, to be named.
_ENOUGH = 3


@dataclass(frozen=True)
class Setting:
    """A change that makes a run smaller."""

    text: str
    """As one writes it."""
    bytes: int
    """The most it holds then, with the margin."""
    fits: bool
    """Whether that is there."""


@dataclass(frozen=True)
class Verdict:
    """What is needed beside what is there."""

    needed: int
    """Bytes at the peak, with what allocators lose: 5%."""
    available: int | None
    """Bytes on the device; ``None``: not known."""
    tried: tuple[Setting, ...]
    """If it does not fit, what was tried."""

    @property
    def fits(self) -> bool | None:
        """Whether it does; ``None``: nobody knows."""
        return None if self.available is None else self.needed <= self.available


def needed_bytes(peak: int, checkpoint_copy: int, device: str) -> int:
    """What must be there for a peak. On a CPU, a checkpoint's copy lies in the same memory."""
    return int(peak * _MARGIN) + (checkpoint_copy if device == "cpu" else 0)


def needed_by(run_config: RunConfig, machine: Machine) -> int:
    """The same of a run, by a step on tensors that hold nothing."""
    taken = trace(run_config, machine.type, machine.workspaces)
    last = taken.peaks["optimizer step"]
    return needed_bytes(
        max(purposes.total() for purposes in taken.peaks.values()),
        last["weights"] + last["optimizer state"],
        machine.type,
    )


def decide(run_config: RunConfig, machine: Machine, needed: int) -> Verdict:
    """Compares, and tries smaller settings where it does not fit."""
    if machine.memory is None or needed <= machine.memory:
        return Verdict(needed, machine.memory, ())
    tried: list[Setting] = []
    for text, changed in _smaller(run_config, machine.type):
        size = needed_by(changed, machine)
        tried.append(Setting(text, size, size <= machine.memory))
        if sum(setting.fits for setting in tried) == _ENOUGH:
            break
    return Verdict(needed, machine.memory, tuple(tried))


def _smaller(run_config: RunConfig, device: str) -> Iterator[tuple[str, RunConfig]]:
    """Settings that need less: first what costs little."""
    training = run_config.training

    def change(text: str, **keys: object) -> tuple[str, RunConfig]:
        changed = replace(training, **keys)  # type: ignore[arg-type]
        return text, replace(run_config, training=changed)

    # Compiled, what is cheap is computed again in any case.
    ways = ["block"] if training.compile else ["selective", "block"]
    ways = ways[ways.index(training.recompute) + 1 :] if training.recompute in ways else ways
    if training.dtype in ("fp32", "tf32") and device == "cuda":
        yield change("dtype = bf16", dtype="bf16")
    for way in ways:
        yield change(f"recompute = {way}", recompute=way)
    if device == "cuda" and not training.compile and not training.offload:
        yield change("offload = true", offload=True)
    batch, accumulation = training.batch_size, training.accumulation
    while batch > 1:
        # The same tokens a step, in smaller pieces; 3 becomes 1 and three times as many.
        factor = 2 if batch % 2 == 0 else batch
        batch, accumulation = batch // factor, accumulation * factor
        sizes = {"batch_size": batch, "accumulation": accumulation}
        text = f"batch_size = {batch} with accumulation = {accumulation}"
        yield change(text, **sizes)
        if ways:
            yield change(f"recompute = block, {text}", recompute="block", **sizes)
