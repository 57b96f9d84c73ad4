"""What a step tells, on its way from a GPU to the host while the GPU does the next."""

from __future__ import annotations

import torch
from torch import Tensor

from byteloom.training.step import StepResult


class Arrival:
    """A step's figures, copied behind the step itself and before anything that follows.

    Asking a tensor on a GPU for its value asks behind all work that is queued meanwhile: the host
    would learn of a step when the next is done too, and the GPU would have nothing to do until the
    one after that has begun. Nothing is copied on other devices, nor of steps that were waited for.

    Args:
        result: of the step just queued.
        with_notes: whether its notes are wanted too.

    Example:
        >>> one = torch.tensor(1.0)
        >>> Arrival(StepResult(one, one, 1e-3, torch.tensor(True)), with_notes=False).wait().updated
        tensor(True)
    """

    def __init__(self, result: StepResult, with_notes: bool) -> None:
        self._done: torch.cuda.Event | None = None
        self._result = result._replace(notes=result.notes if with_notes else ())
        loss, norm, rate, updated, notes = self._result
        if not isinstance(updated, Tensor) or loss.device.type != "cuda":
            return

        def copy(x: Tensor) -> Tensor:
            return x.to("cpu", non_blocking=True)  # into page-locked memory

        self._result = StepResult(
            copy(loss),
            copy(norm),
            rate,
            copy(updated),
            [{name: copy(x) for name, x in note.items()} for note in notes],
        )
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record()

    def wait(self) -> StepResult:
        """The figures, when the step is done."""
        if self._done is not None:
            self._done.synchronize()
            self._done = None
        return self._result
