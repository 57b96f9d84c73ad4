"""Drawing ids against a slow oracle in numpy, and by how often each comes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from byteloom.generation import sample

DRAWS = 20_000


def oracle(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> np.ndarray:
    """The probability of each id, one at a time, in doubles."""
    scores = [logit / temperature for logit in logits]
    ranked = sorted(range(len(scores)), key=lambda i: -scores[i])
    kept = ranked[: len(ranked) if top_k is None else top_k]
    weights = {i: math.exp(scores[i] - scores[ranked[0]]) for i in kept}
    total = sum(weights.values())
    p = np.zeros(len(scores))
    reached = 0.0
    for i in kept:
        if top_p is not None and reached >= top_p:
            break
        p[i] = weights[i] / total
        reached += p[i]
    return p / p.sum()


def draw(logits: list[float], n: int, seed: int = 0, **how: float | None) -> Counter[int]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.tensor(logits).expand(n, -1)
    return Counter(sample(rows, generator=generator, **how).tolist())  # type: ignore[arg-type]


def check_frequencies(counts: Counter[int], p: np.ndarray) -> None:
    """Pearson's statistic stays below its mean by far more than chance would go."""
    n = sum(counts.values())
    assert set(counts) <= set(np.flatnonzero(p)), "an id was drawn that could not be"
    expected = {i: n * p[i] for i in np.flatnonzero(p)}
    statistic = sum((counts[i] - e) ** 2 / e for i, e in expected.items() if e >= 5)
    freedom = max(1, len(expected) - 1)
    # Mean f, variance 2 f: six deviations and some for the skew.
    assert statistic < freedom + 6 * math.sqrt(2 * freedom) + 10


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 100])
@pytest.mark.parametrize("top_p", [None, 0.3, 0.8, 1.0])
def test_frequencies_are_the_oracles(
    temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = [0.3, 2.0, -1.0, 1.5, 0.0, -3.0, 1.0, 0.9]
    counts = draw(logits, DRAWS, temperature=temperature, top_k=top_k, top_p=top_p)
    check_frequencies(counts, oracle(logits, temperature, top_k, top_p))


def test_the_frequency_test_can_fail() -> None:
    logits = [0.3, 2.0, -1.0, 1.5]
    counts = draw(logits, DRAWS)
    with pytest.raises(AssertionError):
        check_frequencies(counts, oracle(logits, 1.1, None, None))
    with pytest.raises(AssertionError, match="could not be"):
        check_frequencies(counts, oracle(logits, 1.0, 3, None))


#: No two closer than a hundredth: neither ties nor rounding decide what is kept.
spread_logits = st.lists(st.integers(-500, 500), min_size=1, max_size=12, unique=True).map(
    lambda values: [value / 100 for value in values]
)


@given(
    logits=spread_logits,
    temperature=st.floats(0.1, 5.0),
    top_k=st.none() | st.integers(1, 15),
    top_p=st.none() | st.floats(0.01, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_only_what_the_oracle_keeps_is_drawn(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None, seed: int
) -> None:
    counts = draw(logits, 200, seed, temperature=temperature, top_k=top_k, top_p=top_p)
    p = oracle(logits, temperature, top_k, top_p)
    if top_p is not None:
        # Where p is reached to within rounding, either side is right.
        generous = oracle(logits, temperature, top_k, min(1.0, top_p + 1e-5))
        p = np.maximum(p, generous)
    assert set(counts) <= set(np.flatnonzero(p))
    strict = p if top_p is None else oracle(logits, temperature, top_k, max(1e-9, top_p - 1e-5))
    # What comes once in ten draws does not stay away for two hundred (chance: 1e-9).
    assert set(np.flatnonzero(strict / strict.sum() > 0.1)) <= set(counts)


@given(logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20))
def test_temperature_0_takes_the_largest(logits: list[float]) -> None:
    got = int(sample(torch.tensor(logits), temperature=0.0))
    assert logits[got] == max(logits)
    assert int(sample(torch.tensor(logits), top_k=1)) == got or logits.count(max(logits)) > 1


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-300])
def test_a_tiny_temperature_is_greedy(temperature: float) -> None:
    assert draw([1.0, 3.0, 2.0, -5.0], 100, temperature=temperature) == {1: 100}


def test_a_huge_temperature_is_fair() -> None:
    counts = draw([1.0, 3.0, 2.0, -5.0], DRAWS, temperature=1e6)
    check_frequencies(counts, np.full(4, 0.25))


def test_a_tie_is_cut_at_k() -> None:
    counts = draw([1.0] * 6, 2000, top_k=2)
    assert len(counts) == 2
    check_frequencies(Counter(dict(enumerate(counts.values()))), np.full(2, 0.5))


def test_top_p_keeps_as_few_as_reach_it() -> None:
    logits = np.log([0.5, 0.25, 0.125, 0.125]).tolist()
    assert set(draw(logits, 500, top_p=1e-9)) == {0}
    assert set(draw(logits, 500, top_p=0.49)) == {0}
    assert set(draw(logits, 500, top_p=0.51)) == {0, 1}
    assert set(draw(logits, 500, top_p=0.74)) == {0, 1}
    assert len(draw(logits, 500, top_p=0.87)) == 3
    assert set(draw(logits, 500, top_p=1.0)) == {0, 1, 2, 3}


def test_top_p_counts_what_top_k_has_left() -> None:
    logits = np.log([0.4, 0.3, 0.2, 0.1]).tolist()
    # Of the best two, the first has 4/7 of what is left.
    assert set(draw(logits, 500, top_k=2, top_p=0.5)) == {0}
    assert set(draw(logits, 500, top_k=2, top_p=0.6)) == {0, 1}


@pytest.mark.parametrize("how", [{}, {"top_k": 2}, {"top_p": 0.9}, {"temperature": 0.0}])
def test_what_is_ruled_out_is_never_drawn(how: dict[str, float]) -> None:
    counts = draw([0.0, -math.inf, 1.0, -math.inf], 500, **how)
    assert set(counts) <= {0, 2}


@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_an_offset_changes_nothing(offset: float) -> None:
    logits = [0.0, 1.0, 2.0]
    check_frequencies(draw([v + offset for v in logits], DRAWS), oracle(logits, 1.0, None, None))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_row_is_drawn_from_on_its_own(shape: tuple[int, ...], temperature: float) -> None:
    logits = torch.full(shape, -50.0)
    want = torch.randint(5, shape[:-1], generator=torch.Generator().manual_seed(1))
    logits.scatter_(-1, want[..., None], 50.0)
    got = sample(logits, temperature, top_k=3, top_p=0.9)
    assert torch.equal(got, want)
    assert got.dtype == torch.int64


def test_bfloat16_is_drawn_from_in_single_precision() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    generator = torch.Generator().manual_seed(0)
    counts = Counter(sample(logits.bfloat16().expand(DRAWS, -1), generator=generator).tolist())
    check_frequencies(counts, oracle(logits.tolist(), 1.0, None, None))


def test_the_generator_alone_decides() -> None:
    logits = torch.zeros(100, 50)

    def drawn(seed: int) -> list[int]:
        return sample(logits, generator=torch.Generator().manual_seed(seed)).tolist()

    assert drawn(3) == drawn(3) != drawn(4)


def test_the_logits_stay_as_they_are() -> None:
    logits = torch.randn(3, 9)
    before = logits.clone()
    sample(logits, 0.5, top_k=3, top_p=0.5)
    assert torch.equal(logits, before)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"temperature": -0.1}, r"temperature is -0\.1; it must be 0 or more"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"top_k": -3}, "top_k is -3; it must be at least 1"),
        ({"top_p": 0.0}, r"top_p is 0\.0; it must be above 0 and at most 1"),
        ({"top_p": 1.1}, r"top_p is 1\.1; it must be above 0 and at most 1"),
        ({"top_p": math.nan}, "top_p is nan"),
    ],
)
def test_impossible_settings_are_refused(how: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(torch.zeros(3), **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="NaN"):
        sample(torch.tensor([0.0, math.nan]), temperature)
