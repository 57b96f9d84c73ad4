"""One training by `train-lm`: begun or gone on with, for sweeps and ablations."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from byteloom.reporting.history import History


@dataclass(frozen=True)
class Trial:
    """What a training came to."""

    history: History
    is_stopped: bool
    """Whether the guard stopped it, as its loss or gradient was not finite."""

    @property
    def loss(self) -> float:
        """The last on validation tokens, else the mean of training's last tenth; nan: stopped."""
        return math.nan if self.is_stopped else last_loss(self.history)


def train(
    folder: Path,
    arguments: Sequence[str],
    log: Path | None = None,
    started: Callable[[subprocess.Popen[bytes]], object] = lambda process: None,
) -> Trial:
    """Trains, or goes on where there is a run.

    Args:
        folder: the run's.
        arguments: of `train-lm`, for a new run; without -o.
        log: where all goes that it says; none: what is said to people is seen.
        started: is handed the process when it has begun.

    Raises:
        ValueError: it ended in some other way than well, or by the guard.
    """
    command = [sys.executable, "-m", "byteloom.cli.train_lm"]
    if (folder / "config.toml").exists():
        command += ["--resume", str(folder)]
    else:
        command += [*arguments, "-o", str(folder)]
    if log is None:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    else:
        with log.open("ab") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
    started(process)
    code = process.wait()
    # The guard leaves the batches that it stopped at.
    is_stopped = code == 1 and any(folder.glob("batches-*.safetensors"))
    if code != 0 and not is_stopped:
        where = "" if log is None else f"; {log} ends:\n{tail(log)}"
        raise ValueError(f"{' '.join(command)} ended with exit code {code}{where}")
    history = History(folder / "metrics.jsonl")
    if not history.records and not is_stopped:
        raise ValueError(f"{' '.join(command)} left no metrics")
    return Trial(history, is_stopped)


def tail(log: Path) -> str:
    """Its last lines."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def last_loss(history: History) -> float:
    """The last on validation tokens; without any, the mean of the last tenth of training."""
    valid = history.values("valid_loss")
    if len(valid):
        return float(valid[-1])
    losses = history.values("loss")
    return float(losses[-max(1, len(losses) // 10) :].mean()) if len(losses) else math.nan
