"""``byteloom estimate``: what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byteloom.cli.estimate import main

TOML = """\
[data]
train = "none.npy"
[model]
vocab_size = 300
context_length = 32
d_model = 64
num_layers = 2
num_heads = 4
[training]
batch_size = 4
device = "cpu"
"""


@pytest.fixture
def toml(tmp_path: Path) -> str:
    (tmp_path / "config.toml").write_text(TOML)
    return str(tmp_path / "config.toml")


def test_tables_for_people(toml: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([toml, "--depth", "3", "--device-name", "H100"]) == 0
    out = capsys.readouterr().out
    assert "q_proj" in out and "attention scores" in out and "6 N + 12 L d T" in out
    assert "verdict   fits" in out and "H100" in out
    assert main([toml, "--device-name", "H100", "--memory", "1500K"]) == 0
    out = capsys.readouterr().out
    assert "does not fit" in out and "q_proj" not in out


def test_figures_for_scripts_of_this_machine(toml: str, capsys: pytest.CaptureFixture[str]) -> None:
    # A run's folder will do as well as its configuration.
    assert main([str(Path(toml).parent), "--model.num_layers", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["type"] == "cpu" and found["verdict"]["fits"]
    assert found["memory"]["peak"]["bytes"] > 4 * found["parameters"]["total"]
    assert found["duration"]["tokens_per_second"] > 0


def test_mistakes(toml: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, words in (
        ([str(tmp_path / "no.toml")], 1, "no configuration file"),
        ([toml, "--model.d_modl", "3"], 2, "did you mean --model.d_model?"),
        ([toml, "--device-name", "Abacus"], 1, "known are H200"),
        ([toml, "--device-name", "T4", "--cache-length", "99"], 1, "context is 32"),
        ([str(tmp_path / "configs")], 1, "no configuration file"),
    ):
        assert main(arguments) == code
        captured = capsys.readouterr()
        assert words in captured.err and captured.out == ""
