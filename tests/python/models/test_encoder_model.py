from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining

from byteloom import config
from byteloom.export import bert
from byteloom.models import Encoder, EncoderConfig
from byteloom.nn import (
    Experts,
    ExpertsConfig,
    GELUConfig,
    LinearConfig,
    MultiHeadConfig,
    NoPositionConfig,
    ParallelConfig,
    PreNormConfig,
    RMSNormConfig,
    RotaryConfig,
    SwiGLUConfig,
)
from byteloom.nn.attention import SparseConfig
from byteloom.nn.init import GPT2InitConfig
from byteloom.nn.loss import IGNORED
from byteloom.nn.position import RelativeConfig
from closeness import assert_gradients_close

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "attn_implementation": "eager",
}


BERTS = MultiHeadConfig(causal=False, bias=True, output_bias=True)


def shaken(model: Any) -> Any:
    """Biases and gains are not what they begin as."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def theirs(**over: Any) -> Any:
    return shaken(BertForPreTraining(BertConfig(**SIZES | over)))


def inputs() -> dict[str, Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (3, 17))
    types = (torch.arange(17) >= torch.tensor([[5], [9], [12]])).long()
    real = torch.arange(17) < torch.tensor([[17], [14], [13]])
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": real.long()}


def ours_of(model: Encoder, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    hidden = model.hidden(
        given["input_ids"], given["token_type_ids"], given["attention_mask"].bool()
    )
    assert model.next_sentence is not None
    return model.lm_head(hidden), model.next_sentence(hidden[:, 0])


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu"])
def test_berts_weights_give_its_logits(tmp_path: Path, act: str) -> None:
    peer = theirs(hidden_act=act)
    peer.save_pretrained(tmp_path)
    model, given = bert.read(tmp_path), inputs()
    wanted = peer(**given)
    real = given["attention_mask"].bool()
    logits, pairs = ours_of(model, given)
    torch.testing.assert_close(logits[real], wanted.prediction_logits[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pairs, wanted.seq_relationship_logits, rtol=1e-4, atol=1e-5)


def test_losses_and_gradients_are_berts(tmp_path: Path) -> None:
    peer, given = theirs(), inputs()
    peer.save_pretrained(tmp_path)
    model = bert.read(tmp_path)
    labels = torch.where(torch.rand(3, 17) < 0.3, given["input_ids"], IGNORED)
    labels[~given["attention_mask"].bool()] = IGNORED
    follows = torch.tensor([0, 1, 1])
    wanted = peer(**given, labels=labels, next_sentence_label=follows).loss
    wanted.backward()
    hidden = model.hidden(
        given["input_ids"], given["token_type_ids"], given["attention_mask"].bool()
    )
    sums = model.lm_head.loss(hidden, labels)
    assert model.next_sentence is not None
    pairs = torch.nn.functional.cross_entropy(model.next_sentence(hidden[:, 0]), follows)
    loss = sums.objective / sums.tokens + pairs
    torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-5)
    loss.backward()
    grads = {name: p.grad for name, p in peer.named_parameters()}
    for name, parameter in model.named_parameters():
        other = grads[bert._theirs(name)]
        torch.testing.assert_close(parameter.grad, other, rtol=1e-3, atol=1e-5, msg=name)


def test_written_it_is_what_transformers_opens(tmp_path: Path) -> None:
    made = EncoderConfig(
        vocab_size=50, context_length=20, d_model=24, num_layers=2, num_heads=3
    ).build(seed=0)
    model, given = shaken(made), inputs()
    bert.write(model, tmp_path)
    peer, report = BertForPreTraining.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    wanted = peer.eval()(**given)
    logits, pairs = ours_of(model, given)
    real = given["attention_mask"].bool()
    torch.testing.assert_close(logits[real], wanted.prediction_logits[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pairs, wanted.seq_relationship_logits, rtol=1e-4, atol=1e-5)
    again = bert.read(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True)
    )


def test_without_the_second_head_it_is_another_class(tmp_path: Path) -> None:
    peer = shaken(BertForMaskedLM(BertConfig(**SIZES)))
    peer.save_pretrained(tmp_path / "theirs")
    model = bert.read(tmp_path / "theirs")
    assert model.next_sentence is None
    bert.write(model, tmp_path / "ours")
    again = BertForMaskedLM.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    ids = inputs()["input_ids"]
    torch.testing.assert_close(model(ids), peer(ids).logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again(ids).logits, peer(ids).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"position": RotaryConfig()}, "model.position.kind learned; here it is rotary"),
        ({"norm": RMSNormConfig()}, "model.norm.kind layernorm; here it is rmsnorm"),
        ({"block": PreNormConfig()}, "model.block.kind post; here it is pre"),
        ({"ffn": SwiGLUConfig()}, "model.ffn.kind gelu; here it is swiglu"),
        ({"ffn": GELUConfig()}, "model.ffn.bias True; here it is False"),
        ({"tie_embeddings": False}, "model.tie_embeddings True; here it is False"),
        (
            {"attention": LinearConfig(causal=False)},
            "model.attention.kind multi_head; here it is linear",
        ),
        (
            {"attention": SparseConfig(causal=False)},
            "model.attention.kind multi_head; here it is sparse",
        ),
        (
            {"attention": replace(BERTS, window=3)},
            "model.attention.window none; here it is 3",
        ),
        (
            {"attention": replace(BERTS, window=3), "full_every": 2, "num_layers": 2},
            "model.attention.window none; here it is 3|model.full_every none; here it is 2",
        ),
        ({"embedding_scale": 4.0}, "model.embedding_scale none; here it is 4.0"),
        ({"embedding_norm": False}, "model.embedding_norm True; here it is False"),
        ({"logit_scale": 0.5}, "model.logit_scale 1.0; here it is 0.5"),
        ({"logit_soft_cap": 9.0}, "model.logit_soft_cap none; here it is 9.0"),
    ],
)
def test_what_bert_does_not_compute_is_not_written(
    tmp_path: Path, over: dict[str, Any], message: str
) -> None:
    made = EncoderConfig(vocab_size=9, context_length=8, d_model=8, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match=message):
        bert.write(replace(made, **over).build(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_no_bert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        bert.read(tmp_path)
    theirs().save_pretrained(tmp_path)
    settings = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(settings.replace('"bert"', '"gpt2"'))
    with pytest.raises(ValueError, match="model_type is 'gpt2', not 'bert'"):
        bert.read(tmp_path)
    (tmp_path / "config.json").write_text(settings.replace('"gelu"', '"silu"'))
    with pytest.raises(ValueError, match="hidden_act is silu"):
        bert.read(tmp_path)
    (tmp_path / "config.json").write_text(settings)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged"):
        bert.read(tmp_path)


def small(**over: Any) -> EncoderConfig:
    sizes = {"vocab_size": 30, "context_length": 12, "d_model": 16, "num_layers": 2, "num_heads": 2}
    return EncoderConfig(**sizes | {"dropout": 0.0} | over)


@pytest.mark.parametrize(
    "over",
    [
        {"position": RotaryConfig()},
        {"position": RelativeConfig(num_buckets=8)},
        # After two layers, all have been seen by way of others.
        {"attention": SparseConfig(causal=False, stride=4)},
        {"attention": LinearConfig(causal=False)},
        {"attention": LinearConfig(causal=False), "full_every": 2, "block": ParallelConfig()},
        {"attention": replace(BERTS, window=3), "full_every": 2},
        {"position": RotaryConfig(), "positionless_every": 2, "embedding_scale": 4.0},
    ],
)
def test_every_token_sees_all_and_no_padding(over: dict[str, Any]) -> None:
    model = small(**over).build(seed=0).eval()
    ids = torch.randint(0, 30, (1, 10))
    for place in range(10):
        other = ids.clone()
        other[0, place] = (ids[0, place] + 1) % 30
        changed = (model(ids) != model(other)).any(-1)[0]
        assert changed.all()
    real = torch.arange(10)[None] < 7
    short, padded = model(ids[:, :7]), model(ids, real=real)
    torch.testing.assert_close(padded[:, :7], short, rtol=1e-4, atol=1e-5)


def test_embeddings_are_scaled_before_others_are_added() -> None:
    plain, scaled = (
        small(tie_embeddings=False, **o).build(0) for o in ({}, {"embedding_scale": 3.0})
    )
    ids, types = torch.randint(0, 30, (2, 10)), torch.randint(0, 2, (2, 10))
    assert not torch.allclose(plain(ids, types), scaled(ids, types), atol=1e-3)
    plain.token_embeddings.weight.data *= 3
    torch.testing.assert_close(plain(ids, types), scaled(ids, types))


@pytest.mark.parametrize(
    "over", [{"logit_scale": 0.25}, {"logit_soft_cap": 0.5, "logit_scale": 2.0}]
)
def test_logits_and_their_loss_are_scaled_and_capped_with_their_bias(over: dict[str, Any]) -> None:
    plain, other = shaken(small().build(0)), shaken(small(**over).build(0))
    ids = torch.randint(0, 30, (2, 10))
    logits = plain(ids) * over["logit_scale"]
    if cap := over.get("logit_soft_cap"):
        logits = cap * (logits / cap).tanh()
    torch.testing.assert_close(other(ids), logits, rtol=1e-5, atol=1e-6)
    targets = torch.where(torch.rand(2, 10) < 0.5, ids, IGNORED)
    wanted = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    sums = other.lm_head.loss(other.hidden(ids), targets)
    torch.testing.assert_close(sums.nats, wanted.detach(), rtol=1e-5, atol=1e-5)
    wanted.backward()
    sums.objective.backward()
    for mine, theirs in zip(other.parameters(), plain.parameters(), strict=True):
        if theirs.grad is not None:  # the second head has no part in it
            assert_gradients_close(mine.grad, theirs.grad)


def test_layers_of_two_kinds_are_where_they_were_asked_for() -> None:
    window, linear = replace(BERTS, window=3), LinearConfig(causal=False, bias=True, d_head=6)
    full = MultiHeadConfig(causal=False, bias=True, d_head=6)
    for one, other in ((window, BERTS), (linear, full)):
        made = small(num_layers=5, attention=one, full_every=2)
        kinds = [layer.attn.config for layer in made.build().encoder.layers]
        assert kinds == [one, other, one, other, one] and not made.has_equal_layers()


def test_without_places_in_any_layer_it_is_without_places() -> None:
    rotary = small(position=RotaryConfig(), positionless_every=1)
    model, none = rotary.build(0), small(position=NoPositionConfig()).build(0)
    none.load_state_dict(model.state_dict())
    ids, real = torch.randint(0, 30, (2, 12)), torch.arange(12) < torch.tensor([[12], [9]])
    torch.testing.assert_close(model(ids, None, real), none(ids, None, real))
    some = small(position=RotaryConfig(), positionless_every=2).build(0)
    assert not torch.allclose(model(ids), some(ids), atol=1e-4)
    assert not some.config.has_equal_layers()


def test_first_weights_are_those_that_were_asked_for(tmp_path: Path) -> None:
    sizes = {"vocab_size": 300, "d_model": 96, "num_layers": 2}
    model = EncoderConfig(**sizes, init=GPT2InitConfig(std=0.05)).build(seed=0)
    stds = {name: p.std().item() for name, p in model.named_parameters() if p.ndim == 2}
    narrow = {name for name in stds if name.endswith(("output_proj.weight", "w2.weight"))}
    assert len(narrow) == 4 and "lm_head.dense.weight" in stds
    for name, std in stds.items():
        # token_types has 192 numbers.
        wanted = 0.025 if name in narrow else 0.05
        assert std == pytest.approx(wanted, rel=0.15 if "token_types" in name else 0.05), name
    # It is no matter to what BERT computes.
    bert.write(model, tmp_path / "bert")
    assert torch.equal(bert.read(tmp_path / "bert").lm_head.weight, model.lm_head.weight)
    with pytest.raises(ValueError, match=r"init\.kind is mup, which says how a decoder's .* rates"):
        config.load(EncoderConfig, {"vocab_size": 9, "init": {"kind": "mup"}})


def test_dense_layers_are_where_they_were_asked_for() -> None:
    ffn = ExpertsConfig(num_experts=2, top_k=1, first_dense=1, every=2)
    model = small(num_layers=4, ffn=ffn)
    found = [isinstance(layer.ffn, Experts) for layer in model.build().encoder.layers]
    assert found == [False, True, False, True]
    assert not model.has_equal_layers() and small().has_equal_layers()


def test_dropout_is_there_in_training_alone() -> None:
    model, ids = small(dropout=0.2).build(seed=0), torch.randint(0, 30, (1, 10))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))


def test_losses_begin_at_chance() -> None:
    model = small(d_model=64).build(seed=0)
    ids = torch.randint(0, 30, (8, 12))
    sums = model.lm_head.loss(model.hidden(ids), ids)
    assert abs(sums.nats / sums.tokens - math.log(30)) < 0.3


def test_the_same_seed_gives_the_same_weights() -> None:
    one, other = small().build(seed=3).state_dict(), small().build(seed=3).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_compiled_and_recomputed_it_is_the_same() -> None:
    from byteloom.nn.recompute import Recomputing

    model, ids = small().build(seed=0), torch.randint(0, 30, (2, 12))
    real = torch.arange(12) < torch.tensor([[12], [9]])
    types = (torch.arange(12) > 5).long().expand(2, -1)
    wanted = model.hidden(ids, types, real)
    wanted.sum().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model.recomputing = Recomputing("block")
    compiled = torch.compile(model.hidden, fullgraph=True, backend="aot_eager")
    for run in (model.hidden, compiled):
        model.zero_grad()
        found = run(ids, types, real)
        torch.testing.assert_close(found, wanted)
        found.sum().backward()
        mine = [p.grad for p in model.parameters() if p.grad is not None]
        for a, b in zip(mine, grads, strict=True):
            torch.testing.assert_close(a, b)
        model.recomputing = Recomputing("none")


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"attention": MultiHeadConfig()}, "attention.causal is true"),
        ({"attention": LinearConfig()}, "attention.causal is true.* say attention.causal = false"),
        (
            {"attention": LinearConfig(causal=False), "position": RelativeConfig()},
            "position.kind relative adds to scores, and attention.kind linear has none",
        ),
        ({"full_every": 2}, "full_every is 2, but without attention.window all layers see all"),
        ({"positionless_every": 2}, "positionless_every is 2, but position.kind learned"),
        ({"embedding_scale": 0.0}, "embedding_scale is 0.0"),
        ({"logit_scale": -1.0}, "logit_scale is -1.0"),
        ({"logit_soft_cap": 0.0}, "logit_soft_cap is 0.0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"token_types": -1}, "token_types is -1"),
        ({"token_types": 1}, "token_types is 1, but next_sentence"),
        ({"ffn": ExpertsConfig(num_experts=2, capacity=1.5)}, "ffn.capacity is given, but pairs"),
        ({"num_heads": 3}, "not divisible by num_heads 3"),
        ({"vocab_size": 0}, "vocab_size is 0"),
    ],
)
def test_what_cannot_work_is_refused_at_once(over: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**over)


def test_ids_that_it_lacks_and_texts_that_are_too_long_are_refused() -> None:
    model = small().build()
    with pytest.raises(ValueError, match="token id 30 is outside"):
        model(torch.full((1, 3), 30))
    with pytest.raises(ValueError, match="13 tokens are more than"):
        model(torch.zeros(1, 13, dtype=torch.long))


def test_a_table_gives_it_and_is_given_back() -> None:
    made = config.load(EncoderConfig, {"vocab_size": 9, "attention": {"num_kv_heads": 2}})
    assert not made.attention.causal and made.attention.bias
    assert config.load(EncoderConfig, config.dump(made)) == made
