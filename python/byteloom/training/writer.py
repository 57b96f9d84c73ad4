"""Checkpoints are written beside the training, which waits only until the state is copied."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from byteloom.checkpoint import Checkpoint

#: Seconds that a killed run gives a checkpoint that is being written.
_GRACE = 1.0


class CheckpointWriter:
    """Writes checkpoints in a thread, one after the other, in the order they were made.

    Leaving the block waits for the last one, except in a hurry (a second Ctrl-C).

    Example:
        >>> with CheckpointWriter() as writer:
        ...     writer.write(Checkpoint(3, model={}), lambda found: print("step", found.iteration))
        step 3
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def write(self, checkpoint: Checkpoint, to: Callable[[Checkpoint], object]) -> None:
        """Copies a checkpoint and lets ``to`` write the copy; waits for the one before.

        Raises:
            OSError: the one before could not be written.
        """
        self.wait()
        detached = _copy(checkpoint)

        def work() -> None:
            try:
                to(detached)
            except BaseException as error:
                self._error = error

        # A daemon: it does not keep a process alive that somebody wants to end.
        self._thread = threading.Thread(target=work, name="byteloom-checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits until all is written.

        Raises:
            OSError: it could not be.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raises what was wrong with what has been written so far.

        Raises:
            OSError: it could not be.
        """
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.wait()
        elif self._thread is not None:
            # What broke off the training is what is to be told.
            self._thread.join(None if isinstance(error, Exception) else _GRACE)


def _copy(checkpoint: Checkpoint) -> Checkpoint:
    """A copy in main memory that further training does not touch."""
    found = replace(
        checkpoint,
        model=_copied(checkpoint.model),
        optimizer=_copied(checkpoint.optimizer),
        state=_copied(checkpoint.state),
    )
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return found


def _copied(value: Any) -> Any:
    """Nested values with new tensors, those of a GPU by way of copies that run at once."""
    if isinstance(value, Tensor):
        if value.device.type != "cuda":
            return value.detach().to("cpu", copy=True)
        return torch.empty_like(value, device="cpu", pin_memory=True).copy_(
            value.detach(), non_blocking=True
        )
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return copy.deepcopy(value)
