"""An epoch has every target once: counted one by one, against what was asked for."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from byteloom.data import Batches, PrefixBatches, SpanBatches
from byteloom.data.batches import AnyBatch
from byteloom.data.masking import Frame, MaskedBatches, Masker
from byteloom.data.order import IGNORED
from byteloom.data.pairs import Singles
from byteloom.data.windows import Windows, first_lengths

seeds = st.integers(0, 2**65)


def counting(n: int, first: int = 0) -> np.ndarray:
    """Ids that say where they stand."""
    return np.arange(first, first + n, dtype=np.uint32)


def slow_targets(batch: AnyBatch) -> list[list[int]]:
    """The targets of each text, one by one; what is read is what was there."""
    found = []
    for inputs, targets in zip(batch[0].tolist(), batch[-1].tolist(), strict=True):
        for place in range(1, len(inputs)):
            assert inputs[place] == inputs[place - 1] + 1
        pairs = zip(inputs, targets, strict=True)
        own = [(before, target) for before, target in pairs if target != IGNORED]
        assert all(target == before + 1 for before, target in own)
        found.append([target for _, target in own])
    return found


def one_epoch(batches: Batches, epoch: int) -> list[list[int]]:
    """The targets of each window of an epoch."""
    count = batches.sources[0].per_epoch * (epoch + 1)
    rows = (row for step in range(count) for row in slow_targets(batches.batch_at(step)))
    return list(islice(rows, count - batches.sources[0].per_epoch, count))


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 7), seeds, st.integers(0, 4))
@example(8, 1, 1, 0, 0)
@example(8, 8, 1, 0, 3)
@example(8, 9, 3, 0, 3)
@example(256, 744, 1, 0, 0)
@settings(max_examples=60)
def test_every_id_but_the_first_is_a_target_once(
    context: int, extra: int, size: int, seed: int, epoch: int
) -> None:
    n = context + extra
    windows = one_epoch(Batches(counting(n), size, context, seed), epoch)
    assert Counter(target for window in windows for target in window) == Counter(range(1, n))
    # None is without a target, and each has those that follow each other.
    for window in windows:
        assert window and window == list(range(window[0], window[0] + len(window)))


@pytest.mark.parametrize("context", range(1, 8))
def test_all_small_sizes(context: int) -> None:
    for n in range(context + 1, 4 * context + 3):
        for seed in range(3):
            batches = Batches(counting(n), 2, context, seed)
            for epoch in range(3):
                targets = [t for window in one_epoch(batches, epoch) for t in window]
                assert sorted(targets) == list(range(1, n))


@given(st.integers(1, 100), st.integers(0, 1000))
@example(1, 0)
def test_all_epochs_have_as_many_windows(context: int, extra: int) -> None:
    size = context + extra
    lengths = first_lengths(size, context)
    counts = set()
    for first in lengths:
        count, end = 1, first
        while end < size:
            count, end = count + 1, end + context
        counts.add(count)
    assert counts == {Windows(counting(size + 1), context, 0).per_epoch}
    assert lengths.start >= 1 and lengths[-1] <= context
    # One window too many at most, and where there are several, cuts at half of all places.
    assert counts.pop() <= -(-size // context) + 1
    assert len(lengths) >= (context // 2 if size > context else 1)


def test_what_fits_into_one_window_is_one() -> None:
    batches = Batches(counting(9), 1, 8, seed=0)
    assert batches.sources[0].per_epoch == 1
    for step in range(5):
        assert slow_targets(batches.batch_at(step)) == [list(range(1, 9))]


@pytest.mark.parametrize("n", [1000, 1007, 1024, 1025])
def test_all_cuts_that_can_be_are_as_likely(n: int) -> None:
    windows = Windows(counting(n), 16, seed=0)
    count = windows.per_epoch
    cuts = Counter(min(windows.starts(e * count, count)) + 16 for e in range(2000))
    lengths = first_lengths(n - 1, 16)
    assert sorted(cuts) == list(lengths)
    expected = 2000 / len(lengths)
    # At most 15 degrees of freedom: chance 1e-6.
    assert sum((x - expected) ** 2 / expected for x in cuts.values()) < 57


@given(st.lists(st.integers(11, 90), min_size=1, max_size=4), seeds, st.data())
@settings(max_examples=20)
def test_each_source_of_a_mixture_has_epochs_of_its_own(
    lengths: list[int], seed: int, data: st.DataObject
) -> None:
    weights = [data.draw(st.floats(0.2, 1)) for _ in lengths]
    rows = [counting(n, 1000 * i) for i, n in enumerate(lengths)]
    batches = Batches(rows, 13, 10, seed, weights)
    drawn = [window for step in range(20) for window in slow_targets(batches.batch_at(step))]
    for number, source in enumerate(batches.sources):
        own = [window for window in drawn if window[0] // 1000 == number]
        for epoch in range(len(own) // source.per_epoch):
            part = own[epoch * source.per_epoch : (epoch + 1) * source.per_epoch]
            found = sorted(target - 1000 * number for window in part for target in window)
            assert found == list(range(1, lengths[number]))


@given(st.integers(1, 20), st.integers(1, 99), seeds)
@settings(max_examples=30)
def test_another_batch_size_changes_no_target(context: int, extra: int, seed: int) -> None:
    found = [
        torch.cat([batches.batch_at(step)[1] for step in range(24 // size)])
        for size in (1, 6, 24)
        for batches in [Batches(counting(context + extra), size, context, seed)]
    ]
    assert all(torch.equal(found[0], other) for other in found)


# -- other tasks: texts are whole, and all ids are in them ----------------------------------------


@given(st.integers(3, 30), st.integers(0, 99), seeds)
@settings(max_examples=20)
def test_every_id_is_in_a_text(context: int, extra: int, seed: int) -> None:
    ids = counting(context + extra)
    everything = set(ids.tolist())
    singles = Singles(ids, context, seed)
    for starts in (singles.starts(0, singles.per_epoch), singles.in_order()):
        texts = [singles.segments(start, np.random.default_rng(0)).first for start in starts]
        assert {len(text) for text in texts} == {context}
        assert set(np.concatenate(texts).tolist()) == everything

    prefixes = PrefixBatches(counting(context + extra + 1), 1, context, seed)
    count = prefixes.sources[0].per_epoch
    read = [prefixes.batch_at(step)[0] for step in range(count)]
    assert set(torch.cat(read).flatten().tolist()) == everything


def test_every_id_is_in_a_text_with_spans() -> None:
    ids = counting(100)
    for size in range(34, 100):
        made = SpanBatches(ids[:size], 1, 32, 0, range(200, 210), 199)
        count = made.sources[0].per_epoch
        for batches in ([made.batch_at(step) for step in range(count)], list(made.evenly())):
            seen = {i for batch in batches for part in batch for i in part.flatten().tolist()}
            assert {i for i in seen if i < 199} == set(range(size))


def test_every_hidden_text_is_whole() -> None:
    masker = Masker(100, special=range(4), mask=3, rate=1.0)
    source = Singles(counting(50, 10), 12, seed=0)
    batches = MaskedBatches([source], 1, 14, 0, masker, Frame(cls=1, sep=2, pad=0))
    for made in ([batches.batch_at(i) for i in range(source.per_epoch)], list(batches.evenly())):
        targets = torch.cat([batch[-1] for batch in made])
        assert (targets[:, 1:-1] != IGNORED).all()
        assert set(targets[:, 1:-1].flatten().tolist()) == set(range(10, 60))


@given(st.integers(2, 20), st.integers(1, 99), st.integers(0, 99))
@settings(max_examples=30)
def test_no_text_is_without_something_behind_its_prefix(
    context: int, extra: int, seed: int
) -> None:
    batches = PrefixBatches(counting(context + extra), 1, context, seed)
    for made in ([batches.batch_at(step) for step in range(40)], list(batches.evenly())):
        assert all(window for batch in made for window in slow_targets(batch))
    # Of what is evaluated, nothing counts twice, and the last target is one.
    scored = [t for batch in batches.evenly() for window in slow_targets(batch) for t in window]
    assert len(scored) == len(set(scored)) and scored[-1] == context + extra - 1
