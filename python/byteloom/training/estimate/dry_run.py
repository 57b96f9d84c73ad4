"""One training step on tensors that hold nothing, and what is put down on the way.

The step is that of :mod:`byteloom.training.step`, of a run as :mod:`byteloom.training.build`
makes it, and :class:`Ledger` watches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from byteloom.nn.loss import Sums, has_kernel, piece_size
from byteloom.nn.recompute import Recompute, is_moved, let_layers_note
from byteloom.optim import AdamW
from byteloom.optim.adamw import form_on
from byteloom.training.build import assemble
from byteloom.training.config import RunConfig
from byteloom.training.estimate import stand_in
from byteloom.training.estimate.compiled import compiled
from byteloom.training.estimate.ledger import Ledger
from byteloom.training.step import train_step

#: Module's name within a block -> the part it belongs to; other names stand for themselves.
PARTS = {"attn": "attention", "cross": "attention", "ffn": "feed-forward"}
PARTS |= dict.fromkeys(
    (
        *("ln1", "ln2", "ln_cross", "ln1_out", "ln2_out", "ln_cross_out"),
        *("ln_final", "ln_embedding"),
    ),
    "norms",
)


class DryRun:
    """A run of empty tensors.

    Args:
        run_config: the run.
        device: the type of the one it is for.
        recompute: how much of the blocks is kept, whatever the configuration says.
        is_compiled: whether the blocks are compiled, whatever the configuration says.
    """

    def __init__(
        self, run_config: RunConfig, device: str, recompute: Recompute, is_compiled: bool
    ) -> None:
        training = run_config.training
        self.config, self.device, self.is_compiled = run_config, device, is_compiled
        self.ledger = Ledger()
        #: Bytes kept for the gradients when the forward pass is over, by purpose.
        self.kept: Counter[str] = Counter()
        #: More batches of a step are like the second.
        self.num_batches = min(training.accumulation, 2)
        self._offloaded = 0
        here = replace(training, device="cpu", num_threads=None, compile=False, recompute=recompute)
        self.run = assemble(replace(run_config, training=here), make_objective=stand_in.objective)
        self.model = self.run.model
        if is_compiled and self.run.watching:
            let_layers_note()

    def step(self) -> None:
        """Takes it."""
        ledger, run = self.ledger, self.run
        self._make_state()
        parameters = list(self.model.parameters())
        ledger.note(parameters, "weights")
        ledger.note(self.model.buffers(), "buffers")
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda p: ledger.note([p.grad], "gradients") and None
            )
        update, objective = run.update, run.objective

        def begin_update() -> None:
            ledger.enter("optimizer", ["optimizer step"])
            update()

        run.update = begin_update  # type: ignore[method-assign]
        run.objective = self._watched(objective)
        shapes = stand_in.shapes(self.config, self.config.training.batch_size)
        with self._hidden(objective) as hidden, ledger, self._by_parts():
            objective.hidden = hidden  # type: ignore[attr-defined]
            batches = [
                tuple(torch.zeros(shape, dtype=torch.long) for shape in shapes)
                for _ in range(self.num_batches)
            ]
            for batch in batches:
                ledger.note(batch, "batches")
            train_step(run, batches)

    def peaks(self) -> dict[str, Counter[str]]:
        """Segment -> bytes by purpose when there were most."""
        training = self.config.training
        shapes = stand_in.shapes(self.config, training.batch_size)
        a_batch = 8 * sum(torch.Size(shape).numel() for shape in shapes)
        for peak in self.ledger.peaks.values():
            peak["batches"] += a_batch * (training.accumulation - self.num_batches)
        return self.ledger.peaks

    def flops(self) -> Counter[tuple[str, str, str]]:
        """Operations of one batch."""
        n = self.num_batches
        return Counter({key: count // n for key, count in self.ledger.flops.items()})

    def waiting(self) -> Counter[str]:
        """Bytes that wait in main memory."""
        return Counter({"offloaded": self._offloaded // self.num_batches})

    def _make_state(self) -> None:
        """Gives the optimizer the state that it has in all steps but the first."""
        run, optimizer = self.run, self.run.optimizer
        if isinstance(optimizer, AdamW) and optimizer.fused == "auto":
            optimizer.fused = form_on(self.device)  # which is not the one that it sees
        for parameter in self.model.parameters():
            parameter.grad = torch.empty_like(parameter)
        run.update()
        self.model.zero_grad(set_to_none=True)
        state = [x for s in optimizer.state.values() for x in s.values() if isinstance(x, Tensor)]
        if run.narrow is not None:
            state += run.narrow.lost
            # Wide copies live while the optimizer works.
            self.ledger.watch(p for group in optimizer.param_groups for p in group["params"])
        self.ledger.note(state, "optimizer state")
        if run.average is not None:
            self.ledger.note(run.average.average.values(), "average")

    def _by_parts(self) -> AbstractContextManager[None]:
        """Names parts and segments, where modules are called one by one."""
        if self.is_compiled:
            return nullcontext()
        parts: dict[nn.Module, str] = {self.model.token_embeddings: "embeddings"}
        inner = [self.model, *(m for m in self.model.children() if hasattr(m, "layers"))]
        for before, layers in stand_in.stacks(self.model).items():
            inner += layers
            self._mark_blocks(before, layers)
        for module in inner:
            # What has no weights (dropout) belongs to what it follows.
            named = [(name, m) for name, m in module.named_children() if list(m.parameters())]
            outer = module not in inner[1:] or hasattr(module, "layers")
            parts |= {m: PARTS.get(name, name) for name, m in named if name in PARTS or not outer}
        return self.ledger.parts_of(parts)

    def _mark_blocks(self, before: str, layers: nn.ModuleList) -> None:
        """Names the segments: those of the first blocks, of the last, and what is between them."""
        ledger = self.ledger
        for i, layer in enumerate(layers):
            names = _names(before, i, len(layers))

            def begin(_: Any, __: Any, names: Sequence[str] = names) -> None:
                if ledger.phase == "forward":
                    ledger.enter("forward", [f"forward, {name}" for name in names])

            def end(_: Any, __: Any, output: Any, names: Sequence[str] = names) -> None:
                if ledger.phase == "forward":
                    backward = [f"backward, {name}" for name in names]
                    output.register_hook(lambda _: ledger.enter("backward", backward))

            layer.register_forward_pre_hook(begin)
            layer.register_forward_hook(end)

    def _hidden(self, objective: Any) -> AbstractContextManager[Callable[..., Tensor]]:
        """What the blocks make of a batch, and it is put down where they begin and end."""
        plain = objective.hidden
        if self.is_compiled:
            modules = {module: name for name, module in self.model.named_modules()}
            known = {
                f"{modules[layers]}.{i}": _names(before, i, len(layers))
                for before, layers in stand_in.stacks(self.model).items()
                for i in range(len(layers))
            }

            def segments(phase: str, module: str) -> list[str] | None:
                names = known.get(module)
                return None if names is None else [f"{phase}, {name}" for name in names]

            return compiled(plain, self.ledger, self._enter_loss, segments)

        def hidden(*args: Any, **kwargs: Any) -> Tensor:
            found: Tensor = plain(*args, **kwargs)
            self._enter_loss()
            return found

        return nullcontext(hidden)

    def _enter_loss(self) -> None:
        self.ledger.enter("loss", ["loss"])
        self.ledger.part = "head"

    def _watched(self, objective: Callable[..., Sums]) -> Callable[..., Sums]:
        """The objective, and it is put down where it begins and ends."""
        ledger, training, head = self.ledger, self.config.training, self.model.lm_head
        ledger.chosen = stand_in.predicted(self.config) * training.batch_size
        vocab, of_head = self.config.model.vocab_size, head.loss

        def loss(hidden: Tensor, targets: Tensor, *args: Any, **_: Any) -> Sums:
            in_place = has_kernel(self.device, head.scale, head.soft_cap)
            # Only decoders and encoder-decoders have a loss that is compiled.
            one_kernel = in_place or (training.compile and self.config.model.kind != "encoder")
            if one_kernel and training.dtype in ("bf16", "fp16"):
                ledger.fused = (vocab, torch.float32)
            ledger.overwritten = vocab if in_place else None
            piece = piece_size(targets.numel(), vocab, self.device)
            sums: Sums = of_head(hidden, targets, training.z_loss, piece)
            ledger.fused = ledger.overwritten = None
            return sums

        head.loss = loss  # type: ignore[method-assign]

        def watched(*batch: Tensor) -> Sums:
            ledger.enter("forward", ["forward, embedding"])
            with self._offloading():
                sums = objective(*batch)
            if not self.kept:
                self.kept = Counter({k: ledger.live[k] for k in ("forward", "loss")})
            ledger.enter("backward", ["backward, head"])
            return sums

        return watched

    def _offloading(self) -> AbstractContextManager[object]:
        """As :func:`byteloom.nn.recompute.offloading`, without a place to put things."""
        if not self.config.training.offload or self.device == "cpu":
            return nullcontext()

        def pack(tensor: Tensor) -> Any:
            if not is_moved(tensor):
                return tensor
            self._offloaded += tensor.numel() * tensor.element_size()
            return tensor.shape, tensor.dtype

        def unpack(packed: Any) -> Tensor:
            if isinstance(packed, Tensor):
                return packed
            shape, dtype = packed
            return torch.empty(shape, dtype=dtype)

        return saved_tensors_hooks(pack, unpack)


def _names(before: str, i: int, count: int) -> list[str]:
    """What a block is called: a stack's first and last ones have names."""
    ends = {"first": 0, "second": 1, "last but one": count - 2, "last": count - 1}
    return [f"{before}{name} block" for name, place in ends.items() if place == i]
