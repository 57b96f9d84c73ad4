"""Texts with a prefix: how long it is, and what of the text is left to predict."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from byteloom.data.order import IGNORED
from byteloom.data.prefixes import PrefixBatches, prefix_lengths

IDS = np.arange(3000, dtype=np.uint16)


def test_what_follows_the_prefix_is_predicted_and_nothing_else() -> None:
    batches = PrefixBatches(IDS, 4, 16, seed=0)
    for step in range(20):
        inputs, prefixes, targets = batches.batch_at(step)
        starts = [start for _, start in batches.windows_at(step)]
        assert inputs.shape == targets.shape == (4, 16) and prefixes.shape == (4,)
        assert {part.dtype for part in (inputs, prefixes, targets)} == {torch.int64}
        for start, text, prefix, wanted in zip(
            starts, inputs.tolist(), prefixes.tolist(), targets.tolist(), strict=True
        ):
            assert 1 <= prefix <= 16
            after = [*text[1:], text[-1] + 1]
            for place, (token, target) in enumerate(zip(after, wanted, strict=True)):
                # The token after place is number place + 1 of the text; ids count themselves.
                is_own = text[place] >= start
                assert target == (token if place + 1 >= prefix and is_own else IGNORED)


def test_all_lengths_are_as_likely() -> None:
    batches = PrefixBatches(IDS, 8, 16, seed=3, shortest=0.25, longest=0.5)
    drawn = [n for step in range(200) for n in batches.batch_at(step)[1].tolist()]
    counts = Counter(drawn)
    assert set(counts) == {4, 5, 6, 7, 8}
    # 320 each: five standard deviations.
    assert all(abs(count - 320) < 5 * 16 for count in counts.values())


def test_a_prefix_is_a_function_of_the_seed_and_the_number_of_the_text() -> None:
    small, large = PrefixBatches(IDS, 2, 16, seed=1), PrefixBatches(IDS, 8, 16, seed=1)
    for step in (5, 0, 40):  # in any order
        parts = [small.batch_at(4 * step + i) for i in range(4)]
        together = [torch.cat(part) for part in zip(*parts, strict=True)]
        assert all(map(torch.equal, together, large.batch_at(step)))
    other = PrefixBatches(IDS, 8, 16, seed=2)
    assert not torch.equal(other.batch_at(0)[1], large.batch_at(0)[1])
    # An epoch has 188 texts, which have other prefixes in the next.
    first = {text[0]: n for text, n in _texts(large, 0)}
    again = {text[0]: n for text, n in _texts(large, 24)}
    assert len(first) == len(again) == 24 * 8
    assert list(first.values()) != list(again.values())


def _texts(batches: PrefixBatches, first: int) -> list[tuple[list[int], int]]:
    found = []
    for step in range(first, first + 24):
        inputs, prefixes, _ = batches.batch_at(step)
        found += list(zip(inputs.tolist(), prefixes.tolist(), strict=True))
    return found


def test_an_evaluation_has_the_same_prefixes_every_time() -> None:
    batches = PrefixBatches(IDS, 8, 16, seed=1)
    one, other = list(batches.evenly()), list(batches.evenly())
    assert len(one) == -(-188 // 8)
    for a, b in zip(one, other, strict=True):
        assert all(map(torch.equal, a, b))
    # Whole windows, one behind the other; the last ends where the ids do.
    read = torch.cat([a[0] for a in one]).flatten()
    assert torch.equal(read[: 187 * 16], torch.arange(187 * 16))
    assert torch.equal(read[187 * 16 :], torch.arange(2999 - 16, 2999))


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_lengths_are_within_the_parts(context: int, one: float, other: float) -> None:
    shortest, longest = sorted((one, other))
    try:
        found = prefix_lengths(context, shortest, longest)
    except ValueError as error:
        assert "no length that a prefix could have" in str(error)
        assert not any(shortest * context <= n <= longest * context for n in range(1, context + 1))
        return
    assert 1 <= found.start < found.stop <= context + 1
    assert all(shortest * context <= n <= longest * context for n in found)


@pytest.mark.parametrize(("shortest", "longest"), [(-0.1, 1.0), (0.6, 0.5), (0.0, 1.1)])
def test_parts_that_are_none_are_refused(shortest: float, longest: float) -> None:
    with pytest.raises(ValueError, match="parts of a text, from 0 to 1"):
        PrefixBatches(IDS, 2, 16, 0, shortest, longest)
