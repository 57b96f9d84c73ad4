"""Several sources in one run: exact shares, random access, and each source as if it were alone."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from byteloom.data import Batches
from byteloom.data.mixture import Mixture
from byteloom.data.order import IGNORED
from byteloom.data.windows import Windows

#: From even to far apart, with shares of less than a window in a block of the usual size.
weights = st.lists(st.one_of(st.floats(0.01, 1.0), st.integers(1, 10)), min_size=1, max_size=5)
seeds = st.integers(0, 2**65)


def rows(*lengths: int) -> list[np.ndarray]:
    """Ids that say which source they are of, and where they stand."""
    return [np.arange(n, dtype=np.uint32) + 100_000 * i for i, n in enumerate(lengths)]


@given(weights, seeds, st.integers(0, 10**12))
@example([3, 0.002, 7], 0, 0)  # blocks of 256 would take back a window of the second
@example([1] * 6, 0, 10**12)
@settings(max_examples=50)
def test_before_every_block_each_source_has_had_its_share(
    weights: list[float], seed: int, block: int
) -> None:
    mixture = Mixture(weights, seed)
    total = sum(map(Fraction, weights))
    former = [0] * len(weights)
    for number in (0, 1, 2, 3, 3 + block, 4 + block, 5 + block):
        counts = mixture.before(number * mixture.block)
        assert sum(counts) == number * mixture.block
        for count, weight, earlier in zip(counts, weights, former, strict=True):
            assert abs(count - Fraction(weight) / total * number * mixture.block) <= 1
            assert count >= earlier
        former = counts


@given(weights, seeds, st.integers(0, 2000), st.integers(0, 700))
@settings(max_examples=20)
def test_any_stretch_is_what_counting_from_the_beginning_gives(
    weights: list[float], seed: int, first: int, count: int
) -> None:
    counted, want = Counter[int](), []
    for source in Mixture(weights, seed).of(0, first + count)[0].tolist():
        want.append((source, counted[source]))
        counted[source] += 1
    mixture = Mixture(weights, seed)
    sources, numbers = mixture.of(first, count)
    assert list(zip(sources.tolist(), numbers.tolist(), strict=True)) == want[first:]
    assert mixture.before(first + count) == [counted[i] for i in range(len(weights))]


def test_blocks_have_orders_of_their_own_that_follow_the_seed() -> None:
    mixture = Mixture([1, 1], seed=0)
    blocks = [tuple(mixture.of(i * mixture.block, mixture.block)[0]) for i in range(20)]
    assert len(set(blocks)) == 20
    other = Mixture([1, 1], seed=1)
    assert tuple(other.of(0, other.block)[0]) != blocks[0]


def test_neighbours_are_mixed_as_chance_would() -> None:
    sources = Mixture([1, 1], seed=0).of(0, 100_000)[0]
    alike = np.mean(sources[1:] == sources[:-1])
    assert abs(alike - 0.5) < 0.01


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), -float("inf")])
def test_weights_are_positive_and_finite(weight: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and finite"):
        Mixture([1, weight], 0)


def test_weights_that_make_no_mixture_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mixture([], 0)
    with pytest.raises(ValueError, match=r"source 1 .* less than one in 1,000,000: leave it out"):
        Mixture([1, 1e-7], 0)
    with pytest.raises(ValueError, match="2 weights for 3 sources: give one for each"):
        Batches(rows(50, 50, 50), 1, 4, 0, weights=[1, 1])
    with pytest.raises(ValueError, match="has 4 ids: one window takes 5"):
        Batches(rows(50, 4), 1, 4, 0)


# -- batches of a mixture -------------------------------------------------------------------------


@given(st.integers(1, 3000), st.integers(1, 30), st.integers(1, 7), seeds, st.integers(0, 10**6))
@settings(max_examples=50)
def test_a_mixture_of_one_is_its_source(
    extra: int, context: int, size: int, seed: int, step: int
) -> None:
    (row,) = rows(context + extra)
    windows = Windows(row, context, seed)
    starts = windows.starts(step * size, size)
    want = torch.tensor([windows.read(start)[:-1].tolist() for start in starts])
    for batches in (
        Batches(row, size, context, seed),
        Batches([row], size, context, seed),
        Batches([row], size, context, seed, weights=[0.3]),
    ):
        assert torch.equal(batches.batch_at(step)[0], want)


@given(st.lists(st.integers(11, 400), min_size=1, max_size=4), st.integers(5, 40), seeds, st.data())
@settings(max_examples=20)
def test_each_source_is_gone_through_as_if_it_were_alone(
    lengths: list[int], size: int, seed: int, data: st.DataObject
) -> None:
    weights = [data.draw(st.floats(0.05, 1)) for _ in lengths]
    batches = Batches(rows(*lengths), size, 10, seed, weights)
    steps = -(-300 // size)
    drawn = [window for step in range(steps) for window in batches.windows_at(step)]
    epochs = batches.epochs_at(steps)
    for number, windows in enumerate(batches.sources):
        own = [start for source, start in drawn if source == number]
        assert own == windows.starts(0, len(own))
        assert epochs[number] == len(own) / windows.per_epoch
        for epoch in range(len(own) // windows.per_epoch):
            starts = sorted(own[epoch * windows.per_epoch : (epoch + 1) * windows.per_epoch])
            assert np.array_equal(np.diff(starts), np.full(len(starts) - 1, 10))


def test_sources_of_one_length_have_orders_of_their_own() -> None:
    one, other = Batches(rows(5000, 5000), 1, 10, seed=0).sources
    assert one.starts(0, one.per_epoch) != other.starts(0, other.per_epoch)


def test_any_step_comes_in_any_order() -> None:
    def make() -> Batches:
        return Batches(rows(300, 1000, 77), 24, 8, seed=4, weights=[5, 1, 2])

    forward = [make().batch_at(step) for step in range(60)]
    one = make()
    for step in (59, 0, 31, 11, 10, 59):
        for got, want in zip(one.batch_at(step), forward[step], strict=True):
            assert torch.equal(got, want)
    inputs, targets = forward[7]
    own = targets != IGNORED
    assert torch.equal(targets[own], inputs[own] + 1)


def test_the_sequence_of_windows_does_not_depend_on_the_batch_size() -> None:
    found = [
        torch.cat(
            [Batches(rows(500, 90), size, 8, 1, [1, 1]).batch_at(s)[0] for s in range(600 // size)]
        )
        for size in (1, 24, 600)
    ]
    assert all(torch.equal(found[0], other) for other in found)


def test_without_weights_all_are_gone_through_equally_often() -> None:
    batches = Batches(rows(1000, 20_000, 300), 64, 10, seed=0)
    step = 100
    for epoch, windows in zip(batches.epochs_at(step), batches.sources, strict=True):
        assert epoch == pytest.approx(batches.epoch_at(step), abs=17 / windows.per_epoch)
