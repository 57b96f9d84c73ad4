from __future__ import annotations

import threading
import time

import pytest
import torch

from byteloom.data import prefetch
from byteloom.data.batches import Batch


def batch_at(step: int) -> Batch:
    return torch.tensor([[step]]), torch.tensor([[step + 1]])


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "byteloom-prefetch"]


def test_it_gives_what_the_function_gives_in_order() -> None:
    with prefetch(batch_at, 5, 50) as batches:
        steps = [inputs.item() for inputs, _ in batches]
    assert steps == list(range(5, 50)) and not workers()


def test_nothing_to_do() -> None:
    with prefetch(batch_at, 5, 5) as batches:
        assert list(batches) == []


def test_it_works_ahead_but_not_further_than_asked() -> None:
    made: list[int] = []

    def slow(step: int) -> Batch:
        made.append(step)
        return batch_at(step)

    with prefetch(slow, 0, 100, depth=3) as batches:
        deadline = time.monotonic() + 5
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(made) == 4  # three ready, and one in hand
        next(batches)


def test_leaving_early_ends_the_thread() -> None:
    with prefetch(batch_at, 0, 10**9) as batches:
        next(batches)
        assert len(workers()) == 1
    assert not workers()


def test_an_error_arrives_with_its_batch() -> None:
    def broken(step: int) -> Batch:
        if step == 3:
            raise OSError("the disk is gone")
        return batch_at(step)

    with prefetch(broken, 0, 10) as batches:
        assert [next(batches)[0].item() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)
    assert not workers()


def test_an_error_in_the_block_ends_the_thread() -> None:
    with pytest.raises(KeyboardInterrupt), prefetch(batch_at, 0, 10**9):
        raise KeyboardInterrupt
    assert not workers()
