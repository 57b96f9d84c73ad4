"""The output map: its logits, and the loss that never holds them, against torch's functions."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from byteloom import checkpoint
from byteloom.checkpoint import Checkpoint
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn.head import Head
from byteloom.nn.loss import IGNORED
from byteloom.optim import AdamW
from byteloom.optim.groups import parameter_groups
from byteloom.training.estimate.parameters import count_parameters
from closeness import assert_gradients_close


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_loss_in_pieces_is_that_of_the_logits(
    scale: float, soft_cap: float | None, z_loss: float, compiled: bool
) -> None:
    torch.manual_seed(0)
    head = Head(6, 11, scale, soft_cap)
    nn.init.normal_(head.weight, std=2.0)
    a = torch.randn(3, 8, 6, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    targets = torch.randint(11, (3, 8))
    targets[1, 3] = IGNORED
    logits = (b @ head.weight.T) * scale
    logits = logits if soft_cap is None else soft_cap * torch.tanh(logits / soft_cap)
    assert_close(head(b), logits)
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    penalty = logits.logsumexp(-1).square()[targets != IGNORED].sum()
    want = torch.autograd.grad(nats + z_loss * penalty, (b, head.weight))
    sums = head.loss(a, targets, z_loss, piece=5, compiled=compiled)
    assert_close(sums.nats, nats.detach())
    found = torch.autograd.grad(sums.objective, (a, head.weight))
    for ours, theirs in zip(found, want, strict=True):
        assert_gradients_close(ours, theirs)


def make(**over: Any) -> TransformerLM:
    return ModelConfig(20, context_length=8, d_model=16, num_heads=2, num_layers=2, **over).build(0)


def test_a_tied_head_is_the_table() -> None:
    model, free = make(tie_embeddings=True), make()
    assert model.lm_head.weight is model.token_embeddings.weight
    assert free.num_parameters() - model.num_parameters() == 20 * 16
    assert model.num_parameters(embeddings=False) == free.num_parameters(embeddings=False)
    counted = count_parameters(model.config)
    assert counted.total == counted.tree.count == model.num_parameters()
    groups = {group["name"]: len(group["params"]) for group in parameter_groups(model, 0.1)}
    assert groups["embeddings"] == 1 and "head" not in groups
    ids = torch.arange(8)[None]
    sums = model.loss(ids[:, :-1], ids[:, 1:])
    table = model.token_embeddings.weight
    both = torch.autograd.grad(sums.objective, table)[0]
    apart = make()
    apart.load_state_dict(model.state_dict())
    sums = apart.loss(ids[:, :-1], ids[:, 1:])
    grads = torch.autograd.grad(
        sums.objective, (apart.token_embeddings.weight, apart.lm_head.weight)
    )
    assert_close(both, grads[0] + grads[1])


def test_a_tied_head_comes_back_from_a_checkpoint() -> None:
    model = make(tie_embeddings=True)
    optimizer, file = AdamW(parameter_groups(model, 0.1)), io.BytesIO()
    model.loss(torch.arange(8)[None], torch.arange(8)[None]).objective.backward()
    optimizer.step()
    checkpoint.write(Checkpoint.of(model, optimizer, 1), file)
    other = make(tie_embeddings=True)
    other_optimizer = AdamW(parameter_groups(other, 0.1))
    file.seek(0)
    checkpoint.read(file).restore(other, other_optimizer)
    assert other.lm_head.weight is other.token_embeddings.weight
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_embeddings_are_scaled_before_positions_are_added() -> None:
    from byteloom.nn.position import LearnedConfig

    plain, scaled = (make(position=LearnedConfig(), embedding_scale=scale) for scale in (None, 4.0))
    scaled.load_state_dict(plain.state_dict())
    plain.token_embeddings.weight.data *= 4.0
    ids = torch.randint(20, (2, 8))
    assert_close(plain(ids), scaled(ids))


@pytest.mark.parametrize("key", ["embedding_scale", "logit_scale", "logit_soft_cap"])
def test_what_cannot_be_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is -1; it must be above 0"):
        ModelConfig(10, d_model=8, num_heads=2, **{key: -1})
