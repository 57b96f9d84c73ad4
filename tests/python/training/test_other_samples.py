"""What other models than decoders write at the end of a run, and when they are asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_other_models import BERT, RUNS, SENTINELS, make_run

from byteloom import config
from byteloom.cli import generate as generate_command
from byteloom.cli import train_lm
from byteloom.generation import answer_ids
from byteloom.models import EncoderDecoder
from byteloom.training.run_folder import RunFolder
from tiny_run import END, make_data, write_toml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples")
    make_data(path, [*BERT, *SENTINELS])
    return path


def finished(folder: Path, name: str, made: Path, prompt: str) -> RunFolder:
    over = config.merge(RUNS[name], {"logging": {"sample_prompt": prompt}})
    path = write_toml(folder, f"{name}.toml", **over)
    assert train_lm.main([str(path), "-o", str(made)]) == 0
    return RunFolder.open(made)


def test_an_encoder_decoder_answers_the_prompt(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "def <extra_id_0>(x):"
    run = finished(folder, "spans", tmp_path / "run", prompt)
    model, tokenizer = run.load_any_model(), run.load_tokenizer()
    assert isinstance(model, EncoderDecoder) and tokenizer is not None
    end = tokenizer.special_tokens[END]
    ids = [*tokenizer.encode(prompt), end]
    want = tokenizer.decode([*answer_ids(model, ids, max_new_tokens=5, stop_ids=[end])])
    assert run.sample_file.read_text("utf-8") == want
    capsys.readouterr()
    argv = [str(run.path), "--prompt", prompt, "--max-new-tokens", "5", "--temperature", "0"]
    assert generate_command.main(argv) == 0
    assert capsys.readouterr().out == f"{want}\n"
    # Killed before it was written, it is written when the run is resumed.
    run.sample_file.unlink()
    assert train_lm.main(["--resume", str(run.path)]) == 0
    assert run.sample_file.read_text("utf-8") == want


@pytest.mark.parametrize("name", ["pairs", "singles"])
def test_an_encoder_finds_what_the_prompt_hides(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(folder, name, tmp_path / "run", "def [MASK](x):[MASK]")
    sample = run.sample_file.read_text("utf-8")
    # A byte each, which need be no character; never a special token.
    assert re.fullmatch(r"(?s)def .{1,3}\(x\):.{1,3}", sample)
    capsys.readouterr()
    argv = [str(run.path), "--prompt", "def [MASK](x):[MASK]"]
    assert generate_command.main(argv) == 0
    assert capsys.readouterr().out == f"{sample}\n"
    assert generate_command.main([str(run.path), "--prompt", "def f(x):"]) == 1
    told = capsys.readouterr().err
    assert "writes no text: give a prompt with [MASK] where a token is to be found" in told


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "nothing hidden": (
        "pairs",
        {"sample_prompt": "def f(x):"},
        r"^logging.sample_prompt: the model is an encoder, .* give a prompt with \[MASK\]",
    ),
    "too long for an encoder": (
        "singles",
        {"sample_prompt": "[MASK]" + 22 * "a"},
        "sample_prompt has 25 tokens, with those that frame it, but model.context_length is 24",
    ),
    "too long for an encoder-decoder": (
        "spans",
        {"sample_prompt": 24 * "a"},
        "sample_prompt has 25 tokens",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_asked_is_refused_before_the_run(folder: Path, what: str) -> None:
    name, logging, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        make_run(folder, name, logging=logging)
    prompt = logging["sample_prompt"]
    shorter = prompt[:-1] if "a" in prompt and "def" not in prompt else f"{prompt}[MASK]"
    make_run(folder, name, logging={"sample_prompt": shorter})
