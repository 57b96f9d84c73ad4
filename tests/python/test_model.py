"""The whole model against Hugging Face's Llama, and what it accepts and refuses."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import (
    LayerNormConfig,
    MultiHeadConfig,
    NoPositionConfig,
    RMSNormConfig,
    RotaryConfig,
    SiLUFeedForwardConfig,
    SwiGLUConfig,
)

VOCAB, CONTEXT, D_MODEL, LAYERS, HEADS, D_FF = 53, 24, 32, 3, 4, 48


def make_config(**over: Any) -> ModelConfig:
    given: dict[str, Any] = {
        "vocab_size": VOCAB,
        "context_length": CONTEXT,
        "d_model": D_MODEL,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "ffn": SwiGLUConfig(d_ff=D_FF),
    }
    return ModelConfig(**{**given, **over})


def make_model(**over: Any) -> TransformerLM:
    """A model whose norms, too, have weights of their own."""
    torch.manual_seed(0)
    model = make_config(**over).build()
    for name, p in model.named_parameters():
        if "ln" in name:
            nn.init.uniform_(p, 0.5, 1.5)
    return model


def some_ids(batch: int = 2, seq: int = CONTEXT, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCAB, (batch, seq), generator=torch.Generator().manual_seed(seed))


def course_names() -> set[str]:
    """The contract's keys, written out."""
    names = {"token_embeddings.weight", "ln_final.weight", "lm_head.weight"}
    for i in range(LAYERS):
        names |= {
            f"layers.{i}.attn.{n}.weight" for n in ("q_proj", "k_proj", "v_proj", "output_proj")
        }
        names |= {f"layers.{i}.{n}.weight" for n in ("ln1", "ln2", "ffn.w1", "ffn.w2", "ffn.w3")}
    return names


def test_state_dict_has_exactly_the_contracts_names() -> None:
    assert set(make_model().state_dict()) == course_names()
    assert {n for n, _ in make_model().named_parameters()} == course_names()


def llama_name(name: str) -> str:
    """A name of the contract -> Llama's."""
    for ours, theirs in (
        ("token_embeddings", "model.embed_tokens"),
        ("ln_final", "model.norm"),
        ("layers.", "model.layers."),
        ("output_proj", "o_proj"),
        ("attn.", "self_attn."),
        ("ln1", "input_layernorm"),
        ("ln2", "post_attention_layernorm"),
        ("ffn.w1", "mlp.gate_proj"),
        ("ffn.w2", "mlp.down_proj"),
        ("ffn.w3", "mlp.up_proj"),
    ):
        name = name.replace(ours, theirs)
    return name


def llama_layout(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Pairs (2i, 2i+1) of each head -> (i, i + d/2), where Llama looks for them."""
    if "q_proj" not in name and "k_proj" not in name:
        return weight
    heads = weight.unflatten(0, (HEADS, -1, 2))  # (heads, pairs, 2, d_model)
    return heads.transpose(1, 2).flatten(0, 2)


@pytest.fixture(params=[10_000.0, 100.0])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[TransformerLM, nn.Module]]:
    """Our model and Llama with the same weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    theta: float = request.param
    model = make_model(position=RotaryConfig(theta=theta))
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=D_MODEL,
        intermediate_size=D_FF,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        rope_theta=theta,
        tie_word_embeddings=False,
        attn_implementation="eager",
    )
    llama = LlamaForCausalLM(config).eval()
    weights = {llama_name(n): llama_layout(n, w) for n, w in model.state_dict().items()}
    llama.load_state_dict(weights)  # strict: no name is missing, none too many
    yield model, llama


def test_logits_are_llamas(pair: tuple[TransformerLM, nn.Module]) -> None:
    model, llama = pair
    for seq in (1, 2, 7, CONTEXT):
        ids = some_ids(3, seq, seed=seq)
        assert_close(model(ids), llama(ids).logits, rtol=1e-4, atol=1e-4)


def test_gradients_are_llamas(pair: tuple[TransformerLM, nn.Module]) -> None:
    model, llama = pair
    ids, targets = some_ids(), some_ids(seed=1)
    for logits in (model(ids), llama(ids).logits):
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    theirs = dict(llama.named_parameters())
    for name, p in model.named_parameters():
        want = theirs[llama_name(name)].grad
        assert p.grad is not None and float(p.grad.abs().max()) > 0
        assert_close(llama_layout(name, p.grad), want, rtol=1e-3, atol=1e-5, msg=f"{name}: {{}}")


def test_positions_are_llamas(pair: tuple[TransformerLM, nn.Module]) -> None:
    model, llama = pair
    ids = some_ids(2, 6)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5], [3, 4, 9, 10, 11, CONTEXT - 1]])
    causal = torch.full((6, 6), -torch.inf).triu(1).expand(2, 1, 6, 6)
    want = llama(ids, position_ids=positions, attention_mask=causal).logits
    assert_close(model(ids, positions), want, rtol=1e-4, atol=1e-4)
    assert_close(model(ids, torch.arange(6)[None]), model(ids))
    # Only distances count: all places moved by the same are the same.
    assert_close(model(ids, torch.arange(6)[None] + 9), model(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seq", [1, 5, CONTEXT - 1])
def test_a_shorter_sequence_is_the_start_of_a_longer_one(seq: int) -> None:
    model, ids = make_model(), some_ids()
    assert_close(model(ids[:, :seq]), model(ids)[:, :seq], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [1, 10, CONTEXT - 1])
def test_no_logit_depends_on_a_later_token(changed: int) -> None:
    model, ids = make_model(), some_ids()
    other = ids.clone()
    other[:, changed:] = (other[:, changed:] + 1) % VOCAB
    before, after = model(ids), model(other)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.allclose(before[:, changed], after[:, changed])


def test_the_backends_give_equal_logits_and_gradients() -> None:
    results = []
    for backend in ("reference", "fused", "auto"):
        model = make_model(attention=MultiHeadConfig(backend=backend))  # type: ignore[arg-type]
        logits = model(some_ids())
        logits.square().mean().backward()
        results.append([logits.detach(), *(p.grad for p in model.parameters())])
    for other in results[1:]:
        assert_close(other, results[0], rtol=1e-4, atol=1e-5)


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no positions": {"position": NoPositionConfig()},
    "layernorm": {"norm": LayerNormConfig(bias=True)},
    "silu": {"ffn": SiLUFeedForwardConfig()},
    "reference": {"attention": MultiHeadConfig(backend="reference")},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "chunks", [[1] * CONTEXT, [CONTEXT], [7, 1, 1, 15], [1, CONTEXT - 1], [5, 5, 5, 5, 4]]
)
def test_cached_logits_equal_uncached_ones(variant: str, chunks: list[int]) -> None:
    model, ids = make_model(**VARIANTS[variant]), some_ids()
    cache, done, pieces = model.new_cache(), 0, []
    with torch.no_grad():
        for size in chunks:
            pieces.append(model(ids[:, done : done + size], cache=cache))
            done += size
            assert cache.length == done
        assert_close(torch.cat(pieces, 1), model(ids), rtol=1e-4, atol=1e-5)


def test_a_full_cache_is_refused_and_stays_as_it_was() -> None:
    model, ids = make_model(), some_ids()
    cache = model.new_cache()
    model(ids[:, :20], cache=cache)
    with pytest.raises(ValueError, match=f"25 tokens are more than .* context of {CONTEXT}"):
        model(ids[:, :5], cache=cache)
    assert cache.length == 20
    assert_close(model(ids[:, 20:], cache=cache), model(ids)[:, 20:], rtol=1e-4, atol=1e-5)


def test_a_cache_can_be_smaller_than_the_context() -> None:
    model, ids = make_model(), some_ids()
    cache = model.new_cache(max_length=8)
    assert_close(model(ids[:, :8], cache=cache), model(ids[:, :8]), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="the cache holds 8 tokens; 9 are too many"):
        model(ids[:, 8:9], cache=cache)


def test_a_longer_sequence_is_refused() -> None:
    message = f"{CONTEXT + 1} tokens are more than the model's context of {CONTEXT}"
    with pytest.raises(ValueError, match=message):
        make_model()(torch.zeros(1, CONTEXT + 1, dtype=torch.long))


@pytest.mark.parametrize("wrong", [-1, VOCAB, 65_535, -(2**40)])
def test_an_id_outside_the_vocabulary_is_refused(wrong: int) -> None:
    ids = some_ids()
    ids[1, 3] = wrong
    message = f"token id {wrong} is outside .* 0 .. {VOCAB - 1}"
    with pytest.raises(ValueError, match=message):
        make_model()(ids)


def test_ids_without_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("ids must be (batch, seq), not of shape (3,)")):
        # Without the shape checks of the tests, which would be first.
        inspect.unwrap(TransformerLM.hidden)(make_model(), torch.zeros(3, dtype=torch.long))


def test_every_id_of_the_vocabulary_is_taken() -> None:
    model = make_model(context_length=VOCAB)
    logits = model(torch.arange(VOCAB)[None])
    assert logits.shape == (1, VOCAB, VOCAB)
    assert bool(logits.isfinite().all())
    assert torch.equal(model(torch.arange(VOCAB)[None].int()), logits)


def test_num_parameters_counts_them_all() -> None:
    layer = 4 * D_MODEL**2 + 3 * D_MODEL * D_FF + 2 * D_MODEL
    model = make_model()
    assert model.num_parameters(embeddings=False) == LAYERS * layer + D_MODEL
    assert model.num_parameters() == LAYERS * layer + D_MODEL + 2 * VOCAB * D_MODEL
    assert model.num_parameters() == sum(w.numel() for w in model.state_dict().values())


@pytest.mark.parametrize(
    "key", ["vocab_size", "context_length", "d_model", "num_layers", "num_heads"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_impossible_sizes_are_refused(key: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{key} is {value}; it must be above 0"):
        make_config(**{key: value})


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"num_heads": 5}, "d_model 32 is not divisible by num_heads 5"),
        ({"num_heads": 32}, "the head size must be even, not 1"),
        ({"ffn": lambda: SwiGLUConfig(d_ff=0)}, "0; it must be above 0"),
        ({"ffn": lambda: SiLUFeedForwardConfig(d_ff=-8)}, "-8; it must be above 0"),
        ({"norm": lambda: RMSNormConfig(eps=0)}, "eps is 0; it must be above 0"),
        ({"norm": lambda: LayerNormConfig(eps=-1)}, "eps is -1; it must be above 0"),
        ({"position": lambda: RotaryConfig(theta=0)}, "theta is 0; it must be above 0"),
    ],
)
def test_impossible_models_are_refused_where_they_are_configured(
    over: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_config(**{k: v() if callable(v) else v for k, v in over.items()})


def test_an_odd_head_is_possible_without_rotary_positions() -> None:
    model = make_model(num_heads=32, position=NoPositionConfig())
    assert model(some_ids()).shape == (2, CONTEXT, VOCAB)


def test_a_configuration_is_frozen_and_comparable() -> None:
    config = make_config()
    assert config == make_config() != make_config(num_layers=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 64  # type: ignore[misc]
    model = config.build()
    assert model.config is config
    assert len(model.layers) == LAYERS


def test_the_seed_alone_decides_the_first_weights() -> None:
    first, again = make_model().state_dict(), make_model().state_dict()
    assert all(torch.equal(w, again[name]) for name, w in first.items())
    torch.manual_seed(1)
    other = make_config().build().state_dict()
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_a_seed_of_its_own_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    own = make_config().build(seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    other = make_config().build().state_dict()
    assert all(torch.equal(w, other[name]) for name, w in own.items())


def test_a_fresh_model_guesses() -> None:
    """Untrained, it is about as unsure as can be: the loss is near log(vocabulary)."""
    model, ids = make_model(), some_ids(16)
    loss = F.cross_entropy(model(ids).flatten(0, 1), some_ids(16, seed=1).flatten())
    assert abs(loss.item() - math.log(VOCAB)) < 1.0


class Expert(nn.Module):
    """A part that adds to the loss."""

    def __init__(self, inner: nn.Module, scale: float) -> None:
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)

    def penalty(self) -> torch.Tensor:
        return self.scale.square()


def test_penalty_sums_what_parts_add() -> None:
    model, ids = make_model(), some_ids()
    assert model.penalty() == 0.0
    before = model(ids)
    for i, layer in enumerate(model.layers):
        layer.ffn = Expert(layer.ffn, float(i + 1))
    assert_close(model(ids), before)
    penalty = model.penalty()
    assert isinstance(penalty, torch.Tensor)
    assert penalty.shape == ()
    assert penalty.item() == 1 + 4 + 9
    penalty.backward()
    assert [float(layer.ffn.scale.grad) for layer in model.layers] == [2.0, 4.0, 6.0]


def test_bfloat16_autocast_is_close_and_trains() -> None:
    model, ids = make_model(), some_ids()
    want = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten())
    assert logits.dtype == torch.bfloat16
    error = (logits.float() - want).abs().mean() / want.abs().mean()
    assert error.item() < 0.02
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.dtype == torch.float32, name
        assert bool(p.grad.isfinite().all()), name


def test_training_overfits_one_batch() -> None:
    model, ids = make_model(num_layers=1), some_ids(2, 12)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


COMPILED = """
import torch
from byteloom.model import ModelConfig
torch.manual_seed(0)
model = ModelConfig(vocab_size=20, context_length=8, d_model=16, num_layers=1, num_heads=2).build()
ids = torch.randint(20, (2, 8))
compiled = torch.compile(model)
logits = []
gradients = []
for f in (model, compiled):
    model.zero_grad()
    logits.append(f(ids))
    logits[-1].square().mean().backward()
    gradients.append([p.grad.clone() for p in model.parameters()])
torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
print("equal")
"""


@pytest.mark.slow
def test_a_compiled_model_equals_the_eager_one() -> None:
    """In a process of its own: the type checks of the tests are no part of what is compiled."""
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        pytest.skip(f"torch.compile finds no C++ compiler: {error}")
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"},  # starting more takes longer
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
