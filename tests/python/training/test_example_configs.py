"""The files in configs/ that say they are a published model are."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byteloom import config
from byteloom.cli import estimate, train_lm
from byteloom.models import EncoderConfig, EncoderDecoderConfig
from byteloom.training.config import RunConfig, resolve_model

CONFIGS = Path(__file__).parents[3] / "configs"


def load(name: str, vocab_size: int) -> RunConfig:
    tables = config.read(CONFIGS / name)
    return resolve_model(config.merge(tables, {"model": {"vocab_size": vocab_size}}))


def test_presets_are_what_the_files_say() -> None:
    run = load("bert.toml", 30_522)
    begun = config.load(EncoderConfig, {"preset": "bert"})
    assert begun.build_head().weight.shape == (30_522, 768)
    assert replace(run.model, ffn=begun.ffn) == begun
    run = load("t5.toml", 32_128)
    begun = config.load(EncoderDecoderConfig, {"preset": "t5", "target_length": 114})
    assert replace(run.model, start_id=0) == begun


def test_t5_1_1_is_the_newer_one() -> None:
    newer = config.load(EncoderDecoderConfig, {"preset": "t5-1.1"})
    with torch.device("meta"):
        assert newer.build().num_parameters() == 76_961_152
    assert not newer.tie_embeddings


def test_a_run_begins_with_a_preset() -> None:
    tables = config.read(CONFIGS / "bert.toml")
    tables["model"] = {"kind": "encoder", "preset": "bert", "num_layers": 2, "vocab_size": 99}
    assert resolve_model(tables).model == config.load(EncoderConfig, tables["model"])
    tables["model"] = {"kind": "encoder", "preset": "t5"}
    with pytest.raises(ValueError, match="no preset 't5'; There are bert"):
        resolve_model(tables)


def test_bert_without_pairs_has_no_separator() -> None:
    tables = config.merge(config.read(CONFIGS / "bert.toml"), {"model": {"vocab_size": 99}})
    tables["model"]["next_sentence"] = False
    with pytest.raises(ValueError, match="documents are told apart: leave it out, or say none"):
        resolve_model(tables)
    tables["data"]["separator"] = "none"
    assert resolve_model(tables).data.separator is None


@pytest.mark.parametrize(
    "example",
    [
        line.strip()
        for text in (train_lm.DESCRIPTION, estimate.DESCRIPTION)
        for line in text.splitlines()
        if " configs/" in line
    ],
)
def test_what_the_help_shows_is_possible(example: str) -> None:
    words = iter(shlex.split(example, comments=True))
    begun = next(word for word in words if word.startswith("configs/"))
    parser = argparse.ArgumentParser(allow_abbrev=False)
    config.add_options(parser, RunConfig)
    args, _ = parser.parse_known_args([*words, "--model.vocab_size", "300"])
    tables = config.read(CONFIGS.parent / begun)
    assert resolve_model(config.merge(tables, config.overrides(vars(args)))).model.vocab_size == 300


def test_bert_is_bert_base() -> None:
    from transformers import BertConfig, BertForPreTraining

    run = load("bert.toml", 30_522)
    assert isinstance(run.model, EncoderConfig)
    with torch.device("meta"):
        ours, theirs = run.model.build(), BertForPreTraining(BertConfig())
    assert ours.num_parameters() == sum(p.numel() for p in theirs.parameters())


def test_t5_is_t5_small() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    run = load("t5.toml", 32_128)
    assert isinstance(run.model, EncoderDecoderConfig)
    with torch.device("meta"):
        ours, theirs = run.model.build(), T5ForConditionalGeneration(T5Config())
    assert ours.num_parameters() == sum(p.numel() for p in theirs.parameters())
