"""A few real steps with one block and with some: as blocks are alike, they tell what many take."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace

import torch

from byteloom.training.build import assemble
from byteloom.training.config import RunConfig
from byteloom.training.estimate import stand_in
from byteloom.training.estimate.parameters import count_parameters
from byteloom.training.estimate.stand_in import blocks, with_blocks
from byteloom.training.step import train_step

#: Blocks of the models that are timed: what has no more than the second number is timed as it is.
_FEW = (1, 8)
#: Operations in a batch on a CPU, at most: it takes fewer windows where a batch has more.
_OPERATIONS = 2e11
#: How often a step is timed at least, and for how many seconds.
_TIMES, _SECONDS = 4, 4.0
#: Steps that a GPU is given before anyone waits for it: training waits for none.
_AHEAD = 3


@dataclass(frozen=True)
class Rehearsal:
    """Seconds."""

    batch: float
    """Loss and gradients of one batch."""
    optimizer: float
    """The update of the weights."""
    evaluation: float
    """The loss of one batch alone."""

    def plus(self, one: Rehearsal, other: Rehearsal, times: float) -> Rehearsal:
        """And so many times what ``other`` takes more than ``one``."""

        def add(start: float, less: float, more: float) -> float:
            return max(0.0, start + (more - less) * times)

        return Rehearsal(
            add(self.batch, one.batch, other.batch),
            add(self.optimizer, one.optimizer, other.optimizer),
            add(self.evaluation, one.evaluation, other.evaluation),
        )


def rehearse(run_config: RunConfig) -> Rehearsal:
    """Times steps on the run's device, with random tokens; torch's generators stay as they were.

    On a CPU it takes some seconds; with ``training.compile``, what compiling takes, twice. Where
    layers have several feed-forward networks, each is timed as if all had it.
    """
    model, found, layers = run_config.model, None, 0
    networks = Counter(model.ffn.at(index) for n in blocks(model) for index in range(n))
    for ffn, count in networks.items():
        one = _rehearse(replace(run_config, model=replace(model, ffn=ffn)))
        layers += count
        found = one if found is None else found.plus(found, one, count / layers)
    assert found is not None
    return found


def _rehearse(run_config: RunConfig) -> Rehearsal:
    """With blocks that are alike."""
    counts, (one, some) = blocks(run_config.model), _FEW
    few = tuple(n if n <= some else one for n in counts)
    more = [i for i, n in enumerate(counts) if n > some]
    sizes = [few, *((*few[:i], some, *few[i + 1 :]) for i in more)]
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=cuda):
        rehearsed = [_Rehearsed(with_blocks(run_config, size)) for size in sizes]
        end = time.perf_counter() + _SECONDS
        times = 0
        # In turns: the machine may have other work for a while.
        while times < _TIMES or time.perf_counter() < end:
            for each in rehearsed:
                each.step()
            times += 1
    first, *others = (each.result() for each in rehearsed)
    found = first
    for i, other in zip(more, others, strict=True):
        found = found.plus(first, other, (counts[i] - one) / (some - one))
    return found


class _Rehearsed:
    """A run with random tokens, ready to be timed."""

    def __init__(self, run_config: RunConfig) -> None:
        self.run = assemble(run_config, make_objective=stand_in.objective)
        self.rows = _rows(run_config, self.run.device.type)
        self.batch = stand_in.batch(run_config, self.rows, self.run.device)
        self.found: list[Rehearsal] = []
        self.whole: list[float] = []
        self._updates, self._waits = 0.0, True
        self.run.optimizer.register_step_pre_hook(lambda *_: self._begin_update())
        self.step()  # makes the optimizer's state, and compiles
        self.found.clear()
        self.whole.clear()

    def step(self) -> None:
        """Takes one, and evaluates; on a GPU also some that nobody waits for."""
        if self.run.device.type != "cpu":
            begin = self._now()
            self._waits = False
            for _ in range(_AHEAD):
                train_step(self.run, [self.batch])
            self.whole.append((self._now() - begin) / _AHEAD)
            self._waits = True
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
        optimizer = statistics.median(one.optimizer for one in self.found)
        batch = statistics.median(one.batch for one in self.found)
        if self.whole:
            # To tell the parts apart one has to wait between them, which takes time of its own.
            batch = max(0.0, statistics.median(self.whole) - optimizer)
        evaluation = statistics.median(one.evaluation for one in self.found)
        return Rehearsal(scale * batch, optimizer, scale * evaluation)

    def _begin_update(self) -> None:
        if self._waits:
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
    few = with_blocks(run_config, [min(n, _FEW[1]) for n in blocks(model)]).model
    operations = 6 * count_parameters(few).active * model.context_length
    return max(1, min(batch, int(_OPERATIONS / operations)))
