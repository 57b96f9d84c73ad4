"""Presets: the published sizes, and how a configuration begins with one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import byteloom as bl
from byteloom import config, presets
from byteloom.config import Presets
from byteloom.model import ModelConfig
from byteloom.nn import LayerNormConfig, MultiHeadConfig
from byteloom.training.config import RunConfig, resolve, resolve_model
from tiny_run import make_data, tables

#: What those who trained them, or the pages of their weights, say.
PUBLISHED = {
    "gpt2": 124_439_808,
    "llama2": 6_738_415_616,
    "llama3": 8_030_261_248,
    "qwen2": 7_615_616_512,
    "qwen3": 8_190_735_360,
    "gemma2": 2_614_341_888,
    "olmo2": 7_298_617_344,
    "command-r": 34_980_831_232,
    "command-r7b": 8_028_033_024,
    "smollm3": 3_075_098_624,
    "nanochat": 560_988_160,
    "mixtral": 46_702_792_704,
    "qwen3-moe": 30_532_122_624,
}


def test_every_preset_has_the_published_size() -> None:
    found = {}
    for name in presets.names():
        with torch.device("meta"):
            found[name] = presets.load(name).build().num_parameters()
    assert found == PUBLISHED


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_can_be_read_for_itself(name: str) -> None:
    text = presets.path(name).read_text("utf-8")
    head = text.partition("[model]")[0]
    assert re.search(r"arXiv:\d{4}\.\d{5}|no arXiv number|no paper", head)
    # It is a configuration, too, with what is left out as the defaults are.
    tables = config.read(presets.path(name))
    assert config.load(ModelConfig, tables["model"]) == presets.load(name)


def test_single_keys_override() -> None:
    model = presets.load("llama3", num_layers=2, vocab_size=100, attention={"num_kv_heads": 4})
    assert (model.num_layers, model.vocab_size, model.d_model) == (2, 100, 4096)
    assert model.attention == MultiHeadConfig(num_kv_heads=4)
    assert model.position == presets.load("llama3").position
    # Of another kind, nothing of the preset's is left.
    changed = presets.load("gpt2", norm={"kind": "rmsnorm"})
    assert changed.norm.eps == 1e-5 and not hasattr(changed.norm, "bias")
    assert presets.load("gpt2").norm == LayerNormConfig(bias=True)
    assert presets.load("qwen3", attention={"qk_norm": "none"}).attention.qk_norm is None


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no preset 'lama3'; did you mean llama3\?.* smollm3"):
        presets.load("lama3")
    with pytest.raises(ValueError, match=r"no preset '\.\./model'"):
        presets.path("../model")
    told = r"run\.toml: model\.preset: no preset 'gpt3'"
    with pytest.raises(ValueError, match=told):
        config.load(RunConfig, {"model": {"preset": "gpt3"}, "data": {"train": "x"}}, "run.toml")
    option = {"model": {"preset": config.Argument("gpt3")}, "data": {"train": "x"}}
    with pytest.raises(ValueError, match=r"^--model\.preset: no preset 'gpt3'"):
        config.load(RunConfig, option, "run.toml")


def test_keys_beside_a_preset_are_checked() -> None:
    with pytest.raises(ValueError, match=r"num_layer: no such key; did you mean num_layers\?"):
        presets.load("gpt2", num_layer=3)
    with pytest.raises(ValueError, match="d_model 100 is not divisible by num_heads 12"):
        presets.load("gpt2", d_model=100)


def test_a_run_takes_the_vocabulary_of_its_own_tokenizer(tmp_path: Path) -> None:
    make_data(tmp_path)
    small = {"preset": "llama3", "context_length": 16, "d_model": 32, "num_heads": 8}
    own = tables(tmp_path) | {"model": small}
    run = resolve(own)
    assert run.model.vocab_size == 257 and run.model.attention.num_kv_heads == 8
    # Written out, it needs the preset no more.
    assert "preset" not in config.dump(run)["model"]
    assert resolve(config.dump(run)) == run
    # Without a tokenizer, the preset's; and what is said counts in any case.
    del own["data"]["tokenizer"]
    assert resolve_model(own).model.vocab_size == 128_256
    own["model"] = {**small, "vocab_size": 300}
    assert resolve_model(own).model.vocab_size == 300


@pytest.mark.parametrize(
    ("name", "kind"), [("bert", "encoder"), ("t5", "encoder_decoder"), ("llama3", "decoder")]
)
def test_a_preset_tells_the_kind_of_model(name: str, kind: str) -> None:
    tables = {"data": {"train": "x", "tokenizer": "y"}, "model": {"preset": name}}
    model = config.load(RunConfig, tables).model
    assert model.kind == kind
    told = {"data": tables["data"], "model": {"preset": name, "kind": kind}}
    assert config.load(RunConfig, told).model == model
    told["model"]["kind"] = "decoder" if kind != "decoder" else "encoder"
    with pytest.raises(ValueError, match=f"model.preset: no preset '{name}'"):
        config.load(RunConfig, told)


def test_none_is_no_preset() -> None:
    sizes = {"vocab_size": 30, "preset": "none"}
    assert config.load(ModelConfig, sizes) == ModelConfig(30)


def test_any_dataclass_can_have_presets(tmp_path: Path) -> None:
    (tmp_path / "dark.toml").write_text('[pen]\ncolour = "black"\nwidth = 3\n')
    (tmp_path / "light.toml").write_text('[pen]\ncolour = "white"\n')

    @dataclass(frozen=True)
    class Pen:
        presets: ClassVar = Presets(tmp_path, "pen")
        colour: str = "red"
        width: int = 1

    assert config.load(Pen, {"preset": "dark", "width": 2}) == Pen("black", 2)
    assert [key.path for key in config.keys(Pen)] == ["preset", "colour", "width"]
    assert config.dump(Pen("black", 2)) == {"colour": "black", "width": 2}


def test_presets_are_an_option_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    from byteloom.cli import train_lm

    with pytest.raises(SystemExit):
        train_lm.main(["--help"])
    options: Any = capsys.readouterr().out
    assert "--model.preset" in options and "|llama3|" in options and "|bert|t5" in options


def test_they_are_lazily_there() -> None:
    assert bl.presets.names() == presets.names()
