from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import byteloom as bl
from byteloom.data import order
from byteloom.data.masking import Frame, MaskedBatches, Masker, word_starts
from byteloom.data.pairs import Pairs, Singles
from byteloom.nn.loss import IGNORED
from oracles.slow_corruption import slow_word_starts

CLS, SEP, PAD, MASK, END = range(1000, 1005)
SPECIAL = [CLS, SEP, PAD, MASK, END]
FRAME = Frame(CLS, SEP, PAD)


def masker(**how: Any) -> Masker:
    return Masker(1005, SPECIAL, MASK, **how)


def pairs(batch_size: int = 6, seed: int = 0, context: int = 24) -> MaskedBatches:
    ids = np.arange(1000, dtype=np.uint16)
    ids[::37] = END
    source = Pairs(ids, context - 3, seed, END)
    return MaskedBatches([source], batch_size, context, seed, masker(), FRAME)


def singles(batch_size: int = 6, seed: int = 0) -> MaskedBatches:
    source = Singles(np.arange(1000, dtype=np.uint16), 22, seed)
    return MaskedBatches([source], batch_size, 24, seed, masker(), FRAME)


def test_what_is_ignored_is_what_the_loss_ignores() -> None:
    assert order.IGNORED == IGNORED


@given(
    st.lists(st.integers(0, 1004), min_size=1, max_size=80),
    st.floats(0.01, 1),
    st.integers(0, 99),
)
def test_so_many_are_chosen_and_nothing_special(ids: list[int], rate: float, seed: int) -> None:
    text = np.array(ids)
    left, targets = masker(rate=rate)(text, np.random.default_rng(seed))
    chosen = targets != IGNORED
    ordinary = ~np.isin(text, SPECIAL)
    assert chosen.sum() == min(ordinary.sum(), max(1, round(rate * ordinary.sum())))
    assert not (chosen & ~ordinary).any()
    assert np.array_equal(targets[chosen], text[chosen])
    assert np.array_equal(left[~chosen], text[~chosen])
    assert np.isin(left[chosen], [*range(1000), MASK]).all()


def test_fates_are_as_likely_as_they_should_be() -> None:
    text, chance = np.full(1000, 5), np.random.default_rng(0)
    found = [masker(rate=0.5)(text, chance) for _ in range(100)]
    left = np.concatenate([left[targets != IGNORED] for left, targets in found])
    assert len(left) == 50_000
    assert abs((left == MASK).mean() - 0.8) < 0.006
    assert abs((left == 5).mean() - 0.1001) < 0.005
    others = left[(left != MASK) & (left != 5)]
    # Any token is as likely to be put in: 5,000 of them, 5 each.
    counts = np.bincount(others, minlength=1000)[:1000]
    assert ((counts - 5) ** 2 / 5).sum() < 1150 and counts.max() < 20


def test_any_place_is_as_likely() -> None:
    chance = np.random.default_rng(0)
    text = np.arange(20)
    counts = sum((masker()(text, chance)[1] != IGNORED).astype(int) for _ in range(2000))
    assert ((counts - 300) ** 2 / 300).sum() < 43  # chi squared, 19 degrees


#: Bytes, "th", "the", " c", "\'s", and two special tokens.
MERGES = [(b"t", b"h"), (b"th", b"e"), (b" ", b"c"), (b"'", b"s")]
TOKENIZER = bl.Tokenizer(
    dict(enumerate([*(bytes([i]) for i in range(256)), *(a + b for a, b in MERGES)])),
    MERGES,
    ["<|endoftext|>", "[MASK]"],
)

texts = st.lists(st.sampled_from([*"the cat's 12\n\té€𝄞", "<|endoftext|>", "[MASK]"])).map("".join)


@given(texts)
def test_words_begin_where_pretokens_do(text: str) -> None:
    ids = np.array(TOKENIZER.encode(text), dtype=np.int64)
    assert word_starts(TOKENIZER)(ids).tolist() == slow_word_starts(TOKENIZER, text)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.floats(0.05, 1), st.integers(0, 99))
def test_words_are_chosen_as_a_whole(ids: list[int], rate: float, seed: int) -> None:
    text = np.array(ids)
    # 0 begins a word, and 6 is special.
    whole = Masker(7, [6], 6, rate, words=lambda found: found == 0)
    _, targets = whole(text, np.random.default_rng(seed))
    words: list[list[int]] = []
    for place, token in enumerate(ids):
        if token != 6:
            if token == 0 or place == 0 or ids[place - 1] == 6:
                words.append([])
            words[-1].append(place)
    chosen = set(np.flatnonzero(targets != IGNORED).tolist())
    taken = [word for word in words if chosen & set(word)]
    assert chosen == {place for word in taken for place in word}
    wanted = max(1, round(rate * sum(map(len, words))))
    if words:
        # Nothing more would fit; too much is only a lone word.
        assert len(taken) == 1 or len(chosen) <= wanted
        assert taken
        rest = [word for word in words if word not in taken]
        assert all(len(word) > wanted - len(chosen) for word in rest)


def test_pairs_are_framed() -> None:
    made = pairs()
    for step in range(20):
        ids, types, labels, targets = made.batch_at(step)
        assert ids.shape == types.shape == targets.shape == (6, 24) and labels.shape == (6,)
        assert all(part.dtype == torch.int64 for part in (ids, types, labels, targets))
        for row, kinds, wanted in zip(ids, types, targets, strict=True):
            assert row[0] == CLS and (row == SEP).sum() == 2
            middle, last = torch.nonzero(row == SEP).flatten().tolist()
            assert (row[last + 1 :] == PAD).all() and (row[:last] != PAD).all()
            assert kinds.tolist() == [0] * (middle + 1) + [1] * (last - middle) + [0] * (23 - last)
            assert (wanted[[0, middle, last]] == IGNORED).all()
            assert (wanted[last:] == IGNORED).all()
            assert (wanted != IGNORED).sum() == max(1, round(0.15 * (last - 2)))
            # With what was hidden put back, the segments are what they were.
            text = torch.where(wanted == IGNORED, row, wanted)
            assert (text[1:middle].diff() == 1).all() and (
                text[middle + 1 : last].diff() == 1
            ).all()
        assert set(labels.tolist()) <= {0, 1}


def test_singles_fill_the_context() -> None:
    ids, types, labels, targets = singles().batch_at(3)
    assert (ids[:, 0] == CLS).all() and (ids[:, -1] == SEP).all() and (types == 0).all()
    assert (labels == IGNORED).all() and not (ids == PAD).any()
    text = torch.where(targets == IGNORED, ids, targets)
    assert (text[:, 1:-1].diff() == 1).all()


@pytest.mark.parametrize("make", [pairs, singles])
def test_a_step_is_a_pure_function_of_seed_and_step(make: Any) -> None:
    forward = [make().batch_at(step) for step in range(30)]
    one = make()
    for step in (29, 0, 7, 29):
        for mine, other in zip(one.batch_at(step), forward[step], strict=True):
            assert torch.equal(mine, other)
    assert not torch.equal(make(seed=1).batch_at(0)[3], forward[0][3])


@pytest.mark.parametrize("make", [pairs, singles])
def test_another_batch_size_draws_the_same_texts_changed_alike(make: Any) -> None:
    for part in range(4):
        one, other = (
            torch.cat([make(batch_size=size).batch_at(s)[part] for s in range(60 // size)])
            for size in (3, 20)
        )
        assert torch.equal(one, other)


@pytest.mark.parametrize("make", [pairs, singles])
def test_what_is_evaluated_is_the_same_every_time(make: Any) -> None:
    some, again = list(make().evenly(3)), list(make().evenly(3))
    assert [len(batch[0]) for batch in some] == [6, 6, 6]
    for one, other in zip(some, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    everything = list(make().evenly())
    assert sum(len(batch[0]) for batch in everything) == len(make().sources[0].in_order())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"hidden": 0.8, "random": 0.3}, "hidden is 0.8 and random 0.3"),
        ({"hidden": -0.1}, "hidden is -0.1"),
    ],
)
def test_impossible_parts_are_refused(how: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        masker(**how)


def test_nothing_but_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="all 3 tokens are special"):
        Masker(3, [0, 1, 2], 0)
