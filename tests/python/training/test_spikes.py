from __future__ import annotations

import math
import random

from byteloom.training.spikes import Spikes


def losses(count: int) -> list[float]:
    chance = random.Random(0)
    return [2 + 8 * math.exp(-step / 100) + chance.gauss(0, 0.05) for step in range(count)]


def test_a_falling_noisy_loss_has_none() -> None:
    spikes = Spikes(6.0)
    assert not any(spikes.see(loss) for loss in losses(3000))


def test_a_jump_is_one_and_does_not_make_the_next_look_usual() -> None:
    spikes = Spikes(6.0)
    for loss in losses(1000):
        spikes.see(loss)
    mean = spikes.mean
    assert [spikes.see(loss) for loss in (3.0, 3.0, 2.0, 3.0)] == [True, True, False, True]
    assert abs(spikes.mean - mean) < 0.01


def test_the_first_losses_and_those_that_are_no_number_are_none() -> None:
    spikes = Spikes(6.0)
    assert not any(spikes.see(loss) for loss in (1.0, 100.0, math.nan, math.inf))
    assert spikes.seen == 2


def test_a_loss_that_hardly_moves_has_room() -> None:
    spikes = Spikes(6.0)
    assert not any(spikes.see(2.0) for _ in range(200))
    assert not spikes.see(2.01) and spikes.see(2.02)
