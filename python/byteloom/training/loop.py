"""The training loop: step, log, evaluate, keep; until done or asked to stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from signal import Signals
from typing import Any, NoReturn

from torch import Tensor

from byteloom.data.batches import AnyBatch
from byteloom.data.prefetching import prefetch
from byteloom.training.arrival import Arrival
from byteloom.training.evaluate import evaluate
from byteloom.training.metrics import JsonLines, Record, Sink, figures_of
from byteloom.training.run_folder import RunFolder
from byteloom.training.signals import StopRequest
from byteloom.training.state import Run, generator_states, set_generator_states
from byteloom.training.step import AbandonedError, train_step
from byteloom.training.throughput import memory_in_use, peak_flops, training_flops
from byteloom.training.writer import CheckpointWriter


class NonFiniteError(RuntimeError):
    """Too many steps had a loss or a gradient that was not finite, or the weights are not."""


def train(
    run: Run,
    folder: RunFolder,
    sinks: Sequence[Sink] = (),
    tokenizer: str = "",
    stop: StopRequest | None = None,
) -> Signals | None:
    """Trains until the last step, or until SIGINT or SIGTERM; a checkpoint is made in any case.

    Args:
        run: fresh, or restored from a checkpoint; it is changed.
        folder: where metrics.jsonl and checkpoints go.
        sinks: where else the figures go.
        tokenizer: its fingerprint, kept in the checkpoints.
        stop: how it hears of signals, where that is to be in another way than by default.

    Returns:
        The signal that ended it; ``None``: it is finished.

    Raises:
        NonFiniteError: as ``guard`` in the configuration says, or the weights are not finite; there
            is a checkpoint of the last good state, and a file with the batches.
        OSError: the disk is full, say: the last checkpoint stays valid.
        KeyboardInterrupt: at the second Ctrl-C, at once.
    """
    first, last = (run.plan.before(step) for step in (run.step, run.config.training.steps))
    with (
        StopRequest() if stop is None else stop as request,
        prefetch(run.batches.batch_at, first, last, run.device) as batches,
        CheckpointWriter() as writer,
    ):
        metrics = JsonLines(folder.metrics_file, keep=run.metrics_bytes)
        loop = _Loop(run, folder, metrics, [metrics, *sinks], tokenizer, request, writer)
        try:
            loop.go(batches)
        finally:
            metrics.close()
    return None if run.is_finished() else request.signal


@dataclass(frozen=True)
class _Taken:
    """A step that was taken, and that the device may not have done yet."""

    step: int
    """Steps so far, this one included."""
    arrival: Arrival
    batches: Sequence[AnyBatch]
    generators: dict[str, Any] | None
    """The random generators after it, if the next may begin before it is looked at."""


class _Loop:
    """The parts of :func:`train`, sharing what all of them need."""

    def __init__(
        self,
        run: Run,
        folder: RunFolder,
        metrics: JsonLines,
        sinks: Sequence[Sink],
        tokenizer: str,
        stop: StopRequest,
        writer: CheckpointWriter,
    ) -> None:
        self.run, self.folder, self.metrics, self.sinks = run, folder, metrics, sinks
        self.tokenizer, self.stop, self.writer = tokenizer, stop, writer
        self.saved = (run.step, run.evaluated)
        self.clock = time.perf_counter()
        self.logged = (run.tokens, run.seconds)
        #: Seconds without batches since then.
        self.waited = 0.0
        #: Steps of which nothing but their number was looked at.
        self.under_way: deque[_Taken] = deque()
        self.unseen: list[tuple[int, Tensor]] = []
        self.next_save = self.in_some_minutes()
        self.flops = training_flops(run.model, run.config.task)
        self.peak = peak_flops(run.device)

    def go(self, batches: Iterator[AnyBatch]) -> None:
        """The loop."""
        run, settings = self.run, self.run.config.training
        self.evaluate_if_due()  # of a step whose evaluation was interrupted
        while run.step < settings.steps and not self.stop and not run.has_lost_patience():
            taken = self.next_batches(batches)
            before = generator_states(run.device) if len(taken) > 1 else {}
            try:
                result = train_step(run, taken, wait=False, stopped=lambda: bool(self.stop))
            except AbandonedError:  # whoever asks for an end may not wait for many batches
                set_generator_states(before, run.device)
                break
            is_open = isinstance(result.updated, Tensor)
            generators = generator_states(run.device) if is_open else None
            arrival = Arrival(result, with_notes=self.is_due(run.config.logging.interval))
            self.under_way.append(_Taken(run.step, arrival, taken, generators))
            self.writer.check()
            for sink in self.sinks:
                sink.advance(run.step)
            is_kept = self.is_due(settings.checkpoint_interval) or time.monotonic() > self.next_save
            # Where nobody waited for the step, it is looked at when the next has begun, so that the
            # device is never without work; unless all must stand still.
            self.look(leave=int(is_open and not is_kept and not run.owes_evaluation()))
            self.evaluate_if_due()
            if is_kept:
                self.save()
        self.look(leave=0)
        if self.saved != (run.step, run.evaluated) or not self.folder.checkpoints():
            self.save()

    def next_batches(self, batches: Iterator[AnyBatch]) -> list[AnyBatch]:
        """Those of the next step; the time that they keep it waiting is counted."""
        begin = time.perf_counter()
        taken = list(islice(batches, self.run.plan.batches_of(self.run.step)))
        self.waited += time.perf_counter() - begin
        return taken

    def is_due(self, interval: int, step: int | None = None) -> bool:
        """Whether what happens every ``interval`` steps, and after the last, happens now."""
        step = self.run.step if step is None else step
        return step % interval == 0 or step == self.run.config.training.steps

    def look(self, leave: int) -> None:
        """Looks at all steps under way but the newest ``leave``; waits for the device."""
        while len(self.under_way) > leave:
            taken = self.under_way.popleft()
            result = taken.arrival.wait()
            updated = result.updated
            if isinstance(updated, Tensor):
                updated = bool(updated)
                self.run.note_update(updated)
            self.unseen.append((taken.step, result.loss))
            if not updated:
                self.guard(taken)
            if self.is_due(self.run.config.logging.interval, taken.step):
                self.log(taken)

    def guard(self, taken: _Taken) -> None:
        """Ends the run if steps whose update was left out are too many, or not wanted at all."""
        run, limit = self.run, self.run.config.guard.limit
        if not run.has_finite_weights():
            self.end_without_weights(taken.batches)
        if run.loss_scale.value > 1 and run.config.training.dtype == "fp16":
            return  # the factor was too large, and falls
        if run.skipped_in_a_row < limit:
            return
        if taken.generators is not None:
            # The next step, if it has begun, has changed nothing (see `Skips`), and never was.
            run.step = taken.step
            set_generator_states(taken.generators, run.device)
            self.under_way.clear()
        self.save()
        self.writer.wait()
        where = self.folder.save_batches(run.step, taken.batches)
        raise NonFiniteError(
            f"the loss or the gradient of step {run.step:,} is not finite"
            + (f", nor of the {limit - 1} before it" if limit > 1 else "")
            + f". The weights are as before, in {self.folder.checkpoint_at()}; the batches are in "
            f"{where}. A lower learning rate or another dtype may help."
        )

    def end_without_weights(self, batches: Sequence[AnyBatch] = ()) -> NoReturn:
        """Ends a run whose weights one update, itself finite, has made useless."""
        self.writer.wait()
        there = self.folder.checkpoints()
        kept = f"the last good state is {there[-1][1]}" if there else "there is no checkpoint yet"
        if batches:
            kept += f"; the batches are in {self.folder.save_batches(self.run.step, batches)}"
        raise NonFiniteError(
            f"weights are not finite any more at step {self.run.step:,}, and are not kept: {kept}. "
            "A lower learning rate or another dtype may help."
        )

    def log(self, taken: _Taken) -> None:
        """Figures about a step; waits for the device."""
        run, result = self.run, taken.arrival.wait()
        loss = result.loss.item()
        self.tick()
        before, seconds = self.logged
        tokens = run.tokens_before(taken.step)
        took = max(run.seconds - seconds, 1e-9)
        speed, data_wait = (tokens - before) / took, self.waited / took
        self.logged, self.waited = (tokens, run.seconds), 0.0
        record: Record = {
            "step": taken.step,
            "loss": loss,
            "learning_rate": result.learning_rate,
            "grad_norm": result.grad_norm.item(),
            "tokens": tokens,
            "epoch": run.batches.epoch_at(run.plan.before(taken.step)),
            "skipped": run.skipped,
            "tokens_per_second": speed,
            "data_wait": data_wait,
            "seconds": run.seconds,
            "memory_bytes": memory_in_use(run.device),
        }
        if self.peak is not None:
            record["mfu"] = speed * self.flops / self.peak
        if run.config.training.dtype == "fp16":
            record["loss_scale"] = run.loss_scale.value
        record |= figures_of(result.notes)
        self.emit(record)

    def evaluate_if_due(self) -> None:
        """Scores the validation batches; asked to stop meanwhile, leaves it to the next session."""
        run = self.run
        if not run.owes_evaluation() or run.validation is None:
            return
        with run.averaged():
            score = evaluate(
                run.model,
                run.objective,
                run.validation(),
                run.device,
                run.autocast,
                stopped=lambda: self.stop,
            )
        # The time for this is no part of a step's: the next speed counts from here.
        self.tick()
        self.logged, self.waited = (run.tokens, run.seconds), 0.0
        if score is not None:
            is_best = run.note_score(score.loss)
            self.emit({"step": run.step, "valid_loss": score.loss, "seconds": run.seconds})
            if is_best:
                with run.averaged():
                    self.writer.write(run.weights(self.tokenizer), self.folder.save_best)

    def save(self) -> None:
        """Makes a checkpoint of the step just done."""
        if not self.run.has_finite_weights():
            self.end_without_weights()
        self.look_for_spikes()
        self.tick()
        self.run.metrics_bytes = self.metrics.size()
        keep = self.run.config.training.keep_checkpoints
        self.writer.write(
            self.run.checkpoint(self.tokenizer), lambda found: self.folder.save(found, keep)
        )
        self.saved = (self.run.step, self.run.evaluated)
        self.next_save = self.in_some_minutes()

    def in_some_minutes(self) -> float:
        """When the next checkpoint is due, whatever the step."""
        minutes = self.run.config.training.checkpoint_minutes
        return float("inf") if minutes is None else time.monotonic() + 60 * minutes

    def look_for_spikes(self) -> None:
        """Looks at the losses since the last time; waits for the device."""
        unseen, self.unseen = self.unseen, []
        if self.run.spikes is None:
            return
        for step, loss in unseen:
            usual = self.run.spikes.mean
            if self.run.spikes.see(loss.item()):
                self.send({"step": step, "spike": loss.item(), "usual": usual})

    def emit(self, record: Record) -> None:
        """Sends a record everywhere, behind the spikes of the steps before it."""
        self.look_for_spikes()
        self.send(record)

    def send(self, record: Record) -> None:
        """Sends a record everywhere."""
        for sink in self.sinks:
            sink.log(record)

    def tick(self) -> None:
        """Adds the time since the last tick to the run's."""
        now = time.perf_counter()
        self.run.seconds += now - self.clock
        self.clock = now
