"""Attention that is not causal, prefixes, padding, and looking at another text, against peers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers import BertConfig, T5Config
from transformers.models.bert.modeling_bert import BertSelfAttention
from transformers.models.t5.modeling_t5 import T5Attention

from byteloom.model import ModelConfig
from byteloom.nn import MultiHeadConfig, RotaryConfig
from byteloom.nn.attention import (
    CrossAttention,
    CrossConfig,
    MemoryCache,
    padding_mask,
    prefix_mask,
)
from byteloom.nn.functional import Backend
from byteloom.nn.position import ALiBiConfig, RelativeConfig

D_MODEL, HEADS, SEQ, KEYS = 16, 4, 7, 5
#: Tokens of each text; the rest is padding.
LENGTHS = torch.tensor([SEQ, 4, 1])
REAL = torch.arange(SEQ) < LENGTHS[:, None]
BACKENDS: list[Backend] = ["reference", "fused"]


def randn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_gradients(y: Tensor, x: Tensor, *parameters: Tensor) -> list[Tensor]:
    """The output, and what a random gradient of it gives."""
    upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    return [y, *torch.autograd.grad((y * upstream).sum(), [x, *parameters])]


def compare(found: list[Tensor], want: list[Tensor]) -> None:
    for mine, theirs in zip(found, want, strict=True):
        assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def weights(module: nn.Module, *names: str) -> list[Tensor]:
    return [module.get_parameter(name) for name in names]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("padded", [False, True])
def test_in_both_directions_it_and_its_gradients_are_berts(backend: Backend, padded: bool) -> None:
    own = MultiHeadConfig(causal=False, bias=True, output_bias=True, backend=backend)
    ours = own.build(D_MODEL, HEADS)
    peer = BertSelfAttention(
        BertConfig(
            hidden_size=D_MODEL, num_attention_heads=HEADS, attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
        )
    )  # fmt: skip
    ours.output_proj = nn.Identity()  # type: ignore[assignment]
    names = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}
    keys = [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    with torch.no_grad():
        for key in keys:
            name, kind = key.split(".")
            peer.get_parameter(f"{names[name]}.{kind}").copy_(
                ours.get_parameter(key).normal_(std=0.3)
            )
    x = randn(3, SEQ, D_MODEL).requires_grad_()
    mask = padding_mask(REAL) if padded else None
    hidden = None if mask is None else torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
    found, want = ours(x, mask=mask), peer(x, attention_mask=hidden)[0]
    theirs = weights(peer, *(f"{names[k.split('.')[0]]}.{k.split('.')[1]}" for k in keys))
    compare(with_gradients(found, x, *weights(ours, *keys)), with_gradients(want, x, *theirs))
    assert not torch.allclose(found[:, 0], MultiHeadConfig().build(D_MODEL, HEADS)(x)[:, 0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("masked", ["no", "padding", "causal", "prefix"])
def test_masks_are_those_of_torchs_module(backend: Backend, masked: str) -> None:
    ours = MultiHeadConfig(causal=False, backend=backend).build(D_MODEL, HEADS)
    peer = nn.MultiheadAttention(D_MODEL, HEADS, bias=False, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([getattr(ours, f"{n}_proj").weight for n in "qkv"]))
        peer.out_proj.weight.copy_(ours.output_proj.weight)
    places = torch.arange(SEQ)
    seen = torch.ones(3, SEQ, SEQ, dtype=torch.bool)
    mask: Tensor | None = None
    if masked == "padding":
        mask, seen = padding_mask(REAL), REAL[:, None].expand(3, SEQ, SEQ)
    elif masked == "causal":
        mask = seen = (places <= places[:, None]).expand(3, SEQ, SEQ)
        mask = mask[:, None]
    elif masked == "prefix":
        mask = prefix_mask(LENGTHS, SEQ)
        seen = torch.tensor(
            [[[k < n or k <= q for k in range(SEQ)] for q in range(SEQ)] for n in LENGTHS.tolist()]
        )
    x = randn(3, SEQ, D_MODEL).requires_grad_()
    hidden = ~seen.repeat_interleave(HEADS, dim=0)
    want = peer(x, x, x, attn_mask=hidden, need_weights=False)[0]
    compare(
        with_gradients(ours(x, mask=mask), x, ours.output_proj.weight),
        with_gradients(want, x, peer.out_proj.weight),
    )


CROSS: dict[str, CrossConfig] = {
    "plain": CrossConfig(),
    "biases": CrossConfig(bias=True, output_bias=True),
    "as T5": CrossConfig(scale=1.0, d_head=6),
    "grouped": CrossConfig(num_kv_heads=2),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_and_its_gradients_are_t5s(backend: Backend, padded: bool) -> None:
    ours = CrossConfig(scale=1.0, d_head=6, backend=backend).build(D_MODEL, HEADS)
    config = T5Config(
        d_model=D_MODEL, d_kv=6, num_heads=HEADS, dropout_rate=0.0, is_decoder=True,
        attn_implementation="eager",
    )  # fmt: skip
    peer = T5Attention(config, layer_idx=0)
    pairs = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "output_proj": "o"}
    peer.load_state_dict({
        f"{b}.weight": ours.get_parameter(f"{a}.weight") for a, b in pairs.items()
    })  # fmt: skip
    x, memory = randn(3, KEYS, D_MODEL), randn(3, SEQ, D_MODEL, seed=3).requires_grad_()
    mask = padding_mask(REAL) if padded else None
    hidden = None if mask is None else torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
    want = peer(x, mask=hidden, key_value_states=memory)[0]
    compare(
        with_gradients(ours(x, memory, mask), memory, *(getattr(ours, a).weight for a in pairs)),
        with_gradients(want, memory, *(getattr(peer, b).weight for b in pairs.values())),
    )


@pytest.mark.parametrize("name", CROSS)
@pytest.mark.parametrize("padded", [False, True])
def test_cross_attention_is_torchs_kernel_between_four_maps(name: str, padded: bool) -> None:
    config, d_memory = CROSS[name], 10
    ours = CrossAttention(D_MODEL, HEADS, config, d_memory)
    x, memory = randn(3, KEYS, D_MODEL), randn(3, SEQ, d_memory, seed=3)
    q, k, v = (
        getattr(ours, f"{n}_proj")(t).unflatten(-1, (-1, ours.d_head)).transpose(1, 2)
        for n, t in zip("qkv", (x, memory, memory), strict=True)
    )
    k, v = (t.repeat_interleave(HEADS // k.shape[1], 1) for t in (k, v))
    mask = padding_mask(REAL) if padded else None
    want = F.scaled_dot_product_attention(q, k, v, mask, scale=config.scale)
    assert_close(ours(x, memory, mask), ours.output_proj(want.transpose(1, 2).flatten(2)))


def test_a_memory_is_looked_at_once_and_then_never_again() -> None:
    ours, x, memory = (
        CrossAttention(D_MODEL, HEADS),
        randn(3, KEYS, D_MODEL),
        randn(3, SEQ, D_MODEL),
    )
    want, mask = ours(x, memory, padding_mask(REAL)), padding_mask(REAL)
    calls: list[Any] = []
    ours.k_proj.register_forward_hook(lambda *_: calls.append(1))
    cache = MemoryCache()
    found = [ours(x[:, :2], memory, mask, cache)]
    found += [ours(x[:, i : i + 1], None, mask, cache) for i in range(2, KEYS)]
    assert_close(torch.cat(found, 1), want)
    assert len(calls) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_sees_nothing_gets_zeros_and_finite_gradients(backend: Backend) -> None:
    ours = CrossConfig(backend=backend).build(D_MODEL, HEADS)
    x, memory = randn(2, KEYS, D_MODEL), randn(2, SEQ, D_MODEL).requires_grad_()
    real = torch.stack((torch.ones(SEQ), torch.zeros(SEQ))).bool()
    y, gradient, *_ = with_gradients(ours(x, memory, padding_mask(real)), memory)
    assert not y[1].any() and y[0].any()
    assert not gradient[1].any() and gradient[0].any()


def test_padding_changes_nothing_for_the_tokens() -> None:
    """Also with windows on either side, and with biases that depend on the distance."""
    for position, window in ((ALiBiConfig(), None), (RelativeConfig(bidirectional=True), 3)):
        attention = MultiHeadConfig(causal=False, window=window)
        config = ModelConfig(
            20, context_length=SEQ, d_model=D_MODEL, num_heads=HEADS, num_layers=2,
            position=position, attention=attention,
        )  # fmt: skip
        model, ids = config.build(0), torch.randint(20, (3, SEQ))
        together = model(ids, mask=padding_mask(REAL))
        for row, n in enumerate(LENGTHS.tolist()):
            assert_close(together[row, :n], model(ids[row : row + 1, :n])[0], rtol=1e-4, atol=1e-5)
        # Backwards, a text is the same: nothing tells the directions apart but the distance.
        if window is None:
            assert_close(model(ids.flip(1)).flip(1), model(ids), rtol=1e-4, atol=1e-5)


def test_a_window_that_is_not_causal_is_one_on_either_side() -> None:
    attention, x = MultiHeadConfig(window=3, causal=False).build(8, 2), randn(1, 7, 8)
    changed = x.clone()
    changed[0, 2] += 1.0
    differs = (attention(x) - attention(changed)).abs().sum(-1)[0] > 1e-6
    assert differs.tolist() == [True, True, True, True, True, False, False]


@pytest.mark.parametrize("attention", [MultiHeadConfig(), MultiHeadConfig(window=3)])
def test_a_prefix_sees_itself_and_is_the_same_with_caches(attention: MultiHeadConfig) -> None:
    config = ModelConfig(
        20, context_length=12, d_model=16, num_heads=4, num_layers=2, attention=attention
    )
    model, ids, n = config.build(0).eval(), torch.randint(20, (3, 12)), 5
    mask = prefix_mask(torch.full((3,), n), 12)
    with torch.no_grad():
        want, causal = model(ids, mask=mask), model(ids)
        cache = model.new_cache()
        found = [model(ids[:, :n], cache=cache, mask=mask[..., :n, :n])]
        found += [model(ids[:, i : i + 1], cache=cache) for i in range(n, 12)]
    assert_close(torch.cat(found, 1), want, rtol=1e-4, atol=1e-5)
    assert all(not torch.allclose(want[:, i], causal[:, i], atol=1e-4) for i in range(n))
    # None of the prefix sees what follows it.
    other = ids.clone()
    other[:, n:] = (other[:, n:] + 1) % 20
    assert torch.equal(model(other, mask=mask)[:, :n], want[:, :n])


def test_documents_are_kept_apart_in_both_directions() -> None:
    config = ModelConfig(
        20, context_length=9, d_model=16, num_heads=4, num_layers=2,
        attention=MultiHeadConfig(causal=False),
    )  # fmt: skip
    model, ids = config.build(0), torch.randint(20, (2, 9))
    documents = torch.tensor([0] * 4 + [1] * 5).expand(2, 9)
    apart = model(ids, documents=documents)
    for part in (slice(0, 4), slice(4, 9)):
        assert_close(apart[:, part], model(ids[:, part]), rtol=1e-4, atol=1e-5)
    # And with a prefix: here, of the first document only.
    causal = ModelConfig(20, context_length=9, d_model=16, num_heads=4, num_layers=2).build(0)
    both = causal(ids, documents=documents, mask=prefix_mask(torch.tensor([3, 3]), 9))
    first = causal(ids[:, :4], mask=prefix_mask(torch.tensor([3, 3]), 4))
    assert_close(
        torch.cat((both[:, :4], both[:, 4:]), 1), torch.cat((first, causal(ids[:, 4:])), 1)
    )


def test_it_compiles_to_the_same() -> None:
    config = ModelConfig(
        20, context_length=8, d_model=16, num_heads=4, num_layers=1,
        attention=MultiHeadConfig(causal=False), position=RotaryConfig(),
    )  # fmt: skip
    model, ids = config.build(0), torch.randint(20, (3, SEQ))
    compiled, mask = torch.compile(model, backend="eager", fullgraph=True), padding_mask(REAL)
    assert_close(compiled(ids, mask=mask), model(ids, mask=mask))


def test_what_sees_both_directions_has_no_cache() -> None:
    model = ModelConfig(9, d_model=8, num_heads=2, attention=MultiHeadConfig(causal=False)).build()
    with pytest.raises(ValueError, match=r"attention\.causal is false.* never with a cache"):
        model.new_cache()


def test_a_cap_acts_on_what_is_seen_of_a_memory_too() -> None:
    x, memory, results = randn(2, KEYS, D_MODEL), randn(2, SEQ, D_MODEL), []
    for cap in (None, 1e4, 0.5):
        torch.manual_seed(0)
        results.append(CrossConfig(soft_cap=cap).build(D_MODEL, HEADS)(x, memory))
    assert [torch.allclose(a, b, atol=1e-5) for a, b in pairwise(results)] == [True, False]
