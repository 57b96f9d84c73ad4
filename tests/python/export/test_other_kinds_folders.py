"""Folders of encoders and of encoders with decoders: cards, shards, what generate() begins with."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peers import by_chance

from byteloom.cli import main as cli
from byteloom.cli import train_lm
from byteloom.export import huggingface, importing, open_any_run, t5, write
from byteloom.export.hf.card import shown
from byteloom.export.source import AnySource, Source
from byteloom.generation import answer_ids
from byteloom.model import ModelConfig
from byteloom.models import AnyModel, EncoderConfig, EncoderDecoderConfig
from byteloom.tokenizer import Tokenizer
from tiny_run import make_data, write_toml

transformers = pytest.importorskip("transformers")
SPECIAL = ["[PAD]", "[MASK]", "[CLS]", "[SEP]", "</s>", "<extra_id_0>"]
SIZES: dict[str, Any] = {"vocab_size": 262, "context_length": 40, "d_model": 24, "num_heads": 3}
OPENERS = {"encoder": "AutoModelForMaskedLM", "encoder_decoder": "AutoModelForSeq2SeqLM"}


def made(kind: str) -> AnyModel:
    config = {
        "encoder": EncoderConfig(**SIZES, num_layers=2),
        "encoder_decoder": EncoderDecoderConfig(**SIZES, num_layers=2, start_id=256),
    }[kind]
    model = config.build().eval()
    by_chance(model)
    return model


def source_of(model: AnyModel) -> AnySource:
    return AnySource(model, Tokenizer({i: bytes([i]) for i in range(256)}, [], SPECIAL))


def logits(model: Any, kind: str, *, theirs: bool = False) -> torch.Tensor:
    ids, given = torch.arange(2 * 12).view(2, 12), torch.arange(100, 107).expand(2, 7)
    with torch.no_grad():
        if kind == "encoder":
            return model(ids).logits if theirs else model(ids)
        return model(input_ids=ids, decoder_input_ids=given).logits if theirs else model(ids, given)


@pytest.mark.parametrize("kind", OPENERS)
def test_weights_in_several_files_are_one_model(kind: str, tmp_path: Path) -> None:
    model, out = made(kind), tmp_path / "out"
    assert huggingface.write(source_of(model), out, shard_bytes=20_000) == []
    files = sorted(out.glob("model-*-of-*.safetensors"))
    assert len(files) > 2 and not (out / "model.safetensors").exists()
    # A table of more than that has a file of its own.
    assert all(file.stat().st_size < 30_000 for file in files)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {file.name for file in files}
    opener = getattr(transformers, OPENERS[kind])
    peer, report = opener.from_pretrained(out, output_loading_info=True)
    assert not report["missing_keys"]
    torch.testing.assert_close(
        logits(peer.eval(), kind, theirs=True), logits(model, kind), rtol=1e-4, atol=1e-4
    )
    again = importing.read(out).model
    assert torch.equal(logits(again, kind), logits(model, kind))
    huggingface.write(source_of(model), tmp_path / "one")
    assert (tmp_path / "one" / "model.safetensors").exists()


def test_generate_begins_and_ends_as_the_generation_config_says(tmp_path: Path) -> None:
    model = made("encoder_decoder")
    ids = list(range(40, 60))
    written = list(answer_ids(model, ids, max_new_tokens=12))
    # The first token that was not written before ends it.
    end = next(token for token in written[1:] if token not in written[:1])
    t5.write(model, tmp_path / "out", end)
    assert json.loads((tmp_path / "out/generation_config.json").read_text()) == {
        "decoder_start_token_id": 256, "eos_token_id": end, "pad_token_id": 256,
    }  # fmt: skip
    path = tmp_path / "out" / "config.json"
    settings = json.loads(path.read_text())
    for key in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
        assert settings.pop(key) in (256, end)
    path.write_text(json.dumps(settings))
    peer = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    found = peer.generate(torch.tensor([ids]), max_new_tokens=12)
    upto = written.index(end)
    assert found.tolist() == [[256, *written[:upto], end]]
    assert list(answer_ids(model, ids, stop_ids=[end])) == written[:upto]


def code_of(card: str) -> str:
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found is not None
    return found[1]


RUNS = {
    "decoder": {},
    "encoder": {"model": {"kind": "encoder", "context_length": 40}},
    "encoder_decoder": {
        "model": {"kind": "encoder_decoder", "context_length": 40}, "task": {"kind": "spans"}
        | {"end": "</s>"},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_the_card_has_the_runs_figures_and_code_that_runs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, [*SPECIAL, "<extra_id_1>"])
    toml = write_toml(tmp_path, training={"steps": 2}, **RUNS[kind])
    assert train_lm.main([str(toml), "-o", str(tmp_path / "run")]) == 0
    assert cli.main(
        ["export", str(tmp_path / "run"), "--to", "hf", "-o", str(tmp_path / "mine")]
    ) == 0  # fmt: skip
    card = (tmp_path / "mine" / "README.md").read_text("utf-8")
    rows = dict(
        re.findall(r"^\| ([^|]+?) +\| +([^|]+?) \|$", card, re.MULTILINE)
    )  # fmt: skip
    source = open_any_run(tmp_path / "run")
    assert source.figures["iteration"] == 2 and source.figures["best_valid_loss"] > 0
    for key, value in source.figures.items():
        assert rows[key] == shown(value), key
    assert rows["parameters"] == f"{source.model.num_parameters():,}"
    assert rows["context"] == str(source.model.config.context_length)
    architecture = json.loads((tmp_path / "mine" / "config.json").read_text())["architectures"]
    assert f"as a `{architecture[0]}`" in card
    has_generation = (tmp_path / "mine" / "generation_config.json").exists()
    assert has_generation == (kind != "encoder"), "transformers writes none for a BERT"
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code_of(card), {})
    assert said.getvalue().strip()


def test_a_sentinel_of_another_name_is_the_cards(tmp_path: Path) -> None:
    source = source_of(made("encoder_decoder"))
    source.run["task"] = {"kind": "spans", "sentinels": ["[SEP]", "[CLS]"]}
    write(source, "hf", tmp_path / "out")
    assert "Once upon a [SEP] there was" in (tmp_path / "out/README.md").read_text()


def test_a_decoders_shards_are_as_before(tmp_path: Path) -> None:
    model = ModelConfig(30, 32, 16, 1, 2).build(seed=0)
    huggingface.write(Source(model), tmp_path / "out", shard_bytes=3_000)
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) > 2
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(peer(ids).logits, model.eval()(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_a_bert_without_kinds_of_segments_has_zeros_for_them(
    next_sentence: bool, tmp_path: Path
) -> None:
    config = EncoderConfig(**SIZES, num_layers=1, token_types=0, next_sentence=next_sentence)
    model = config.build().eval()
    by_chance(model)
    huggingface.write(source_of(model), tmp_path / "out")
    opener = transformers.AutoModelForMaskedLM
    peer, report = opener.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    wanted = logits(model, "encoder")
    found = logits(peer.eval(), "encoder", theirs=True)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    again = importing.read(tmp_path / "out").model
    torch.testing.assert_close(logits(again, "encoder"), wanted, rtol=1e-5, atol=1e-5)
