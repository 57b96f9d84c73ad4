"""What is said about a run of an encoder, or of an encoder-decoder, against what it then does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from measured import peak_of_a_step

from byteloom import config
from byteloom.cli.estimate import main
from byteloom.models import EncoderDecoder, EncoderDecoderConfig
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.estimate import Estimate, estimate, machine_named, rehearsal
from byteloom.training.estimate.memory import cache_bytes
from byteloom.training.estimate.trace import trace, trace_whole
from tiny_run import make_data, tables

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(8))]
SIZES = {"d_model": 32, "num_layers": 3, "num_heads": 2, "context_length": 48}
MODELS: dict[str, dict[str, Any]] = {
    "pairs": SIZES | {"kind": "encoder"},
    "singles": SIZES | {"kind": "encoder", "next_sentence": False, "token_types": 0},
    "spans": SIZES | {"kind": "encoder_decoder", "num_decoder_layers": 2, "target_length": 20},
}
#: With layers of several kinds, and parts that the published ones do not have.
MORE: dict[str, dict[str, Any]] = {
    "linear, parallel": MODELS["pairs"] | {
        "attention": {"kind": "linear", "causal": False}, "block": {"kind": "parallel"},
        "full_every": 2,
    },
    "sandwich, window": MODELS["spans"] | {
        "block": {"kind": "sandwich"}, "attention": {"window": 8}, "full_every": 2,
        "num_decoder_layers": 3, "logit_soft_cap": 20.0,
    },
    "linear pair": MODELS["spans"] | {
        "attention": {"kind": "linear"}, "position": {"kind": "rotary"}, "full_every": 3,
        "num_decoder_layers": 3, "embedding_norm": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("others")
    make_data(path, SPECIAL)
    return path


def make(folder: Path, name: str, **over: dict[str, Any]) -> RunConfig:
    base = {"model": (MODELS | MORE)[name], "training": {"batch_size": 16}}
    return resolve(tables(folder, **config.merge(base, over)))


def say(run_config: RunConfig) -> Estimate:
    return estimate(run_config, machine_named("H100"))


def config_of_pair(folder: Path, name: str) -> EncoderDecoderConfig:
    model = make(folder, name).model
    assert isinstance(model, EncoderDecoderConfig)
    return model


@pytest.mark.parametrize("separate", [False, True])
def test_of_prefixes_too_with_their_masks(folder: Path, separate: bool) -> None:
    over: dict[str, Any] = {"data": {"separate_documents": separate}, "task": {"kind": "prefix"}}
    run_config = resolve(tables(folder, model=SIZES, training={"batch_size": 16}, **over))
    said = max(purposes.total() for purposes in trace(run_config, "cpu").peaks.values())
    assert said == pytest.approx(peak_of_a_step(build(run_config)), rel=0.02)
    assert say(run_config).memory.peak.bytes > 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("over", [{}, {"dtype": "bf16", "batch_size": 64}])
def test_the_peak_is_that_of_a_real_step(folder: Path, name: str, over: dict[str, Any]) -> None:
    run_config = make(folder, name, training=over)
    said = max(purposes.total() for purposes in trace(run_config, "cpu").peaks.values())
    assert said == pytest.approx(peak_of_a_step(build(run_config)), rel=0.02)


@pytest.mark.parametrize("name", MORE)
def test_the_peak_of_what_is_not_published_is_that_too(folder: Path, name: str) -> None:
    run_config = make(folder, name)
    said = max(purposes.total() for purposes in trace(run_config, "cpu").peaks.values())
    assert said == pytest.approx(peak_of_a_step(build(run_config)), rel=0.02)
    parts = {part.name for part in say(run_config).operations.parts}
    assert parts <= {"attention", "attention scores", "feed-forward", "norms", "head"}


def test_few_blocks_of_both_stacks_tell_what_many_take(folder: Path) -> None:
    run_config = make(folder, "spans", model={"num_layers": 6, "num_decoder_layers": 7})
    told, whole = trace(run_config, "cuda"), trace_whole(run_config, "cuda", "none")
    assert told.flops == whole.flops and told.kept == whole.kept
    assert {k: v.total() for k, v in told.peaks.items()} == {
        k: v.total() for k, v in whole.peaks.items()
    }


@pytest.mark.parametrize("name", ["pairs", "spans"])
def test_layers_that_differ_are_all_looked_at(folder: Path, name: str) -> None:
    ffn = {"kind": "experts", "num_experts": 4, "first_dense": 1, "dense": {"kind": "relu"}}
    run_config = make(folder, name, model={"num_layers": 5, "ffn": ffn})
    if isinstance(run_config.model, EncoderDecoderConfig):
        # As a file has it, before training has found it out.
        open_ = replace(run_config.model, start_id=None)
        assert trace(replace(run_config, model=open_), "cpu") == trace(run_config, "cpu")
    said = max(purposes.total() for purposes in trace(run_config, "cpu").peaks.values())
    assert said == pytest.approx(peak_of_a_step(build(run_config)), rel=0.02)


def test_operations_follow_what_each_stack_and_the_head_see(folder: Path) -> None:
    """Products alone, from shapes: 2 operations a weight and token, three times that in all."""
    found = {part.name: part.forward for part in say(make(folder, "singles")).operations.parts}
    # Of 48 tokens, 15% of the 46 between the frame are predicted: 7.
    width, vocab = 32, make(folder, "singles").model.vocab_size
    assert found["attention"] == 3 * 2 * 4 * width**2
    assert found["feed-forward"] == 3 * 2 * 8 * width**2
    head = 7 / 48 * 2 * ((width + 1) * vocab + width**2)
    assert found["head"] == pytest.approx(head, rel=0.01)
    # All together are nearly what MFU is measured by, which counts norms and biases like maps.
    for name in MODELS:
        told = say(make(folder, name)).operations
        assert told.rule_of_thumb == pytest.approx(told.token, rel=0.03) and told.token > 0


@pytest.mark.parametrize("name", ["spans", "sandwich, window", "linear pair"])
def test_the_cache_is_that_of_a_text_that_is_written(folder: Path, name: str) -> None:
    model = config_of_pair(folder, name).build().eval()
    assert isinstance(model, EncoderDecoder)
    cache, ids = model.new_cache(), torch.zeros(3, 48, dtype=torch.long)
    model.next_logits(ids[:, :1], cache, model.encode(ids))
    held = [tensor for layer in cache.layers for tensor in layer.tensors()]
    held += [x for m in cache.memories for x in (m.keys, m.values) if x is not None]
    assert cache_bytes(model.config, 3, 20) == sum(x.nbytes for x in held)
    with pytest.raises(ValueError, match="the model's context is 20"):
        cache_bytes(model.config, 3, 21)


@pytest.mark.parametrize("name", ["pairs", "spans"])
def test_real_steps_are_timed(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_SECONDS", 0.0)
    found = rehearsal.rehearse(make(folder, name, model={"num_layers": 6}))
    # A batch takes three times as long, but on a busy machine one may be held up.
    assert found.batch > 0.5 * found.evaluation > 0 and found.optimizer > 0


def test_the_command_needs_no_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = tmp_path / "alone.toml"
    alone.write_text(
        '[data]\ntrain = "nowhere.npy"\ntokenizer = "nowhere.json"\n'
        '[model]\nkind = "encoder_decoder"\nvocab_size = 100\nd_model = 64\nnum_layers = 2\n'
    )
    assert main([str(alone), "--device-name", "H100", "--depth", "3"]) == 0
    text = capsys.readouterr().out
    assert "encoder" in text and "decoder" in text and "fits" in text
    assert main([str(alone), "--memory", "2M"]) == 0
    assert "does not fit" in capsys.readouterr().out
