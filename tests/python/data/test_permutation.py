from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from byteloom.data.permutation import Permutation

keys = st.tuples(st.integers(-(2**70), 2**70), st.integers(0, 2**40))


@given(st.integers(1, 3000), keys)
@example(1, (0, 0))
@example(2, (0, 0))
@example(3, (0, 1))
@example(2**11, (5, 1))
def test_it_is_a_bijection(size: int, key: tuple[int, int]) -> None:
    images = Permutation(size, key)(np.arange(size))
    assert np.array_equal(np.sort(images), np.arange(size))


@given(st.integers(2**40, 2**62), keys, st.integers(0, 2**40 - 1000))
def test_images_of_a_huge_range_are_inside_and_distinct(
    size: int, key: tuple[int, int], first: int
) -> None:
    images = Permutation(size, key)(np.arange(first, first + 1000))
    assert len(np.unique(images)) == 1000 and int(images.max()) < size


@given(st.integers(1, 1000), keys, st.data())
def test_any_place_can_be_asked_alone(size: int, key: tuple[int, int], data: st.DataObject) -> None:
    order = Permutation(size, key)
    place = data.draw(st.integers(0, size - 1))
    assert order(np.array([place]))[0] == order(np.arange(size))[place]


def test_keys_give_different_orders() -> None:
    orders = {
        tuple(Permutation(50, (seed, epoch))(np.arange(50)).tolist())
        for seed in range(20)
        for epoch in range(20)
    }
    assert len(orders) == 400


@pytest.mark.parametrize("size", [3, 5, 8])
def test_every_place_goes_everywhere_about_as_often(size: int) -> None:
    """Over many keys, the image of each place is uniform: a chi-squared test on each."""
    keys = 4000
    images = np.stack([Permutation(size, (key,))(np.arange(size)) for key in range(keys)])
    for place in range(size):
        counts = np.bincount(images[:, place].astype(int), minlength=size)
        chi2 = ((counts - keys / size) ** 2 / (keys / size)).sum()
        assert chi2 < 40, (place, counts)  # 7 degrees of freedom: chance 1e-6


def test_neighbours_do_not_stay_neighbours() -> None:
    images = Permutation(100_000, (1, 2))(np.arange(100_000)).astype(np.int64)
    assert abs(np.corrcoef(images[:-1], images[1:])[0, 1]) < 0.02
    assert (np.abs(np.diff(images)) <= 1).mean() < 0.001


def test_sizes_that_cannot_be_are_refused() -> None:
    for size in (0, -1, 2**62 + 1):
        with pytest.raises(ValueError, match="must be 1 to"):
            Permutation(size, (0,))
