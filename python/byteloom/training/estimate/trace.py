"""One training step on tensors that hold nothing: the code that trains says what it would take.

Nothing here knows what a block is made of. The step of :mod:`byteloom.training.step` runs, with the
model of the configuration, and :class:`Ledger` watches. As blocks are alike, three and four of them
tell what any number takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from byteloom.model import TransformerLM
from byteloom.nn.loss import Sums, piece_size
from byteloom.nn.recompute import Recompute, Recomputing, is_moved
from byteloom.optim import AdamW, WeightAverage
from byteloom.training.config import RunConfig
from byteloom.training.estimate.ledger import Ledger
from byteloom.training.plan import Plan
from byteloom.training.scaling import LossScale
from byteloom.training.state import Run
from byteloom.training.step import train_step

K = TypeVar("K", bound=Hashable)

#: Module's name within a block -> the part it belongs to; other names stand for themselves.
PARTS = {"attn": "attention", "ffn": "feed-forward"}
PARTS |= dict.fromkeys(("ln1", "ln2", "ln1_out", "ln2_out"), "norms")
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

    def at(self, other: Trace, blocks: int) -> Trace:
        """With ``blocks`` blocks, where this one has 3 and ``other`` 4."""
        far = blocks - _FEW[0]
        return Trace(
            {name: _between(peak, other.peaks[name], far) for name, peak in self.peaks.items()},
            _between(self.flops, other.flops, far),
            _between(self.kept, other.kept, far),
            _between(self.waiting, other.waiting, far),
        )


def _between(one: Counter[K], other: Counter[K], far: float) -> Counter[K]:
    """On the line from ``one`` (0) to ``other`` (1), or beyond."""
    keys = one | other
    return Counter({k: int(one[k] + (other[k] - one[k]) * far) for k in keys})


def trace(run_config: RunConfig, device: str, workspaces: int = 0) -> Trace:
    """What a step of a run takes on a device of this type ("cuda", "cpu" ...), here or not.

    Libraries take ``workspaces`` bytes beside it all the time.
    """
    found = _trace_of_tensors(run_config, device)
    for purposes in found.peaks.values():
        purposes["workspaces"] += workspaces
    return found


def _trace_of_tensors(run_config: RunConfig, device: str) -> Trace:
    # torch.compile decides by itself what it keeps. That was found to be about halfway between all
    # and what cannot be computed again cheaply: see docs/training.md.
    recompute = run_config.training.recompute
    if not run_config.training.compile or recompute != "none":
        return _trace(run_config, device, recompute)
    everything = _trace(run_config, device, "none")
    dear = _trace(run_config, device, "selective")
    return replace(
        everything,
        peaks={
            name: _between(peak, dear.peaks[name], 0.5) for name, peak in everything.peaks.items()
        },
        kept=_between(everything.kept, dear.kept, 0.5),
    )


def _trace(run_config: RunConfig, device: str, recompute: Recompute) -> Trace:
    blocks, model = run_config.model.num_layers, run_config.model
    if blocks <= _FEW[1] or not model.has_equal_layers():
        return trace_whole(run_config, device, recompute)
    few, more = (
        trace_whole(
            replace(run_config, model=replace(run_config.model, num_layers=n)), device, recompute
        )
        for n in _FEW
    )
    return few.at(more, blocks)


def trace_whole(run_config: RunConfig, device: str, recompute: Recompute) -> Trace:
    """The same, with all blocks, none of them compiled."""
    # Always as tensors of a CPU: they need no GPU, and the same operations are done to them.
    with FakeTensorMode(), torch.random.fork_rng(devices=[]):
        return _Tracer(run_config, device, recompute).trace()


class _Tracer:
    """A run of empty tensors, and what is put down on the way."""

    def __init__(self, run_config: RunConfig, device: str, recompute: Recompute) -> None:
        self.config, self.device = run_config, device
        self.ledger = Ledger()
        self.waiting: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.model = TransformerLM(run_config.model)
        self.model.recomputing = Recomputing(recompute)
        training = run_config.training
        #: More batches of a step are like the second.
        self.num_batches = min(training.accumulation, 2)

    def trace(self) -> Trace:
        """Takes the step."""
        training, model, ledger = self.config.training, self.model, self.ledger
        ledger.note(model.parameters(), "weights")
        ledger.note(model.buffers(), "buffers")
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda p: ledger.note([p.grad], "gradients") and None
            )
        run = Run(
            config=self.config,
            device=torch.device("cpu"),
            model=model,
            objective=self.objective,
            optimizer=self.config.optimizer.build(model),
            schedule=self.config.schedule.build(training.steps),
            batches=None,  # type: ignore[arg-type]
            validation=None,
            plan=Plan(1),
            spikes=None,
            # Weights in bf16 are taken for float32: the estimate is above what they need.
            narrow=None,
            average=self.average(),
            loss_scale=LossScale() if training.dtype == "fp16" else LossScale(1.0),
        )
        self.make_state(run.optimizer)
        run.optimizer.register_step_pre_hook(
            lambda *_: ledger.enter("optimizer", ["optimizer step"])
        )
        parts: dict[nn.Module, str] = {
            model.token_embeddings: "embeddings",
            model.ln_final: "norms",
        }
        for layer in model.layers:
            # What has no weights (dropout) belongs to what it follows.
            named = [(name, m) for name, m in layer.named_children() if list(m.parameters())]
            parts |= {m: PARTS.get(name, name) for name, m in named}
        with ledger, ledger.parts_of(parts):
            self.mark_blocks()
            shape = (training.batch_size, self.config.model.context_length)
            ids = [torch.zeros(2, *shape, dtype=torch.long) for _ in range(self.num_batches)]
            ledger.note(ids, "batches")
            train_step(run, [tuple(pair.unbind()) for pair in ids])  # type: ignore[misc]
        return self.result()

    def make_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Gives the optimizer the state that it has in all steps but the first."""
        if isinstance(optimizer, AdamW) and optimizer.fused == "auto" and self.device == "cuda":
            optimizer.fused = "fused"
        for parameter in self.model.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
        self.model.zero_grad(set_to_none=True)
        state = (x for s in optimizer.state.values() for x in s.values() if isinstance(x, Tensor))
        self.ledger.note(state, "optimizer state")

    def average(self) -> WeightAverage | None:
        """The running mean of the weights, if the run has one."""
        if self.config.averaging is None:
            return None
        average = self.config.averaging.build(self.model)
        self.ledger.note(average.average.values(), "average")
        return average

    def mark_blocks(self) -> None:
        """Names the segments: those of the first blocks, of the last, and what is between them."""
        last = len(self.model.layers) - 1

        def names(phase: str, i: int) -> list[str]:
            ends = {"first": 0, "second": 1, "last but one": last - 1, "last": last}
            return [f"{phase}, {name} block" for name, place in ends.items() if place == i]

        for i, layer in enumerate(self.model.layers):

            def begin(_: Any, __: Any, i: int = i) -> None:
                if self.ledger.phase == "forward":
                    self.ledger.enter("forward", names("forward", i))

            def end(_: Any, __: Any, output: Any, i: int = i) -> None:
                if self.ledger.phase == "forward":
                    output.register_hook(
                        lambda _: self.ledger.enter("backward", names("backward", i))
                    )

            layer.register_forward_pre_hook(begin)
            layer.register_forward_hook(end)

    def objective(self, inputs: Tensor, targets: Tensor) -> Sums:
        """As :class:`byteloom.training.objective.Objective`, and put down."""
        model, ledger, training = self.model, self.ledger, self.config.training
        vocab = self.config.model.vocab_size
        with self.offloading():
            ledger.enter("forward", ["forward, embedding"])
            hidden = model.hidden(inputs)
            ledger.enter("loss", ["loss"])
            ledger.part = "head"
            if training.compile and hidden.dtype != torch.float32:
                ledger.fused = (vocab, torch.float32)
            piece = piece_size(targets.numel(), vocab, self.device)
            sums = model.lm_head.loss(hidden, targets, training.z_loss, piece)
            ledger.fused = None
        del hidden
        if not self.kept:
            self.kept = Counter({k: ledger.live[k] for k in ("forward", "loss")})
        ledger.enter("backward", ["backward, head"])
        return sums

    def offloading(self) -> AbstractContextManager[object]:
        """As :func:`byteloom.nn.recompute.offloading`, without a place to put things."""
        if not self.config.training.offload or self.device == "cpu":
            return nullcontext()

        def pack(tensor: Tensor) -> Any:
            if not is_moved(tensor):
                return tensor
            self.waiting["offloaded"] += tensor.numel() * tensor.element_size()
            return tensor.shape, tensor.dtype

        def unpack(packed: Any) -> Tensor:
            if isinstance(packed, Tensor):
                return packed
            shape, dtype = packed
            return torch.empty(shape, dtype=dtype)

        return saved_tensors_hooks(pack, unpack)

    def result(self) -> Trace:
        """What was put down, of one batch."""
        peaks = self.ledger.peaks
        more = self.config.training.accumulation - self.num_batches
        training = self.config.training
        ids = 16 * more * training.batch_size * self.config.model.context_length
        for peak in peaks.values():
            peak["batches"] += ids
        n = self.num_batches
        flops = Counter({key: count // n for key, count in self.ledger.flops.items()})
        waiting = Counter({k: size // n for k, size in self.waiting.items()})
        return Trace(peaks, flops, self.kept, waiting)
