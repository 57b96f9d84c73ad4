from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from byteloom.data import Batches, TokenFile, random_batch, sequential_batches, validation_batches
from byteloom.data.order import IGNORED
from byteloom.data.windows import Windows


def counting(n: int) -> np.ndarray:
    """Ids that say where they stand."""
    return np.arange(n, dtype=np.uint32)


shapes = st.tuples(st.integers(1, 40), st.integers(1, 7)).flatmap(
    lambda s: st.tuples(st.just(s[0]), st.just(s[1]), st.integers(s[0] + 1, 600))
)


@given(shapes, st.integers(0, 2**65))
@example((10, 4, 11), 0)
@example((10, 4, 21), 0)
def test_an_epoch_visits_every_window_once(shape: tuple[int, int, int], seed: int) -> None:
    context, _, n = shape
    windows = Windows(counting(n), context, seed)
    starts = np.array(windows.starts(0, windows.per_epoch))
    # Windows that follow each other without a gap or an overlap.
    assert np.array_equal(np.diff(np.sort(starts)), np.full(len(starts) - 1, context))
    # Nothing is left out at either end, and no window is outside.
    assert -context < starts.min() <= 0 and n - 1 - context <= starts.max() < n - 1
    assert all(len(windows.read(start)) == context + 1 for start in starts.tolist())


@given(shapes, st.integers(0, 50))
def test_targets_are_the_next_ids(shape: tuple[int, int, int], step: int) -> None:
    context, batch_size, n = shape
    inputs, targets = Batches(counting(n), batch_size, context, 3).batch_at(step)
    assert inputs.shape == targets.shape == (batch_size, context)
    assert inputs.dtype == targets.dtype == torch.int64
    assert torch.equal(inputs[:, 1:], inputs[:, :-1] + 1)
    own = targets != IGNORED
    assert torch.equal(targets[own], inputs[own] + 1) and own.any(1).all()


def test_a_step_is_a_pure_function_of_seed_and_step() -> None:
    tokens = counting(1000)
    forward = [Batches(tokens, 8, 16, seed=5).batch_at(s)[0] for s in range(40)]
    one = Batches(tokens, 8, 16, seed=5)
    for step in (39, 0, 17, 3, 39):
        assert torch.equal(one.batch_at(step)[0], forward[step])
    other = Batches(tokens, 8, 16, seed=6)
    assert not all(torch.equal(other.batch_at(s)[0], forward[s]) for s in range(40))


def test_the_sequence_of_windows_does_not_depend_on_the_batch_size() -> None:
    tokens = counting(777)
    rows = [
        torch.cat([Batches(tokens, size, 10, 1).batch_at(s)[0] for s in range(240 // size)])
        for size in (1, 8, 60, 240)
    ]
    assert all(torch.equal(rows[0], other) for other in rows)


def test_epochs_differ_in_order_and_offset() -> None:
    batches = Batches(counting(5000), 1, 10, seed=0)
    windows = batches.sources[0]
    count = windows.per_epoch
    epochs = [windows.starts(e * count, count) for e in range(20)]
    assert len({tuple(e) for e in epochs}) == 20
    assert len({min(e) for e in epochs}) > 5
    assert batches.epoch_at(count) == 1.0 and batches.epochs_at(count) == [1.0]


def test_over_epochs_every_id_is_seen_equally_often() -> None:
    batches = Batches(counting(205), 4, 10, seed=0)
    epochs = 4 * 25
    steps = epochs * batches.sources[0].per_epoch // 4
    seen = Counter()
    for step in range(steps):
        targets = batches.batch_at(step)[1]
        seen.update(targets[targets != IGNORED].tolist())
    assert seen == Counter(dict.fromkeys(range(1, 205), epochs))


def test_huge_files_cost_no_memory() -> None:
    # A view of one id, as long as five billion: what a mapped file looks like.
    tokens = np.broadcast_to(np.array([7], dtype=np.uint16), (5_000_000_000,))
    batches = Batches(tokens, 4, 1024, seed=0)
    assert batches.sources[0].per_epoch > 4_000_000
    inputs, _ = batches.batch_at(10**9)
    assert inputs.shape == (4, 1024) and (inputs == 7).all()


def test_too_few_tokens_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", counting(10))
    short = TokenFile(tmp_path / "short.npy")
    for call in (
        lambda: Batches(short, 2, 10, 0),
        lambda: random_batch(short, 2, 10),
        lambda: validation_batches(short, 2, 10, 1),
    ):
        with pytest.raises(ValueError, match=r"short\.npy has 10 ids: one window takes 11"):
            call()
    with pytest.raises(ValueError, match="must be one row"):
        Batches(np.zeros((3, 3), dtype=np.uint16), 1, 1, 0)
    with pytest.raises(ValueError, match="at least 1"):
        Batches(counting(10), 0, 1, 0)
    with pytest.raises(ValueError, match="at least 1"):
        Batches(counting(10), 1, 0, 0)


# -- the course's batch ---------------------------------------------------------------------------


def test_random_batch_draws_every_start_equally() -> None:
    tokens, context = counting(30), 7
    torch.manual_seed(0)
    starts = Counter()
    for _ in range(500):
        inputs, targets = random_batch(tokens, 32, context, "cpu")
        assert inputs.shape == (32, context) and torch.equal(targets, inputs + 1)
        starts.update(inputs[:, 0].tolist())
    assert sorted(starts) == list(range(23))
    expected = 500 * 32 / 23
    chi2 = sum((count - expected) ** 2 / expected for count in starts.values())
    assert chi2 < 65  # 22 degrees of freedom: chance 1e-6


def test_random_batch_repeats_with_its_generator_or_torchs_seed() -> None:
    def with_torch() -> torch.Tensor:
        torch.manual_seed(3)
        return random_batch(counting(1000), 4, 5)[0]

    def with_generator() -> torch.Tensor:
        return random_batch(counting(1000), 4, 5, generator=np.random.default_rng(3))[0]

    assert torch.equal(with_torch(), with_torch())
    assert torch.equal(with_generator(), with_generator())


# -- validation -----------------------------------------------------------------------------------


def test_validation_batches_are_spread_and_always_the_same() -> None:
    tokens = counting(10_001)
    batches = validation_batches(tokens, 4, 10, 5)
    assert [tuple(i.shape) for i, _ in batches] == [(4, 10)] * 5
    starts = torch.cat([i[:, 0] for i, _ in batches]).tolist()
    assert starts == list(range(0, 10_000, 500))
    again = validation_batches(tokens, 4, 10, 5)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))


@given(st.integers(2, 200), st.integers(1, 20), st.integers(1, 5), st.integers(1, 10))
def test_validation_windows_never_overlap(n: int, context: int, size: int, count: int) -> None:
    if n <= context:
        return
    batches = validation_batches(counting(n), size, context, count)
    inputs = torch.cat([i.flatten() for i, _ in batches])
    assert len(inputs.unique()) == len(inputs)
    assert sum(len(i) for i, _ in batches) == min(size * count, (n - 1) // context)


@given(st.integers(2, 200), st.integers(1, 20), st.integers(1, 5))
def test_sequential_batches_predict_every_id_once(n: int, context: int, size: int) -> None:
    batches = list(sequential_batches(counting(n), size, context))
    assert torch.cat([t.flatten() for _, t in batches]).tolist() == list(range(1, n))
    assert torch.cat([i.flatten() for i, _ in batches]).tolist() == list(range(n - 1))
    assert all(i.shape[0] <= size and i.shape[1] <= context for i, _ in batches)


def test_sequential_batches_need_two_ids() -> None:
    with pytest.raises(ValueError, match="two are needed"):
        list(sequential_batches(counting(1), 1, 1))
