from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byteloom.data.order import IGNORED
from byteloom.data.pairs import Pairs, Singles

#: Ids say where they stand; this one ends a document.
SEPARATOR = 60_000

sizes = st.lists(st.integers(0, 60), min_size=2, max_size=12).filter(
    lambda found: sum(size >= 2 for size in found) >= 2
)


def row(documents: list[int], ended: bool = True) -> np.ndarray:
    """Documents of so many ids."""
    ids = np.arange(sum(documents) + len(documents), dtype=np.uint16)
    ids[np.cumsum(documents) + np.arange(len(documents))] = SEPARATOR
    return ids if ended else ids[:-1]


@given(sizes, st.integers(3, 20), st.booleans())
def test_pieces_are_all_of_the_documents_and_nothing_else(
    documents: list[int], length: int, ended: bool
) -> None:
    ids = row(documents, ended)
    pairs = Pairs(ids, length, 0, SEPARATOR)
    pieces = [pairs.piece(number) for number in range(pairs.per_epoch)]
    assert all(2 <= end - begin <= length for _, begin, end in pieces)
    found = np.concatenate([ids[begin:end] for _, begin, end in pieces])
    bounds = np.cumsum([0, *(size + 1 for size in documents)])
    expected = [
        np.arange(begin, begin + size)
        for begin, size in zip(bounds[:-1], documents, strict=True)
        if size >= 2
    ]
    assert np.array_equal(found, np.concatenate(expected))
    # As few pieces as can be.
    assert pairs.per_epoch == sum(-(-size // length) for size in documents if size >= 2)


@given(sizes, st.integers(0, 2**65))
def test_an_epoch_has_each_piece_once(documents: list[int], seed: int) -> None:
    pairs = Pairs(row(documents), 7, seed, SEPARATOR)
    count = pairs.per_epoch
    drawn = pairs.starts(count, count)
    assert sorted(drawn) == list(range(count))
    assert [pairs.starts(count + i, 1)[0] for i in range(count)] == drawn


@given(sizes, st.integers(3, 20), st.integers(0, 99))
def test_a_second_segment_follows_or_is_of_another_document(
    documents: list[int], length: int, seed: int
) -> None:
    ids = row(documents)
    pairs = Pairs(ids, length, 0, SEPARATOR)
    document_of = np.cumsum(ids == SEPARATOR)
    for number in range(pairs.per_epoch):
        first, second, label = pairs.segments(number, np.random.default_rng([seed, number]))
        assert len(first) >= 1 and len(second) >= 1 and len(first) + len(second) <= length
        joined = np.concatenate([first, second]).astype(int)
        assert SEPARATOR not in joined
        if label == 0:
            assert (np.diff(joined) == 1).all()
        else:
            assert label == 1
            assert (np.diff(first.astype(int)) == 1).all()
            assert (np.diff(second.astype(int)) == 1).all()
            assert document_of[first[0]] != document_of[second[0]]
            assert document_of[second[0]] == document_of[second[-1]]


def test_half_is_exchanged_and_any_other_document_as_likely() -> None:
    pairs = Pairs(row([40] * 5), 40, 0, SEPARATOR)
    drawn = [pairs.segments(2, np.random.default_rng(i)) for i in range(4000)]
    exchanged = [int(second[0]) // 41 for _, second, label in drawn if label == 1]
    assert 1850 < len(exchanged) < 2150
    counts = np.bincount(exchanged, minlength=5)
    assert counts[2] == 0 and (np.delete(counts, 2) > 420).all()


def test_lengths_give_nothing_away() -> None:
    pairs = Pairs(row([40] * 5), 40, 0, SEPARATOR)
    drawn = [pairs.segments(2, np.random.default_rng(i)) for i in range(400)]
    assert all(len(first) + len(second) == 40 for first, second, _ in drawn)


def test_singles_are_windows_without_a_second() -> None:
    singles = Singles(np.arange(100, dtype=np.uint16), 8, 0)
    first, second, label = singles.segments(5, np.random.default_rng(0))
    assert first.tolist() == list(range(5, 13)) and len(second) == 0 and label == IGNORED
    assert list(singles.in_order()) == list(range(0, 100, 8))
    # The last ends where the ids do.
    assert singles.segments(96, np.random.default_rng(0)).first.tolist() == list(range(92, 100))


@pytest.mark.parametrize(
    ("documents", "length", "message"),
    [
        ([50], 8, "has 1 documents of two ids"),
        ([50, 1, 0], 8, "has 1 documents of two ids"),
        ([50, 50], 2, "at least 3"),
    ],
)
def test_what_cannot_be_paired_is_refused(documents: list[int], length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pairs(row(documents), length, 0, SEPARATOR)
