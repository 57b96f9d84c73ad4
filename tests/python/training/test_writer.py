from __future__ import annotations

import threading
import time

import pytest
import torch

from byteloom.checkpoint import Checkpoint
from byteloom.training.writer import CheckpointWriter


def test_what_is_written_is_the_state_of_that_moment() -> None:
    weight, moment, go = torch.zeros(3), torch.zeros(3), threading.Event()
    found: list[Checkpoint] = []

    def to(checkpoint: Checkpoint) -> None:
        assert go.wait(10)
        found.append(checkpoint)

    with CheckpointWriter() as writer:
        state = {"state": {0: {"exp_avg": moment}}, "param_groups": [{"betas": (0.9, 0.95)}]}
        checkpoint = Checkpoint(7, {"w": weight}, state, state={"generators": {"cpu": moment}})
        writer.write(checkpoint, to)
        weight += 1
        moment += 1
        go.set()
    assert found[0].model["w"].tolist() == [0, 0, 0]
    assert found[0].optimizer is not None
    assert found[0].optimizer["state"][0]["exp_avg"].tolist() == [0, 0, 0]
    assert found[0].optimizer["param_groups"] == [{"betas": (0.9, 0.95)}]
    assert found[0].state["generators"]["cpu"].tolist() == [0, 0, 0]


def test_they_are_written_in_order_and_the_block_waits_for_the_last() -> None:
    written = []

    def to(checkpoint: Checkpoint) -> None:
        time.sleep(0.02 / checkpoint.iteration)
        written.append(checkpoint.iteration)

    with CheckpointWriter() as writer:
        for step in (1, 2, 3):
            writer.write(Checkpoint(step, {}), to)
    assert written == [1, 2, 3]


def fail(_: Checkpoint) -> None:
    raise OSError("no space left")


def test_an_error_is_raised_at_the_next_occasion() -> None:
    for occasion in ("write", "check", "wait", "leaving"):
        with pytest.raises(OSError, match="no space"), CheckpointWriter() as writer:
            writer.write(Checkpoint(1, {}), fail)
            if occasion == "write":
                writer.write(Checkpoint(2, {}), fail)
            if occasion == "check":
                while True:
                    writer.check()
            if occasion == "wait":
                writer.wait()
        writer.check()  # once is enough


def test_in_a_hurry_it_does_not_wait_long() -> None:
    blocked, begin = threading.Event(), time.monotonic()
    with pytest.raises(KeyboardInterrupt), CheckpointWriter() as writer:
        writer.write(Checkpoint(1, {}), lambda _: blocked.wait(30))
        raise KeyboardInterrupt
    assert time.monotonic() - begin < 10
    blocked.set()
