"""What attention can be told, against the attention of transformers' families."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import Gemma2Config, LlamaConfig, Olmo2Config, Qwen2Config, Qwen3Config
from transformers.models.gemma2.modeling_gemma2 import Gemma2Attention
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from byteloom.model import ModelConfig
from byteloom.nn import (
    LayerNormConfig,
    MultiHeadConfig,
    NoPositionConfig,
    RMSNormConfig,
    RotaryConfig,
)
from byteloom.nn.init import CourseInitConfig
from byteloom.nn.position import ALiBiConfig, LearnedConfig, RelativeConfig, SinusoidalConfig
from cached import cached_logits, decoded_logits
from closeness import assert_gradients_close

D_MODEL, HEADS, KV, HEAD, SEQ = 24, 4, 2, 8, 9
SIZES: dict[str, Any] = {
    "hidden_size": D_MODEL,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV,
    "head_dim": HEAD,
    "num_hidden_layers": 2,
    "attn_implementation": "eager",
}
OURS: dict[str, Any] = {"num_kv_heads": KV, "d_head": HEAD}

#: Family -> our settings, and its attention.
FAMILIES: dict[str, tuple[MultiHeadConfig, Any]] = {
    "llama": (MultiHeadConfig(**OURS), lambda: LlamaAttention(LlamaConfig(**SIZES), 0)),
    "qwen2": (
        MultiHeadConfig(**OURS, bias=True),
        lambda: Qwen2Attention(Qwen2Config(**SIZES), 0),
    ),
    "qwen3": (
        MultiHeadConfig(**OURS, qk_norm=RMSNormConfig(eps=1e-6)),
        lambda: Qwen3Attention(Qwen3Config(**SIZES), 0),
    ),
    "olmo2": (
        MultiHeadConfig(**OURS, qk_norm=RMSNormConfig(), qk_norm_over="all"),
        lambda: Olmo2Attention(Olmo2Config(**SIZES), 0),
    ),
    "gemma2": (
        MultiHeadConfig(**OURS, soft_cap=3.0, scale=0.2, window=4),
        lambda: Gemma2Attention(
            Gemma2Config(
                **SIZES, attn_logit_softcapping=3.0, query_pre_attn_scalar=25, sliding_window=4
            ),
            0,
        ),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_it_and_its_gradients_are_the_familys(family: str, backend: Any) -> None:
    torch.manual_seed(0)
    settings, make = FAMILIES[family]
    peer = make()
    d_head = peer.head_dim
    own = settings.build(D_MODEL, HEADS)
    own.backend = "reference" if settings.soft_cap else backend
    for p in peer.parameters():
        nn.init.normal_(p, std=0.4)
    state = {key.replace("o_proj", "output_proj"): x for key, x in peer.state_dict().items()}
    own.load_state_dict(state)
    a = torch.randn(2, SEQ, D_MODEL, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    places = torch.arange(SEQ)[None]
    angles = LlamaRotaryEmbedding(LlamaConfig(**SIZES | {"head_dim": d_head}))(b, places)
    distances = places[0, :, None] - places[0]
    unseen = (distances < 0) | (distances >= (settings.window or SEQ))
    mask = torch.zeros(SEQ, SEQ).masked_fill(unseen, -torch.inf)[None, None]
    want = peer(b, position_embeddings=angles, attention_mask=mask)[0]
    rotary = RotaryConfig(layout="half").build(D_MODEL, HEADS, SEQ, d_head)
    found = own(a, position=rotary)
    assert_close(found, want, rtol=1e-5, atol=1e-5)
    found.sin().sum().backward()
    want.sin().sum().backward()
    assert_gradients_close(a.grad, b.grad)
    for key, p in peer.named_parameters():
        mine = dict(own.named_parameters())[key.replace("o_proj", "output_proj")]
        assert_gradients_close(mine.grad, p.grad)


def test_written_out_dropout_of_weights_is_the_familys() -> None:
    """To the number, as both draw it of the same weights."""
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, attention_dropout=0.4)
    peer = LlamaAttention(config, 0)
    own = MultiHeadConfig(**OURS, dropout=0.4, backend="reference").build(D_MODEL, HEADS)
    state = {key.replace("o_proj", "output_proj"): x for key, x in peer.state_dict().items()}
    own.load_state_dict(state)
    x, mask = torch.randn(2, SEQ, D_MODEL), torch.full((SEQ, SEQ), -torch.inf).triu(1)[None, None]
    still = torch.ones(1, SEQ, HEAD), torch.zeros(1, SEQ, HEAD)
    for training in (True, False):
        torch.manual_seed(1)
        want = peer.train(training)(x, position_embeddings=still, attention_mask=mask)[0]
        torch.manual_seed(1)
        assert_close(own.train(training)(x), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "auto"])
@pytest.mark.parametrize("over", [{}, {"window": 4}, {"soft_cap": 1.0}])
def test_dropout_of_weights_is_torchs_in_the_mean(backend: Any, over: dict[str, Any]) -> None:
    torch.manual_seed(0)
    own = MultiHeadConfig(**OURS, **over, dropout=0.3, backend=backend).build(D_MODEL, HEADS)
    x = torch.randn(1, SEQ, D_MODEL)
    with torch.no_grad():
        drawn = own.train()(x.expand(4000, SEQ, D_MODEL))
        want = own.eval()(x)
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
    assert_close(drawn.mean(0, keepdim=True), want, rtol=0.0, atol=0.06)


def test_dropout_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attention\.dropout is 1\.5; it must be in"):
        MultiHeadConfig(dropout=1.5)
    with pytest.raises(ValueError, match="nothing for backend flex"):
        MultiHeadConfig(dropout=0.1, backend="flex")


MODELS: dict[str, MultiHeadConfig] = {
    "grouped": MultiHeadConfig(num_kv_heads=2),
    "one for all": MultiHeadConfig(num_kv_heads=1, d_head=6),
    "window": MultiHeadConfig(window=3),
    "window of one": MultiHeadConfig(window=1),
    "cap": MultiHeadConfig(soft_cap=0.5),
    "norm": MultiHeadConfig(qk_norm=LayerNormConfig(bias=True), bias=True, output_bias=True),
    "everything": MultiHeadConfig(
        num_kv_heads=2, d_head=6, window=5, soft_cap=2.0, scale=0.7, bias=True,
        qk_norm=RMSNormConfig(unit_offset=True), qk_norm_over="all",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("position", [RotaryConfig(), None])
def test_models_with_it_are_the_same_with_caches(name: str, position: Any) -> None:
    over = {} if position is None else {"position": position}
    config = ModelConfig(
        20, context_length=12, d_model=16, num_heads=4, num_layers=2, attention=MODELS[name], **over
    )
    model, ids = config.build(0).eval(), torch.randint(20, (3, 12))
    with torch.no_grad():
        want = model(ids)
        assert_close(cached_logits(model, ids, 5), want, rtol=1e-4, atol=1e-5)
        assert_close(decoded_logits(model, ids, 5), want[:, 4:], rtol=1e-4, atol=1e-5)
        apart = model(ids, documents=(torch.arange(12) >= 5).long().expand(3, 12))
        assert_close(apart[:, 5:], model(ids[:, 5:]), rtol=1e-4, atol=1e-5)
    cache = model.new_cache()
    model(ids, cache=cache)
    keys = cache.layers[0]._keys
    assert keys is not None and keys.shape[1] == (MODELS[name].num_kv_heads or 4)


PATTERNS: dict[str, dict[str, Any]] = {
    "full layers": {"attention": MultiHeadConfig(window=2), "full_every": 3},
    "layers without places": {"positionless_every": 2},
    "full layers without places": {
        "attention": MultiHeadConfig(window=2), "full_every": 2, "positionless_every": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_layers_of_two_kinds_are_the_same_with_caches(name: str) -> None:
    config = ModelConfig(
        20,
        context_length=12,
        d_model=16,
        num_heads=4,
        num_layers=6,
        init=CourseInitConfig(),
        **PATTERNS[name],
    )
    model, ids = config.build(0).eval(), torch.randint(20, (3, 12))
    with torch.no_grad():
        assert_close(cached_logits(model, ids, 5), model(ids), rtol=1e-4, atol=1e-5)
    windows = [layer.attn.config.window for layer in model.layers]
    n = config.full_every
    assert windows == [None if n and i % n == 0 else config.attention.window for i in range(1, 7)]
    # A layer without places sees the same in whatever order the tokens before come.
    x, order = torch.randn(1, 4, 16), [1, 2, 0, 3]
    for i, layer in enumerate(model.layers):
        if model.layers[i].attn.config.window is None:
            position = None if config.positionless_every and i % 2 == 1 else model.position
            same = torch.allclose(
                layer(x, None, position)[:, -1],
                layer(x[:, order], None, position)[:, -1],
                atol=1e-5,
            )
            assert same == (position is None)


def test_patterns_are_refused_where_they_mean_nothing() -> None:
    with pytest.raises(ValueError, match=r"full_every is 2, but without attention\.window"):
        ModelConfig(10, d_model=8, num_heads=2, full_every=2)
    with pytest.raises(ValueError, match="positionless_every is 0; it must be above 0"):
        ModelConfig(10, d_model=8, num_heads=2, positionless_every=0)
    for position in (LearnedConfig(), SinusoidalConfig(), NoPositionConfig()):
        with pytest.raises(ValueError, match=f"position.kind {position.kind} tells no layer"):
            ModelConfig(10, d_model=8, num_heads=2, position=position, positionless_every=2)
    for other in (ALiBiConfig(), RelativeConfig()):
        ModelConfig(10, d_model=8, num_heads=2, position=other, positionless_every=2)


def test_a_window_hides_what_is_far() -> None:
    attention = MultiHeadConfig(window=3).build(8, 2)
    x = torch.randn(1, 7, 8)
    changed = x.clone()
    changed[0, 2] += 1.0
    differs = (attention(x) - attention(changed)).abs().sum(-1)[0] > 1e-6
    assert differs.tolist() == [False, False, True, True, True, False, False]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="num_heads 4 is not divisible by num_kv_heads 3"):
        ModelConfig(10, d_model=16, num_heads=4, attention=MultiHeadConfig(num_kv_heads=3))
    with pytest.raises(ValueError, match="has no soft cap"):
        MultiHeadConfig(soft_cap=1.0, backend="fused")
    for key in ("num_kv_heads", "d_head", "soft_cap", "window", "scale"):
        with pytest.raises(ValueError, match=f"{key} is 0; it must be above 0"):
            MultiHeadConfig(**{key: 0})
    with pytest.raises(ValueError, match="d_model 10 is not divisible by num_heads 4"):
        ModelConfig(10, d_model=10, num_heads=4)
    ModelConfig(10, d_model=10, num_heads=4, attention=MultiHeadConfig(d_head=4))
