"""A few real steps with one block and with some: as blocks are alike, they tell what many take."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace

import torch

from byteloom.training.build import assemble
from byteloom.training.config import RunConfig
from byteloom.training.estimate.parameters import count_parameters
from byteloom.training.step import train_step

#: Blocks of the models that are timed.
_FEW = (1, 4)
#: Operations in a batch on a CPU, at most: it takes fewer windows where a batch has more.
_OPERATIONS = 2e11
#: How often a step is timed at least, and for how many seconds.
_TIMES, _SECONDS = 4, 4.0


@dataclass(frozen=True)
class Rehearsal:
    """Seconds."""

    batch: float
    """Loss and gradients of one batch."""
    optimizer: float
    """The update of the weights."""
    evaluation: float
    """The loss of one batch alone."""

    def at(self, other: Rehearsal, blocks: float) -> Rehearsal:
        """On the line from this one (0) to the other (1), or beyond."""

        def between(one: float, two: float) -> float:
            return max(0.0, one + (two - one) * blocks)

        return Rehearsal(
            between(self.batch, other.batch),
            between(self.optimizer, other.optimizer),
            between(self.evaluation, other.evaluation),
        )


def rehearse(run_config: RunConfig) -> Rehearsal:
    """Times steps on the run's device, with random tokens; torch's generators stay as they were.

    On a CPU it takes some seconds; with ``training.compile``, what compiling takes, twice. Where
    layers have several feed-forward networks, each is timed as if all had it.
    """
    model, found, layers = run_config.model, None, 0
    for ffn, count in Counter(map(model.ffn.at, range(model.num_layers))).items():
        one = _rehearse(replace(run_config, model=replace(model, ffn=ffn)))
        layers += count
        found = one if found is None else found.at(one, count / layers)
    assert found is not None
    return found


def _rehearse(run_config: RunConfig) -> Rehearsal:
    """With blocks that are alike."""
    model = run_config.model
    one, some = _FEW
    counts = _FEW if model.num_layers > some else (model.num_layers,)
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=cuda):
        rehearsed = [
            _Rehearsed(replace(run_config, model=replace(model, num_layers=n))) for n in counts
        ]
        end = time.perf_counter() + _SECONDS
        times = 0
        # In turns: the machine may have other work for a while.
        while times < _TIMES or time.perf_counter() < end:
            for each in rehearsed:
                each.step()
            times += 1
    first, *others = (each.result() for each in rehearsed)
    return first.at(others[0], (model.num_layers - one) / (some - one)) if others else first


class _Rehearsed:
    """A run with random tokens, ready to be timed."""

    def __init__(self, run_config: RunConfig) -> None:
        self.run = assemble(run_config)
        self.rows = _rows(run_config, self.run.device.type)
        model = run_config.model
        shape = (2, self.rows, model.context_length)
        inputs, targets = torch.randint(model.vocab_size, shape, device=self.run.device).unbind()
        self.batch = (inputs, targets)
        self.found: list[Rehearsal] = []
        self._updates = 0.0
        self.run.optimizer.register_step_pre_hook(lambda *_: self._begin_update())
        self.step()  # makes the optimizer's state, and compiles
        self.found.clear()

    def step(self) -> None:
        """Takes one, and evaluates."""
        begin = self._now()
        train_step(self.run, [self.batch])
        end = self._now()
        with torch.no_grad(), self.run.autocast():
            self.run.objective(*self.batch)
        evaluation = self._now() - end
        self.found.append(Rehearsal(self._updates - begin, end - self._updates, evaluation))

    def result(self) -> Rehearsal:
        """The medians, for whole batches."""
        scale = self.run.config.training.batch_size / self.rows
        return Rehearsal(
            scale * statistics.median(one.batch for one in self.found),
            statistics.median(one.optimizer for one in self.found),
            scale * statistics.median(one.evaluation for one in self.found),
        )

    def _begin_update(self) -> None:
        self._updates = self._now()

    def _now(self) -> float:
        if self.run.device.type != "cpu":
            getattr(torch, self.run.device.type).synchronize()
        return time.perf_counter()


def _rows(run_config: RunConfig, device: str) -> int:
    """Windows of a batch: as many as the run's, unless that takes too long."""
    batch, model = run_config.training.batch_size, run_config.model
    if device == "cuda":
        return batch
    few = replace(model, num_layers=min(model.num_layers, _FEW[1]))
    operations = 6 * count_parameters(few).active * model.context_length
    return max(1, min(batch, int(_OPERATIONS / operations)))
