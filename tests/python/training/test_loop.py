from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from byteloom.checkpoint import Checkpoint
from byteloom.training import loop
from byteloom.training.build import build
from byteloom.training.loop import train
from byteloom.training.objective import Objective
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from tiny_run import compile_quickly, make_config, make_data, read_metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loop")
    make_data(path)
    return path


class Spy:
    """A sink that does something at some event."""

    def __init__(self, on: Callable[[str, int], None]) -> None:
        self.on = on

    def advance(self, step: int) -> None:
        self.on("step", step)

    def log(self, record: dict[str, float]) -> None:
        self.on("valid" if "valid_loss" in record else "log", int(record["step"]))

    def close(self) -> None:
        """Nothing is open."""


def make_noisy(run: Run) -> Run:
    """Lets training draw from torch's generator, as dropout would."""

    def noise(module: torch.nn.Module, args: Any, out: torch.Tensor) -> torch.Tensor:
        return out * (1 + 0.1 * torch.randn_like(out)) if module.training else out

    run.model.ln_final.register_forward_hook(noise)
    return run


def start(path: Path, folder: Path, **over: Any) -> tuple[Run, RunFolder]:
    run_config = make_config(folder, **over)
    return make_noisy(build(run_config)), RunFolder.create(path, run_config)


def go_on(folder: RunFolder) -> Run:
    run = make_noisy(build(folder.load_config()))
    found = folder.newest(pytest.fail)
    if found is not None:
        run.restore(found)
    return run


def everything(folder: RunFolder) -> Checkpoint:
    found = folder.newest(pytest.fail)
    assert found is not None
    return found


def assert_equal(a: Any, b: Any, where: str = "") -> None:
    """Equality of nested values, tensors to the bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}.{i}")
    else:
        assert a == b, where


def assert_same_run(a: RunFolder, b: RunFolder) -> None:
    """Weights, optimizer, generators and metrics of two finished runs are the same."""
    first, second = everything(a), everything(b)
    assert first.iteration == second.iteration
    assert_equal(first.model, second.model, "model")
    assert_equal(first.optimizer, second.optimizer, "optimizer")
    assert_equal(first.state["generators"], second.state["generators"], "generators")
    assert read_metrics(a.metrics_file) == read_metrics(b.metrics_file)


#: What makes resuming hard, besides the noise: a step's batches come in parts.
HARD = {"training": {"accumulation": 2}, "model": {"dropout": 0.1}}


@pytest.fixture(scope="module")
def straight(folder: Path) -> RunFolder:
    """The run that nothing interrupts."""
    run, run_folder = start(folder / "straight", folder, **HARD)
    assert train(run, run_folder) is None
    return run_folder


def test_it_leaves_what_it_should(straight: RunFolder) -> None:
    assert [step for step, _ in straight.checkpoints()] == [10, 12]
    lines = read_metrics(straight.metrics_file)
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in lines if "valid_loss" in line] == [4, 8, 12]
    first = lines[0]
    figures = {"step", "loss", "learning_rate", "grad_norm", "tokens", "epoch", "skipped"}
    assert first.keys() == figures
    assert first["tokens"] == 2 * 4 * 2 * 16
    found = everything(straight)
    assert found.iteration == 12 and found.config["model"]["d_model"] == 32


def test_the_same_run_gives_the_same_bits(folder: Path, straight: RunFolder) -> None:
    run, again = start(folder / "again", folder, **HARD)
    train(run, again)
    assert_same_run(straight, again)


def test_another_seed_gives_another_run(folder: Path, straight: RunFolder) -> None:
    run, other = start(folder / "other", folder, training={"seed": 1, "accumulation": 2})
    train(run, other)
    assert read_metrics(other.metrics_file) != read_metrics(straight.metrics_file)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "event", [("step", 1), ("step", 4), ("step", 7), ("valid", 8), ("log", 12)]
)
def test_stopped_anywhere_it_resumes_to_the_same_bits(
    folder: Path,
    tmp_path: Path,
    straight: RunFolder,
    number: signal.Signals,
    event: tuple[str, int],
) -> None:
    run, run_folder = start(tmp_path / "run", folder, **HARD)
    stop = Spy(lambda *now: signal.raise_signal(number) if now == event else None)
    assert train(run, run_folder, [stop]) == number
    assert run_folder.checkpoint_at().name == f"step-{event[1]:06d}.safetensors"
    assert train(go_on(run_folder), run_folder) is None
    assert_same_run(straight, run_folder)


def test_stopped_between_the_batches_of_a_step_it_gives_the_step_up(
    folder: Path, tmp_path: Path, straight: RunFolder
) -> None:
    run, run_folder = start(tmp_path / "run", folder, **HARD)
    assert run.config.training.accumulation > 1 and run.config.model.dropout > 0
    real = run.objective

    def objective(*batch: torch.Tensor) -> Any:
        if run.step == 6:  # in the first batch of the seventh
            signal.raise_signal(signal.SIGTERM)
        return real(*batch)

    run.objective = objective
    assert train(run, run_folder) == signal.SIGTERM
    assert run.step == 6 and all(p.grad is None for p in run.model.parameters())
    assert train(go_on(run_folder), run_folder) is None
    assert_same_run(straight, run_folder)


def test_stopped_in_an_evaluation_it_makes_up_for_it(
    folder: Path, tmp_path: Path, straight: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, run_folder = start(tmp_path / "run", folder, **HARD)
    real = loop.evaluate

    def interrupted(*args: Any, **options: Any) -> Any:
        if run.step == 12:
            signal.raise_signal(signal.SIGTERM)
        return real(*args, **options)

    monkeypatch.setattr(loop, "evaluate", interrupted)
    assert train(run, run_folder) == signal.SIGTERM
    assert run.step == 12 and run.evaluated == 8
    monkeypatch.undo()
    run = go_on(run_folder)
    assert not run.is_finished()
    assert train(run, run_folder) is None
    assert go_on(run_folder).is_finished()
    assert_same_run(straight, run_folder)


class DiedError(Exception):
    """Stands for a process that dies: nothing after it runs but the clean-up of Python."""


@settings(max_examples=15)
@given(st.lists(st.integers(1, 12), max_size=4))
def test_dying_anywhere_and_often_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, straight: RunFolder, deaths: list[int]
) -> None:
    run, run_folder = start(tmp_path_factory.mktemp("dying") / "run", folder, **HARD)

    def die(at: int) -> Callable[[str, int], None]:
        def on(event: str, step: int) -> None:
            if event == "step" and step == at:
                raise DiedError

        return on

    for death in deaths:
        try:
            train(run, run_folder, [Spy(die(death))])
        except DiedError:
            run = go_on(run_folder)
    train(run, run_folder)
    assert_same_run(straight, run_folder)


def test_a_second_ctrl_c_ends_it_at_once(folder: Path, tmp_path: Path) -> None:
    run, run_folder = start(tmp_path / "run", folder)

    def twice(event: str, step: int) -> None:
        if step == 7:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(run, run_folder, [Spy(twice)])
    assert [step for step, _ in run_folder.checkpoints()] == [5]
    assert list(run_folder.checkpoint_folder.glob(".*")) == []


def test_a_full_disk_leaves_the_last_checkpoint_valid(
    folder: Path, tmp_path: Path, straight: RunFolder
) -> None:
    run, run_folder = start(tmp_path / "run", folder, **HARD)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(event: str, step: int) -> None:
        if step == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    try:
        with pytest.raises(OSError):
            train(run, run_folder, [Spy(fill)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert everything(run_folder).iteration == 5
    assert list(run_folder.checkpoint_folder.glob(".*")) == []
    train(go_on(run_folder), run_folder)
    assert_same_run(straight, run_folder)


def test_without_validation_data_it_does_without(folder: Path, tmp_path: Path) -> None:
    run, run_folder = start(tmp_path / "run", folder, data={"valid": "none"})
    assert train(run, run_folder) is None
    assert all("valid_loss" not in line for line in read_metrics(run_folder.metrics_file))


def test_a_checkpoint_of_another_model_is_refused(folder: Path, straight: RunFolder) -> None:
    run = build(make_config(folder, model={"d_model": 64}))
    with pytest.raises(ValueError, match="of another model"):
        run.restore(everything(straight))


def test_it_compiles_to_the_same_losses(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_quickly(monkeypatch)
    found = []
    for compiled in (True, False):  # without dropout: compiled, other numbers are drawn
        training = {"accumulation": 2, "compile": compiled}
        run, run_folder = start(tmp_path / str(compiled), folder, training=training)
        assert isinstance(run.objective, Objective) and run.objective.compiled == compiled
        train(run, run_folder)
        found.append((read_metrics(run_folder.metrics_file), everything(run_folder).model.keys()))
    (ours, names), (theirs, wanted) = found
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert names == wanted


def test_the_time_without_data_is_told(folder: Path, tmp_path: Path) -> None:
    for slow in (False, True):
        run, run_folder = start(tmp_path / str(slow), folder)
        make, pause = run.batches.batch_at, 0.1 if slow else 0.0

        def batch_at(step: int, make: Any = make, pause: float = pause) -> Any:
            time.sleep(pause)
            return make(step)

        run.batches.batch_at = batch_at  # type: ignore[method-assign]
        train(run, run_folder)
        lines = map(json.loads, run_folder.metrics_file.read_text().splitlines())
        waits = [line["data_wait"] for line in lines if "data_wait" in line]
        assert len(waits) == 6 and all(0 <= wait <= 1 for wait in waits)
        # The first batches were made ahead, or not yet.
        assert (min(waits[2:]) > 0.5) if slow else (max(waits[2:]) < 0.5)
