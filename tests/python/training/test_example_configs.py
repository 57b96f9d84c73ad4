"""The files in configs/ that say they are a published model are."""

from __future__ import annotations

from pathlib import Path

import torch

from byteloom import config
from byteloom.models import EncoderConfig, EncoderDecoderConfig
from byteloom.training.config import RunConfig, resolve_model

CONFIGS = Path(__file__).parents[3] / "configs"


def load(name: str, vocab_size: int) -> RunConfig:
    tables = config.read(CONFIGS / name)
    return resolve_model(config.merge(tables, {"model": {"vocab_size": vocab_size}}))


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
