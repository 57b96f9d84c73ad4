"""``byteloom import``: what comes out generates, is scored, and begins runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import byteloom as bl
from byteloom.cli import import_model, train_lm
from byteloom.cli import main as cli
from byteloom.export import hf
from byteloom.generation import generate
from byteloom.model import ModelConfig
from byteloom.training.run_folder import RunFolder
from tiny_run import END, make_data

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 of transformers with byteloom's tokenizer, and token files."""
    folder = tmp_path_factory.mktemp("import")
    tokenizer = make_data(folder)
    config = transformers.GPT2Config(
        vocab_size=257, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=256
    )
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).eval().save_pretrained(folder / "gpt2")
    tokenizer.save(folder / "gpt2" / "tokenizer.json")
    assert import_model.main([str(folder / "gpt2"), "-o", str(folder / "run")]) == 0
    return folder


def test_the_run_has_the_model_and_the_tokenizer(folder: Path) -> None:
    run = RunFolder.open(folder / "run")
    model, tokenizer = run.load_model(), run.load_tokenizer()
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder / "gpt2").eval()
    ids = torch.arange(30)[None]
    torch.testing.assert_close(model(ids), peer(ids).logits, rtol=1e-4, atol=1e-5)
    assert tokenizer == bl.Tokenizer.load(folder / "tokenizer.json")
    assert [step for step, _ in run.checkpoints()] == [0]


def test_it_generates_and_is_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.open(folder / "run")
    model, tokenizer = run.load_model(), run.load_tokenizer()
    assert tokenizer is not None
    argv = ["generate", str(folder / "run"), "--prompt", "def ", "--temperature", "0"]
    assert cli.main([*argv, "--max-new-tokens", "8", "--device", "cpu"]) == 0
    wanted = generate(model, tokenizer, "def ", max_new_tokens=8, temperature=0.0, stop=END)
    assert capsys.readouterr().out == f"def {wanted}\n"
    argv = ["eval", str(folder / "run"), str(folder / "valid.npy"), "--json", "--device", "cpu"]
    assert cli.main(argv) == 0
    loss = json.loads(capsys.readouterr().out)["loss"]
    assert abs(loss - np.log(257)) < 0.5, "by chance, all are as likely"


def test_a_run_begins_with_its_weights(folder: Path) -> None:
    def train(name: str, *more: str) -> RunFolder:
        argv = [str(folder / "run" / "config.toml"), "-o", str(folder / name)]
        argv += ["--data.train", str(folder / "train.npy"), "--training.steps", "1"]
        argv += ["--logging.sample_tokens", "0", "--training.device", "cpu"]
        argv += ["--training.batch_size", "2", "--schedule.max_lr", "0", "--schedule.min_lr", "0"]
        assert train_lm.main([*argv, *more]) == 0
        return RunFolder.open(folder / name)

    before = RunFolder.open(folder / "run").load_model().state_dict()
    tuned = train("tuned", "--training.start", str(folder / "run"))
    after = tuned.load_model().state_dict()
    assert all(torch.equal(w, before[name]) for name, w in after.items()), "the rate is 0"
    assert tuned.load_tokenizer() is not None
    fresh = train("fresh").load_model().state_dict()
    assert not torch.equal(fresh["lm_head.weight"], before["lm_head.weight"])


def test_weights_of_another_model_are_no_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(folder / "run" / "config.toml"), "-o", str(folder / "other"), "--model.d_model"]
    argv += ["48", "--data.train", str(folder / "train.npy"), "--training.device", "cpu"]
    assert train_lm.main([*argv, "--training.start", str(folder / "run")]) == 1
    assert "training.start is a checkpoint of another model" in capsys.readouterr().err
    assert not (folder / "other").exists()


def test_an_imported_model_is_no_run_to_resume(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_lm.main(["--resume", str(folder / "run")]) == 1
    error = capsys.readouterr().err
    assert "was imported" in error and f"--training.start {folder / 'run'}" in error
    assert train_lm.main([str(folder / "run" / "config.toml"), "-o", str(folder / "x")]) == 1
    assert "data.train is an empty list" in capsys.readouterr().err


def test_the_command_says_what_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import", str(folder / "gpt2"), "-o", str(folder / "again"), "--json"]
    assert cli.main(argv) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert figures == {
        "run": str(folder / "again"),
        "architecture": "GPT2LMHeadModel",
        "parameters": 257 * 32 + 32 * 32 + 2 * (12 * 32 * 32 + 13 * 32) + 64,
        "vocab_size": 257,
        "tokenizer_size": 257,
        "chat_template": False,
    }


def test_what_goes_wrong_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = set(folder.iterdir())
    assert import_model.main([str(folder / "gpt2"), "-o", str(folder / "run")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert import_model.main([str(folder), "-o", str(folder / "new")]) == 1
    assert "has no config.json" in capsys.readouterr().err
    odd = folder / "odd"
    hf.write(ModelConfig(20, 8, 16, 1, 2).build(seed=0), None, odd)
    (odd / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": []}}')
    assert import_model.main([str(odd), "-o", str(folder / "new")]) == 1
    assert "without its tokenizer (--tokenizer none)" in capsys.readouterr().err
    assert set(folder.iterdir()) == there | {odd}
    argv = [str(odd), "-o", str(folder / "new"), "--tokenizer"]
    assert import_model.main([*argv, str(folder / "tokenizer.json")]) == 1
    assert "the tokenizer has 257 tokens, the model only 20 ids" in capsys.readouterr().err
    assert import_model.main([*argv, "none"]) == 0
    assert RunFolder.open(folder / "new").load_tokenizer() is None


def test_ids_without_a_token_are_kept_and_told_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    padded = folder / "padded"
    tokenizer = bl.Tokenizer.load(folder / "tokenizer.json")
    hf.write(ModelConfig(320, 32, 16, 1, 2).build(seed=0), tokenizer, padded)
    assert import_model.main([str(padded), "-o", str(folder / "padded-run")]) == 0
    assert "the model has 320 ids, the tokenizer 257" in capsys.readouterr().err
    run = RunFolder.open(folder / "padded-run")
    assert run.load_model().config.vocab_size == 320
    assert run.load_tokenizer() == tokenizer


def test_another_tokenizer_can_be_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_bos = folder / "with-bos"
    hf.write(ModelConfig(257, 32, 16, 1, 2).build(seed=0), None, with_bos)
    settings = json.loads((folder / "tokenizer.json").read_text())
    first = [{"SpecialToken": {"id": END, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    settings["post_processor"] = {"type": "TemplateProcessing", "single": first, "pair": first}
    (with_bos / "tokenizer.json").write_text(json.dumps(settings))
    assert import_model.main([str(with_bos), "-o", str(folder / "bos-run")]) == 0
    assert f"note: the model is used to {END} before a text" in capsys.readouterr().err
    argv = [str(with_bos), "-o", str(folder / "given"), "--tokenizer"]
    assert import_model.main([*argv, str(folder / "tokenizer.json")]) == 0
    assert "note" not in capsys.readouterr().err
    wanted = bl.Tokenizer.load(folder / "tokenizer.json")
    for name in ("bos-run", "given"):
        assert RunFolder.open(folder / name).load_tokenizer() == wanted
