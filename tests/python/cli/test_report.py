"""``byteloom report`` as a command: what it writes, says and refuses; of a real run, too."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from commands import byteloom

from byteloom.cli.report import main
from made_up_runs import Page, make_run, records

pytest.importorskip("matplotlib")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", records(), sample="Once")


def test_a_report(run: Path) -> None:
    done = byteloom("report", run)
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"\| tokens +\| +40,960 \|", done.stdout)
    assert f"report            {run / 'report.html'}\n" in done.stdout
    assert f"plots             {run / 'report'} (6 files)" in done.stdout
    assert Page((run / "report.html").read_text("utf-8")).rows()["tokens"] == ["40,960"]


def test_json(run: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", [{"step": 7, "loss": float("nan")}])
    done = byteloom("report", run, other, "-o", tmp_path / "both", "--x", "tokens", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["report"] == str(tmp_path / "both" / "report.html") and found["x"] == "tokens"
    assert all(Path(path).is_file() for path in [found["report"], *found["plots"]])
    first, second = found["runs"]
    assert (first["name"], first["path"], first["steps"]) == ("run", str(run), 40)
    assert first["best_valid_loss"] == 2.2 and first["best_step"] == 24
    assert (second["steps"], second["loss"], second["valid_loss"]) == (7, None, None)


def test_of_a_run_of_train_lm(tmp_path: Path) -> None:
    from byteloom.checkpoint import read
    from byteloom.cli import train_lm
    from tiny_run import make_data, write_toml

    make_data(tmp_path)
    assert train_lm.main([str(write_toml(tmp_path)), "-o", str(tmp_path / "run")]) == 0
    done = byteloom("report", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["runs"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    model = read(tmp_path / "run" / "checkpoints" / "step-000012.safetensors").model
    assert found["parameters"] == sum(tensor.numel() for tensor in model.values())
    assert found["steps"] == found["planned_steps"] == 12
    assert found["valid_loss"] == lines[-1]["valid_loss"] and found["tokens"] == 12 * 4 * 16
    page = Page((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert (tmp_path / "run" / "sample.txt").read_text("utf-8")[:5] in page.text("pre")
    # A run with a report in its folder is still a run.
    assert train_lm.main(["--resume", str(tmp_path / "run")]) == 0


def test_without_torch_and_without_matplotlib(run: Path, tmp_path: Path) -> None:
    for module in ("torch", "pydantic", "tomli_w", "safetensors", "matplotlib"):
        (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError({module!r})")
    environment = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    done = byteloom("report", run, env=environment)
    assert done.returncode == 1
    assert done.stderr == (
        "error: a plot needs matplotlib, which is not installed: pip install 'byteloom[plot]'\n"
    )
    assert not (run / "report.html").exists()
    (tmp_path / "matplotlib.py").unlink()
    assert byteloom("report", run, env=environment).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "RUN"),
        (["run", "run"], 2, "give -o FOLDER"),
        (["run", "run", "-o", "both"], 1, "error: the run run is given twice"),
        (["nowhere"], 1, "error: no run folder nowhere"),
        (["run/config.toml"], 1, "error: run/config.toml is no run"),
        (["run", "-o", "no/where"], 1, "error: no folder no to make where in"),
        (["run", "-o", "run/config.toml"], 1, "error: "),
        (["run", "--x", "epochs"], 2, "invalid choice: 'epochs'"),
    ],
)
def test_what_is_refused(
    run: Path,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run.parent)
    if code == 2:
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    else:
        assert main(arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err and captured.out == ""
    assert {path.name for path in run.iterdir()} == {"config.toml", "metrics.jsonl", "sample.txt"}


def test_help_has_examples() -> None:
    done = byteloom("report", "--help")
    assert done.returncode == 0 and done.stdout.count("  byteloom report runs/") >= 4
    for option in ("-o", "--x", "--json"):
        assert re.search(rf"^  {option}\b", done.stdout, re.MULTILINE)
    assert "  report " in byteloom("--help").stdout


def test_a_table_that_is_the_output_map_too_is_counted_once(tmp_path: Path) -> None:
    from byteloom.models import EncoderDecoderConfig, ModelConfig
    from byteloom.nn import ExpertsConfig
    from byteloom.reporting.run import Run
    from byteloom.tokenizer import Tokenizer
    from byteloom.training.run_folder import RunFolder

    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["</s>"])
    sizes = {"vocab_size": 257, "context_length": 8, "d_model": 16, "num_layers": 1, "num_heads": 2}
    balanced = ExpertsConfig(num_experts=4, balance_rate=0.1)
    for name, config in {
        "tied": ModelConfig(**sizes, tie_embeddings=True, ffn=balanced),
        "not": ModelConfig(**sizes),
        "t5": EncoderDecoderConfig(**sizes, start_id=0),
    }.items():
        model = config.build()
        RunFolder.imported(tmp_path / name, model, tokenizer)
        assert Run.open(tmp_path / name).parameters == model.num_parameters(), name
