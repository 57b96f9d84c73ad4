"""What a run is: everything that changes from step to step, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from byteloom import config
from byteloom.checkpoint import Checkpoint
from byteloom.data.batches import Batch, Batches, validation_batches
from byteloom.data.token_file import TokenFile
from byteloom.model import TransformerLM
from byteloom.training.config import RunConfig


@dataclass
class Run:
    """A run between two steps."""

    config: RunConfig
    """What it was asked to be."""
    device: torch.device
    """Where it computes."""
    model: TransformerLM
    """The weights."""
    forward: Callable[[Tensor], Tensor]
    """The model, or its compiled form: ids (batch, context) -> logits (batch, context, vocab)."""
    optimizer: torch.optim.Optimizer
    """Its state is part of the run's."""
    schedule: Callable[[int], float]
    """Step -> learning rate."""
    batches: Batches
    """Step -> batch."""
    validation: list[Batch]
    """Scored at every evaluation; empty: none are."""
    step: int = 0
    """Optimizer steps done."""
    evaluated: int = -1
    """The last step whose evaluation is done."""
    metrics_bytes: int = 0
    """Length of metrics.jsonl when the checkpoint was made: what is after it never happened."""
    seconds: float = 0.0
    """Time spent training, in all sessions."""

    @property
    def tokens_per_step(self) -> int:
        """How many tokens a step learns from."""
        training = self.config.training
        return training.batch_size * training.accumulation * self.batches.context_length

    def owes_evaluation(self) -> bool:
        """Whether the step just done must be evaluated, and has not been."""
        settings = self.config.training
        is_due = self.step % settings.eval_interval == 0 or self.step == settings.steps
        return bool(self.validation) and is_due and self.evaluated != self.step and self.step > 0

    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.config.training.steps and not self.owes_evaluation()

    def autocast(self) -> AbstractContextManager[object]:
        """The context that the model computes in."""
        if self.config.training.dtype == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

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
                "generators": generator_states(self.device),
            },
        )

    def restore(self, found: Checkpoint) -> None:
        """Goes back, or ahead, to where a checkpoint was made.

        Raises:
            ValueError: it is of another model or optimizer.
        """
        found.restore(self.model, self.optimizer)
        self.step = found.iteration
        self.evaluated = found.state["evaluated"]
        self.metrics_bytes = found.state["metrics_bytes"]
        self.seconds = found.state["seconds"]
        set_generator_states(found.state["generators"], self.device)


def build(run_config: RunConfig) -> Run:
    """Makes a run at step 0: fresh weights from the seed, token files opened.

    Raises:
        ValueError: a device that this machine lacks; token files too short for the context.
    """
    training = run_config.training
    device = pick_device(training.device)
    if training.num_threads is not None:
        torch.set_num_threads(training.num_threads)
    torch.manual_seed(training.seed)
    model = run_config.model.build().to(device)
    context = run_config.model.context_length
    valid = run_config.data.valid
    return Run(
        config=run_config,
        device=device,
        model=model,
        forward=cast(
            Callable[[Tensor], Tensor], torch.compile(model) if training.compile else model
        ),
        optimizer=run_config.optimizer.build(model),
        schedule=run_config.schedule.build(training.steps),
        batches=Batches(
            TokenFile(run_config.data.train), training.batch_size, context, training.seed
        ),
        validation=[]
        if valid is None
        else validation_batches(
            TokenFile(valid), training.batch_size, context, training.eval_batches
        ),
    )


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" is the first there is of cuda, mps, cpu.

    Raises:
        ValueError: this machine, or this build of torch, has none of that name.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there.get(name, False):
        usable = ", ".join(device for device, available in there.items() if available)
        raise ValueError(f"device {name}: not available here, only {usable}")
    return torch.device(name)


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
