"""Which parameter decays, and that none is lost or in two groups."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from byteloom import checkpoint
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import LayerNormConfig, SwiGLUConfig
from byteloom.optim import AdamW, LearningRateScale, parameter_groups


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


def by_name(model: nn.Module, **options: Any) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in parameter_groups(model, 0.1, **options)}


def test_every_parameter_is_where_it_belongs(model: TransformerLM) -> None:
    groups = by_name(model)
    assert list(groups) == ["hidden", "head", "embeddings", "vectors"]
    parts = [f"attn.{n}_proj" for n in ("q", "k", "v", "output")] + [f"ffn.w{n}" for n in (1, 2, 3)]
    hidden = {f"layers.{i}.{part}.weight" for i in range(2) for part in parts}
    assert names_of(model, groups["hidden"]["params"]) == hidden
    assert names_of(model, groups["head"]["params"]) == {"lm_head.weight"}
    assert names_of(model, groups["embeddings"]["params"]) == {"token_embeddings.weight"}
    rest = {name for name, p in model.named_parameters() if p.ndim == 1}
    assert names_of(model, groups["vectors"]["params"]) == rest
    assert {"ln_final.weight", "ln_final.bias"} <= rest


@pytest.mark.parametrize(
    ("decayed", "decaying"),
    [
        ("matrices", {"hidden", "head"}),
        ("all", {"hidden", "head", "embeddings", "vectors"}),
        (("hidden", "embeddings"), {"hidden", "embeddings"}),
        ((), set()),
    ],
)
def test_what_decays_is_a_choice(model: TransformerLM, decayed: Any, decaying: set[str]) -> None:
    groups = by_name(model, decayed=decayed)
    decays = {name: group["weight_decay"] for name, group in groups.items()}
    assert decays == {name: 0.1 if name in decaying else 0.0 for name in groups}


def test_groups_have_rates_of_their_own(model: TransformerLM) -> None:
    groups = by_name(model, lr_scale=LearningRateScale(embeddings=0.1, head=2.0))
    scales = {name: group["lr_scale"] for name, group in groups.items()}
    assert scales == {"hidden": 1.0, "head": 2.0, "embeddings": 0.1, "vectors": 1.0}
    with pytest.raises(ValueError, match="head is -1"):
        LearningRateScale(head=-1)


@pytest.mark.parametrize("decayed", ["matrices", "all"])
def test_every_parameter_is_in_exactly_one_group(model: TransformerLM, decayed: str) -> None:
    groups = parameter_groups(model, 0.1, decayed)  # type: ignore[arg-type]
    got = [id(p) for group in groups for p in group["params"]]
    assert sorted(got) == sorted(id(p) for p in model.parameters())


def test_what_is_frozen_is_left_out(model: TransformerLM) -> None:
    model.lm_head.weight.requires_grad_(False)
    model.ln_final.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    got = {id(p) for group in groups for p in group["params"]}
    assert got == {id(p) for p in model.parameters() if p.requires_grad}


def test_empty_groups_are_left_out() -> None:
    assert [*by_name(nn.Linear(3, 3, bias=False))] == ["hidden"]
    assert [*by_name(nn.LayerNorm(3))] == ["vectors"]
    assert by_name(nn.Linear(3, 3).requires_grad_(False)) == {}


def test_a_tied_head_is_the_table_and_there_once(model: TransformerLM) -> None:
    model.lm_head.weight = model.token_embeddings.weight
    groups = by_name(model)
    assert "head" not in groups
    assert groups["embeddings"]["params"] == [model.lm_head.weight]


def test_torchs_embedding_is_a_table_too() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    groups = by_name(model)
    assert names_of(model, groups["embeddings"]["params"]) == {"0.weight"}
    assert names_of(model, groups["hidden"]["params"]) == {"1.weight"}
    assert names_of(model, groups["vectors"]["params"]) == {"1.bias"}


def two_groups(model: nn.Module, everything: bool) -> list[dict[str, Any]]:
    """As they were in checkpoints of former times."""
    tables = {id(model.get_parameter("token_embeddings.weight"))}
    is_decayed = {
        id(p): everything or (p.ndim >= 2 and id(p) not in tables) for p in model.parameters()
    }
    return [
        {
            "name": name,
            "params": [p for p in model.parameters() if is_decayed[id(p)] == wanted],
            "weight_decay": 0.3 if wanted else 0.0,
        }
        for name, wanted in (("decayed", True), ("kept", False))
        if wanted or not everything
    ]


@pytest.mark.parametrize("everything", [False, True])
def test_a_checkpoint_of_former_times_goes_on_as_it_would_have(
    model: TransformerLM, everything: bool
) -> None:
    former = AdamW(two_groups(model, everything), lr=0.01, betas=(0.8, 0.9))

    def step(model: nn.Module, optimizer: AdamW, seed: int) -> None:
        torch.manual_seed(seed)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step()

    for seed in range(3):
        step(model, former, seed)
    file = io.BytesIO()
    checkpoint.save(model, former, 3, file)
    file.seek(0)
    other = copy.deepcopy(model)
    now = AdamW(parameter_groups(other, 0.1), lr=0.5)
    checkpoint.load(file, other, now)
    assert {group["name"] for group in now.param_groups} == {
        "hidden", "head", "embeddings", "vectors"
    }  # fmt: skip
    for seed in range(3, 6):
        step(model, former, seed)
        step(other, now, seed)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


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
