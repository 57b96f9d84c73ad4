"""``train-lm``: what it makes, says and refuses; killed for real and resumed to the same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

import byteloom as bl
from byteloom import checkpoint, config
from byteloom.cli.train_lm import main
from byteloom.training import loop
from byteloom.training.build import require_dtype
from tiny_run import make_data, read_metrics, write_toml

COMMAND = [sys.executable, "-m", "byteloom.cli.main", "train-lm"]
#: Long enough to be killed at many places, with all that makes resuming hard.
LONG = {"training": {"steps": 400, "accumulation": 2, "eval_interval": 50,
                     "checkpoint_interval": 20, "keep_checkpoints": 3}}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("train-lm")
    make_data(path)
    return path


@pytest.fixture(scope="module")
def toml(folder: Path) -> Path:
    return write_toml(folder)


@pytest.fixture(scope="module")
def stopped(toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps, for copies of it to go on with."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    assert main([str(toml), "-o", str(run)]) == 0
    return run


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 1) -> str:
    """What the command says when it refuses."""
    capsys.readouterr()
    assert main([*map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# -- in this process ------------------------------------------------------------------------------


def test_a_run_from_its_configuration(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main([str(toml), "--model.d_model=64", "--training.steps", "6", "-o", str(run)]) == 0
    captured = capsys.readouterr()
    assert "validation loss" in captured.out and str(run / "sample.txt") in captured.out
    assert "parameters on cpu, fp32" in captured.err and "step 4 of 6" in captured.err
    assert {path.name for path in run.iterdir()} == {
        "config.toml", "tokenizer.json", "metrics.jsonl", "checkpoints", "sample.txt",
    }  # fmt: skip
    assert "d_model = 64" in (run / "config.toml").read_text()
    assert (run / "sample.txt").stat().st_size > 0
    # Again: it is finished, and says so either way.
    assert "is finished (6 steps): try" in refused(capsys, toml, "-o", run)
    assert "is finished; nothing to do" in refused(capsys, "--resume", run, code=0)
    # Unless it was killed before it had written its sample.
    sample = (run / "sample.txt").read_bytes()
    (run / "sample.txt").unlink()
    assert main(["--resume", str(run)]) == 0
    assert (run / "sample.txt").read_bytes() == sample


def test_the_run_folder_is_all_it_takes(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """config.toml of a run starts the same run again."""
    for name, source in (("one", toml), ("two", tmp_path / "one" / "config.toml")):
        assert main([str(source), "--json", "-o", str(tmp_path / name)]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["steps"] == 12 and figures["tokens"] == 12 * 4 * 16
        assert figures["valid_loss"] > 0
    one, two = (tmp_path / n / "metrics.jsonl" for n in ("one", "two"))
    assert read_metrics(one) == read_metrics(two)
    assert (tmp_path / "one/sample.txt").read_bytes() == (tmp_path / "two/sample.txt").read_bytes()


@pytest.mark.parametrize("interval", [2, 1000])
def test_a_run_that_ended_early_says_so(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interval: int
) -> None:
    command = [str(toml), "--training.eval_interval=1", "--training.eval_patience=2",
               "--schedule.max_lr=0", "--schedule.min_lr=0",
               f"--logging.interval={interval}"]  # fmt: skip
    assert main([*command, "-o", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "(3 steps, 192 tokens)" in out and ("in step 2\n" in out) == (interval == 2)
    assert main([*command, "--json", "-o", str(tmp_path / "again")]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["steps"], figures["tokens"]) == (3, 192) and figures["valid_loss"] > 0
    assert (figures["loss"] is None) == (interval == 1000)


def test_bf16_and_ids_alone(folder: Path, tmp_path: Path) -> None:
    toml = write_toml(tmp_path, data={n: str(folder / f"{n}.npy") for n in ("train", "valid")}
                      | {"tokenizer": "none"})  # fmt: skip
    run = tmp_path / "run"
    assert main([str(toml), "--training.dtype=bf16", "-o", str(run)]) == 0
    assert not (run / "sample.txt").exists() and not (run / "tokenizer.json").exists()


def test_ids_of_another_tokenizer_of_the_same_size_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {
        "one": "the cat and the other cat that sat there " * 200,
        "two": "a bee or a tree " * 400,
    }
    made = {}
    for name, words in text.items():
        (tmp_path / f"{name}.txt").write_text(words)
        made[name] = bl.train_bpe(tmp_path / f"{name}.txt", 262)
        made[name].save(tmp_path / f"{name}.json")
    np.save(tmp_path / "ids.npy", made["one"].encode_array(text["one"]))
    assert made["one"].vocab_size == made["two"].vocab_size
    for name in text:
        data = {"train": str(tmp_path / "ids.npy"), "valid": "none",
                "tokenizer": str(tmp_path / f"{name}.json")}  # fmt: skip
        toml = write_toml(tmp_path, data=data)
        assert main([str(toml), "-o", str(tmp_path / name)]) == 0
        said = capsys.readouterr().err
        assert ("ids.npy: they seem to be another tokenizer's" in said) == (name == "two")


def test_wrong_usage(toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, toml, "--model.d_modle", "8", "-o", tmp_path / "r", code=2)
    assert "no such key --model.d_modle; did you mean --model.d_model?" in said
    for arguments in ([], [toml], ["-o", tmp_path], ["--resume", tmp_path, toml],
                      ["--resume", tmp_path, "--model.d_model=3"]):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        assert caught.value.code == 2
        assert "--resume RUN" in capsys.readouterr().err


def test_bad_input_is_named_and_leaves_nothing(
    folder: Path, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    short = tmp_path / "short.npy"
    np.save(short, np.zeros(16, dtype=np.uint16))
    foreign = tmp_path / "foreign.npy"
    np.save(foreign, np.full(100, 257, dtype=np.uint16))
    for option, message in {
        "--model.d_model=wide": "--model.d_model: must be a valid integer",
        "--model.d_model=33": "model: ",
        "--training.steps=0": "--training.steps: must be greater than or equal to 1, not '0'",
        "--data.train=nowhere.npy": "no token file nowhere.npy",
        "--data.tokenizer=nowhere.json": "nowhere.json",
        f"--data.valid={short}": "short.npy has 16 ids: one window takes 17",
        f"--data.valid={foreign}": "foreign.npy: id 257 at position 0",
        "--model.vocab_size=300": "leave model.vocab_size out",
        "--training.device=mps": "device mps: not available here",
    }.items():
        if option == "--training.device=mps" and torch.backends.mps.is_available():
            continue
        assert message in refused(capsys, toml, option, "-o", run)
        assert not run.exists()
    assert "no configuration file" in refused(capsys, tmp_path / "no.toml", "-o", run)
    (tmp_path / "bad.toml").write_text("[model]\nd_model = '3'\nlayers = 3\n")
    said = refused(capsys, tmp_path / "bad.toml", "-o", run)
    assert "bad.toml: model.layers: no such key; did you mean model.num_layers?" in said
    assert "bad.toml: model.d_model: must be a valid integer, not '3'" in said
    assert "holds other files" in refused(capsys, toml, "-o", folder)
    assert "no run folder" in refused(capsys, "--resume", tmp_path / "nowhere")
    assert "it lacks config.toml" in refused(capsys, "--resume", folder)


def test_wandb_that_is_missing_is_told_first(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = refused(capsys, toml, "--logging.wandb.mode=offline", "-o", tmp_path / "run")
    assert "pip install wandb" in said and not (tmp_path / "run").exists()


def test_resuming_refuses_another_model_or_tokenizer(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main([str(toml), "-o", str(run)]) == 0
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("steps = 12", "steps = 20"))
    tokenizer = (run / "tokenizer.json").read_bytes()
    (run / "tokenizer.json").unlink()
    assert "is not the tokenizer" in refused(capsys, "--resume", run)
    (run / "tokenizer.json").write_bytes(tokenizer)
    assert main(["--resume", str(run)]) == 0  # more steps are welcome
    (run / "config.toml").write_text(text.replace("steps = 12", "steps = 30").replace(
        "num_layers = 1", "num_layers = 2"))  # fmt: skip
    said = refused(capsys, "--resume", run)
    assert "model.num_layers: 1, now 2" in said and "set them back" in said
    (run / "config.toml").write_text(text.replace("steps = 12", "steps = 30"))
    (run / "checkpoints" / "step-000020.safetensors").unlink()
    for path in (run / "checkpoints").glob("step-*"):  # whatever its configuration says
        found = checkpoint.read(path)
        weights = {name: tensor[..., :1] for name, tensor in found.model.items()}
        checkpoint.write(replace(found, model=weights), path)
    assert "of another model" in refused(capsys, "--resume", run)


def change(run: Path, **over: Any) -> None:
    """Writes another configuration into a run's folder."""
    path = run / "config.toml"
    path.write_text(tomli_w.dumps(config.merge(config.read(path), over)))


def test_what_was_changed_is_listed_and_holds_if_the_run_can_go_on_with_it(
    toml: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, train, moved = tmp_path / "run", folder / "train.npy", tmp_path / "moved.npy"
    assert main([str(toml), "-o", str(run)]) == 0
    moved.write_bytes(train.read_bytes())
    change(run, data={"train": str(moved)}, model={"dropout": 0.5}, training={"steps": 16},
           optimizer={"weight_decay": 0.25}, schedule={"max_lr": 0.002})  # fmt: skip
    capsys.readouterr()
    assert main(["--resume", str(run)]) == 0
    said = capsys.readouterr().err
    assert "config.toml was changed since the checkpoint was made:" in said
    for line in ("training.steps: 12, now 16", "optimizer.weight_decay: 0.1, now 0.25",
                 f"data.train: {train}, now {moved}", "model.dropout: 0.0, now 0.5",
                 "schedule.max_lr: 0.001, now 0.002"):  # fmt: skip
        assert f"  {line}\n" in said
    found = checkpoint.read(run / "checkpoints" / "step-000016.safetensors")
    assert found.optimizer is not None
    decays = {group["weight_decay"] for group in found.optimizer["param_groups"]}
    assert decays == {0.0, 0.25}, "the new setting is the one that counts"
    change(run, training={"steps": 17})
    assert main(["--resume", str(run)]) == 0
    said = capsys.readouterr().err
    assert "training.steps: 16, now 17" in said and "weight_decay" not in said, "it was told once"


@pytest.mark.parametrize(
    ("over", "lines"),
    [
        ({"model": {"d_model": 64}}, ["model.d_model: 32, now 64"]),
        ({"model": {"num_heads": 4}}, ["model.num_heads: 2, now 4"]),
        ({"model": {"norm": {"kind": "layernorm"}}}, ["model.norm.kind: rmsnorm, now layernorm"]),
        ({"model": {"position": {"theta": 5000.0}}}, ["model.position.theta: 10000.0, now 5000.0"]),
        ({"optimizer": {"kind": "sgd"}}, ["optimizer.kind: adamw, now sgd"]),
        ({"averaging": {"decay": 0.9}}, ["averaging.decay: none, now 0.9"]),
        ({"task": {"kind": "prefix"}}, ["task.kind: none, now prefix"]),
        (
            {"training": {"batch_size": 8, "seed": 1, "accumulation": 2}},
            ["training.batch_size: 4, now 8", "training.accumulation: 1, now 2",
             "training.seed: 0, now 1"],
        ),
        (
            {"training": {"batch_size": 2, "accumulation": 2, "accumulation_warmup": 3}},
            ["training.accumulation_warmup: 0, now 3"],
        ),
        (
            {"training": {"weights": "bf16", "dtype": "bf16"}},
            ["training.weights: fp32, now bf16"],
        ),
    ],
)  # fmt: skip
def test_what_would_make_another_run_of_it_is_listed_and_refused(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], over: Any, lines: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    change(run, **config.merge(over, {"training": {"steps": 20}}))
    before = (run / "metrics.jsonl").read_bytes()
    said = refused(capsys, "--resume", run)
    assert "config.toml was changed since the checkpoint was made, and the run cannot" in said
    assert all(f"  {line}\n" in said for line in lines) and "set them back" in said
    assert "training.steps" not in said and "training.dtype" not in said
    assert (run / "metrics.jsonl").read_bytes() == before


def test_smaller_batches_that_make_the_same_step_are_welcome(
    toml: Path, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, straight = tmp_path / "run", tmp_path / "straight"
    for folder, batch in ((run, 2), (straight, 4)):
        shutil.copytree(stopped, folder)
        change(folder, training={"steps": 20, "batch_size": batch, "accumulation": 4 // batch})
        capsys.readouterr()
        assert main(["--resume", str(folder)]) == 0
    ours, theirs = read_metrics(run / "metrics.jsonl"), read_metrics(straight / "metrics.jsonl")
    assert [one["tokens"] for one in ours if "loss" in one][-1] == 20 * 4 * 16
    for a, b in zip(ours, theirs, strict=True):
        if "loss" in a:  # evaluations are on batches of another size
            assert a == pytest.approx(b, rel=1e-4)


def test_more_token_files_are_refused_and_other_places_are_not(
    stopped: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, train = tmp_path / "run", str(folder / "train.npy")
    shutil.copytree(stopped, run)
    change(run, data={"train": [train, train]}, training={"steps": 20})
    assert f"  data.train: {train}, now ['{train}', '{train}']" in refused(capsys, "--resume", run)
    change(run, data={"train": [train]}, training={"steps": 14})
    assert main(["--resume", str(run)]) == 0


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "examples:" in text and "train-lm --resume RUN" in text
    for key in (
        "--model.d_model INT",
        "--training.dtype fp32|tf32|bf16|fp16",
        "--logging.wandb.mode",
    ):
        assert key in text
    assert "(default: None)" not in text


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "error: CUDA out of mem"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), "error: [enforce]"),
    ],
)
@pytest.mark.parametrize("at", [1, 8])
def test_where_a_run_that_broke_off_goes_on_is_said(
    toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    error: Exception, message: str, at: int,
) -> None:  # fmt: skip
    run, real = tmp_path / "run", loop.train_step

    def lacking(state: Any, *args: Any, **how: Any) -> Any:
        if state.step == at:
            raise error
        return real(state, *args, **how)

    monkeypatch.setattr(loop, "train_step", lacking)
    said = refused(capsys, toml, "-o", run)
    assert message in said and ("training.recompute" in said) == isinstance(error, RuntimeError)
    if at == 1:
        assert "there is no checkpoint yet" in said
    else:
        assert "step-000005.safetensors, is of step 5; continue with `train-lm --resume" in said
    monkeypatch.undo()
    assert main(["--resume", str(run)]) == 0


def test_what_is_our_mistake_keeps_its_traceback(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: Any, **how: Any) -> Any:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(loop, "train_step", wrong)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        main([str(toml), "-o", str(tmp_path / "run")])


@pytest.mark.parametrize("has_it", [False, True])
def test_bf16_is_refused_on_a_gpu_that_would_only_imitate_it(
    monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return has_it or including_emulation

    monkeypatch.setattr("torch.cuda.is_bf16_supported", is_supported)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Tesla T4")
    for dtype, device in (("fp16", "cuda"), ("fp32", "cuda"), ("bf16", "cpu")):
        require_dtype(dtype, torch.device(device))
    if has_it:
        require_dtype("bf16", torch.device("cuda"))
        return
    with pytest.raises(ValueError, match=r"bf16: Tesla T4 does not have it.*choose fp16 or fp32"):
        require_dtype("bf16", torch.device("cuda"))


# -- as a process ---------------------------------------------------------------------------------


def test_without_torch_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from byteloom.cli.main import main; "
    for arguments, status in (
        (["train-lm", "c.toml", "-o", "r"], 1),
        (["generate", "r"], 1),
        (["eval", "r", "d.npy"], 1),
        (["train-lm", "--help"], 0),
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"{code}sys.exit(main({arguments!r}))"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        if status:
            assert f"{arguments[0]} needs torch" in done.stderr
            assert "pip install 'byteloom[train]'" in done.stderr
        else:
            assert "examples:" in done.stdout


@pytest.fixture(scope="module")
def straight(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The long run that nothing interrupts."""
    where = tmp_path_factory.mktemp("straight")
    toml = write_toml(folder, "long.toml", **LONG)
    assert main([str(toml), "-o", str(where / "run")]) == 0
    return where / "run"


def spawn(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def wait_for_line(run: Path, process: subprocess.Popen[str]) -> None:
    """Until the run has logged something, or is over."""
    metrics = run / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.002)


def assert_same(a: Path, b: Path) -> None:
    newest = sorted((a / "checkpoints").iterdir())[-1].name
    one, two = (checkpoint.read(run / "checkpoints" / newest) for run in (a, b))
    assert all(torch.equal(one.model[name], two.model[name]) for name in one.model)
    assert one.optimizer is not None and two.optimizer is not None
    tensors = [list(tensors_of(c.optimizer)) for c in (one, two)]
    assert len(tensors[0]) >= 2 * len(one.model)
    assert all(torch.equal(x, y) for x, y in zip(*tensors, strict=True))
    assert read_metrics(a / "metrics.jsonl") == read_metrics(b / "metrics.jsonl")
    assert (a / "sample.txt").read_bytes() == (b / "sample.txt").read_bytes()


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_interrupted_for_real_it_resumes_to_the_same_bits(
    folder: Path, straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = spawn(folder / "long.toml", "-o", run)
    wait_for_line(run, process)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    expected = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 0}
    assert process.returncode == expected[number], said
    assert not (run / "sample.txt").exists(), "it was not over"
    if number != signal.SIGKILL:
        assert f"{number.name}: stopped after step" in said
        assert "continue with `train-lm --resume" in said
        assert len(list((run / "checkpoints").glob("step-*"))) > 0
    assert main(["--resume", str(run)]) == 0
    assert_same(straight, run)
    assert not list(run.rglob(".*")), "nothing half-written is left"


def test_the_metrics_reach_wandb_when_asked(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setitem(os.environ, "WANDB_SILENT", "true")
    assert main([str(toml), "--logging.wandb.mode=offline", "-o", str(tmp_path / "run")]) == 0
    files = list(tmp_path.glob("run/wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 1 and b"valid_loss" in files[0].read_bytes()
