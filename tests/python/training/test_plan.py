from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byteloom.training.plan import Plan


@given(st.integers(1, 9), st.integers(0, 40))
def test_steps_take_their_batches_one_after_the_other(accumulation: int, warmup: int) -> None:
    plan, before = Plan(accumulation, warmup), 0
    counts = []
    for step in range(60):
        assert plan.before(step) == before
        counts.append(plan.batches_of(step))
        before += counts[-1]
    assert counts == sorted(counts) and counts[-1] == accumulation
    assert counts[0] == (1 if warmup else accumulation)
    assert set(counts[warmup:]) == {accumulation}


def test_far_steps_cost_nothing() -> None:
    assert Plan(4, 10).before(10**12) == Plan(4, 10).before(10) + 4 * (10**12 - 10)
