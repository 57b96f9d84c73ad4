"""Initial weights: their spread by role, against transformers' GPT-2, and what muP promises."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from byteloom import config
from byteloom.model import ModelConfig, TransformerLM
from byteloom.models import EncoderDecoderConfig
from byteloom.nn import ExpertsConfig, MultiHeadConfig, SwiGLUConfig
from byteloom.nn.init import (
    CourseInitConfig,
    GPT2InitConfig,
    InitConfig,
    MuPInitConfig,
    NormalInitConfig,
    TruncatedNormalInitConfig,
    weights_by_role,
)
from byteloom.nn.position.learned import LearnedConfig
from byteloom.optim import AdamWConfig, LearningRateScale, parameter_groups
from byteloom.training.config import RunConfig

WIDTH, LAYERS = 128, 4


def make(init: InitConfig | None = None, seed: int = 0, **settings: Any) -> TransformerLM:
    settings = {"position": LearnedConfig(), "num_heads": 4} | settings
    model = ModelConfig(
        vocab_size=500,
        context_length=64,
        d_model=WIDTH,
        num_layers=LAYERS,
        init=init or CourseInitConfig(),
        **settings,
    )
    return model.build(seed=seed)


def test_each_stack_of_an_encoder_decoder_is_narrower_by_its_own_depth() -> None:
    sizes = {"vocab_size": 50, "d_model": WIDTH, "num_heads": 4, "num_layers": 2}
    for init, narrow in ((GPT2InitConfig(), True), (NormalInitConfig(), False)):
        model = EncoderDecoderConfig(
            **sizes, num_decoder_layers=6, init=init, attention=MultiHeadConfig()
        ).build(seed=0)
        stacks = {"encoder": 2 * 2, "decoder": 3 * 6}
        for stack, parts in stacks.items():
            for name, weight in model.get_submodule(stack).named_parameters():
                if name.endswith(("output_proj.weight", "w2.weight")):
                    wanted = 0.02 / math.sqrt(parts) if narrow else 0.02
                    assert weight.std().item() == pytest.approx(wanted, rel=0.05), name
                elif name.endswith("_proj.weight"):
                    assert weight.std().item() == pytest.approx(0.02, rel=0.05), name


def test_every_weight_has_its_role() -> None:
    ffn = ExpertsConfig(
        expert=SwiGLUConfig(d_ff=8),
        shared=SwiGLUConfig(d_ff=8),
        shared_gate=True,
        first_dense=LAYERS - 1,
    )
    model = make(ffn=ffn)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {names[id(weight)]: role for role, weight in weights_by_role(model)}
    last = LAYERS - 1
    assert found.pop("token_embeddings.weight") == "embedding"
    assert found.pop("position.weight") == "positions"
    assert found.pop("lm_head.weight") == "head"
    residual = {f"layers.{i}.attn.output_proj.weight" for i in range(LAYERS)}
    residual |= {f"layers.{i}.ffn.w2.weight" for i in range(last)}
    residual |= {f"layers.{last}.ffn.{part}.w2.weight" for part in ("experts", "shared")}
    assert {name for name, role in found.items() if role == "residual"} == residual
    hidden = {name for name, role in found.items() if role == "hidden"}
    assert hidden == found.keys() - residual
    assert {f"layers.{last}.ffn.{name}.weight" for name in ("router", "shared_gate")} < hidden
    # Norms have none; a tied head is the table.
    matrices = {name for name, p in model.named_parameters() if p.ndim > 1}
    assert {*found, "token_embeddings.weight", "position.weight", "lm_head.weight"} == matrices
    roles = [role for role, _ in weights_by_role(make(tie_embeddings=True))]
    assert roles.count("embedding") == 1 and "head" not in roles


#: Init, and the standard deviations of embedding, positions, hidden, residual and head.
MEMBERS: dict[str, tuple[InitConfig, tuple[float, ...]]] = {
    "normal": (NormalInitConfig(), (0.02,) * 5),
    "normal, embeddings": (NormalInitConfig(std=0.1, embedding_std=1.0), (1, 1, 0.1, 0.1, 0.1)),
    "gpt2": (GPT2InitConfig(), (0.02, 0.02, 0.02, 0.02 / math.sqrt(8), 0.02)),
    # What is left of a normal distribution within two standard deviations has 0.880 of it.
    "truncated": (TruncatedNormalInitConfig(std=0.5, cut=2.0), (0.5 * 0.8796,) * 5),
    "mup": (MuPInitConfig(std=0.1, base_width=32), (0.1, 0.1, 0.05, 0.05, 0.1)),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_each_role_has_its_standard_deviation(name: str) -> None:
    init, wanted = MEMBERS[name]
    stds = dict(zip(("embedding", "positions", "hidden", "residual", "head"), wanted, strict=True))
    for ffn in (SwiGLUConfig(), ExpertsConfig(expert=SwiGLUConfig(d_ff=64), num_experts=16)):
        for role, weight in weights_by_role(make(init, ffn=ffn)):
            assert weight.std().item() == pytest.approx(stds[role], rel=0.05)
            assert abs(weight.mean().item()) < 0.05 * stds[role]
    if isinstance(init, TruncatedNormalInitConfig):
        assert all(w.abs().max() <= 1.0 for _, w in weights_by_role(make(init)))
    tied = make(init, tie_embeddings=True)
    assert tied.lm_head.weight is tied.token_embeddings.weight
    assert tied.lm_head.weight.std().item() == pytest.approx(stds["embedding"], rel=0.05)


@pytest.mark.parametrize("name", MEMBERS)
def test_norms_and_biases_begin_as_ever(name: str) -> None:
    ffn = SwiGLUConfig(bias=True)
    for key, p in make(MEMBERS[name][0], ffn=ffn).named_parameters():
        if p.ndim == 1:
            assert torch.equal(p, torch.zeros_like(p) if "bias" in key else torch.ones_like(p))


@pytest.mark.parametrize("name", [*MEMBERS, "course"])
def test_the_seed_alone_decides(name: str) -> None:
    init = MEMBERS[name][0] if name in MEMBERS else CourseInitConfig()
    one, same, other = (make(init, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(weight, same[key]) for key, weight in one.items())
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


def test_gpt2s_weights_spread_as_transformers() -> None:
    peer = GPT2LMHeadModel(
        GPT2Config(vocab_size=500, n_positions=64, n_embd=WIDTH, n_layer=LAYERS, n_head=4)
    ).transformer
    own = make(GPT2InitConfig(), tie_embeddings=True)
    for mine, theirs in (
        (own.token_embeddings, peer.wte),
        (own.position, peer.wpe),
        (own.layers[1].attn.k_proj, peer.h[1].attn.c_attn),
        (own.layers[1].attn.output_proj, peer.h[1].attn.c_proj),
        (own.layers[2].ffn.w1, peer.h[2].mlp.c_fc),
        (own.layers[2].ffn.w2, peer.h[2].mlp.c_proj),
    ):
        assert mine.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.05)


def test_the_courses_weights_are_those_that_layers_draw() -> None:
    """Tables and maps in the order of the model, nothing in between, and nothing afterwards."""
    torch.manual_seed(7)
    sizes = {"vocab_size": 30, "d_model": 16, "num_layers": 2, "num_heads": 2}
    model = ModelConfig(**sizes, init=CourseInitConfig()).build()
    after = torch.get_rng_state()
    torch.manual_seed(7)
    for name, p in model.named_parameters():
        if p.ndim == 2:
            std = 1.0 if name == "token_embeddings.weight" else math.sqrt(2 / sum(p.shape))
            want = nn.init.trunc_normal_(torch.empty(p.shape), std=std, a=-3 * std, b=3 * std)
            assert torch.equal(p, want), name
    assert torch.equal(torch.get_rng_state(), after)


# -- muP -------------------------------------------------------------------------------------------


def model_of_width(init: InitConfig, width: int, **settings: Any) -> ModelConfig:
    return ModelConfig(
        vocab_size=64,
        context_length=32,
        d_model=width,
        num_layers=2,
        num_heads=width // 16,
        ffn=SwiGLUConfig(ratio=2.0),
        init=init,
        **settings,
    )


def sizes_after_steps(init: InitConfig, width: int) -> tuple[dict[str, float], list[float]]:
    """How large what layers add and logits are after five steps of AdamW; and all losses."""
    model = model_of_width(init, width).build(seed=0)
    optimizer = AdamWConfig(weight_decay=0.0).build(model)
    ids = torch.randint(64, (8, 32), generator=torch.Generator().manual_seed(1))
    sizes: dict[str, float] = {}
    for i, layer in enumerate(model.layers):
        for name in ("attn", "ffn"):
            getattr(layer, name).register_forward_hook(
                lambda *call, key=f"{name} {i}": sizes.update({key: call[-1].norm().item()})
            )
    losses = []
    for _ in range(6):
        logits = model(ids[:, :-1])
        losses.append(F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()))
        optimizer.zero_grad()
        losses[-1].backward()
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * group["lr_scale"]
        optimizer.step()
    found = {key: size / math.sqrt(width) for key, size in sizes.items()}
    return found | {"logits": logits.norm().item()}, [loss.item() for loss in losses]


def test_with_mup_nothing_grows_with_the_width() -> None:
    """The coordinate check of arXiv:2203.03466; without, all grow."""
    mup = [sizes_after_steps(MuPInitConfig(base_width=32), width)[0] for width in (32, 64, 128)]
    plain = [sizes_after_steps(NormalInitConfig(), width)[0] for width in (32, 64, 128)]
    assert mup[0] == plain[0]  # it changes nothing at its own width
    for key in mup[0]:
        assert max(m[key] for m in mup) < 1.2 * mup[0][key], key
        assert plain[2][key] > 2 * plain[0][key], key


def test_mup_scales_logits_and_rates() -> None:
    model = model_of_width(MuPInitConfig(base_width=32), 64, logit_scale=3.0).build()
    assert model.lm_head.scale == 1.5
    groups = parameter_groups(model, 0.1, lr_scale=LearningRateScale(hidden=0.5, head=0.25))
    scales = {group["name"]: group["lr_scale"] for group in groups}
    assert scales == {"hidden": 0.25, "head": 0.25, "embeddings": 1.0, "vectors": 1.0}


def test_mup_is_refused_where_its_rates_are_wrong() -> None:
    tables = {
        "model": {"vocab_size": 10, "init": {"kind": "mup"}},
        "data": {"train": "train.npy"},
        "optimizer": {"kind": "muon"},
    }
    with pytest.raises(ValueError, match=r"choose optimizer\.kind adamw or lion, not muon"):
        config.load(RunConfig, tables)
    assert config.load(RunConfig, tables | {"optimizer": {"kind": "lion"}})


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: NormalInitConfig(std=0.0), "std is 0.0; it must be above 0"),
        (lambda: GPT2InitConfig(embedding_std=-1.0), "embedding_std is -1.0; it must be above 0"),
        (lambda: TruncatedNormalInitConfig(cut=0.0), "cut is 0.0; it must be above 0"),
        (lambda: MuPInitConfig(base_width=0), "base_width is 0; it must be above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make_it: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_it()
