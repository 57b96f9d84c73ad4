"""What an estimate takes for a run's data: of the same shapes, with neither files nor tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from byteloom.data.span_corruption import Lengths
from byteloom.models import (
    AnyModel,
    AnyModelConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    TransformerLM,
)
from byteloom.models.encoder import Encoder
from byteloom.nn.loss import IGNORED, Sums
from byteloom.training.build import of_a_decoder
from byteloom.training.config import RunConfig
from byteloom.training.tasks import MaskedConfig, PrefixConfig, SpansConfig
from byteloom.training.tasks.masked import MaskedObjective
from byteloom.training.tasks.spans import SpansObjective


def shapes(run_config: RunConfig, rows: int) -> list[tuple[int, ...]]:
    """Those of a batch of so many texts: what its objective takes, the targets last."""
    model = run_config.model
    text = (rows, model.context_length)
    if isinstance(model, EncoderConfig):
        return [text, text, (rows,), text]
    if isinstance(run_config.task, PrefixConfig):
        return [text, (rows,), text]
    lengths = _lengths(run_config)
    return [text, text] if lengths is None else [text, (rows, lengths.targets)]


def batch(run_config: RunConfig, rows: int, device: torch.device) -> tuple[Tensor, ...]:
    """One of random ids, no fewer to predict than a real one has."""
    vocab, (*inputs, last) = run_config.model.vocab_size, shapes(run_config, rows)
    found = [torch.randint(vocab, shape, device=device) for shape in inputs]
    targets = torch.randint(vocab, last, device=device)
    if isinstance(run_config.model, EncoderConfig):
        found[1:] = [torch.zeros_like(x) for x in found[1:]]
        targets[:, predicted(run_config) :] = IGNORED
    if isinstance(run_config.task, PrefixConfig):
        found[1] = torch.ones_like(found[1])
    return (*found, targets)


def predicted(run_config: RunConfig) -> int:
    """Tokens of a text that are to be predicted."""
    model, task = run_config.model, run_config.task
    if isinstance(model, EncoderConfig):
        assert isinstance(task, MaskedConfig)
        return task.predicted(model)
    return shapes(run_config, 1)[-1][-1]


def tokens_of_text(run_config: RunConfig) -> int:
    """Tokens that a text counts for, as training counts them."""
    lengths = _lengths(run_config)
    return run_config.model.context_length if lengths is None else lengths.tokens


def _lengths(run_config: RunConfig) -> Lengths | None:
    model, task = run_config.model, run_config.task
    if not isinstance(model, EncoderDecoderConfig):
        return None
    assert isinstance(task, SpansConfig)
    return task.lengths(model)


def objective(run_config: RunConfig, model: AnyModel) -> Callable[..., Sums]:
    """As :func:`byteloom.training.build.objective`, with ids that stand for any."""
    if isinstance(model, TransformerLM):
        separator = 0 if run_config.data.separate_documents else None
        return of_a_decoder(run_config, model, separator)
    z_loss, compiled = run_config.training.z_loss, run_config.training.compile
    if isinstance(model, Encoder):
        return MaskedObjective(model, 0, z_loss, compiled)
    return SpansObjective(model, z_loss, compiled)


def blocks(model: AnyModelConfig) -> tuple[int, ...]:
    """How many there are, by stack."""
    if isinstance(model, EncoderDecoderConfig):
        return model.num_layers, model.decoder_layers
    return (model.num_layers,)


def with_blocks(run_config: RunConfig, counts: Sequence[int]) -> RunConfig:
    """The same run with so many, and with what training would find out for itself."""
    model = run_config.model
    changes: dict[str, Any] = {"num_layers": counts[0]}
    for key in ("full_every", "positionless_every"):
        if (getattr(model, key) or 0) > max(counts):
            changes[key] = None  # there, none of them is one
    if isinstance(model, EncoderDecoderConfig):
        changes |= {"num_decoder_layers": counts[1], "start_id": model.start_id or 0}
    return replace(run_config, model=replace(model, **changes))


def stacks(model: AnyModel) -> dict[str, nn.ModuleList]:
    """What is before the name of a block -> the blocks."""
    if isinstance(model, TransformerLM):
        return {"": model.layers}
    if isinstance(model, Encoder):
        return {"": model.encoder.layers}
    return {"encoder's ": model.encoder.layers, "decoder's ": model.decoder.layers}
