"""``byteloom inspect`` of a model: a preset, a TOML file, a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import byteloom as bl
from byteloom import presets
from byteloom.cli import estimate, inspect
from byteloom.training.run_folder import RunFolder
from tiny_run import make_config, make_data, write_toml


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command and gives what it prints."""

    def run(*arguments: object) -> str:
        assert inspect.main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


def choices(figures: dict[str, Any]) -> dict[str, tuple[Any, str, str]]:
    return {c["key"]: (c["value"], c["origin"], c["file"]) for c in figures["choices"]}


def test_a_preset(look: Any) -> None:
    text = look("gemma2")
    assert "parameters  2,614,341,888, 2,024,517,888 without embeddings and head" in text
    assert "byteloom/presets/gemma2.toml" in text
    rows = {tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines()}
    assert ("layers x 26", "", "2,024,515,584") in rows
    assert ("q_proj", "2,048 x 2,304", "122,683,392") in rows
    assert ("block.kind", "sandwich", "preset", "byteloom/nn/block/sandwich.py") in rows
    assert ("ffn.bias", "no", "default", "byteloom/nn/ffn/geglu.py") in rows


def test_the_figures_add_up(look: Any) -> None:
    for name in ("gpt2", "llama3", "nanochat"):
        figures = json.loads(look(name, "--json"))
        top = [module for module in figures["modules"] if module["level"] == 0]
        assert sum(module["parameters"] for module in top) == figures["parameters"]
        vocab, d_model = figures["choices"][0]["value"], presets.load(name).d_model
        tables = vocab * d_model * (1 if presets.load(name).tie_embeddings else 2)
        assert figures["parameters"] - figures["without_embeddings"] == tables
        source = Path(bl.__file__).parent.parent
        assert all((source / choice["file"]).is_file() for choice in figures["choices"])


def test_where_each_choice_comes_from(look: Any, tmp_path: Path) -> None:
    make_data(tmp_path)
    path = tmp_path / "run.toml"
    path.write_text(
        f'[data]\ntrain = "{tmp_path}/train.npy"\ntokenizer = "{tmp_path}/tokenizer.json"\n'
        '[model]\npreset = "qwen3"\nnum_layers = 2\nnorm.kind = "layernorm"\n'
    )
    found = choices(json.loads(look(path, "--json")))
    assert found["num_layers"] == (2, "config", "byteloom/model.py")
    assert found["d_model"] == (4096, "preset", "byteloom/model.py")
    assert found["vocab_size"] == (257, "tokenizer", "byteloom/model.py")
    assert found["norm.kind"] == ("layernorm", "config", "byteloom/nn/norm/layernorm.py")
    # The preset's eps went with its kind.
    assert found["norm.eps"] == (1e-5, "default", "byteloom/nn/norm/layernorm.py")
    assert found["attention.qk_norm.eps"] == (1e-6, "preset", "byteloom/nn/norm/rmsnorm.py")
    assert found["dropout"][1] == "default"


def test_a_file_with_a_model_alone_and_a_run(look: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text("[model]\nvocab_size = 100\nd_model = 64\nnum_heads = 4\n")
    assert choices(json.loads(look(path, "--json")))["d_model"][:2] == (64, "config")
    make_data(tmp_path)
    run_config = make_config(tmp_path)
    folder = RunFolder.create(tmp_path / "run", run_config)
    figures = json.loads(look(folder.path, "--json"))
    assert figures["parameters"] == run_config.model.build().num_parameters()


def test_a_run_that_began_is_not_asked_what_its_keys_change(look: Any, tmp_path: Path) -> None:
    make_data(tmp_path)
    folder = RunFolder.create(tmp_path / "run", make_config(tmp_path))
    text = folder.config_file.read_text()
    assert "accumulation_warmup = 0\n" in text
    folder.config_file.write_text(
        text.replace("accumulation_warmup = 0\n", "accumulation_warmup = 2\n")
    )
    assert json.loads(look(folder.path, "--json"))["parameters"] > 0
    args = estimate.build_parser().parse_args([str(folder.path)])
    assert estimate.load(args).training.accumulation_warmup == 2
    args = estimate.build_parser().parse_args([str(folder.config_file)])
    with pytest.raises(ValueError, match=r"training\.accumulation_warmup is 2, but"):
        estimate.load(args)


def test_presets_of_other_kinds(look: Any) -> None:
    text = look("bert")
    assert "byteloom/presets/encoder/bert.toml" in text
    rows = {tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines()}
    assert ("layers x 12", "", "85,054,464") in rows
    assert ("kind", "encoder", "preset", "byteloom/models/encoder.py") in rows
    figures = json.loads(look("t5", "--json"))
    assert figures["parameters"] == 60_506_624
    found = choices(figures)
    assert found["kind"] == ("encoder_decoder", "preset", "byteloom/models/encoder_decoder.py")
    assert found["d_model"] == (512, "preset", "byteloom/models/encoder_decoder.py")


def test_runs_of_other_kinds(look: Any, tmp_path: Path) -> None:
    make_data(tmp_path, ["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    run_config = make_config(tmp_path, model={"kind": "encoder"})
    folder = RunFolder.create(tmp_path / "run", run_config)
    figures = json.loads(look(folder.path, "--json"))
    assert figures["parameters"] == run_config.model.build().num_parameters()
    assert choices(figures)["kind"][:2] == ("encoder", "config")


def test_the_presets_are_listed(look: Any) -> None:
    text = look("--list")
    for name in [*presets.names(), "bert", "t5", "t5-1.1"]:
        assert f"| {name} " in text
    assert "8,030,261,248" in text and "110,106,428" in text


def test_a_file_comes_before_a_preset(
    look: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder gpt2/ with GPT-2's tokenizer is that tokenizer."""
    make_data(tmp_path)
    (tmp_path / "gpt2").mkdir()
    bl.Tokenizer.load(tmp_path / "tokenizer.json").save(tmp_path / "gpt2" / "tokenizer.json")
    monkeypatch.chdir(tmp_path)
    assert look("gpt2").startswith("tokenizer         gpt2 (257 tokens)")


def test_what_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.main(["lama3"]) == 1
    assert "no lama3, and no preset of that name: there are command-r" in capsys.readouterr().err
    path = tmp_path / "other.toml"
    path.write_text("[training]\nsteps = 3\n")
    assert inspect.main([str(path)]) == 1
    assert "other.toml has no table [model]" in capsys.readouterr().err
    assert inspect.main(["llama3", "--word", "hello"]) == 1
    assert "llama3 is a model: --on, --word and --with are for" in capsys.readouterr().err
    assert inspect.main([str(write_toml(tmp_path, data={"train": "nowhere.npy"}))]) == 1
    assert "tokenizer.json" in capsys.readouterr().err
    for arguments in ([], ["llama3", "--list"]):
        with pytest.raises(SystemExit):
            inspect.main(arguments)
        assert "give WHAT to look into, or --list alone" in capsys.readouterr().err
