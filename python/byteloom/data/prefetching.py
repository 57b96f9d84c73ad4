"""Batches made ahead, in a thread, while the device is busy with the last one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from byteloom.data.batches import AnyBatch


@contextmanager
def prefetch(
    batch_at: Callable[[int], AnyBatch],
    start: int,
    stop: int,
    device: str | torch.device = "cpu",
    depth: int = 2,
) -> Iterator[Iterator[AnyBatch]]:
    """Gives ``batch_at(start)`` to ``batch_at(stop - 1)``, in order, on the device.

    For a CUDA device batches pass through page-locked memory, so that the copy runs beside the
    computation. Leaving the block ends the thread, wherever the iteration stands.

    Args:
        batch_at: step -> batch in main memory; called in the thread.
        start: first step.
        stop: one past the last step.
        device: where the batches go.
        depth: how many are kept ready.

    Raises:
        Exception: whatever ``batch_at`` raises, when its batch is asked for.

    Example:
        >>> def batch_at(step):
        ...     return torch.tensor([[step]]), torch.tensor([[step + 1]])
        >>> with prefetch(batch_at, 0, 3) as batches:
        ...     [inputs.item() for inputs, _ in batches]
        [0, 1, 2]
    """
    device = torch.device(device)
    ready: queue.Queue[AnyBatch | BaseException] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def offer(item: AnyBatch | BaseException) -> None:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(start, stop):
                batch = batch_at(step)
                if device.type == "cuda":
                    batch = tuple(part.pin_memory() for part in batch)
                offer(batch)
                if closed.is_set():
                    return
        except BaseException as error:
            offer(error)

    def receive() -> Iterator[AnyBatch]:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield tuple(part.to(device, non_blocking=True) for part in item)

    thread = threading.Thread(target=work, name="byteloom-prefetch", daemon=True)
    thread.start()
    try:
        yield receive()
    finally:
        closed.set()
        thread.join()
