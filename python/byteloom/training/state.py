"""What a run is: everything that changes from step to step, and what it is made from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from byteloom import config
from byteloom.checkpoint import Checkpoint
from byteloom.data.batches import AnyBatch
from byteloom.models import AnyModel
from byteloom.nn.loss import Sums
from byteloom.optim import AdamW, WeightAverage
from byteloom.optim.narrow import NarrowWeights
from byteloom.training.config import RunConfig
from byteloom.training.plan import Plan
from byteloom.training.scaling import LossScale
from byteloom.training.skips import Skips
from byteloom.training.spikes import Spikes
from byteloom.training.tasks import AnyBatches


@dataclass
class Run:
    """A run between two steps."""

    config: RunConfig
    """What it was asked to be."""
    device: torch.device
    """Where it computes."""
    model: AnyModel
    """The weights."""
    objective: Callable[..., Sums]
    """What a batch consists of, for decoders inputs and targets -> the model's loss."""
    optimizer: torch.optim.Optimizer
    """Its state is part of the run's."""
    schedule: Callable[[int], float]
    """Step -> learning rate."""
    batches: AnyBatches
    """Step -> batch."""
    validation: Callable[[], Iterable[AnyBatch]] | None
    """What is scored at every evaluation; ``None``: nothing is."""
    plan: Plan
    """Step -> how many batches it takes."""
    spikes: Spikes | None
    """Which losses are put down as spikes; ``None``: none are."""
    loss_scale: LossScale
    """The factor on the loss: changes only in fp16, and is 1 elsewhere."""
    narrow: NarrowWeights | None
    """How weights in bf16 are updated; ``None``: they are in float32."""
    average: WeightAverage | None
    """The running mean of the weights; ``None``: there is none."""
    step: int = 0
    """Optimizer steps done."""
    evaluated: int = -1
    """The last step whose evaluation is done."""
    metrics_bytes: int = 0
    """Length of metrics.jsonl when the checkpoint was made: what is after it never happened."""
    seconds: float = 0.0
    """Time spent training, in all sessions."""
    skips: Skips | None = None
    """What decides on the device whether a step is left out; ``None``: nothing was decided yet."""
    skipped: int = 0
    """Steps whose update was left out."""
    skipped_in_a_row: int = 0
    """How many of those were the last ones."""
    best: tuple[float, int] = (math.inf, 0)
    """The best validation loss, and its step."""
    disappointments: int = 0
    """Evaluations since then."""
    parameters: list[Parameter] = field(init=False)
    """Those of the model; like what follows, looked for once, as a walk takes a while."""
    penalizing: list[Any] = field(init=False)
    """The parts of the model that add to the loss."""
    watching: list[Any] = field(init=False)
    """The parts of the model that are told when a step ends: they have a method for it."""

    def __post_init__(self) -> None:
        self.parameters = list(self.model.parameters())
        self.penalizing = self.model.penalizing()
        self.watching = [part for part in self.model.modules() if hasattr(part, "end_step")]

    @property
    def tokens(self) -> int:
        """How many tokens the steps done have read, those without a target of theirs included."""
        return self.tokens_before(self.step)

    def tokens_before(self, step: int) -> int:
        """How many tokens the steps before this one read."""
        return self.plan.before(step) * self.batches.batch_size * self.batches.context_length

    def skips_on_device(self) -> bool:
        """Whether an update can be left out without anybody waiting to know if it must be."""
        return (
            isinstance(self.optimizer, AdamW)
            and not self.optimizer.waits_for_skip()
            and self.narrow is None
            and self.average is None
            and self.config.training.dtype != "fp16"
        )

    def update_if(self, finite: Tensor) -> Tensor:
        """Changes the weights by their gradients if ``finite`` says so: whether it did, later."""
        assert isinstance(self.optimizer, AdamW)
        if self.skips is None:
            limit = self.config.guard.limit
            self.skips = Skips(limit, min(self.skipped_in_a_row, limit - 1), self.device)
        skip = self.skips(finite)
        self.optimizer.step(skip=skip)
        return skip == 0

    def update(self) -> None:
        """Changes the weights by their gradients."""
        self.skips = None
        if self.narrow is None:
            self.optimizer.step()
        else:
            self.narrow.step(self.optimizer)
        if self.average is not None:
            self.average.update(self.model)

    def has_finite_weights(self) -> bool:
        """Whether all are; waits for the device."""
        norms = torch._foreach_norm([p.detach() for p in self.parameters], float("inf"))
        return bool(torch.stack([x.float() for x in norms]).isfinite().all())

    def averaged(self) -> AbstractContextManager[None]:
        """While the block runs, the model has the weights that are to be used: their average."""
        return nullcontext() if self.average is None else self.average.swapped_in(self.model)

    def note_update(self, updated: bool) -> None:
        """Takes note of whether a step changed the weights."""
        if self.config.training.dtype == "fp16":
            self.loss_scale.update(updated)
        self.skipped += not updated
        self.skipped_in_a_row = 0 if updated else self.skipped_in_a_row + 1

    def note_score(self, loss: float) -> bool:
        """Takes note of an evaluation; whether it was the best."""
        self.evaluated = self.step
        if loss < self.best[0]:
            self.best, self.disappointments = (loss, self.step), 0
            return True
        self.disappointments += 1
        return False

    def has_lost_patience(self) -> bool:
        """Whether it does not get better any more."""
        patience = self.config.training.eval_patience
        return patience is not None and self.disappointments >= patience

    def owes_evaluation(self) -> bool:
        """Whether the step just done must be evaluated, and has not been."""
        settings = self.config.training
        is_due = self.step % settings.eval_interval == 0 or self.step == settings.steps
        return (
            self.validation is not None and is_due and self.evaluated != self.step and self.step > 0
        )

    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        is_last = self.step >= self.config.training.steps or self.has_lost_patience()
        return is_last and not self.owes_evaluation()

    def autocast(self) -> AbstractContextManager[object]:
        """The context that the model computes in."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.config.training.dtype)
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)

    def checkpoint(self, tokenizer: str = "") -> Checkpoint:
        """All that is needed to go on from here; tensors are shared with the run."""
        return Checkpoint.of(
            self.model,
            self.optimizer,
            self.step,
            config=config.dump(self.config),
            tokenizer=tokenizer,
            state={
                "evaluated": self.evaluated,
                "metrics_bytes": self.metrics_bytes,
                "seconds": self.seconds,
                "skipped": [self.skipped, self.skipped_in_a_row],
                "best": [*self.best, self.disappointments],
                "loss_scale": dataclasses.asdict(self.loss_scale),
                "average": self.average and self.average.state_dict(),
                "lost": [] if self.narrow is None else self.narrow.lost,
                "spikes": self.spikes and dataclasses.asdict(self.spikes),
                "generators": generator_states(self.device),
            },
        )

    def weights(self, tokenizer: str = "") -> Checkpoint:
        """The model alone, to be used and not to go on from; tensors are shared with the run."""
        return Checkpoint.of(
            self.model, None, self.step, config=config.dump(self.config), tokenizer=tokenizer
        )

    def restore(self, found: Checkpoint) -> None:
        """Goes back, or ahead, to where a checkpoint was made.

        Raises:
            ValueError: it is of another model or optimizer.
        """
        groups = self.optimizer.param_groups
        kept = {"params", "lr"}  # the rate is the schedule's of the last step
        settings = [{k: v for k, v in group.items() if k not in kept} for group in groups]
        found.restore(self.model, self.optimizer)
        # The configuration's settings hold, which may have been changed since: torch took the old.
        for group, own in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(own)
        # Checkpoints of former times lack what did not exist then.
        state: dict[str, Any] = {"skipped": [0, 0], "best": [math.inf, 0, 0]} | found.state
        self.step = found.iteration
        self.evaluated = state["evaluated"]
        self.metrics_bytes = state["metrics_bytes"]
        self.seconds = state["seconds"]
        self.skips = None
        self.skipped, self.skipped_in_a_row = state["skipped"]
        loss, step, self.disappointments = state["best"]
        self.best = (loss, step)
        was_fp16 = found.config.get("training", {}).get("dtype", "fp16") == "fp16"
        if "loss_scale" in state and was_fp16 and self.config.training.dtype == "fp16":
            self.loss_scale = LossScale(**state["loss_scale"])
        if self.spikes is not None and state.get("spikes"):
            self.spikes = Spikes(**state["spikes"])
        if self.narrow is not None:
            self.narrow.load_lost(state["lost"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        set_generator_states(found.state["generators"], self.device)


def generator_states(device: torch.device) -> dict[str, Any]:
    """The states of the random generators a run draws from, as uint8 tensors."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_generator_states(states: dict[str, Any], device: torch.device) -> None:
    """Sets what :func:`generator_states` gave; of another kind of device, what there is."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
