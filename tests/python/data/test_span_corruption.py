from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from byteloom.data.span_corruption import Lengths, SpanBatches, corrupt, random_parts
from oracles.slow_corruption import restore, slow_corrupt

END = 9_999
SENTINELS = range(10_000, 10_200)


def batches(n: int = 3000, batch_size: int = 4, context: int = 64, **how: float) -> SpanBatches:
    seed = int(how.pop("seed", 0))
    ids = np.arange(n, dtype=np.uint16)
    return SpanBatches(ids, batch_size, context, seed, SENTINELS, END, **how)


def read_at(made: SpanBatches, step: int) -> list[int]:
    """Where the texts of a step begin."""
    starts = np.array([start for _, start in made.windows_at(step)])
    found: list[int] = made.sources[0].within(starts).tolist()
    return found


@given(st.integers(3, 600), st.floats(0.01, 0.99), st.floats(1, 20))
@example(4, 0.5, 1.0)
def test_inputs_fill_the_context_exactly_and_no_longer_text_does(
    context: int, density: float, mean_span: float
) -> None:
    lengths = Lengths.filling(context, density, mean_span)
    assert lengths.inputs == context
    assert 1 <= lengths.spans <= min(lengths.noise, lengths.tokens - lengths.noise)
    assert lengths.inputs == lengths.tokens - lengths.noise + lengths.spans + 1
    assert Lengths.of_text(lengths.tokens + 1, density, mean_span).inputs > context


def test_lengths_are_those_of_t5() -> None:
    # 568 and 114 are in T5's own configuration for 512 inputs.
    lengths = Lengths.filling(512)
    assert (lengths.tokens, lengths.targets) == (568, 114)


@given(st.data(), st.integers(1, 30))
def test_it_corrupts_as_one_token_at_a_time(data: st.DataObject, spans: int) -> None:
    sizes = st.lists(st.integers(1, 6), min_size=spans, max_size=spans)
    kept, cut = data.draw(sizes), data.draw(sizes)
    ids = np.array(data.draw(st.permutations(range(sum(kept) + sum(cut)))))
    is_cut = [c for a, b in zip(kept, cut, strict=True) for c in [False] * a + [True] * b]
    ours = corrupt(ids, np.array(kept), np.array(cut), np.array(SENTINELS), END)
    theirs = slow_corrupt(ids.tolist(), is_cut, SENTINELS, END)
    assert (ours[0].tolist(), ours[1].tolist()) == theirs


@given(st.integers(3, 150), st.integers(0, 2**65), st.integers(0, 30))
def test_every_token_is_in_inputs_or_targets_once_and_in_order(
    context: int, seed: int, step: int
) -> None:
    made = batches(context=context, seed=seed)
    inputs, targets = made.batch_at(step)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == (4, context) and targets.shape == (4, made.lengths.targets)
    for row, start in enumerate(read_at(made, step)):
        assert inputs[row, -1] == targets[row, -1] == END
        text = restore(inputs[row, :-1].tolist(), targets[row, :-1].tolist(), SENTINELS)
        assert text == list(range(start, start + made.context_length))


@given(st.integers(2, 40), st.data())
def test_parts_are_at_least_one_each_and_add_up(total: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, total))
    sizes = random_parts(total, parts, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert len(sizes) == parts and sizes.min() >= 1 and sizes.sum() == total


def test_all_ways_of_parting_are_as_likely() -> None:
    chance = np.random.default_rng(0)
    ways = [tuple(random_parts(5, 3, chance).tolist()) for _ in range(6000)]
    counts = np.unique(ways, axis=0, return_counts=True)[1]
    assert len(counts) == 6  # 4 places for 2 cuts
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # chi squared: one in a thousand


def test_as_much_is_cut_out_as_was_asked_for() -> None:
    for density, mean_span in ((0.15, 3.0), (0.5, 3.0), (0.15, 8.0)):
        made = batches(context=200, density=density, mean_span=mean_span)
        _, targets = made.batch_at(0)
        cut = (targets < END).sum(-1)
        spans = (targets > END).sum(-1)
        assert (cut == round(made.context_length * density)).all()
        assert (spans == round(cut[0].item() / mean_span)).all()


def test_spans_are_anywhere_but_at_the_beginning() -> None:
    made = batches(context=30, batch_size=50)
    seen = np.zeros(made.context_length)
    for step in range(20):
        _, targets = made.batch_at(step)
        for row, start in enumerate(read_at(made, step)):
            seen[targets[row][targets[row] < END].numpy() - start] += 1
    assert seen[0] == 0 and seen[-1] == 1000 and seen[1:].min() > 20


def test_a_step_is_a_pure_function_of_seed_and_step() -> None:
    forward = [batches().batch_at(step) for step in range(30)]
    one = batches()
    for step in (29, 0, 7, 29):
        for mine, other in zip(one.batch_at(step), forward[step], strict=True):
            assert torch.equal(mine, other)
    assert not torch.equal(batches(seed=1).batch_at(0)[1], forward[0][1])


def test_another_batch_size_draws_the_same_texts_changed_alike() -> None:
    for part in range(2):
        one, other = (
            torch.cat([batches(batch_size=size).batch_at(s)[part] for s in range(60 // size)])
            for size in (3, 20)
        )
        assert torch.equal(one, other)


def test_an_epoch_later_other_spans_are_cut_out() -> None:
    made = batches(n=88, batch_size=1, context=80)
    assert (made.context_length, made.sources[0].per_epoch) == (88, 1)
    assert len({tuple(made.batch_at(epoch)[1][0].tolist()) for epoch in range(5)}) == 5


def test_what_is_evaluated_is_the_same_every_time_and_spread_over_all() -> None:
    made = batches(n=3000, context=64)
    some, again = list(made.evenly(3)), list(made.evenly(3))
    assert [len(batch[0]) for batch in some] == [4, 4, 4]
    for one, other in zip(some, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    firsts = torch.cat([batch[0] for batch in some])[:, 0]
    assert firsts[0] == 0 and firsts[-1] > 2500 and (firsts.diff() > 0).all()
    everything = list(made.evenly())
    assert sum(len(batch[0]) for batch in everything) == -(-3000 // made.context_length)


def test_sources_are_mixed() -> None:
    ids = np.arange(1000, dtype=np.uint16)
    mixed = SpanBatches([ids, ids + 1000], 64, 30, 0, SENTINELS, END, weights=[3, 1])
    inputs, _ = mixed.batch_at(0)
    assert 10 <= (inputs[:, 0] >= 1000).sum() <= 22


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"context": 2}, "the fewest"),
        ({"density": 0.0}, "density is 0.0"),
        ({"density": 1.0}, "density is 1.0"),
        ({"density": float("nan")}, "density is nan"),
        ({"mean_span": 0.5}, "mean_span is 0.5"),
        ({"n": 40}, "has 40 ids: one window takes"),
        ({"batch_size": 0}, "batch_size 0"),
    ],
)
def test_what_cannot_be_is_refused(how: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(**how)  # type: ignore[arg-type]


def test_too_few_sentinels_are_refused() -> None:
    with pytest.raises(ValueError, match="have 3 spans, but there are only 2 sentinels"):
        SpanBatches(np.arange(500, dtype=np.uint16), 1, 64, 0, [600, 601], 602)
