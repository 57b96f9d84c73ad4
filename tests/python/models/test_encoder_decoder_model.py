from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from byteloom import config
from byteloom.export import t5
from byteloom.models import EncoderDecoder, EncoderDecoderConfig
from byteloom.nn import (
    Experts,
    ExpertsConfig,
    GELUConfig,
    LayerNormConfig,
    LinearConfig,
    MultiHeadConfig,
    NoNormConfig,
    NoPositionConfig,
    ParallelConfig,
    PostNormConfig,
    PreNormConfig,
    ReLUConfig,
    ReorderedNormConfig,
    RMSNormConfig,
    RotaryConfig,
    SandwichConfig,
    SparseConfig,
)
from byteloom.nn.attention import CrossAttention
from byteloom.nn.init import MuPInitConfig, NormalInitConfig
from byteloom.nn.position import RelativeConfig, SinusoidalConfig

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 24,
    "d_kv": 10,
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
    "n_positions": 40,
}


def shaken(model: Any) -> Any:
    """Gains and biases of distances are not what they begin as."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def theirs(version: str) -> Any:
    torch.manual_seed(0)
    if version == "1.0":
        return shaken(T5ForConditionalGeneration(T5Config(**SIZES)))
    newer = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    made = T5ForConditionalGeneration(T5Config(**SIZES | newer))
    # Newer versions of transformers begin with tied weights in any case.
    made.lm_head.weight = torch.nn.Parameter(torch.randn(50, 24))
    return shaken(made)


def ours(version: str) -> tuple[Any, EncoderDecoder]:
    peer = theirs(version)
    settings = peer.config.to_dict()
    if version == "1.1":
        settings["tie_word_embeddings"] = False
    model = t5.config_of(settings).build()
    model.load_state_dict(t5.from_transformers(model, peer.state_dict()))
    return peer, model.eval()


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    real = torch.arange(21) < torch.tensor([[21], [15], [9]])
    return torch.randint(1, 50, (3, 21)), real, torch.randint(1, 50, (3, 13))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_t5s_weights_give_its_loss_its_logits_and_its_gradients(version: str) -> None:
    peer, model = ours(version)
    assert model.config.tie_embeddings == (version == "1.0")
    ids, real, targets = inputs()
    wanted = peer(input_ids=ids, attention_mask=real.long(), labels=targets)
    hidden = model.hidden(ids, model.shifted(targets), real)
    torch.testing.assert_close(model.lm_head(hidden), wanted.logits, rtol=1e-4, atol=1e-4)
    sums = model.lm_head.loss(hidden, targets)
    loss = sums.objective / sums.tokens
    torch.testing.assert_close(loss, wanted.loss, rtol=1e-5, atol=1e-5)
    loss.backward()
    wanted.loss.backward()
    grads, names = dict(peer.named_parameters()), t5._pairs(model)
    for name, parameter in model.named_parameters():
        other = grads[names[name]].grad
        torch.testing.assert_close(parameter.grad, other, rtol=1e-3, atol=1e-5, msg=name)


def test_a_folder_of_transformers_is_read(tmp_path: Path) -> None:
    peer = theirs("1.0")
    peer.save_pretrained(tmp_path)
    model, (ids, real, targets) = t5.read(tmp_path), inputs()
    wanted = peer(input_ids=ids, attention_mask=real.long(), labels=targets).logits
    found = model(ids, model.shifted(targets), real)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_written_it_is_what_transformers_opens(tmp_path: Path, version: str) -> None:
    _, model = ours(version)
    t5.write(model, tmp_path)
    peer, report = T5ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    ids, real, targets = inputs()
    wanted = peer.eval()(input_ids=ids, attention_mask=real.long(), labels=targets).logits
    found = model(ids, model.shifted(targets), real)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    again = t5.read(tmp_path)
    assert again.config == model.config
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"position": RotaryConfig()}, "model.position.kind relative; here it is rotary"),
        ({"norm": LayerNormConfig()}, "model.norm.kind rmsnorm; here it is layernorm"),
        ({"ffn": GELUConfig()}, "model.ffn.kind relu; here it is gelu"),
        ({"attention": MultiHeadConfig()}, "model.attention.scale 1.0; here it is none"),
        ({"logit_scale": 2.0}, "model.logit_scale none; here it is 2.0"),
        ({"logit_soft_cap": 9.0}, "model.logit_soft_cap none; here it is 9.0"),
        ({"embedding_scale": 4.0}, "model.embedding_scale none; here it is 4.0"),
        ({"embedding_norm": True}, "model.embedding_norm False; here it is True"),
        ({"positionless_every": 2}, "model.positionless_every none; here it is 2"),
        ({"block": SandwichConfig()}, "model.block.kind pre; here it is sandwich"),
        (
            {"attention": MultiHeadConfig(scale=1.0, window=3)},
            "model.attention.window none; here it is 3",
        ),
        (
            {"attention": LinearConfig(), "position": RotaryConfig()},
            "model.position.kind relative; here it is rotary",
        ),
        (
            {"attention": SparseConfig(scale=1.0)},
            "model.attention.kind multi_head; here it is sparse",
        ),
    ],
)
def test_what_t5_does_not_compute_is_not_written(
    tmp_path: Path, over: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        t5.write(small(**over).build(), tmp_path)
    assert not list(tmp_path.iterdir())


def small(**over: Any) -> EncoderDecoderConfig:
    sizes = {"vocab_size": 30, "context_length": 12, "d_model": 16, "num_layers": 2, "num_heads": 2}
    return EncoderDecoderConfig(**sizes | {"dropout": 0.0, "start_id": 0} | over)


VARIANTS: dict[str, dict[str, Any]] = {
    "t5": {},
    "vaswani": {
        "block": PostNormConfig(),
        "norm": LayerNormConfig(bias=True),
        "position": SinusoidalConfig(),
        "attention": MultiHeadConfig(bias=True, output_bias=True),
        "ffn": ReLUConfig(bias=True),
        "final_norm": False,
    },
    "rotary": {
        "position": RotaryConfig(),
        "attention": MultiHeadConfig(num_kv_heads=1, qk_norm=LayerNormConfig()),
        "tie_embeddings": False,
        "num_decoder_layers": 1,
        "block": PreNormConfig(residual_scale=0.5),
    },
    "parallel, linear": {
        "block": ParallelConfig(),
        "attention": LinearConfig(bias=True),
        "position": SinusoidalConfig(),
        "embedding_scale": 4.0,
    },
    "linear, full": {
        "attention": LinearConfig(norm=RMSNormConfig(), d_head=6),
        "position": RotaryConfig(),
        "full_every": 2,
    },
    "sandwich, sparse": {
        "block": SandwichConfig(),
        "attention": SparseConfig(stride=3, scale=1.0),
        "logit_soft_cap": 3.0,
    },
    "reordered, window": {
        "block": ReorderedNormConfig(),
        "attention": MultiHeadConfig(window=3),
        "full_every": 2,
        "positionless_every": 2,
        "embedding_norm": True,
    },
    "no norm": {"norm": NoNormConfig(), "block": PostNormConfig(residual_scale=0.5)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_with_a_cache_logits_are_those_without(name: str) -> None:
    model = small(**VARIANTS[name]).build(seed=0).eval()
    ids, written = torch.randint(0, 30, (2, 12)), torch.randint(0, 30, (2, 9))
    real = torch.arange(12) < torch.tensor([[12], [7]])
    wanted = model(ids, written, real)
    cache, memory = model.new_cache(real), model.encode(ids, real)
    pieces = [model.next_logits(written[:, :3], cache, memory)]
    pieces += [model.next_logits(written[:, i : i + 1], cache) for i in range(3, 9)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_decoder_sees_all_that_was_read_and_what_was_written_before(name: str) -> None:
    model = small(**VARIANTS[name]).build(seed=0).eval()
    ids, written = torch.randint(0, 29, (1, 12)), torch.randint(0, 29, (1, 8))
    wanted = model(ids, written)
    for place in range(12):
        other = ids.clone()
        other[0, place] += 1
        assert (model(other, written) != wanted).any(-1).all()
    for place in range(8):
        other = written.clone()
        other[0, place] += 1
        changed = (model(ids, other) != wanted).any(-1)[0]
        assert changed.tolist() == [i >= place for i in range(8)]
    real = torch.arange(12)[None] < 7
    torch.testing.assert_close(
        model(ids, written, real), model(ids[:, :7], written), rtol=1e-4, atol=1e-5
    )


def test_layers_of_two_kinds_are_in_both_stacks() -> None:
    linear, full = LinearConfig(bias=True), MultiHeadConfig(bias=True)
    made = small(num_decoder_layers=3, attention=linear, position=RotaryConfig(), full_every=2)
    model = made.build()
    kinds = [layer.attn.config for layer in model.decoder.layers]
    assert kinds == [linear, full, linear]
    kinds = [layer.attn.config for layer in model.encoder.layers]
    assert kinds == [replace(kind, causal=False) for kind in (linear, full)]
    # Across, there is a softmax in any case.
    assert all(isinstance(layer.cross, CrossAttention) for layer in model.decoder.layers)
    assert model.decoder.layers[0].cross.q_proj.bias is not None
    assert not made.has_equal_layers()


def test_embeddings_of_both_stacks_are_scaled() -> None:
    plain, scaled = small().build(0), small(embedding_scale=3.0).build(0)
    ids, written = torch.randint(0, 30, (2, 12)), torch.randint(0, 30, (2, 9))
    plain.token_embeddings.weight.data *= 3
    wanted = plain.hidden(ids, written)
    torch.testing.assert_close(scaled.hidden(ids, written), wanted)
    cache = scaled.new_cache()
    found = scaled.next_logits(written, cache, scaled.encode(ids))
    torch.testing.assert_close(found * 3, plain.lm_head(wanted), rtol=1e-4, atol=1e-5)


def test_without_places_in_any_layer_it_is_without_places() -> None:
    rotary = small(position=RotaryConfig(), positionless_every=1)
    model, none = rotary.build(0), small(position=NoPositionConfig()).build(0)
    none.load_state_dict(model.state_dict())
    ids, written = torch.randint(0, 30, (2, 12)), torch.randint(0, 30, (2, 9))
    torch.testing.assert_close(model(ids, written), none(ids, written))
    some = small(position=RotaryConfig(), positionless_every=2).build(0)
    assert not torch.allclose(model(ids, written), some(ids, written), atol=1e-4)


def test_logits_are_capped() -> None:
    plain, capped = small().build(0), small(logit_soft_cap=0.1).build(0)
    ids, written = torch.randint(0, 30, (2, 12)), torch.randint(0, 30, (2, 9))
    wanted = 0.1 * (plain(ids, written) / 0.1).tanh()
    torch.testing.assert_close(capped(ids, written), wanted)
    hidden = capped.hidden(ids, written)
    nats = torch.nn.functional.cross_entropy(wanted.flatten(0, 1), written.flatten())
    sums = capped.lm_head.loss(hidden, written)
    torch.testing.assert_close(sums.nats / sums.tokens, nats.detach())


def test_vaswanis_transformer_is_torchs() -> None:
    """An independent implementation of blocks with norms behind their sums."""
    model = shaken(small(**VARIANTS["vaswani"]).build(seed=0))
    layer = torch.nn.TransformerDecoderLayer(16, 2, 64, 0.0, batch_first=True).eval()
    block = model.decoder.layers[0]
    state = {}
    for ours, other in (("attn", "self_attn"), ("cross", "multihead_attn")):
        part = getattr(block, ours)
        for kind in ("weight", "bias"):
            maps = [getattr(getattr(part, f"{x}_proj"), kind) for x in "qkv"]
            state[f"{other}.in_proj_{kind}"] = torch.cat(maps)
            state[f"{other}.out_proj.{kind}"] = getattr(part.output_proj, kind)
    names = {"ln1": "norm1", "ln_cross": "norm2", "ln2": "norm3"}
    names |= {"ffn.w1": "linear1", "ffn.w2": "linear2"}
    for ours, other in names.items():
        for kind in ("weight", "bias"):
            state[f"{other}.{kind}"] = block.get_parameter(f"{ours}.{kind}")
    layer.load_state_dict(state)
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(5)
    wanted = layer(x, memory, tgt_mask=causal)
    torch.testing.assert_close(block(x, memory=memory), wanted, rtol=1e-4, atol=1e-5)


def test_first_weights_are_those_that_were_asked_for(tmp_path: Path) -> None:
    sizes = {"d_model": 96, "num_heads": 4, "num_decoder_layers": 1}
    model = small(**sizes, init=NormalInitConfig(std=0.05)).build(seed=0)
    # Scores are not divided by sqrt(24): queries are.
    for name, p in model.named_parameters():
        if p.ndim == 2 and "position" not in name:
            wanted = 0.05 / math.sqrt(24) if "q_proj" in name else 0.05
            assert p.std().item() == pytest.approx(wanted, rel=0.05), name
    t5.write(model, tmp_path / "t5")
    assert torch.equal(t5.read(tmp_path / "t5").lm_head.weight, model.lm_head.weight)


def test_dense_layers_are_where_they_were_asked_for() -> None:
    config = small(num_decoder_layers=3, ffn=ExpertsConfig(num_experts=2, top_k=1, first_dense=1))
    model = config.build()
    for stack, wanted in ((model.encoder, [False, True]), (model.decoder, [False, True, True])):
        assert [isinstance(layer.ffn, Experts) for layer in stack.layers] == wanted
    assert not config.has_equal_layers() and small().has_equal_layers()


def test_the_decoder_is_shown_the_start_and_all_but_the_last() -> None:
    model = small(start_id=7).build()
    assert model.shifted(torch.tensor([[3, 4, -100, 5]])).tolist() == [[7, 3, 4, 7]]
    with pytest.raises(ValueError, match="start_id is left out"):
        small(start_id=None).build().shifted(torch.tensor([[3]]))


def test_losses_begin_near_chance() -> None:
    model = small(d_model=64, num_heads=4).build(seed=0)
    ids, targets = torch.randint(0, 30, (8, 12)), torch.randint(0, 30, (8, 12))
    sums = model.lm_head.loss(model.hidden(ids, model.shifted(targets)), targets)
    # Tied as in T5, a token is what is expected after itself: somewhat more than chance.
    assert abs(sums.nats / sums.tokens - math.log(30)) < 2.0


@pytest.mark.parametrize("name", ["t5", "parallel, linear"])
def test_compiled_and_recomputed_it_is_the_same(name: str) -> None:
    from byteloom.nn.recompute import Recomputing

    torch._dynamo.reset()
    model = small(**VARIANTS[name] | {"num_layers": 1}).build(seed=0)
    ids, written = torch.randint(0, 30, (2, 12)), torch.randint(0, 30, (2, 6))
    wanted = model.hidden(ids, written)
    wanted.sum().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    model.recomputing = Recomputing("block")
    compiled = torch.compile(model.hidden, fullgraph=True, backend="aot_eager")
    for run in (model.hidden, compiled):
        model.zero_grad()
        found = run(ids, written)
        torch.testing.assert_close(found, wanted)
        found.sum().backward()
        mine = [p.grad for p in model.parameters() if p.grad is not None]
        for a, b in zip(mine, grads, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        model.recomputing = Recomputing("none")


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"attention": MultiHeadConfig(causal=False)}, "attention.causal is false"),
        (
            {"attention": LinearConfig()},
            "position.kind relative adds to scores, and attention.kind linear has none",
        ),
        (
            {"attention": LinearConfig(decay="gated"), "position": RotaryConfig()},
            "attention.decay is gated, but the encoder sees both directions",
        ),
        ({"init": MuPInitConfig()}, "init.kind is mup, .* heads of an encoder-decoder are others"),
        ({"full_every": 2}, "full_every is 2, but without attention.window all layers see all"),
        (
            {"positionless_every": 2, "position": SinusoidalConfig()},
            "positionless_every is 2, but position.kind sinusoidal",
        ),
        ({"embedding_scale": 0.0}, "embedding_scale is 0.0"),
        ({"logit_soft_cap": -1.0}, "logit_soft_cap is -1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"start_id": 30}, "start_id is 30"),
        ({"num_decoder_layers": 0}, "num_decoder_layers is 0"),
        ({"target_length": 0}, "target_length is 0"),
        ({"num_heads": 3}, "not divisible by num_heads 3"),
    ],
)
def test_what_cannot_work_is_refused_at_once(over: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**over)


def test_texts_that_are_too_long_are_refused() -> None:
    model = small(target_length=4).build()
    ids = torch.zeros(1, 13, dtype=torch.long)
    with pytest.raises(ValueError, match="13 tokens are more than the model's context of 12"):
        model(ids, ids[:, :3])
    with pytest.raises(ValueError, match="5 tokens are more than the model's context of 4"):
        model(ids[:, :3], ids[:, :5])
    cache = model.new_cache()
    model.next_logits(ids[:, :4], cache, model.encode(ids[:, :3]))
    with pytest.raises(ValueError, match="5 tokens are more than"):
        model.next_logits(ids[:, :1], cache)


def test_a_table_gives_it_and_is_given_back() -> None:
    made = config.load(EncoderDecoderConfig, {"vocab_size": 9, "attention": {"d_head": 4}})
    assert made.attention.scale == 1.0
    assert config.load(EncoderDecoderConfig, config.dump(made)) == made
    assert isinstance(replace(made, ffn=ReLUConfig()).position, RelativeConfig)
