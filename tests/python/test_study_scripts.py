"""The scripts that study training: sweeps, learning one batch by heart, the profile of a step."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tiny_run import make_data, write_toml

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_data(folder)
    return folder


def test_learning_rates_rise_until_a_run_diverges(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    toml, out = write_toml(folder, training={"steps": 20}), folder / "rates"
    command = [str(toml), "-o", str(out), "--learning-rates", "--from", "1e-3", "--factor", "3e4"]
    command += ["--training.gradient_clip", "none", "--guard.max_skipped", "3"]
    assert script("sweep").main(command) == 0
    first = capfd.readouterr().out
    # The next but one is never reached: 30 is far too much.
    assert {path.name for path in out.iterdir()} == {"0.001", "30", "values.png", "curves.png"}
    rows = [line.split("|")[1:-1] for line in first.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == ["0.001", "30"]
    assert "best" in rows[0][-1]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}
    assert script("sweep").main(command) == 0
    assert capfd.readouterr().out == first, "what is finished is not done again"
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}


def test_batch_sizes_learn_from_as_many_tokens(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    toml, out = write_toml(folder, training={"steps": 16, "batch_size": 8}), folder / "batches"
    command = [str(toml), "-o", str(out), "--batch-sizes", "4", "16", "--rate-grows", "sqrt"]
    assert script("sweep").main(command) == 0
    rows = [line.split("|")[1:-1] for line in capfd.readouterr().out.splitlines()[2:]]
    assert [(row[0].strip(), row[2].strip()) for row in rows] == [("4", "32"), ("16", "8")]
    small, large = ((out / name / "config.toml").read_text() for name in ("4", "16"))
    assert "max_lr = 0.001" in small and "max_lr = 0.002" in large


def test_a_batch_is_learned_by_heart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml, main = write_toml(folder), script("overfit").main
    command = [str(toml), "--training.batch_size", "2", "--schedule.max_lr", "1e-2"]
    assert main([*command, "--below", "0.3"]) == 0
    assert "learned by heart" in capsys.readouterr().out
    assert main([*command, "--steps", "2", "--below", "0.01"]) == 1
    assert "not learned by heart after 2 steps" in capsys.readouterr().out


def test_a_batch_of_prefixes_is_learned_by_heart_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml, main = write_toml(folder), script("overfit").main
    command = [str(toml), "--task.kind", "prefix", "--training.batch_size", "2"]
    assert main([*command, "--schedule.max_lr", "1e-2", "--below", "0.5"]) == 0
    assert "learned by heart" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--steps", "0"])


def test_a_step_is_profiled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml, trace = write_toml(folder), folder / "trace.json"
    command = [str(toml), "--warm-up", "1", "--steps", "2", "--top", "4", "--trace", str(trace)]
    assert script("profile_step").main(command) == 0
    out = capsys.readouterr().out
    assert "tokens/s" in out and "| products of matrices" in out and "waiting" in out
    assert trace.stat().st_size > 1000
