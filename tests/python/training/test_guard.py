"""Numbers that go wrong in the middle of a run: what the loop does about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from byteloom import checkpoint
from byteloom.training import loop
from byteloom.training.build import build
from byteloom.training.loop import NonFiniteError, train
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from byteloom.training.step import train_step
from tiny_run import make_config, make_data, read_metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guard")
    make_data(path)
    return path


#: With one kernel for the update, nobody waits to know if it must be left out.
WAITING = pytest.mark.parametrize("fused", ["foreach", "fused"], ids=["waiting", "not waiting"])


def start(path: Path, folder: Path, **over: Any) -> tuple[Run, RunFolder]:
    run_config = make_config(folder, **over)
    return build(run_config), RunFolder.create(path, run_config)


def spoil(run: Run, is_bad: Callable[[int], bool], by: float = math.nan) -> None:
    """Makes the loss of some steps, counted from 0, something else."""
    plain = run.objective

    def objective(inputs: torch.Tensor, targets: torch.Tensor) -> Any:
        sums = plain(inputs, targets)
        if is_bad(run.step):
            return sums._replace(objective=sums.objective * by, nats=sums.nats * by)
        return sums

    run.objective = objective


def state_of(run: Run) -> list[torch.Tensor]:
    moments = [t for s in run.optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
    return [t.detach().clone() for t in [*run.model.parameters(), *moments]]


@pytest.mark.parametrize("by", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing_but_the_count(folder: Path, by: float) -> None:
    run = build(make_config(folder))
    train_step(run, [run.batches.batch_at(0)])
    before = state_of(run)
    spoil(run, lambda step: step == 1, by)
    result = train_step(run, [run.batches.batch_at(1)])
    assert not result.updated and run.step == 2 and (run.skipped, run.skipped_in_a_row) == (1, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, state_of(run), strict=True))
    assert train_step(run, [run.batches.batch_at(2)]).updated
    assert (run.skipped, run.skipped_in_a_row) == (1, 0)
    assert not all(torch.equal(a, b) for a, b in zip(before, state_of(run), strict=True))


def test_a_gradient_that_is_not_finite_is_enough(folder: Path) -> None:
    run = build(make_config(folder))
    before = state_of(run)
    next(run.model.parameters()).register_hook(lambda grad: grad * math.inf)
    assert not train_step(run, [run.batches.batch_at(0)]).updated
    assert all(torch.equal(a, b) for a, b in zip(before, state_of(run), strict=True))


@WAITING
@pytest.mark.parametrize("interval", [5, 100], ids=["when kept", "when skipped"])
def test_weights_that_an_update_made_infinite_are_not_kept(
    folder: Path, tmp_path: Path, fused: str, interval: int
) -> None:
    training = {"checkpoint_interval": interval}
    over = {"optimizer": {"fused": fused}, "training": training, "guard": {"max_skipped": 3}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    if interval == 100:  # as one that was begun before has it
        run_folder.save(run.checkpoint(), keep=3)
    plain = run.objective

    def objective(*batch: torch.Tensor) -> Any:
        sums = plain(*batch)
        if run.step == 9 - (interval == 100):  # what an update may do, once it is added up
            with torch.no_grad():
                next(run.model.parameters())[0, 0] = math.inf
        return sums

    run.objective = objective
    with pytest.raises(NonFiniteError, match="weights are not finite any more") as caught:
        train(run, run_folder)
    assert str(run_folder.checkpoint_at()) in str(caught.value)
    found = checkpoint.read(run_folder.checkpoint_at())
    assert found.iteration == (5 if interval == 5 else 0)
    assert all(tensor.isfinite().all() for tensor in found.model.values())


@WAITING
def test_some_are_skipped_and_counted(folder: Path, tmp_path: Path, fused: str) -> None:
    run, run_folder = start(tmp_path / "run", folder, optimizer={"fused": fused})
    assert run.skips_on_device() == (fused == "fused")
    spoil(run, lambda step: step in (2, 3, 7))
    assert train(run, run_folder) is None
    records = read_metrics(run_folder.metrics_file)
    assert [r["skipped"] for r in records if "loss" in r] == [0, 2, 2, 3, 3, 3]
    assert all(p.isfinite().all() for p in run.model.parameters())


@WAITING
def test_too_many_in_a_row_stop_the_run_with_all_that_is_needed(
    folder: Path, tmp_path: Path, fused: str
) -> None:
    over = {"guard": {"max_skipped": 3}, "optimizer": {"fused": fused}, "model": {"dropout": 0.1}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    spoil(run, lambda step: step >= 6)
    with pytest.raises(NonFiniteError, match="step 9 is not finite, nor of the 2 before") as caught:
        train(run, run_folder)
    assert str(run_folder.checkpoint_at()) in str(caught.value)
    batches = safetensors.torch.load_file(run_folder.path / "batches-000009.safetensors")
    inputs, targets = run.batches.batch_at(8)
    assert torch.equal(batches["inputs.0"], inputs) and torch.equal(batches["targets.0"], targets)
    # The weights are those of the last good step.
    good = build(make_config(folder, **over))
    for step in range(6):
        train_step(good, [good.batches.batch_at(step)])
    found = checkpoint.read(run_folder.checkpoint_at())
    assert all(torch.equal(found.model[name], t) for name, t in good.model.state_dict().items())
    # No trace of a step after them, whether one was under way or not.
    for step in range(6, 9):
        with good.autocast():
            good.objective(*good.batches.batch_at(step))
    assert found.iteration == run.step == 9
    assert torch.equal(found.state["generators"]["cpu"], torch.get_rng_state())
    counts = {float(entry["step"]) for entry in run.optimizer.state.values()}
    assert counts == {6.0}


def test_without_waiting_the_weights_and_the_metrics_are_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for name in ("not waiting", "waiting"):
        run, run_folder = start(tmp_path / name, folder, optimizer={"fused": "fused"})
        if name == "waiting":
            monkeypatch.setattr(type(run), "skips_on_device", lambda _: False)
        spoil(run, lambda step: step in (2, 3, 7))
        train(run, run_folder)
        clock = {"seconds", "tokens_per_second", "data_wait", "memory_bytes"}
        records = [
            {k: v for k, v in r.items() if k not in clock}
            for r in read_metrics(run_folder.metrics_file)
        ]
        ends.append((state_of(run), records, run.skipped))
    assert all(torch.equal(a, b) for a, b in zip(ends[0][0], ends[1][0], strict=True))
    assert ends[0][1:] == ends[1][1:] and ends[0][2] == 3


@WAITING
def test_one_is_too_many_if_so_asked(folder: Path, tmp_path: Path, fused: str) -> None:
    over = {"guard": {"non_finite": "stop"}, "optimizer": {"fused": fused}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    spoil(run, lambda step: step == 3)
    with pytest.raises(NonFiniteError, match=r"step 4 is not finite\. The weights"):
        train(run, run_folder)


@WAITING
def test_spikes_are_put_down_and_those_before_a_stop_too(
    folder: Path, tmp_path: Path, fused: str
) -> None:
    over: dict[str, Any] = {"training": {"steps": 70, "eval_interval": 70}}
    over |= {"logging": {"interval": 35}, "optimizer": {"fused": fused}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    spoil(run, lambda step: step in (60, 66), by=100.0)
    train(run, run_folder)
    records = read_metrics(run_folder.metrics_file)
    assert [r["step"] for r in records if "spike" in r] == [61, 67]
    assert [r["step"] for r in records] == sorted(r["step"] for r in records)


def test_it_ends_when_validation_gets_no_better(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = {"training": {"steps": 40, "eval_interval": 2, "eval_patience": 3}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    scores = iter([3.0, 2.0, 2.5, 2.0, 2.1] + [1.0] * 20)
    real = loop.evaluate

    def scripted(*args: Any, **options: Any) -> Any:
        score = real(*args, **options)
        assert score is not None
        return type(score)(nats=next(scores) * score.tokens, tokens=score.tokens)

    monkeypatch.setattr(loop, "evaluate", scripted)
    assert train(run, run_folder) is None
    assert run.step == 10 and run.best == (2.0, 4) and run.is_finished()
    assert checkpoint.read(run_folder.best_file).iteration == 4
    again = build(run_folder.load_config())
    found = run_folder.newest(pytest.fail)
    assert found is not None and found.iteration == 10
    again.restore(found)
    assert again.is_finished(), "a finished run does not go on"


def test_the_best_weights_are_kept(folder: Path, tmp_path: Path) -> None:
    run, run_folder = start(tmp_path / "run", folder)
    train(run, run_folder)
    scores = {
        r["step"]: r["valid_loss"]
        for r in read_metrics(run_folder.metrics_file)
        if "valid_loss" in r
    }
    best = min(scores, key=lambda step: scores[step])
    found = checkpoint.read(run_folder.best_file)
    assert found.iteration == best and found.optimizer is None
    assert run.best == (scores[best], best)


def test_minutes_make_checkpoints_too(folder: Path, tmp_path: Path) -> None:
    over = {"training": {"checkpoint_interval": 1000, "checkpoint_minutes": 1e-9}}
    run, run_folder = start(tmp_path / "run", folder, **over)
    kept = []

    class Look:
        def advance(self, step: int) -> None:
            kept.append([step for step, _ in run_folder.checkpoints()])

        def log(self, record: dict[str, float]) -> None:
            pass

        def close(self) -> None:
            pass

    train(run, run_folder, [Look()])
    assert kept[-1][-1] >= 9, "one was made after nearly every step"


def test_fp16_finds_its_scale_and_learns(folder: Path) -> None:
    course = {"init": {"kind": "course"}}  # of a model this small larger weights learn faster
    run = build(make_config(folder, model=course, training={"dtype": "fp16", "steps": 40}))
    run.loss_scale.value = 2.0**24  # at which a gradient overflows
    batch = run.batches.batch_at(0)
    losses = [train_step(run, [batch]) for _ in range(40)]
    assert run.skipped > 0 and not losses[0].updated and losses[-1].updated
    assert losses[-1].loss < 0.8 * losses[0].loss


def test_fp16_without_a_scale_loses_its_gradients(folder: Path) -> None:
    """The run that would fail: gradients of 1e-8 are zero in fp16."""

    def smallest_kept(scale: float) -> float:
        run = build(make_config(folder, training={"dtype": "fp16"}))
        run.loss_scale.value = scale
        plain = run.objective

        def objective(inputs: torch.Tensor, targets: torch.Tensor) -> Any:
            sums = plain(inputs, targets)
            return sums._replace(objective=sums.objective * 1e-6)

        run.objective = objective
        seen: list[float] = []
        run.optimizer.register_step_pre_hook(
            lambda *_: seen.append(
                sum(int((p.grad != 0).sum()) for p in run.model.layers.parameters())  # type: ignore[union-attr]
                / sum(p.numel() for p in run.model.layers.parameters())
            )
        )
        train_step(run, [run.batches.batch_at(0)])
        return seen[0]

    assert smallest_kept(2.0**16) > 0.95
    assert smallest_kept(1.0) < 0.5
