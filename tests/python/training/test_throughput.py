"""Operations a token by the formula, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from byteloom.data.span_corruption import Lengths
from byteloom.model import ModelConfig
from byteloom.models import EncoderConfig, EncoderDecoderConfig
from byteloom.nn import ReLUConfig, SwiGLUConfig
from byteloom.training import loop
from byteloom.training.build import build
from byteloom.training.config import resolve
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.tasks import MaskedConfig, SpansConfig
from byteloom.training.throughput import training_flops
from tiny_run import make_data, tables

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(8))]


def test_of_a_decoder_it_is_6_n_and_12_l_d_t() -> None:
    config = ModelConfig(
        50, context_length=20, d_model=16, num_layers=3, num_heads=2, ffn=SwiGLUConfig(d_ff=32)
    )
    block = 4 * 16 * 16 + 3 * 16 * 32 + 2 * 16
    wanted = 6 * (2 * 50 * 16 + 3 * block + 16) + 12 * 3 * 16 * 20
    assert training_flops(config.build()) == wanted


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_of_a_small_bert_each_part_meets_its_tokens(pairs: bool, tied: bool) -> None:
    d, layers, context, wide, vocab = 16, 3, 43, 64, 50
    model = EncoderConfig(
        vocab_size=vocab, context_length=context, d_model=d, num_layers=layers, num_heads=2,
        next_sentence=pairs, tie_embeddings=tied,
    ).build()  # fmt: skip
    attention, norms = 4 * (d * d + d), 2 * 2 * d
    block = attention + (d * wide + wide) + (wide * d + d) + norms
    # [CLS] and one or two [SEP] are never hidden; of the others, 15% are: 6.
    predicted = 6
    head = (d * d + d) + 2 * d + (d * vocab + vocab)
    second = (d * d + d) + (d * 2 + 2) if pairs else 0
    maps = context * layers * block + predicted * head + second
    scores = layers * context * context * d
    wanted = (6 * maps + 12 * scores) / context
    assert training_flops(model, MaskedConfig()) == pytest.approx(wanted, rel=1e-12)


def test_of_a_small_t5_each_stack_meets_its_own() -> None:
    d, read, wide, vocab = 16, 40, 32, 50
    config = EncoderDecoderConfig(
        vocab_size=vocab, context_length=read, d_model=d, num_layers=3, num_decoder_layers=2,
        num_heads=2, ffn=ReLUConfig(d_ff=wide), start_id=0,
    )  # fmt: skip
    # Of 44 ids, 7 are cut out in 2 spans: 37, 2 and the end are read, and 7, 2 and the end written.
    assert Lengths.filling(read) == Lengths(44, 7, 2)
    written = 10
    attention, ffn = 4 * d * d, 2 * d * wide
    maps = read * 3 * (attention + ffn + 2 * d)
    maps += written * 2 * (attention + ffn + 3 * d + 2 * d * d) + read * 2 * 2 * d * d
    maps += written * d * vocab
    scores = d * (3 * read**2 + 2 * (written**2 + written * read))
    wanted = (6 * maps + 12 * scores) / 44
    assert training_flops(config.build(), SpansConfig()) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", ["encoder", "encoder_decoder", "decoder"])
def test_metrics_tell_it_where_the_peak_is_known(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, SPECIAL)
    monkeypatch.setattr(loop, "peak_flops", lambda device: 2e9)
    over: dict[str, Any] = {"model": {"kind": kind}, "training": {"steps": 2}}
    run_config = resolve(tables(tmp_path, **over))
    run = build(run_config)
    folder = RunFolder.create(tmp_path / "run", run_config)
    train(run, folder)
    lines = [json.loads(line) for line in folder.metrics_file.read_text().splitlines()]
    lines = [line for line in lines if "mfu" in line]
    assert [line["step"] for line in lines] == [2]
    flops = training_flops(run.model, run_config.task)
    assert lines[0]["mfu"] == pytest.approx(lines[0]["tokens_per_second"] * flops / 2e9)
