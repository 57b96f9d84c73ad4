"""Keys that would change nothing beside others are refused, with what it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from byteloom import config
from byteloom.model import ModelConfig
from byteloom.models import EncoderConfig, EncoderDecoderConfig
from byteloom.nn import ExpertsConfig, MultiHeadConfig, RMSNormConfig, RotaryConfig
from byteloom.nn.position.scaling import LinearScaling, YaRNScaling
from byteloom.training.config import RunConfig, resolve_model
from byteloom.training.estimate import rehearsal
from byteloom.training.estimate.stand_in import with_blocks
from tiny_run import make_config, make_data

SIZES: dict[str, Any] = {
    "vocab_size": 30, "context_length": 12, "d_model": 32, "num_heads": 4, "num_layers": 2,
}  # fmt: skip
EXPERTS = {"kind": "experts", "num_experts": 4}

#: Tables of a model -> what is said of them.
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "norms of heads that are not normalised": (
        {"attention": {"qk_norm_over": "all"}},
        r"attention: qk_norm_over is all, but there is no qk_norm",
    ),
    "the same of sparse attention": (
        {"attention": {"kind": "sparse", "qk_norm_over": "all"}},
        r"qk_norm_over is all, but there is no qk_norm",
    ),
    "weights that add up anyway": (
        {"ffn": {**EXPERTS, "gate": "softmax_top_k", "normalise": False}},
        r"ffn: normalise is false, but the gate softmax_top_k makes weights that add up to 1",
    ),
    "a network of layers that are none": (
        {"ffn": {**EXPERTS, "dense": {"kind": "gelu"}}},
        r"ffn: dense is what layers without experts have, but all have some: give first_dense or",
    ),
    "the same, of another width": (
        {"ffn": {**EXPERTS, "dense": {"d_ff": 3}}},
        r"ffn: dense is what layers without experts have",
    ),
    "a bias on a choice that is none": (
        {"ffn": {**EXPERTS, "top_k": 4, "balance_rate": 0.1}},
        r"ffn: balance_rate is 0\.1, but top_k 4 takes all experts",
    ),
    "experts of no layer, all dense": (
        {"ffn": {**EXPERTS, "first_dense": 2}},
        r"by ffn\.first_dense and ffn\.every none of the 2 layers",
    ),
    "experts of no layer, none a third": (
        {"ffn": {**EXPERTS, "every": 3}},
        r"by ffn\.first_dense and ffn\.every none of the 2 layers",
    ),
    "a third layer of two sees all": (
        {"attention": {"window": 4}, "full_every": 3},
        r"full_every is 3, but no layer has that number: a stack has at most 2",
    ),
    "a third layer of two has no places": (
        {"positionless_every": 3},
        r"positionless_every is 3, but no layer has that number",
    ),
    "a window of no layer": (
        {"attention": {"window": 4}, "full_every": 1},
        r"full_every is 1: every layer would see all, and none have attention\.window",
    ),
    "linear attention of no layer": (
        {"attention": {"kind": "linear"}, "full_every": 1},
        r"full_every is 1: every layer would see all, and none be of attention\.kind linear",
    ),
    "a norm of the embedding that is none": (
        {"norm": {"kind": "none"}, "embedding_norm": True},
        r"embedding_norm is true, but norm\.kind is none",
    ),
    "a scaling by 1": (
        {"position": {"scaling": {"kind": "llama3", "original_context": 4}}},
        r"position\.scaling: factor is 1, which scales nothing",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_refuses_them(name: str) -> None:
    tables, said = MODELS[name]
    with pytest.raises(ValueError, match=said):
        config.load(ModelConfig, {**SIZES, **tables})


@pytest.mark.parametrize("kind", [EncoderConfig, EncoderDecoderConfig])
@pytest.mark.parametrize(
    "name",
    [
        "experts of no layer, all dense",
        "a third layer of two has no places",
        "norms of heads that are not normalised",
        "a network of layers that are none",
    ],
)
def test_other_kinds_refuse_them_too(kind: type, name: str) -> None:
    tables, said = MODELS[name]
    attention = {"causal": kind is EncoderDecoderConfig, **tables.get("attention", {})}
    with pytest.raises(ValueError, match=said):
        config.load(kind, {**SIZES, **tables, "attention": attention, "position": ROTARY})


def test_an_encoder_decoder_refuses_a_norm_of_the_embedding_that_is_none() -> None:
    tables, said = MODELS["a norm of the embedding that is none"]
    with pytest.raises(ValueError, match=said):
        config.load(EncoderDecoderConfig, {**SIZES, **tables})
    # An encoder has one where nothing is said.
    attention = {"causal": False}
    config.load(EncoderConfig, {**SIZES, "norm": {"kind": "none"}, "attention": attention})


ROTARY = {"kind": "rotary"}


def test_a_layer_of_the_decoder_alone_is_one() -> None:
    tables = {"positionless_every": 3, "num_decoder_layers": 3, "position": ROTARY}
    model = config.load(EncoderDecoderConfig, {**SIZES, **tables, "start_id": 0})
    data = {"train": "x", "tokenizer": "y"}
    run = config.load(RunConfig, {"model": config.dump(model), "data": data})
    for counts, wanted in (((1, 3), 3), ((2, 1), None)):
        few = with_blocks(run, counts).model
        assert isinstance(few, EncoderDecoderConfig)
        found = (few.num_layers, few.num_decoder_layers, few.positionless_every)
        assert found == (*counts, wanted)


def test_what_has_an_effect_is_taken() -> None:
    fine: list[dict[str, Any]] = [
        {"attention": {"qk_norm_over": "all", "qk_norm": {"kind": "rmsnorm"}}},
        {"attention": {"qk_norm_over": "head"}},  # the default, said
        {"ffn": {**EXPERTS, "gate": "softmax_top_k"}},
        {"ffn": {**EXPERTS, "gate": "sigmoid", "normalise": False}},
        {"ffn": {**EXPERTS, "dense": {"kind": "gelu"}, "first_dense": 1}},
        {"ffn": {**EXPERTS, "dense": {"kind": "gelu"}, "every": 2}},
        {"attention": {"window": 4}, "full_every": 2, "positionless_every": 2},
        {"norm": {"kind": "none"}, "block": {"kind": "post"}, "final_norm": False},
    ]
    for tables in fine:
        config.load(ModelConfig, {**SIZES, **tables})
    # YaRN's other factor acts without the first.
    yarn = YaRNScaling(attention_factor=1.5)
    plain, scaled = (RotaryConfig(scaling=one).build(32, 4, 8) for one in (None, yarn))
    torch.testing.assert_close(scaled.cos, 1.5 * plain.cos)
    with pytest.raises(ValueError, match="factor is 1"):
        YaRNScaling(attention_factor=1.0)
    assert LinearScaling(factor=0.5).factor == 0.5


def test_a_layer_knows_nothing_of_those_that_are_otherwise() -> None:
    ffn = ExpertsConfig(num_experts=4, first_dense=1, dense=ExpertsConfig().expert)
    other = config.load(
        ModelConfig, {**SIZES, "ffn": {**EXPERTS, "dense": {"kind": "gelu"}, "first_dense": 1}}
    )
    assert other.ffn.at(1) == ffn.at(1) and other.ffn.at(0).kind == "gelu"


@pytest.mark.parametrize("count", [1, 3, 4])
def test_estimates_look_at_fewer_layers(count: int) -> None:
    tables = {"attention": {"window": 4}, "full_every": 4, "positionless_every": 2}
    model = config.load(ModelConfig, {**SIZES, "num_layers": 8, **tables})
    run = config.load(RunConfig, {"model": config.dump(model), "data": {"train": "x"}})
    few = with_blocks(run, [count]).model
    assert isinstance(few, ModelConfig) and few.num_layers == count
    for index in range(count):
        assert few.attention_of(index) == model.attention_of(index)
    assert few.full_every == (4 if count == 4 else None)
    assert few.positionless_every == (None if count == 1 else 2)


def test_a_run_with_few_full_layers_is_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "_SECONDS", 0)
    monkeypatch.setattr(rehearsal, "_TIMES", 1)
    make_data(tmp_path)
    over = {"attention": {"window": 4}, "full_every": 3, "num_layers": 6}
    assert rehearsal.rehearse(make_config(tmp_path, model=over)).batch > 0


#: Tables of a run -> what is said of them; None of ``data`` is nothing.
RUNS: dict[str, tuple[dict[str, Any], str]] = {
    "rounding of fp32": (
        {"training": {"rounding": "compensated"}},
        r"training\.rounding is compensated, but only training\.weights bf16 are rounded",
    ),
    "growing to one batch": (
        {"training": {"accumulation_warmup": 5}},
        r"training\.accumulation_warmup is 5, but training\.accumulation is 1",
    ),
    "patience with no evaluations": (
        {"data": {"valid": "none"}, "training": {"eval_patience": 2}},
        r"training\.eval_patience is 2, but without data\.valid there are no evaluations",
    ),
    "skips of a run that stops": (
        {"guard": {"non_finite": "stop", "max_skipped": 3}},
        r"guard\.max_skipped is 3, but by guard\.non_finite stop the first",
    ),
    "an average that never begins": (
        {"averaging": {"start_step": 12}},
        r"averaging\.start_step is 12, but training\.steps only 12",
    ),
    "a kernel that cannot": (
        {"model": {"attention": {"backend": "flex"}, "position": {"kind": "alibi"}}},
        r"model\.attention\.backend is flex, which cannot add the scores of .* alibi",
    ),
    "a prompt without a tokenizer": (
        {"data": {"tokenizer": "none"}, "logging": {"sample_prompt": "def"}},
        r"logging\.sample_prompt is .*, but without data\.tokenizer there is no sample: leave it",
    ),
    "a separator without a tokenizer": (
        {"data": {"tokenizer": "none", "separator": "x"}},
        r"data\.separator is 'x': it needs data\.tokenizer",
    ),
    "a separator of what is not kept apart": (
        {"data": {"separator": "<|endoftext|>"}},
        r"data\.separator is '<\|endoftext\|>', but documents are not kept apart",
    ),
    "a separator of windows": (
        {"model": {"kind": "encoder", "next_sentence": False}, "data": {"separator": "[SEP]"}},
        r"data\.separator is '\[SEP\]', but without model\.next_sentence no documents",
    ),
    "a separator that ends nothing": (
        {
            "model": {"kind": "encoder_decoder"}, "task": {"kind": "spans", "end": "[SEP]"},
            "data": {"separator": "<|endoftext|>"},
        },
        r"data\.separator is '<\|endoftext\|>', but texts end as task\.end says, with '\[SEP\]'",
    ),
    "rates of a head that is a table": (
        {"model": {"tie_embeddings": True}, "optimizer": {"lr_scale": {"head": 2.0}}},
        r"optimizer\.lr_scale\.head: the model has no parameters in this group, as its head is",
    ),
    "decay of a head that is a table": (
        {"model": {"tie_embeddings": True}, "optimizer": {"decayed": ["hidden", "head"]}},
        r"optimizer\.decayed head: the model has no parameters in this group, as its head is",
    ),
    "rates of norms that learn nothing": (
        {"model": {"norm": {"gain": False}}, "optimizer": {"lr_scale": {"vectors": 2.0}}},
        r"optimizer\.lr_scale\.vectors: the model has no parameters in this group, as it has none",
    ),
    "what decays where nothing does": (
        {"optimizer": {"kind": "sgd", "decayed": "all"}},
        r"optimizer: decayed is 'all', but weight_decay is 0",
    ),
    "the same by groups": (
        {"optimizer": {"weight_decay": 0.0, "decayed": ["head"]}},
        r"optimizer: decayed is \('head',\), but weight_decay is 0",
    ),
    "dampening of no velocity": (
        {"optimizer": {"kind": "sgd", "momentum": 0.0, "dampening": 0.5}},
        r"optimizer: dampening is 0\.5, but momentum is 0",
    ),
    "two lengths of a decay": (
        {"schedule": {"kind": "wsd", "decay_steps": 4, "decay_fraction": 0.5}},
        r"schedule\.decay_steps is 4 and decay_fraction 0\.5: give one of them",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    make_data(path, ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "<extra_id_0>", "<extra_id_1>"])
    return path


@pytest.mark.parametrize("name", RUNS)
def test_a_run_refuses_them(name: str, folder: Path) -> None:
    tables, said = RUNS[name]
    with pytest.raises(ValueError, match=said):
        make_config(folder, **tables)


def test_a_start_that_is_said_twice(folder: Path) -> None:
    over: dict[str, Any] = {
        "model": {"kind": "encoder_decoder"},
        "task": {"kind": "spans", "start": "[PAD]"},
    }
    start = make_config(folder, **over).model.start_id  # type: ignore[union-attr]
    same = {**over, "model": {**over["model"], "start_id": start}}
    assert make_config(folder, **same).model.start_id == start  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"model\.start_id is 3, but task\.start '\[PAD\]' has"):
        make_config(folder, **{**over, "model": {**over["model"], "start_id": 3}})


def test_all_are_told_at_once_and_runs_that_began_are_not_asked(folder: Path) -> None:
    tables = {
        "model": SIZES, "data": {"train": "x"},
        "training": {"rounding": "compensated", "accumulation_warmup": 5},
    }  # fmt: skip
    with pytest.raises(ValueError) as caught:
        resolve_model(tables)
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "training.rounding",
        "training.accumulation_warmup",
    ]
    assert config.load(RunConfig, tables).training.accumulation_warmup == 5


def test_what_a_run_can_use_is_taken(folder: Path) -> None:
    separate = {"data": {"separator": "[SEP]", "separate_documents": True}}
    pairs = {"model": {"kind": "encoder"}, "data": {"separator": "[SEP]"}}
    fine: list[dict[str, Any]] = [
        separate,
        pairs,
        {"model": {"kind": "encoder_decoder"}, "data": {"separator": "[SEP]"}},
        {"optimizer": {"lr_scale": {"head": 2.0, "vectors": 0.5}, "decayed": ["head"]}},
        {"averaging": {"start_step": 11}},
        {"training": {"eval_patience": 2, "accumulation": 2, "accumulation_warmup": 5}},
        {"training": {"dtype": "bf16", "weights": "bf16", "rounding": "compensated"}},
        {"schedule": {"kind": "wsd", "decay_steps": 4}},
        {"optimizer": {"kind": "sgd", "weight_decay": 0.1, "decayed": "all", "dampening": 0.5}},
    ]
    for over in fine:
        make_config(folder, **over)


def test_attention_of_full_layers_keeps_its_norms() -> None:
    attention = MultiHeadConfig(window=3, qk_norm=RMSNormConfig(), qk_norm_over="all")
    assert attention.full().qk_norm_over == "all" and attention.full().window is None
