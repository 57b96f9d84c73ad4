"""A run that averages its weights: what is evaluated, kept and loaded is the average."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from byteloom import checkpoint
from byteloom.training.build import build
from byteloom.training.evaluate import evaluate
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from tiny_run import make_config, make_data, read_metrics


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, RunFolder]:
    path = tmp_path_factory.mktemp("averaging")
    make_data(path)
    run_config = make_config(path, averaging={"decay": 0.8})
    run, folder = build(run_config), RunFolder.create(path / "run", run_config)
    assert train(run, folder) is None
    return run, folder


def test_the_average_is_evaluated_and_the_weights_go_on(finished: tuple[Run, RunFolder]) -> None:
    run, folder = finished
    assert run.average is not None and run.average.updates == 12 and run.validation is not None
    last = [r for r in read_metrics(folder.metrics_file) if "valid_loss" in r][-1]["valid_loss"]

    def score() -> float:
        found = evaluate(run.model, run.objective, run.validation(), run.device, run.autocast)  # type: ignore[misc]
        assert found is not None
        return found.loss

    with run.averaged():
        assert score() == pytest.approx(last, rel=1e-6)
    assert abs(score() - last) > 1e-4


def test_what_is_loaded_is_the_average(finished: tuple[Run, RunFolder]) -> None:
    run, folder = finished
    assert run.average is not None
    best = checkpoint.read(folder.best_file)
    loaded = dict(folder.load_model().named_parameters())
    for name, mean in run.average.average.items():
        assert torch.equal(loaded[name], mean)
        assert best.iteration != 12 or torch.equal(best.model[name], mean)
    assert not all(torch.equal(p, loaded[name]) for name, p in run.model.named_parameters())


def test_it_goes_on_to_the_bit(finished: tuple[Run, RunFolder], tmp_path: Path) -> None:
    run, folder = finished
    (_, path), _ = folder.checkpoints()
    again = build(folder.load_config())
    again.restore(checkpoint.read(path))
    other = RunFolder.create(tmp_path / "other", again.config)
    other.metrics_file.write_bytes(folder.metrics_file.read_bytes())
    assert again.step == 10 and train(again, other) is None
    assert again.average is not None and run.average is not None
    for a, b in zip(again.average.average.values(), run.average.average.values(), strict=True):
        assert torch.equal(a, b)
