"""The position schemes against transformers' and torch's own, alone and in whole models."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import LlamaConfig, T5Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.models.t5.modeling_t5 import T5Attention

from byteloom.model import ModelConfig
from byteloom.nn import MultiHeadConfig
from byteloom.nn.position import (
    ALiBiConfig,
    LearnedConfig,
    NoPositionConfig,
    PositionConfig,
    RelativeConfig,
    RotaryConfig,
    SinusoidalConfig,
)
from byteloom.nn.position.alibi import slopes_of
from byteloom.nn.position.scaling import (
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    RotaryScaling,
    YaRNScaling,
)
from cached import cached_logits, decoded_logits
from closeness import assert_gradients_close

SEQ, HEAD = 40, 16


def peers_tables(rope: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines as transformers makes them."""
    config = LlamaConfig(
        hidden_size=HEAD, num_attention_heads=1, max_position_embeddings=8192,
        rope_parameters={"rope_theta": 500.0, **rope},
    )  # fmt: skip
    angles, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu")
    all_of = torch.outer(torch.arange(SEQ).float(), angles)
    both = torch.cat((all_of, all_of), dim=-1)[None]
    return both.cos() * factor, both.sin() * factor


SCALINGS: list[tuple[RotaryScaling, dict[str, Any]]] = [
    (LinearScaling(factor=4.0), {"rope_type": "linear", "factor": 4.0}),
    (YaRNScaling(factor=8.0, original_context=64),
     {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}),
    (YaRNScaling(factor=2.0, original_context=600, beta_fast=4, beta_slow=2, attention_factor=1.5),
     {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 600,
      "beta_fast": 4, "beta_slow": 2, "attention_factor": 1.5}),
    (Llama3Scaling(factor=8.0, original_context=128),
     {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 128,
      "low_freq_factor": 1.0, "high_freq_factor": 4.0}),
]  # fmt: skip


@pytest.mark.parametrize("which", range(len(SCALINGS)))
def test_scaled_rotations_and_their_gradients_are_the_peers(which: int) -> None:
    scaling, rope = SCALINGS[which]
    config = RotaryConfig(theta=500.0, layout="half", scaling=scaling)
    position = config.build(2 * HEAD, 2, SEQ)
    q, k = (torch.randn(3, 2, SEQ, HEAD, requires_grad=True) for _ in range(2))
    want = apply_rotary_pos_emb(q, k, *peers_tables(rope))
    found = position.rotate(q, None), position.rotate(k, None)
    for x, a, b in ((q, found[0], want[0]), (k, found[1], want[1])):
        assert_close(a, b, rtol=1e-4, atol=1e-5)
        ours, theirs = (torch.autograd.grad(y.sin().sum(), x, retain_graph=True) for y in (a, b))
        assert_gradients_close(ours[0], theirs[0])


def test_all_scalings_are_tested() -> None:
    members = {type(scaling) for scaling, _ in SCALINGS} | {NTKScaling}
    assert members == set(typing.get_args(RotaryScaling))


def test_ntk_is_another_base() -> None:
    ours = RotaryConfig(theta=500.0, scaling=NTKScaling(factor=4.0)).build(HEAD, 1, SEQ)
    theirs = RotaryConfig(theta=500.0 * 4.0 ** (HEAD / (HEAD - 2))).build(HEAD, 1, SEQ)
    assert_close(ours.cos, theirs.cos)
    assert_close(ours.sin, theirs.sin)


def test_layouts_differ_by_a_permutation() -> None:
    half = RotaryConfig(layout="half").build(HEAD, 1, SEQ)
    interleaved, x = RotaryConfig().build(HEAD, 1, SEQ), torch.randn(2, SEQ, HEAD)
    order = torch.arange(HEAD).view(2, -1).T.flatten()  # 0, 8, 1, 9 ...
    assert_close(half(x)[..., order], interleaved(x[..., order]), rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
def test_a_fraction_is_turned_and_the_rest_passes(layout: Any) -> None:
    part = RotaryConfig(fraction=0.5, layout=layout).build(HEAD, 1, SEQ)
    whole = RotaryConfig(layout=layout).build(HEAD // 2, 1, SEQ)
    x = torch.randn(2, SEQ, HEAD)
    assert_close(part(x)[..., : HEAD // 2], whole(x[..., : HEAD // 2]), rtol=0, atol=0)
    assert torch.equal(part(x)[..., HEAD // 2 :], x[..., HEAD // 2 :])


def test_learned_vectors_are_an_embeddings() -> None:
    own, peer = LearnedConfig().build(6, 1, 10), nn.Embedding(10, 6)
    peer.load_state_dict(own.state_dict())
    x, places = torch.randn(2, 4, 6), torch.tensor([[0, 1, 2, 3], [9, 5, 5, 0]])
    assert torch.equal(own.embed(x, places), x + peer(places))
    assert torch.equal(own.embed(x, None), x + peer(torch.arange(4)))


def test_sinusoids_are_the_formula() -> None:
    position, x = SinusoidalConfig(theta=100.0).build(6, 1, 10), torch.zeros(10, 6)
    for place in range(10):
        for i in range(3):
            angle = torch.tensor(place / 100 ** (2 * i / 6), dtype=torch.float64)
            added = position.embed(x, None)[place, 2 * i : 2 * i + 2]
            assert_close(added, torch.stack((angle.sin(), angle.cos())).float())
    with pytest.raises(ValueError, match="d_model 5 must be even"):
        SinusoidalConfig().build(5, 1, 10)


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12])
def test_alibi_is_blooms(heads: int) -> None:
    found = ALiBiConfig().build(8, heads, 10).bias(torch.arange(7), torch.arange(7))
    peers = build_alibi_tensor(torch.ones(1, 7), heads, torch.float32).view(heads, 1, 7)
    # Bloom counts from the beginning of the text: for softmax, that is the same.
    unseen = ~torch.ones(7, 7).tril().bool()
    ours, theirs = (
        x.expand(heads, 7, 7).masked_fill(unseen, -torch.inf).softmax(-1) for x in (found, peers)
    )
    assert_close(ours, theirs)
    assert len(slopes_of(heads)) == heads


@pytest.mark.parametrize("bidirectional", [False, True])
def test_relative_biases_are_t5s(bidirectional: bool) -> None:
    peer = T5Attention(
        T5Config(d_model=12, num_heads=3, d_kv=4, is_decoder=not bidirectional,
                 relative_attention_num_buckets=12, relative_attention_max_distance=40),
        has_relative_attention_bias=True, layer_idx=0,
    )  # fmt: skip
    own = RelativeConfig(num_buckets=12, max_distance=40, bidirectional=bidirectional)
    position = own.build(12, 3, 100)
    position.load_state_dict({"weight": peer.relative_attention_bias.weight})
    places = torch.arange(90)
    assert_close(position.bias(places, places)[None], peer.compute_bias(90, 90))


MEMBERS: dict[str, PositionConfig] = {
    "rotary": RotaryConfig(),
    "half": RotaryConfig(layout="half", fraction=0.5),
    "yarn": RotaryConfig(scaling=YaRNScaling(factor=2.0, original_context=16)),
    "learned": LearnedConfig(),
    "sinusoidal": SinusoidalConfig(),
    "alibi": ALiBiConfig(),
    "relative": RelativeConfig(num_buckets=8, max_distance=10),
    "none": NoPositionConfig(),
}


def test_all_members_are_tested() -> None:
    assert {type(one) for one in MEMBERS.values()} == set(typing.get_args(PositionConfig))


@pytest.mark.parametrize("name", MEMBERS)
def test_models_with_it_are_the_same_with_caches(name: str) -> None:
    config = ModelConfig(
        20, context_length=12, d_model=16, num_heads=2, num_layers=2, position=MEMBERS[name]
    )
    model, ids = config.build(0).eval(), torch.randint(20, (3, 12))
    for p in model.position.parameters():
        nn.init.normal_(p)
    with torch.no_grad():
        want = model(ids)
        assert_close(cached_logits(model, ids, 5), want, rtol=1e-4, atol=1e-5)
        assert_close(decoded_logits(model, ids, 5), want[:, 4:], rtol=1e-4, atol=1e-5)
        # Each text with places of its own.
        assert_close(model(ids, torch.arange(12).expand(3, 12)), want, rtol=1e-4, atol=1e-5)
        # Two documents in a window, each as it would be alone, for schemes of distances.
        apart = model(ids, documents=(torch.arange(12) >= 5).long().expand(3, 12))
        assert_close(apart[:, :5], want[:, :5], rtol=1e-4, atol=1e-5)
        if name not in ("learned", "sinusoidal"):
            assert_close(apart[:, 5:], model(ids[:, 5:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MEMBERS)
def test_its_gradients_are_those_of_the_written_out_attention(name: str) -> None:
    gradients = []
    for backend in ("reference", "fused"):
        config = ModelConfig(
            20, context_length=12, d_model=16, num_heads=2, num_layers=2, position=MEMBERS[name],
            attention=MultiHeadConfig(backend=backend),  # type: ignore[arg-type]
        )  # fmt: skip
        model, ids = config.build(0), torch.arange(24).view(2, 12) % 20
        model.loss(ids[:, :-1], ids[:, 1:]).objective.backward()
        gradients.append({key: p.grad for key, p in model.named_parameters()})
    for key, grad in gradients[0].items():
        assert grad is not None and grad.abs().sum() > 0
        assert_gradients_close(grad, gradients[1][key])


def test_what_cannot_be_is_refused() -> None:
    for make, message in (
        (lambda: RotaryConfig(fraction=0.0), "fraction is 0.0; it must be above 0"),
        (lambda: RotaryConfig(fraction=0.4).build(8, 1, 4), "times the fraction 0.4 must be even"),
        (lambda: LinearScaling(factor=0.0), "factor is 0.0; it must be above 0"),
        (lambda: YaRNScaling(factor=2.0, beta_slow=40.0), "beta_fast is 32.0 and beta_slow 40.0"),
        (lambda: Llama3Scaling(factor=2.0, high_freq_factor=1.0), "high_freq_factor is 1.0"),
        (lambda: RelativeConfig(num_buckets=1), "num_buckets is 1; it must be 2 or more"),
        (lambda: RelativeConfig(num_buckets=3, bidirectional=True), "it must be 4 or more"),
        (lambda: RelativeConfig(max_distance=16), "max_distance is 16; it must be above half"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
