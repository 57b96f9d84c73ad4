"""What a training step takes, with as many blocks as there are: the code that trains says it.

Nothing here knows what a block is made of. The step is done on tensors that hold nothing, as
:mod:`byteloom.training.estimate.dry_run` says. As blocks are alike, three and four of them tell
what any number takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from byteloom.nn.recompute import Recompute
from byteloom.training.config import RunConfig
from byteloom.training.estimate.dry_run import DryRun
from byteloom.training.estimate.stand_in import blocks, with_blocks

K = TypeVar("K", bound=Hashable)
Source: TypeAlias = Literal["code", "compiler", "guess"]

#: So many blocks tell what any number takes: a first, a last, and those next to them.
_FEW = (3, 4)


@dataclass(frozen=True)
class Trace:
    """What one step holds and computes."""

    peaks: dict[str, Counter[str]]
    """Segment -> bytes by purpose when there were most."""
    flops: Counter[tuple[str, str, str]]
    """(phase, part, products or scores) -> operations in one batch."""
    kept: Counter[str]
    """Bytes kept for the gradients when the forward pass is over, by purpose."""
    waiting: Counter[str]
    """Bytes of those that wait in main memory, under "offloaded"."""
    source: Source = "code"
    """What said so: the code, the compiler's graphs, or, where that failed, experience."""

    def along(self, one: Trace, other: Trace, far: int) -> Trace:
        """And ``far`` times what ``other`` has more than ``one``."""
        return replace(
            self,
            peaks={
                name: _along(peak, one.peaks[name], other.peaks[name], far)
                for name, peak in self.peaks.items()
            },
            flops=_along(self.flops, one.flops, other.flops, far),
            kept=_along(self.kept, one.kept, other.kept, far),
            waiting=_along(self.waiting, one.waiting, other.waiting, far),
        )


def _along(start: Counter[K], one: Counter[K], other: Counter[K], far: float) -> Counter[K]:
    keys = start | one | other
    return Counter({k: int(start[k] + (other[k] - one[k]) * far) for k in keys})


def trace(run_config: RunConfig, device: str, workspaces: int = 0) -> Trace:
    """What a step of a run takes on a device of this type ("cuda", "cpu" ...), here or not.

    Libraries take ``workspaces`` bytes beside it all the time.
    """
    found = _trace_of_tensors(run_config, device)
    for purposes in found.peaks.values():
        purposes["workspaces"] += workspaces
    return found


def _trace_of_tensors(run_config: RunConfig, device: str) -> Trace:
    recompute = run_config.training.recompute
    written = _trace(run_config, device, recompute)
    if not run_config.training.compile:
        return written
    try:
        compiled = _trace(run_config, device, recompute, is_compiled=True)
    except Exception:
        # What that takes is not public, and may look otherwise in other versions of torch.
        return _guess(run_config, device, written)
    peaks = compiled.peaks
    if recompute != "none":
        # In which order a block that is computed again is done is the compiler's affair, and not
        # known here: on an H200, it took up to 17% more than this one.
        peaks = {
            name: max(peak, written.peaks.get(name, peak), key=Counter.total)
            for name, peak in peaks.items()
        }
    return replace(compiled, peaks=peaks, flops=written.flops, source="compiler")


def _guess(run_config: RunConfig, device: str, written: Trace) -> Trace:
    """What the compiler keeps: about half of what is kept beside what is dear to compute again."""
    if run_config.training.recompute != "none":
        return replace(written, source="guess")
    dear = _trace(run_config, device, "selective")
    peaks = written.peaks.items()
    return replace(
        written,
        peaks={name: _along(peak, peak, dear.peaks[name], 0.5) for name, peak in peaks},
        kept=_along(written.kept, written.kept, dear.kept, 0.5),
        source="guess",
    )


def _trace(
    run_config: RunConfig, device: str, recompute: Recompute, is_compiled: bool = False
) -> Trace:
    model, counts = run_config.model, blocks(run_config.model)
    if not model.has_equal_layers():
        return trace_whole(with_blocks(run_config, counts), device, recompute, is_compiled)

    def with_some(some: tuple[int, ...]) -> Trace:
        return trace_whole(with_blocks(run_config, some), device, recompute, is_compiled)

    few = tuple(n if n <= _FEW[1] else _FEW[0] for n in counts)
    first = found = with_some(few)
    for i, (n, there) in enumerate(zip(counts, few, strict=True)):
        if n != there:
            more = with_some((*few[:i], _FEW[1], *few[i + 1 :]))
            found = found.along(first, more, n - there)
    return found


def trace_whole(
    run_config: RunConfig, device: str, recompute: Recompute, is_compiled: bool = False
) -> Trace:
    """The same, with all blocks."""
    # Always as tensors of a CPU: they need no GPU, and the same operations are done to them.
    with FakeTensorMode(), torch.random.fork_rng(devices=[]):
        dry = DryRun(run_config, device, recompute, is_compiled)
        dry.step()
        return Trace(dry.peaks(), dry.flops(), dry.kept, dry.waiting())
