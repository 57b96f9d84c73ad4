"""Which parameter decays, and that none is lost or in two groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import LayerNormConfig, SwiGLUConfig
from byteloom.optim import AdamW, parameter_groups


@pytest.fixture
def model() -> TransformerLM:
    return ModelConfig(
        vocab_size=11,
        context_length=8,
        d_model=8,
        num_layers=2,
        num_heads=2,
        norm=LayerNormConfig(bias=True),
        ffn=SwiGLUConfig(d_ff=16),
    ).build()


def names_of(model: nn.Module, params: list[nn.Parameter]) -> set[str]:
    wanted = {id(p) for p in params}
    return {name for name, p in model.named_parameters() if id(p) in wanted}


def test_linear_maps_decay_and_nothing_else(model: TransformerLM) -> None:
    decayed, kept = parameter_groups(model, 0.1)
    assert (decayed["name"], decayed["weight_decay"]) == ("decayed", 0.1)
    assert (kept["name"], kept["weight_decay"]) == ("kept", 0.0)
    maps = {"lm_head.weight"} | {
        f"layers.{i}.{part}.weight"
        for i in range(2)
        for part in (
            *(f"attn.{n}_proj" for n in ("q", "k", "v", "output")),
            *(f"ffn.w{n}" for n in (1, 2, 3)),
        )
    }
    assert names_of(model, decayed["params"]) == maps
    rest = {name for name, _ in model.named_parameters()} - maps
    assert names_of(model, kept["params"]) == rest
    assert {"token_embeddings.weight", "ln_final.weight", "ln_final.bias"} <= rest


@pytest.mark.parametrize("decayed", ["matrices", "all"])
def test_every_parameter_is_in_exactly_one_group(model: TransformerLM, decayed: str) -> None:
    groups = parameter_groups(model, 0.1, decayed)  # type: ignore[arg-type]
    got = [id(p) for group in groups for p in group["params"]]
    assert sorted(got) == sorted(id(p) for p in model.parameters())


def test_all_is_one_group_in_the_models_order(model: TransformerLM) -> None:
    (group,) = parameter_groups(model, 0.3, "all")
    assert (group["name"], group["weight_decay"]) == ("decayed", 0.3)
    assert all(p is q for p, q in zip(group["params"], model.parameters(), strict=True))


def test_what_is_frozen_is_left_out(model: TransformerLM) -> None:
    model.lm_head.weight.requires_grad_(False)
    model.ln_final.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    got = {id(p) for group in groups for p in group["params"]}
    assert got == {id(p) for p in model.parameters() if p.requires_grad}


def test_empty_groups_are_left_out() -> None:
    (group,) = parameter_groups(nn.Linear(3, 3, bias=False), 0.1)
    assert group["name"] == "decayed"
    (group,) = parameter_groups(nn.LayerNorm(3), 0.1)
    assert group["name"] == "kept"
    frozen = nn.Linear(3, 3).requires_grad_(False)
    assert parameter_groups(frozen, 0.1) == []


def test_tied_weights_are_one_table_that_is_kept() -> None:
    model = ModelConfig(
        vocab_size=11, context_length=8, d_model=8, num_layers=1, num_heads=2
    ).build()
    model.lm_head.weight = model.token_embeddings.weight
    _, kept = parameter_groups(model, 0.1)
    assert sum(p is model.lm_head.weight for p in kept["params"]) == 1


def test_torchs_embedding_is_a_table_too() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    decayed, kept = parameter_groups(model, 0.1)
    assert names_of(model, decayed["params"]) == {"1.weight"}
    assert names_of(model, kept["params"]) == {"0.weight", "1.bias"}


def test_only_the_decayed_shrink(model: TransformerLM) -> None:
    """With gradients of zero, decay is all that moves a weight."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = AdamW(parameter_groups(model, weight_decay=0.5), lr=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        shrinks = p.ndim == 2 and name != "token_embeddings.weight"
        torch.testing.assert_close(p.detach(), before[name] * (0.95 if shrinks else 1.0))
