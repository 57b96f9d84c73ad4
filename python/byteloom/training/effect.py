"""Keys of a run that would have no effect beside others: refused before it begins.

What a part of a model can tell by itself it refuses by itself. Runs that were begun are not asked:
they go on, and are opened, as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from byteloom.models import EncoderConfig
from byteloom.optim.groups import GROUPS, parameter_groups
from byteloom.training.tasks import SpansConfig


def require_effect(run: Any) -> None:
    """Refuses a configuration with keys that would change nothing.

    A default has to stand beside any other key, so only what differs from it is looked at.

    Args:
        run: a :class:`byteloom.training.config.RunConfig`, which asks this module.

    Raises:
        ValueError: all of them, one a line, each with what it would take.
    """
    found = [*_of_training(run), *_of_data(run), *_of_groups(run)]
    if found:
        raise ValueError("\n".join(found))


def _of_training(run: Any) -> Iterator[str]:
    training, guard = run.training, run.guard
    if training.rounding != "stochastic" and training.weights != "bf16":
        yield (
            f"training.rounding is {training.rounding}, but only training.weights bf16 are "
            f"rounded, and here they are {training.weights}"
        )
    if training.accumulation_warmup and training.accumulation == 1:
        yield (
            f"training.accumulation_warmup is {training.accumulation_warmup}, but "
            "training.accumulation is 1: there is nothing to grow to"
        )
    if training.eval_patience is not None and run.data.valid is None:
        yield (
            f"training.eval_patience is {training.eval_patience}, but without data.valid there are "
            "no evaluations to wait for"
        )
    if guard.non_finite == "stop" and guard.max_skipped != type(guard).max_skipped:
        yield (
            f"guard.max_skipped is {guard.max_skipped}, but by guard.non_finite stop the first "
            "one ends the run"
        )
    if run.averaging is not None and run.averaging.start_step >= training.steps:
        yield (
            f"averaging.start_step is {run.averaging.start_step}, but training.steps only "
            f"{training.steps}: nothing would be averaged"
        )
    flex = getattr(run.model.attention, "backend", None) == "flex"
    if flex and run.model.kind != "encoder_decoder" and run.model.position.kind in _BIASES:
        yield (
            f"model.attention.backend is flex, which cannot add the scores of model.position.kind "
            f"{run.model.position.kind}: leave the backend to auto"
        )


#: Position schemes that add to scores.
_BIASES = ("alibi", "relative")


def _of_data(run: Any) -> Iterator[str]:
    data, task = run.data, run.task
    if data.tokenizer is None and run.logging.sample_prompt:
        yield (
            f"logging.sample_prompt is {run.logging.sample_prompt!r}, but without data.tokenizer "
            "there is no sample: leave it empty"
        )
    if data.separator is None:
        return
    if data.tokenizer is None:
        yield f"data.separator is {data.separator!r}: it needs data.tokenizer, which has its id"
    elif isinstance(task, SpansConfig):
        if task.end is not None:
            yield (
                f"data.separator is {data.separator!r}, but texts end as task.end says, with "
                f"{task.end!r}: give one of them"
            )
    elif isinstance(run.model, EncoderConfig):
        if not run.model.next_sentence:
            yield (
                f"data.separator is {data.separator!r}, but without model.next_sentence no "
                "documents are told apart: leave it out, or say none"
            )
    elif not data.separate_documents:
        yield (
            f"data.separator is {data.separator!r}, but documents are not kept apart: that takes "
            "data.separate_documents"
        )


def _of_groups(run: Any) -> Iterator[str]:
    """Of the optimizer's groups of parameters, those that the model has nothing in."""
    optimizer = run.optimizer
    asked = {
        f"optimizer.lr_scale.{name}": name
        for name in GROUPS
        if getattr(optimizer.lr_scale, name) != 1
    }
    if not isinstance(optimizer.decayed, str):
        asked |= {f"optimizer.decayed {name}": name for name in optimizer.decayed}
    if not asked:
        return
    with torch.device("meta"):
        model = run.model.build()
    there = {group["name"] for group in parameter_groups(model, 0.0)}
    for key, name in asked.items():
        if name not in there:
            why = "its head is the table of embeddings" if name == "head" else "it has none"
            yield f"{key}: the model has no parameters in this group, as {why}"
