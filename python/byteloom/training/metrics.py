"""Where a run's figures go: a progress line, metrics.jsonl; wandb and TensorBoard when asked."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

from torch import Tensor
from tqdm import tqdm

from byteloom.training.config import WandbConfig

#: One line of metrics.jsonl: ``step`` and figures by name. Lists of figures go nowhere else.
Record: TypeAlias = dict[str, Any]


def figures_of(notes: Sequence[Mapping[str, Tensor]]) -> Record:
    """What parts of a model told of a step: the mean of single figures, lists of all others.

    Example:
        >>> import torch
        >>> one = {"load": torch.tensor([1, 3]), "over": torch.tensor(0.5)}
        >>> other = {"load": torch.tensor([2, 2]), "over": torch.tensor(0.0)}
        >>> figures_of([one, other])
        {'load': [[1, 3], [2, 2]], 'over': 0.25}
    """
    names = {name: None for note in notes for name in note}
    found = {name: [note[name] for note in notes if name in note] for name in names}
    return {
        name: [x.tolist() for x in values]
        if values[0].ndim
        else sum(map(float, values)) / len(values)
        for name, values in found.items()
    }


class Sink(Protocol):
    """Takes figures."""

    def advance(self, step: int) -> None:
        """A step is done."""

    def log(self, record: Record) -> None:
        """Figures about a step."""

    def close(self) -> None:
        """No more will come."""


class JsonLines:
    """``metrics.jsonl``: one JSON object a line, on its way to the disk at once.

    Args:
        path: the file.
        keep: bytes at its beginning that stay; what is after them is cut off. A resumed run passes
            what its checkpoint had seen, and the file ends up as if it had never been interrupted.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self._file = path.open("ab")
        self._file.truncate(min(keep, path.stat().st_size))
        self._file.seek(0, os.SEEK_END)

    def advance(self, step: int) -> None:
        """Nothing to write."""

    def log(self, record: Record) -> None:
        """Appends a line."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def size(self) -> int:
        """Bytes written so far, safe on the disk."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Progress:
    """A bar with loss, tokens a second and time left; where no terminal is, a line now and then.

    Args:
        steps: in the whole run.
        start: steps done already.
        stream: where it goes.
        every: seconds between lines where no terminal is.
    """

    def __init__(
        self, steps: int, start: int = 0, stream: TextIO | None = None, every: float = 15.0
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._steps, self._start, self._step = steps, start, start
        self._every, self._begin = every, time.monotonic()
        self._last = self._begin - every
        self._shown: dict[str, str] = {}
        self._bar: tqdm[Any] | None = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=steps,
                initial=start,
                file=self._stream,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar} {n}/{total} [{elapsed}<{remaining}{postfix}]",
            )

    def advance(self, step: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(step - self._step)
        self._step = step

    def log(self, record: Record) -> None:
        """Shows the figures."""
        formats = {
            "loss": "{:.3f}",
            "valid_loss": "{:.3f}",
            "learning_rate": "{:.2g}",
            "tokens_per_second": "{:,.0f}",
            "mfu": "{:.1%}",
        }
        names = {"valid_loss": "valid", "learning_rate": "lr", "tokens_per_second": "tok/s"}
        for key, form in formats.items():
            if key in record:
                self._shown[names.get(key, key)] = form.format(record[key])
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)
        elif time.monotonic() - self._last >= self._every or "valid_loss" in record:
            self._last = time.monotonic()
            shown = "  ".join(f"{name} {value}" for name, value in self._shown.items())
            line = f"step {int(record['step']):,} of {self._steps:,}  {shown}  {self._left()}"
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the last state of the bar standing."""
        if self._bar is not None:
            self._bar.close()

    def _left(self) -> str:
        done = max(1, self._step - self._start)
        left = (time.monotonic() - self._begin) / done * (self._steps - self._step)
        return f"{tqdm.format_interval(left)} left"


def require_tensorboard() -> None:
    """Makes sure that TensorBoard's files can be written.

    Raises:
        ImportError: it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "logging.tensorboard needs tensorboard: pip install 'byteloom[tensorboard]'"
        )


class TensorBoard:
    """TensorBoard's event files; what a resumed run does again is hidden there.

    Args:
        folder: the run folder; the files go below it.
        step: steps done already.

    Raises:
        ImportError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(
            folder / "tensorboard", purge_step=step + 1 if step else None
        )

    def advance(self, step: int) -> None:
        """Nothing to write."""

    def log(self, record: Record) -> None:
        """Writes each figure under its name."""
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, int(record["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


def require_wandb() -> None:
    """Makes sure that wandb can be used.

    Raises:
        ImportError: it is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ImportError("logging.wandb.mode needs wandb: pip install wandb, or set it to off")


class Wandb:
    """Weights & Biases, under one id however often the run is resumed.

    Args:
        settings: mode, project and name.
        folder: the run folder; wandb writes below it, and the id is kept there.
        config: shown there as the run's configuration.

    Raises:
        ImportError: wandb is not installed.
        ValueError: it cannot begin: nobody is logged in, or the server does not answer.
    """

    def __init__(self, settings: WandbConfig, folder: Path, config: dict[str, Any]) -> None:
        require_wandb()
        import wandb

        id_file = folder / "wandb" / "id.txt"
        id_file.parent.mkdir(exist_ok=True)
        if not id_file.exists():
            id_file.write_text(uuid.uuid4().hex[:12])
        assert settings.mode != "off"
        try:
            self._run = wandb.init(
                project=settings.project,
                name=settings.name or folder.absolute().name,
                mode=settings.mode,
                dir=folder,
                id=id_file.read_text(),
                resume="allow",
                config=config,
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.Error as error:
            raise ValueError(
                f"wandb: {error} Without it: logging.wandb.mode offline, or off, in "
                f"{folder / 'config.toml'}"
            ) from None

    def advance(self, step: int) -> None:
        """Nothing to send."""

    def log(self, record: Record) -> None:
        """Sends the figures."""
        figures = {k: v for k, v in record.items() if k != "step" and isinstance(v, int | float)}
        self._run.log(figures, step=int(record["step"]))

    def close(self) -> None:
        """Waits until everything is sent, or written."""
        self._run.finish()
