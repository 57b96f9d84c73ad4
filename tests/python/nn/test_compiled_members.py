"""Every member, compiled as one graph, against itself as written: values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from byteloom import config
from byteloom.config.schema import kind_of, members
from byteloom.model import ModelConfig
from byteloom.nn.attention import AttentionConfig
from byteloom.nn.block import BlockConfig
from byteloom.nn.norm import NormConfig
from byteloom.nn.position import PositionConfig
from byteloom.nn.position.scaling import RotaryScaling
from closeness import assert_gradients_close

#: Few, as each takes a second: all members of these families are in one of them.
MODELS: dict[str, dict[str, Any]] = {
    "pre, layer norm, learned, window": {
        "norm": {"kind": "layernorm", "bias": True}, "position": {"kind": "learned"},
        "attention": {"window": 4, "num_kv_heads": 2}, "full_every": 2,
    },
    "post, no norm, sinusoidal": {
        "block": {"kind": "post"}, "norm": {"kind": "none"}, "position": {"kind": "sinusoidal"},
    },
    "sandwich, ALiBi, sparse": {
        "block": {"kind": "sandwich"}, "position": {"kind": "alibi"},
        "attention": {"kind": "sparse", "stride": 3, "split": True},
    },
    "reordered, T5's distances, cap": {
        "block": {"kind": "reordered"}, "position": {"kind": "relative"},
        "attention": {"soft_cap": 2.0, "qk_norm": {"kind": "rmsnorm"}, "qk_norm_over": "all"},
    },
    "parallel, no positions, linear": {
        "block": {"kind": "parallel"}, "position": {"kind": "none"},
        "attention": {"kind": "linear", "decay": "gated", "chunk": 4},
    },
    "rotary, half, Llama 3's": {
        "position": {"layout": "half", "scaling": {"kind": "llama3", "factor": 4.0}},
        "positionless_every": 2,
    },
    "YaRN, a part": {
        "position": {"fraction": 0.5, "scaling": {"kind": "yarn", "factor": 4.0}},
    },
    "linear scaling": {"position": {"scaling": {"kind": "linear", "factor": 4.0}}},
    "NTK": {"position": {"scaling": {"kind": "ntk", "factor": 4.0}}},
}  # fmt: skip


def made(name: str) -> ModelConfig:
    sizes = {"vocab_size": 30, "context_length": 12, "d_model": 32, "num_heads": 4, "num_layers": 2}
    return config.load(ModelConfig, {**sizes, "ffn": {"d_ff": 16}, **MODELS[name]})


def test_all_members_are_tested() -> None:
    models = [made(name) for name in MODELS]
    families = {
        "block": BlockConfig, "norm": NormConfig, "position": PositionConfig,
        "attention": AttentionConfig,
    }  # fmt: skip
    for family, union in families.items():
        assert {getattr(model, family).kind for model in models} == set(
            map(kind_of, members(union))
        )
    scalings = {getattr(getattr(m.position, "scaling", None), "kind", None) for m in models}
    assert scalings - {None} == set(map(kind_of, members(RotaryScaling)))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_same(name: str) -> None:
    torch._dynamo.reset()  # which else counts how often it met another model
    model = made(name).build(seed=0)
    ids = torch.randint(30, (2, 12), generator=torch.Generator().manual_seed(1))
    compiled = torch.compile(model.hidden, backend="aot_eager", fullgraph=True)
    found, gradients = [], []
    for hidden in (compiled(ids), model.hidden(ids)):
        model.zero_grad()
        hidden.sin().sum().backward()
        found.append(hidden.detach())
        gradients.append(
            {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        )
    assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
    assert len(gradients[0]) == len(gradients[1]) > 10
    for key, gradient in gradients[0].items():
        assert_gradients_close(gradient, gradients[1][key])
