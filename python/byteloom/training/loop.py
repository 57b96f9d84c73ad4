"""The training loop: step, log, evaluate, keep; until done or asked to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from signal import Signals

from byteloom.data.batches import Batch
from byteloom.data.prefetching import prefetch
from byteloom.training.evaluate import evaluate
from byteloom.training.metrics import JsonLines, Sink
from byteloom.training.run_folder import RunFolder
from byteloom.training.signals import StopRequest
from byteloom.training.state import Run
from byteloom.training.step import StepResult, train_step


def train(
    run: Run, folder: RunFolder, sinks: Sequence[Sink] = (), tokenizer: str = ""
) -> Signals | None:
    """Trains until the last step, or until SIGINT or SIGTERM; a checkpoint is made in any case.

    Args:
        run: fresh, or restored from a checkpoint; it is changed.
        folder: where metrics.jsonl and checkpoints go.
        sinks: where else the figures go.
        tokenizer: its fingerprint, kept in the checkpoints.

    Returns:
        The signal that ended it; ``None``: it is finished.

    Raises:
        OSError: the disk is full, say: the last checkpoint stays valid.
        KeyboardInterrupt: at the second Ctrl-C, at once.
    """
    settings = run.config.training
    first, last = (step * settings.accumulation for step in (run.step, settings.steps))
    with (
        StopRequest() as stop,
        prefetch(run.batches.batch_at, first, last, run.device) as batches,
    ):
        metrics = JsonLines(folder.metrics_file, keep=run.metrics_bytes)
        loop = _Loop(run, folder, metrics, [metrics, *sinks], tokenizer, stop)
        try:
            loop.go(batches)
        finally:
            metrics.close()
        return None if run.is_finished() else stop.signal


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
    ) -> None:
        self.run, self.folder, self.metrics, self.sinks = run, folder, metrics, sinks
        self.tokenizer, self.stop = tokenizer, stop
        self.saved = (run.step, run.evaluated)
        self.clock = time.perf_counter()
        self.logged = (run.step, run.seconds)

    def go(self, batches: Iterator[Batch]) -> None:
        """The loop."""
        run, settings = self.run, self.run.config.training
        self.evaluate_if_due()  # of a step whose evaluation was interrupted
        while run.step < settings.steps and not self.stop:
            result = train_step(run, list(islice(batches, settings.accumulation)))
            for sink in self.sinks:
                sink.advance(run.step)
            if self.is_due(run.config.logging.interval):
                self.log(result)
            self.evaluate_if_due()
            if self.is_due(settings.checkpoint_interval):
                self.save()
        if self.saved != (run.step, run.evaluated) or not self.folder.checkpoints():
            self.save()

    def is_due(self, interval: int) -> bool:
        """Whether what happens every ``interval`` steps, and after the last, happens now."""
        run = self.run
        return run.step % interval == 0 or run.step == run.config.training.steps

    def log(self, result: StepResult) -> None:
        """Figures about the step just done; waits for the device."""
        run, loss = self.run, result.loss.item()
        self.tick()
        step, seconds = self.logged
        tokens = (run.step - step) * run.tokens_per_step
        speed = tokens / max(run.seconds - seconds, 1e-9)
        self.logged = (run.step, run.seconds)
        self.emit(
            {
                "step": run.step,
                "loss": loss,
                "learning_rate": result.learning_rate,
                "grad_norm": result.grad_norm.item(),
                "tokens": run.step * run.tokens_per_step,
                "epoch": run.batches.epoch_at(run.step * run.config.training.accumulation),
                "tokens_per_second": speed,
                "seconds": run.seconds,
            }
        )

    def evaluate_if_due(self) -> None:
        """Scores the validation batches; asked to stop meanwhile, leaves it to the next session."""
        run = self.run
        if not run.owes_evaluation():
            return
        score = evaluate(
            run.model, run.validation, run.device, run.autocast, stopped=lambda: self.stop
        )
        # The time for this is no part of a step's: the next speed counts from here.
        self.tick()
        self.logged = (run.step, run.seconds)
        if score is not None:
            run.evaluated = run.step
            self.emit({"step": run.step, "valid_loss": score.loss, "seconds": run.seconds})

    def save(self) -> None:
        """Writes a checkpoint of the step just done."""
        self.tick()
        self.run.metrics_bytes = self.metrics.size()
        self.folder.save(
            self.run.checkpoint(self.tokenizer), self.run.config.training.keep_checkpoints
        )
        self.saved = (self.run.step, self.run.evaluated)

    def emit(self, record: dict[str, float]) -> None:
        """Sends a record everywhere."""
        for sink in self.sinks:
            sink.log(record)

    def tick(self) -> None:
        """Adds the time since the last tick to the run's."""
        now = time.perf_counter()
        self.run.seconds += now - self.clock
        self.clock = now
