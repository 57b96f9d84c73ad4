"""scripts/ablations.py: what each variant is, what is kept, what diverges, what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from byteloom import config
from byteloom.cli.train_lm import main as train_lm
from byteloom.training.config import RunConfig
from byteloom.training.estimate.parameters import count_parameters
from test_study_scripts import script
from tiny_run import make_data

MODEL = {"d_model": 32, "num_heads": 4, "num_layers": 2, "context_length": 16}
ABLATIONS = Path(__file__).parents[2] / "scripts" / "ablations.py"
TRAINING = {"batch_size": 2, "dtype": "fp32", "num_threads": 1, "eval_batches": 1}


class InThisProcess:
    """Stands for a process that runs train-lm, without the seconds that one takes to start."""

    def __init__(self, command: Sequence[str], **_: Any) -> None:
        assert list(command[1:3]) == ["-m", "byteloom.cli.train_lm"]
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            self.code = train_lm(command[3:])

    def wait(self) -> int:
        return self.code

    poll = wait


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablations")
    make_data(folder)
    return folder


def options(folder: Path, out: Path, *more: object) -> list[str]:
    words: list[object] = ["--train", folder / "train.npy", "--valid", folder / "valid.npy"]
    words += ["--tokenizer", folder / "tokenizer.json", "-o", out, "--device", "cpu"]
    words += ["--logging.sample_tokens", 2]
    for section, keys in (("model", MODEL), ("training", TRAINING)):
        words += [word for key, value in keys.items() for word in (f"--{section}.{key}", value)]
    return [str(word) for word in (*words, *more)]


def test_every_ablation(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    ablations, out = script("ablations"), tmp_path / "out"
    monkeypatch.setattr(subprocess, "Popen", InThisProcess)
    command = options(folder, out, "--steps", 2)
    assert ablations.main(command) == 0
    first = capsys.readouterr().out
    plan = json.loads((out / "plan.json").read_text())["ablations"]
    assert set(plan) == {"norm", "post-norm", "positions", "gate", "ratio", "heads", "depth"}
    assert {path.name for path in out.glob("*.png")} == {f"{name}.png" for name in plan}
    assert (out / "ablations.md").read_text() == first
    assert "| no norm, lr 0.0002 " in first and "±" not in first

    runs = {path.parent.name: path for path in out.glob("runs/*/config.toml")}
    named = [run for one in plan.values() for row in one["variants"] for run in row["runs"]]
    assert set(named) == set(runs)
    assert len({run for run in named if run.startswith("baseline")}) == 1, "trained once for all"
    assert not list(out.rglob("*.safetensors")), "nobody goes on from these"

    def settings(run: str) -> RunConfig:
        return config.load(RunConfig, config.read(runs[run]))

    for name in ("gate", "ratio", "depth"):
        base, *others = plan[name]["variants"]
        for row in others:
            counts = count_parameters(settings(row["runs"][0]).model)
            assert counts.total == row["parameters"], row
            assert counts.without_embeddings == pytest.approx(base["in_blocks"], rel=0.04), row
    models = {name: settings(plan[name]["variants"][1]["runs"][0]).model for name in plan}
    assert models["norm"].norm.kind == "none"
    assert models["post-norm"].block.kind == "post" and not models["post-norm"].final_norm
    assert models["positions"].position.kind == "none"
    assert models["gate"].ffn.kind == "silu"
    heads = [settings(row["runs"][0]).model.num_heads for row in plan["heads"]["variants"]]
    assert heads == [4, 1, 16]
    depths = [settings(row["runs"][0]).model.num_layers for row in plan["depth"]["variants"]]
    assert depths == [2, 1, 4, 8]
    assert settings(plan["norm"]["variants"][2]["runs"][0]).schedule.max_lr == pytest.approx(2e-4)

    # Neither another device nor another place of the tokens makes it another training.
    monkeypatch.setattr(subprocess, "Popen", None)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("train.npy", "valid.npy", "tokenizer.json"):
        (moved / name).write_bytes((folder / name).read_bytes())
    again = [word.replace(str(folder), str(moved)) for word in command]
    again[again.index("--device") + 1] = "auto"
    assert ablations.main([*again, "--only", "norm"]) == 0
    part = capsys.readouterr().out
    assert first.startswith(part.rstrip())
    (out / "norm.png").unlink()
    assert ablations.main(["--plot-only", "-o", str(out)]) == 0
    assert capsys.readouterr().out == part and (out / "norm.png").exists()


def test_what_diverges_is_a_result_and_what_fails_is_none(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    ablations = script("ablations")
    monkeypatch.setattr(subprocess, "Popen", InThisProcess)
    wild = ["--schedule.max_lr", 1e30, "--guard.max_skipped", 2, "--training.gradient_clip", "none"]
    command = options(folder, tmp_path / "wild", "--steps", 8, "--only", "positions", *wild)
    assert ablations.main(command) == 0
    found = capsys.readouterr().out
    assert "diverged, stopped after step" in found
    assert (tmp_path / "wild/positions.png").exists()

    class Failing(InThisProcess):
        """A process that ends with a traceback, as one without enough memory does."""

        def wait(self) -> int:
            return 1

        poll = wait

    monkeypatch.setattr(subprocess, "Popen", Failing)
    command = options(folder, tmp_path / "failing", "--steps", 8, "--only", "positions")
    assert ablations.main(command) == 1
    captured = capsys.readouterr()
    assert "2 trainings failed" in captured.err and "exit code 1" in captured.err
    assert "1 not done" in captured.out
    assert not list((tmp_path / "failing").rglob("ended.json"))
    assert ablations.main(["--plot-only", "-o", str(tmp_path / "failing")]) == 0
    assert "1 not done" in capsys.readouterr().out


def test_texts_are_encoded_once(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "text.txt").write_text("def f(x):\n    return x + 1\n" * 40)
    monkeypatch.setattr(subprocess, "Popen", InThisProcess)
    command = options(folder, tmp_path, "--steps", 2, "--only", "post-norm", "--seeds", 1, 5)
    command = [str(tmp_path / "text.txt") if w.endswith(".npy") else w for w in command]
    ablations = script("ablations")
    monkeypatch.setattr(ablations, "report", lambda output: "")
    assert ablations.main(command) == 0
    (encoded,) = (tmp_path / "data").iterdir()
    seeds = [path.name.split("-seed")[1][0] for path in tmp_path.glob("runs/baseline*/")]
    assert sorted(seeds) == ["1", "5"]
    before = encoded.stat().st_mtime_ns
    assert ablations.main(command) == 0
    assert encoded.stat().st_mtime_ns == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_checkpoints_of_what_ran_and_begins_nothing_more(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    more = ["--steps", "1000000", "--only", "norm", "--jobs", "2"]
    command = [sys.executable, ABLATIONS, *options(folder, out, *more)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        end = time.monotonic() + 120
        while len([p for p in out.glob("runs/*/metrics.jsonl") if p.stat().st_size]) < 2:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said.decode()
    runs = [path for path in out.glob("runs/*") if path.is_dir()]
    assert len(runs) == 2, "of three trainings"
    assert all(list(run.glob("checkpoints/step-*")) for run in runs)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--train", "no.txt"], "no such file: no.txt"),
        (["--valid", "no.npy"], "no.npy"),
        (["--model.ffn.kind", "gelu"], "the baseline must have a swiglu"),
        (["--model.d_model", "33"], "33"),
    ],
)
def test_what_ablations_refuse(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    message: str,
) -> None:
    assert script("ablations").main([*options(folder, tmp_path / "out"), *more]) == 1
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("config.toml"))
