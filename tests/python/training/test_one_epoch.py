"""A run over one epoch of a tiny file learns each target once, interrupted or not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from byteloom.data.order import IGNORED
from byteloom.nn.loss import Sums
from byteloom.training.build import build
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from tiny_run import StopAt, make_config, make_data, read_metrics


class Counting:
    """A run's objective, which puts down what training asks of it."""

    def __init__(self, run: Run, seen: Counter[int]) -> None:
        self.run, self.objective, self.seen = run, run.objective, seen
        self.tokens = 0

    def __call__(self, inputs: Tensor, targets: Tensor) -> Sums:
        found = self.objective(inputs, targets)
        if self.run.model.training:
            self.seen.update(targets[targets != IGNORED].tolist())
            self.tokens += int(found.tokens)
        return found


@pytest.mark.parametrize(("n", "batch_size"), [(17, 1), (45, 1), (200, 1), (180, 4)])
def test_each_target_is_learned_once(tmp_path: Path, n: int, batch_size: int) -> None:
    make_data(tmp_path)
    np.save(tmp_path / "train.npy", np.arange(n, dtype=np.uint16))
    steps = {17: 1, 45: 4, 200: 13, 180: 3}[n]
    settings = {"steps": steps, "batch_size": batch_size, "eval_interval": 2}
    run_config = make_config(tmp_path, training=settings)
    run, folder = build(run_config), RunFolder.create(tmp_path / "run", run_config)
    assert run.batches.epoch_at(steps) == 1
    seen = Counter[int]()
    counting = run.objective = Counting(run, seen)
    stopped = train(run, folder, [StopAt(2)])
    assert counting.tokens == seen.total()
    if stopped is not None:
        assert run.step == 2 < steps
        again = build(folder.load_config())
        found = folder.newest(pytest.fail)
        assert found is not None
        again.restore(found)
        again.objective = Counting(again, seen)
        assert train(again, folder) is None
    assert seen == Counter(range(1, n))
    lines = read_metrics(folder.metrics_file)
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
