"""Sparse patterns against a loop over heads, queries and keys, and models with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from byteloom.config import load
from byteloom.model import ModelConfig
from byteloom.nn import MultiHeadConfig, RMSNormConfig, RotaryConfig, SparseConfig
from byteloom.nn.functional import Backend
from byteloom.nn.position import ALiBiConfig
from cached import cached_logits, decoded_logits
from closeness import assert_gradients_close

D_MODEL, HEADS, SEQ, VOCAB, STRIDE = 16, 4, 14, 20, 3


def near(i: int, j: int) -> bool:
    return abs(i - j) <= STRIDE


def every_third(i: int, j: int) -> bool:
    return abs(i - j) in range(0, 1000, STRIDE)


def same_block(i: int, j: int) -> bool:
    return any(
        i in block and j in block for block in (range(a, a + 3) for a in range(0, 1000, STRIDE))
    )


def last_of_block(i: int, j: int) -> bool:
    return j in range(STRIDE - 1, 1000, STRIDE)


def last_two_of_block(i: int, j: int) -> bool:
    return last_of_block(i, j) or last_of_block(i, j + 1)


Rule = Callable[[int, int], bool]
#: Settings -> the two kinds of keys that are seen.
PATTERNS: dict[str, tuple[dict[str, Any], Rule, Rule]] = {
    "strided": ({}, near, every_third),
    "fixed": ({"pattern": "fixed"}, same_block, last_of_block),
    "two of a block": ({"pattern": "fixed", "summary": 2}, same_block, last_two_of_block),
}


def sees(name: str, split: bool, causal: bool) -> list[Rule]:
    """For each head, which keys a query sees."""
    _, local, far = PATTERNS[name]

    def rule(head: int) -> Rule:
        kinds = [local if head < HEADS // 2 else far] if split else [local, far]
        return lambda i, j: (j <= i or not causal) and any(kind(i, j) for kind in kinds)

    return [rule(head) for head in range(HEADS)]


def config_of(name: str, **over: Any) -> SparseConfig:
    return SparseConfig(stride=STRIDE, **PATTERNS[name][0], **over)


def slow(own: Any, x: Tensor, rules: list[Rule]) -> Tensor:
    """Attention, one pair of a query and a key at a time."""
    q, k, v = ((x @ getattr(own, f"{n}_proj").weight.T).unflatten(-1, (HEADS, -1)) for n in "qkv")
    out = torch.zeros_like(q)
    for head, rule in enumerate(rules):
        for i in range(SEQ):
            seen = [j for j in range(SEQ) if rule(i, j)]
            if not seen:
                continue
            scores = [(q[:, i, head] * k[:, j, head]).sum(-1) / math.sqrt(4) for j in seen]
            weights = torch.stack(scores).softmax(0)
            out[:, i, head] = sum(
                w[:, None] * v[:, j, head] for w, j in zip(weights, seen, strict=True)
            )
    return out.flatten(2) @ own.output_proj.weight.T


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_it_is_a_loop_over_queries_and_keys(
    name: str, split: bool, causal: bool, backend: Backend
) -> None:
    torch.manual_seed(0)
    own = config_of(name, split=split, causal=causal, backend=backend).build(D_MODEL, HEADS)
    x = torch.randn(2, SEQ, D_MODEL, requires_grad=True)
    found, want = own(x), slow(own, x, sees(name, split, causal))
    assert_close(found, want, rtol=1e-5, atol=1e-5)
    leaves = [x, *own.parameters()]
    upstream = torch.randn_like(want)
    pairs = [torch.autograd.grad((y * upstream).sum(), leaves) for y in (found, want)]
    for mine, theirs in zip(*pairs, strict=True):
        assert_gradients_close(mine, theirs)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("over", [{}, {"full_every": 2}, {"position": ALiBiConfig()}])
@torch.no_grad()
def test_models_with_it_are_the_same_with_caches(
    name: str, split: bool, over: dict[str, Any]
) -> None:
    attention = config_of(name, split=split, num_kv_heads=2, qk_norm=RMSNormConfig())
    config = ModelConfig(
        VOCAB, context_length=SEQ, d_model=D_MODEL, num_heads=HEADS, num_layers=2,
        **{"attention": attention, "position": RotaryConfig(), **over},
    )  # fmt: skip
    model, ids = config.build(0).eval(), torch.randint(VOCAB, (3, SEQ))
    want = model(ids)
    for first in (1, 6):
        assert_close(cached_logits(model, ids, first), want, rtol=1e-4, atol=1e-5)
        assert_close(decoded_logits(model, ids, first), want[:, first - 1 :], rtol=1e-4, atol=1e-5)
    cache = model.new_cache()
    pieces = [model(piece, cache=cache) for piece in ids.split([4, 1, 7, 2], dim=1)]
    assert_close(torch.cat(pieces, 1), want, rtol=1e-4, atol=1e-5)


def test_documents_do_not_see_each_other() -> None:
    config = ModelConfig(
        VOCAB, context_length=SEQ, d_model=D_MODEL, num_heads=HEADS, num_layers=2,
        attention=config_of("strided"),
    )  # fmt: skip
    model, ids = config.build(0), torch.randint(VOCAB, (2, SEQ))
    apart = model(ids, documents=(torch.arange(SEQ) >= 6).long().expand(2, SEQ))
    # The strided pattern depends on distances only, so that a document is as if alone.
    assert_close(apart[:, 6:], model(ids[:, 6:]), rtol=1e-4, atol=1e-5)
    assert_close(apart[:, :6], model(ids[:, :6]), rtol=1e-4, atol=1e-5)


def test_layers_between_see_all() -> None:
    table = {
        "vocab_size": 9, "num_layers": 4, "d_model": 16, "num_heads": 4, "full_every": 2,
        "attention": {"kind": "sparse", "stride": 2, "num_kv_heads": 2, "bias": True},
    }  # fmt: skip
    config = load(ModelConfig, table)
    sparse, full = SparseConfig(stride=2, num_kv_heads=2, bias=True), config.attention_of(1)
    assert full == MultiHeadConfig(num_kv_heads=2, bias=True)
    assert [layer.attn.config for layer in config.build().layers] == [sparse, full] * 2


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="stride is 0; it must be above 0"):
        SparseConfig(stride=0)
    with pytest.raises(ValueError, match=r"summary is 4; it must be 1 \.\. 3, the stride"):
        SparseConfig(stride=3, summary=4, pattern="fixed")
    with pytest.raises(ValueError, match="summary is 2, but only the fixed pattern has one"):
        SparseConfig(summary=2)
    with pytest.raises(ValueError, match="num_heads 3 must be even"):
        ModelConfig(9, d_model=12, num_heads=3, attention=SparseConfig(split=True))
    with pytest.raises(ValueError, match=r"attention\.window: no such key"):
        load(ModelConfig, {"vocab_size": 9, "attention": {"kind": "sparse", "window": 4}})
    with pytest.raises(ValueError, match=r"attention\.causal is false"):
        SparseConfig(causal=False).build(8, 2).new_cache(4)
