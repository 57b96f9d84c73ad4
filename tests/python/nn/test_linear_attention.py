"""Linear attention: its three forms against a loop over queries and keys, and models with it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from byteloom import checkpoint
from byteloom.config import load
from byteloom.generation import Decoder, generate_ids
from byteloom.model import ModelConfig, TransformerLM
from byteloom.models import EncoderConfig
from byteloom.nn import LinearConfig, MultiHeadConfig, RMSNormConfig, RotaryConfig
from byteloom.nn.attention import padding_mask, prefix_mask
from byteloom.nn.attention.linear import LinearAttention
from byteloom.nn.attention.sums import chunked_sums, quadratic_sums, sums_of_one
from byteloom.nn.position import ALiBiConfig, NoPositionConfig, RelativeConfig
from byteloom.training.estimate.memory import cache_bytes
from cached import cached_logits, decoded_logits
from closeness import assert_gradients_close

D_MODEL, HEADS, SEQ, VOCAB = 16, 4, 13, 20


def slow_sums(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor | None, seen: Any) -> Tensor:
    """One pair of a query and a key at a time."""
    out = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=q.dtype)
    for i in range(q.shape[-2]):
        for j in range(q.shape[-2]):
            if not seen(i, j):
                continue
            weight = (q[..., i, :] * k[..., j, :]).sum(-1, keepdim=True)
            if log_decay is not None:
                between = log_decay[..., min(i, j) + 1 : max(i, j) + 1].exp().prod(-1)
                weight = weight * between[..., None]
            out[..., i, :] += weight * v[..., j, :]
    return out


def inputs(seq: int, decay: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    chance = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 2, 3, seq, 4, generator=chance)
    v = torch.randn(2, 3, seq, 5, generator=chance)
    shape = {"none": None, "by head": (3, seq), "by token": (2, 3, seq)}[decay]
    log_decay = None if shape is None else -torch.rand(shape, generator=chance)
    return q, k, v, log_decay


@settings(max_examples=40)
@given(
    st.integers(1, 11), st.integers(1, 12), st.sampled_from(["none", "by head", "by token"]),
    st.integers(0, 99),
)  # fmt: skip
def test_its_forms_are_the_formula(seq: int, chunk: int, decay: str, seed: int) -> None:
    q, k, v, log_decay = inputs(seq, decay, seed)
    want = slow_sums(q, k, v, log_decay, lambda i, j: j <= i)
    causal = torch.ones(seq, seq, dtype=torch.bool).tril()
    assert_close(quadratic_sums(q, k, v, log_decay, causal), want, rtol=1e-5, atol=1e-5)
    found, state = chunked_sums(q, k, v, log_decay, chunk=chunk)
    assert_close(found, want, rtol=1e-5, atol=1e-5)
    # Token by token, and in two pieces.
    now, pieces = torch.zeros_like(state), []
    for i in range(seq):
        one = None if log_decay is None else log_decay[..., i : i + 1]
        y, now = sums_of_one(*(x[..., i : i + 1, :] for x in (q, k, v)), one, now)
        pieces.append(y)
    assert_close(torch.cat(pieces, -2), want, rtol=1e-5, atol=1e-5)
    assert_close(state, now, rtol=1e-5, atol=1e-5)
    if seq > 1:
        half = seq // 2
        cuts = (slice(0, half), slice(half, seq))
        parts, carried = [], None
        for cut in cuts:
            fading = None if log_decay is None else log_decay[..., cut]
            y, carried = chunked_sums(
                *(x[..., cut, :] for x in (q, k, v)), fading, carried, chunk=chunk
            )
            parts.append(y)
        assert_close(torch.cat(parts, -2), want, rtol=1e-5, atol=1e-5)
        assert_close(carried, now, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decay", ["none", "by head", "by token"])
def test_gradients_are_those_of_the_formula(decay: str) -> None:
    q, k, v, log_decay = inputs(9, decay)
    leaves = [x.requires_grad_() for x in (q, k, v, log_decay) if x is not None]
    upstream = torch.randn(2, 3, 9, 5)
    want = slow_sums(q, k, v, log_decay, lambda i, j: j <= i)
    found, _ = chunked_sums(q, k, v, log_decay, chunk=4)
    pairs = [torch.autograd.grad((y * upstream).sum(), leaves) for y in (found, want)]
    for mine, slow in zip(*pairs, strict=True):
        assert_gradients_close(mine, slow)


def test_strong_decays_do_not_overflow() -> None:
    q, k, v, _ = inputs(200, "none")
    log_decay = torch.full((3, 200), -50.0)
    found, state = chunked_sums(q, k, v, log_decay)
    assert_close(found, (q * k).sum(-1, keepdim=True) * v, rtol=1e-5, atol=1e-5)
    assert bool(state.isfinite().all())


MEMBERS: dict[str, LinearConfig] = {
    "the paper's": LinearConfig(),
    "small chunks": LinearConfig(chunk=3, bias=True, output_bias=True),
    "relu": LinearConfig(feature_map="relu", d_head=6),
    "softmax": LinearConfig(feature_map="softmax", decay="fixed", chunk=4),
    "retention": LinearConfig(
        feature_map="identity", normalise=False, decay="fixed", norm=RMSNormConfig(),
        output_gate=True, chunk=5,
    ),
    "gated": LinearConfig(normalise=False, feature_map="identity", decay="gated", scale=0.3),
    "gated, normalised": LinearConfig(decay="gated", chunk=4),
}  # fmt: skip


def written_out(own: LinearAttention, x: Tensor, rotary: Any, seen: Any) -> Tensor:
    """The member by its formula, in double precision."""
    config, names = own.config, ("q", "k", "v")
    state = {key: value.double() for key, value in own.state_dict(keep_vars=True).items()}
    double = x.double()

    def mapped(name: str) -> Tensor:
        return double @ state[f"{name}_proj.weight"].T + state.get(f"{name}_proj.bias", 0.0)

    q, k, v = (mapped(n).unflatten(-1, (HEADS, -1)).transpose(1, 2) for n in names)
    features = {
        "elu": lambda t: torch.where(t > 0, t + 1, t.clamp_max(0).exp()),
        "relu": lambda t: t.clamp_min(0) + 0.001,
        "softmax": lambda t: t.exp() / t.exp().sum(-1, keepdim=True),
        "identity": lambda t: t,
    }[config.feature_map]
    q, k, seq = features(q), features(k), x.shape[1]
    log_decay = None
    if config.decay == "fixed":
        log_decay = torch.stack([
            torch.tensor(1 - 2.0 ** (-5 - h), dtype=torch.float64).log() for h in range(HEADS)
        ])[:, None].expand(-1, seq)  # fmt: skip
    elif config.decay == "gated":
        log_decay = (torch.sigmoid(mapped("decay")) ** (1 / 16)).log().transpose(1, 2)
    turned = (q, k) if rotary is None else (rotary.rotate(q, None), rotary.rotate(k, None))
    y = slow_sums(*(t.double() for t in turned), v, log_decay, seen)
    if config.normalise:
        y = y / (slow_sums(q, k, torch.ones_like(v[..., :1]), log_decay, seen) + 1e-6)
    else:
        y = y * (own.d_head**-0.5 if config.scale is None else config.scale)
    if config.norm is not None:
        y = y / (y.square().mean(-1, keepdim=True) + config.norm.eps).sqrt() * state["norm.weight"]
    y = y.transpose(1, 2).flatten(2)
    if config.output_gate:
        gate = double @ state["gate_proj.weight"].T
        y = y * gate * gate.sigmoid()
    return y @ state["output_proj.weight"].T + state.get("output_proj.bias", 0.0)


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("with_rotary", [False, True])
@pytest.mark.parametrize("seen", ["before", "document", "all"])
def test_each_member_is_its_formula(name: str, with_rotary: bool, seen: str) -> None:
    torch.manual_seed(0)
    own, x = MEMBERS[name].build(D_MODEL, HEADS), torch.randn(2, SEQ, D_MODEL)
    rotary = RotaryConfig().build(D_MODEL, HEADS, SEQ, own.d_head) if with_rotary else None
    mask = None
    if seen == "document":
        documents = (torch.arange(SEQ) >= 6).long()
        mask = (documents == documents[:, None]).tril()[None, None]
    elif seen == "all":
        mask = torch.ones(1, 1, SEQ, SEQ, dtype=torch.bool)
    rule = {
        "before": lambda i, j: j <= i,
        "document": lambda i, j: j <= i and (i >= 6) == (j >= 6),
        "all": lambda i, j: True,
    }[seen]
    want = written_out(own, x, rotary, rule)
    assert_close(own(x, None, rotary, None, mask).double(), want, rtol=1e-5, atol=1e-5)


def test_in_both_directions_it_is_the_sum_over_all() -> None:
    torch.manual_seed(0)
    own, x = LinearConfig(causal=False).build(D_MODEL, HEADS), torch.randn(2, SEQ, D_MODEL)
    assert_close(
        own(x).double(), written_out(own, x, None, lambda i, j: True), rtol=1e-5, atol=1e-5
    )
    with pytest.raises(ValueError, match=r"attention\.causal is false"):
        own.new_cache(4)


NO_DECAY = [name for name, member in MEMBERS.items() if member.decay == "none"]
REAL = torch.arange(SEQ) < torch.tensor([[SEQ], [8], [4]])


@pytest.mark.parametrize("name", NO_DECAY)
@pytest.mark.parametrize("with_rotary", [False, True])
def test_of_padding_nothing_is_in_the_sums(name: str, with_rotary: bool) -> None:
    torch.manual_seed(0)
    own = replace(MEMBERS[name], causal=False).build(D_MODEL, HEADS)
    rotary = RotaryConfig().build(D_MODEL, HEADS, SEQ, own.d_head) if with_rotary else None
    x, upstream = torch.randn(3, SEQ, D_MODEL), torch.randn(3, SEQ, D_MODEL)
    leaves = [x.requires_grad_(), *own.parameters()]
    mask = padding_mask(REAL)
    found = own(x, None, rotary, None, mask)
    # One text at a time, each with a rule of its own.
    want = torch.cat([
        written_out(own, one[None], rotary, lambda i, j, n=n: j < n)
        for one, n in zip(x, REAL.sum(-1).tolist(), strict=True)
    ])  # fmt: skip
    assert_close(found.double(), want, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad((y * upstream).sum(), leaves) for y in (found, want)]
    for mine, slow in zip(*gradients, strict=True):
        assert_gradients_close(mine, slow)
    # With a matrix of all pairs, as other masks are taken, it is the same.
    assert_close(own(x, None, rotary, None, mask.expand(3, 1, SEQ, SEQ)), found)
    # What stands there is no matter to others, not in a single bit.
    other = torch.where(REAL[..., None], x, 100 * torch.randn_like(x))
    assert torch.equal(own(other, None, rotary, None, mask)[REAL], found[REAL])


def test_a_text_of_nothing_but_padding_is_finite() -> None:
    own = LinearConfig(causal=False).build(D_MODEL, HEADS)
    nothing = torch.zeros(1, SEQ, dtype=torch.bool)
    x = torch.randn(1, SEQ, D_MODEL, requires_grad=True)
    y = own(x, mask=padding_mask(nothing))
    y.sum().backward()
    assert torch.equal(y, torch.zeros_like(y)) and x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_an_encoder_of_it_compiles_to_the_same_with_padding() -> None:
    torch._dynamo.reset()
    attention = LinearConfig(causal=False, norm=RMSNormConfig(), bias=True)
    model = EncoderConfig(
        vocab_size=VOCAB, context_length=SEQ, d_model=D_MODEL, num_heads=HEADS, num_layers=1,
        attention=attention, dropout=0.0, position=RotaryConfig(),
    ).build(0)  # fmt: skip
    ids, results = torch.randint(VOCAB, (3, SEQ)), []
    compiled = torch.compile(model.hidden, backend="aot_eager", fullgraph=True)
    for hidden in (model.hidden, compiled):
        model.zero_grad()
        found = hidden(ids, None, REAL)
        found[REAL].sin().sum().backward()
        results.append([found[REAL], *(p.grad for p in model.encoder.parameters())])
    assert_close(results[1][0], results[0][0], rtol=1e-5, atol=1e-5)
    for mine, plain in zip(results[1][1:], results[0][1:], strict=True):
        assert_gradients_close(mine, plain)


def make(attention: Any, **over: Any) -> tuple[TransformerLM, Tensor]:
    torch.manual_seed(1)
    config = ModelConfig(
        VOCAB, d_model=D_MODEL, num_heads=HEADS,
        **{"context_length": SEQ, "num_layers": 2, "attention": attention, **over},
    )  # fmt: skip
    return config.build(0).eval(), torch.randint(VOCAB, (3, SEQ))


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("over", [{}, {"full_every": 2}, {"position": NoPositionConfig()}])
@torch.no_grad()
def test_models_with_it_are_the_same_with_caches(name: str, over: dict[str, Any]) -> None:
    model, ids = make(MEMBERS[name], **over)
    want = model(ids)
    for first in (1, 5):
        assert_close(cached_logits(model, ids, first), want, rtol=1e-4, atol=1e-5)
        assert_close(decoded_logits(model, ids, first), want[:, first - 1 :], rtol=1e-4, atol=1e-5)
    cache = model.new_cache()
    pieces = [model(piece, cache=cache) for piece in ids.split([4, 1, 6, 2], dim=1)]
    assert_close(torch.cat(pieces, 1), want, rtol=1e-4, atol=1e-5)
    documents = (torch.arange(SEQ) >= 5).long().expand(3, SEQ)
    apart = model(ids, documents=documents)
    assert_close(apart[:, 5:], model(ids[:, 5:]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_its_state_does_not_grow_with_the_text() -> None:
    model, ids = make(LinearConfig(), context_length=600)
    cache, sizes = model.new_cache(), []
    for length in (1, 99, 500):
        model(torch.randint(VOCAB, (3, length)), cache=cache)
        sizes.append([sum(t.untyped_storage().nbytes() for t in x.tensors()) for x in cache.layers])
    one = 3 * HEADS * (4 * 4 + 4) * 4  # texts, heads, both sums, bytes
    assert sizes == [[one, one]] * 3
    assert cache_bytes(model.config, 3, 600) == 2 * one
    with pytest.raises(ValueError, match="601 tokens are more than"):
        model(ids[:, :1], cache=cache)


@torch.no_grad()
def test_a_compiled_step_is_compiled_once_and_the_same() -> None:
    """Down to the machine: torch once compiled the sums to other numbers, beside turned keys."""
    torch._dynamo.reset()
    model, ids = make(LinearConfig(decay="gated"), num_layers=1)
    decoder, want = Decoder(model, compiled=True), model(ids)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for first in (1, 7):
            found = [decoder.read(ids[:, :first])]
            found += [decoder.step(ids[:, i]) for i in range(first, SEQ)]
            assert_close(torch.stack(found, 1), want[:, first - 1 :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["the paper's", "retention", "gated"])
def test_it_learns_and_is_saved(name: str) -> None:
    model, ids = make(MEMBERS[name], num_layers=1)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(30):
        sums = model.loss(ids[:, :-1], ids[:, 1:])
        loss = sums.objective / sums.tokens
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    other, file = make(MEMBERS[name], num_layers=1)[0], io.BytesIO()
    checkpoint.save(model, optimizer, 30, file)
    file.seek(0)
    assert checkpoint.load(file, other) == 30
    assert torch.equal(other(ids), model(ids))


def test_it_compiles_to_the_same() -> None:
    model, ids = make(MEMBERS["gated, normalised"], num_layers=1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert_close(compiled(ids), model(ids), rtol=1e-5, atol=1e-5)


def test_bfloat16_autocast_is_close_and_sums_in_float32() -> None:
    model, ids = make(LinearConfig())
    want = model(ids)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert_close(model(ids).float(), want, rtol=0.1, atol=0.1)
        cache = model.new_cache()
        model(ids, cache=cache)
    assert {t.dtype for t in cache.layers[0].tensors()} == {torch.float32}


def test_a_full_context_is_forgotten_as_without_a_cache() -> None:
    model, ids = make(LinearConfig(decay="fixed"))
    texts = [
        list(generate_ids(model, ids[0, :6].tolist(), max_new_tokens=25, seed=0, use_cache=cached))
        for cached in (False, True)
    ]
    assert texts[0] == texts[1]


def test_layers_between_see_all_with_a_softmax() -> None:
    model, _ = make(LinearConfig(d_head=6, bias=True), num_layers=5, full_every=2)
    kinds = [layer.attn.config for layer in model.layers]
    linear, full = LinearConfig(d_head=6, bias=True), MultiHeadConfig(d_head=6, bias=True)
    assert kinds == [linear, full, linear, full, linear]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"scale is 0\.5, but weights that are divided by their sum"
    ):
        LinearConfig(scale=0.5)
    for position, kind in ((ALiBiConfig(), "alibi"), (RelativeConfig(), "relative")):
        with pytest.raises(ValueError, match=rf"position\.kind {kind} adds to scores.* linear has"):
            make(LinearConfig(), position=position)
    for key in ("window", "soft_cap"):
        table = {"vocab_size": 9, "attention": {"kind": "linear", key: 4}}
        with pytest.raises(ValueError, match=rf"attention\.{key}: no such key"):
            load(ModelConfig, table)
    with pytest.raises(ValueError, match="identity needs normalise = false"):
        LinearConfig(feature_map="identity")
    with pytest.raises(ValueError, match="decay is fixed, but without causal"):
        LinearConfig(decay="fixed", causal=False)
    with pytest.raises(ValueError, match="chunk is 0; it must be above 0"):
        LinearConfig(chunk=0)
    model, ids = make(LinearConfig())
    with pytest.raises(ValueError, match="kept sums of what it read"):
        model(ids, cache=model.new_cache(), mask=prefix_mask(torch.tensor([3]), SEQ))
