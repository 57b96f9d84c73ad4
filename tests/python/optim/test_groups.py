"""Which parameter decays, and that none is lost or in two groups."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn

from byteloom import checkpoint, config
from byteloom.config import Argument
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import LayerNormConfig, SwiGLUConfig
from byteloom.optim import AdamW, AdamWConfig, LearningRateScale, parameter_groups
from byteloom.optim.groups import Decayed


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


def by_name(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in groups}


def test_every_parameter_is_where_it_belongs(model: TransformerLM) -> None:
    groups = parameter_groups(model, 0.1)
    assert [group["name"] for group in groups] == ["hidden", "head", "embeddings", "vectors"]
    names = {group["name"]: names_of(model, group["params"]) for group in groups}
    assert names["hidden"] == {
        f"layers.{i}.{part}.weight"
        for i in range(2)
        for part in (
            *(f"attn.{n}_proj" for n in ("q", "k", "v", "output")),
            *(f"ffn.w{n}" for n in (1, 2, 3)),
        )
    }
    assert names["head"] == {"lm_head.weight"}
    assert names["embeddings"] == {"token_embeddings.weight"}
    rest = {name for name, _ in model.named_parameters()}.difference(*list(names.values())[:3])
    assert names["vectors"] == rest
    assert {"ln_final.weight", "ln_final.bias"} <= rest


@pytest.mark.parametrize("decayed", ["matrices", "all", (), ("embeddings",)])
def test_every_parameter_is_in_exactly_one_group(model: TransformerLM, decayed: Decayed) -> None:
    groups = parameter_groups(model, 0.1, decayed)
    got = [id(p) for group in groups for p in group["params"]]
    assert sorted(got) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize(
    ("decayed", "wanted"),
    [
        ("matrices", {"hidden", "head"}),
        ("all", {"hidden", "head", "embeddings", "vectors"}),
        ((), set()),
        (("vectors", "head"), {"vectors", "head"}),
    ],
)
def test_what_is_chosen_decays(model: TransformerLM, decayed: Decayed, wanted: set[str]) -> None:
    for name, group in by_name(parameter_groups(model, 0.3, decayed)).items():
        assert group["weight_decay"] == (0.3 if name in wanted else 0.0)


def test_groups_have_rates_of_their_own(model: TransformerLM) -> None:
    scale = LearningRateScale(hidden=2.0, head=0.5, embeddings=0.1, vectors=0.0)
    groups = by_name(parameter_groups(model, 0.1, lr_scale=scale))
    assert {name: group["lr_scale"] for name, group in groups.items()} == dataclasses.asdict(scale)
    assert {group["lr_scale"] for group in parameter_groups(model, 0.1)} == {1.0}


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_an_impossible_scale_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=f"head is {bad}; it must be 0 or more, and finite"):
        LearningRateScale(head=bad)


def test_a_file_and_the_command_line_set_them() -> None:
    tables = {
        "decayed": ["hidden", "vectors"],
        "lr_scale": {"embeddings": 0.1, "head": Argument("0.5")},
    }
    loaded = config.load(AdamWConfig, tables)
    assert loaded.decayed == ("hidden", "vectors")
    assert loaded.lr_scale == LearningRateScale(embeddings=0.1, head=0.5)
    assert config.load(AdamWConfig, config.dump(loaded)) == loaded
    assert config.load(AdamWConfig, {"decayed": Argument("all")}).decayed == "all"
    assert config.load(AdamWConfig, {"decayed": Argument("['head']")}).decayed == ("head",)
    for wrong, message in (
        ({"decayed": "some"}, "decayed: must be 'matrices' or 'all'"),
        ({"decayed": ["heads"]}, "decayed: must be .*not .'heads'."),
        ({"lr_scale": {"embedding": 1.0}}, r"did you mean lr_scale\.embeddings\?"),
        ({"lr_scale": {"head": -1.0}}, r"lr_scale: head is -1\.0"),
        ({"lr_scale": 0.5}, "must be a section with keys hidden, head, embeddings, vectors"),
    ):
        with pytest.raises(ValueError, match=message):
            config.load(AdamWConfig, wrong)


def test_what_is_frozen_is_left_out(model: TransformerLM) -> None:
    model.lm_head.weight.requires_grad_(False)
    model.ln_final.requires_grad_(False)
    groups = parameter_groups(model, 0.1)
    got = {id(p) for group in groups for p in group["params"]}
    assert got == {id(p) for p in model.parameters() if p.requires_grad}


def test_empty_groups_are_left_out() -> None:
    (group,) = parameter_groups(nn.Linear(3, 3, bias=False), 0.1)
    assert group["name"] == "hidden"
    (group,) = parameter_groups(nn.LayerNorm(3), 0.1)
    assert group["name"] == "vectors"
    frozen = nn.Linear(3, 3).requires_grad_(False)
    assert parameter_groups(frozen, 0.1) == []


def test_tied_weights_are_one_table(model: TransformerLM) -> None:
    model.lm_head.weight = model.token_embeddings.weight
    groups = by_name(parameter_groups(model, 0.1))
    assert set(groups) == {"hidden", "embeddings", "vectors"}
    assert [id(p) for p in groups["embeddings"]["params"]] == [id(model.lm_head.weight)]


def test_a_shared_layer_is_grouped_once() -> None:
    layer = nn.Linear(3, 3)
    groups = parameter_groups(nn.Sequential(layer, layer), 0.1)
    assert [len(group["params"]) for group in groups] == [1, 1]


def test_torchs_embedding_is_a_table_too() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    groups = by_name(parameter_groups(model, 0.1))
    assert names_of(model, groups["embeddings"]["params"]) == {"0.weight"}
    assert names_of(model, groups["hidden"]["params"]) == {"1.weight"}
    assert names_of(model, groups["vectors"]["params"]) == {"1.bias"}


def test_stacked_matrices_are_hidden_and_stacked_biases_vectors() -> None:
    model = nn.Module()
    model.w1, model.bias = nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2, 4))
    groups = by_name(parameter_groups(model, 0.1))
    assert names_of(model, groups["hidden"]["params"]) == {"w1"}
    assert names_of(model, groups["vectors"]["params"]) == {"bias"}


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


# -- states of the time of two groups -------------------------------------------------------------


def former_groups(model: nn.Module, decayed: str) -> list[dict[str, Any]]:
    """As they once were: the linear maps and the rest, each in the model's order."""
    names = dict(model.named_parameters())
    keep = [n for n, p in names.items() if decayed != "all" and (p.ndim < 2 or "embed" in n)]
    former = [
        {"name": "decayed", "params": [p for n, p in names.items() if n not in keep]},
        {"name": "kept", "params": [names[n] for n in keep], "weight_decay": 0.0},
    ]
    return [group for group in former if group["params"]]


def set_gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("decayed", ["matrices", "all"])
def test_a_checkpoint_of_former_groups_goes_on_to_the_same_bits(
    model: TransformerLM, decayed: Literal["matrices", "all"], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.2}
    straight = AdamW(former_groups(model, decayed), **settings)
    for step in range(3):
        set_gradients(model, step)
        straight.step()
    path = tmp_path / "old.safetensors"
    checkpoint.save(model, straight, 3, path)

    resumed = model.config.build(seed=5)
    optimizer = AdamWConfig(weight_decay=0.9, decayed=decayed).build(resumed)
    assert checkpoint.load(path, resumed, optimizer) == 3
    groups = by_name(optimizer.param_groups)
    assert list(groups) == ["hidden", "head", "embeddings", "vectors"]
    rest = 0.2 if decayed == "all" else 0.0
    assert [g["weight_decay"] for g in groups.values()] == [0.2, 0.2, rest, rest]
    for step in range(3, 6):
        for m, o in ((model, straight), (resumed, optimizer)):
            set_gradients(m, step)
            o.step()
    for p, q in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)


def test_former_groups_that_do_not_fit_are_refused(model: TransformerLM, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    checkpoint.save(model, AdamW(former_groups(model, "matrices")), 0, path)
    optimizer = AdamWConfig().build(model)
    with pytest.raises(ValueError, match=r"old\.safetensors: .* load it with the model"):
        checkpoint.load(path, None, optimizer)
    model.ln_final.requires_grad_(False)
    with pytest.raises(ValueError, match=r"state of 26 parameters, not 24"):
        checkpoint.load(path, model, AdamWConfig().build(model))
