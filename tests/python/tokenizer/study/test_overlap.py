"""Two vocabularies, by set arithmetic."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

import pytest

import byteloom as bl
from byteloom.tokenizer.study import Overlap, overlap
from byteloom.tokenizer.study.overlap import grouped, plot_overlap
from tokenizer.texts import END, PROSE

TEXTS = {
    "prose": PROSE,
    "code": "def f(x):\n    return x\n" * 9 + PROSE[:200],
    "more": PROSE * 2 + "whence thence " * 5,
}


def trained(name: str, size: int, *special: str) -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([TEXTS[name]], special).train(size)


PAIRS = [
    (trained("prose", 400, END), trained("code", 350, END)),
    (trained("prose", 400), trained("more", 420, END, "<pad>")),
    (trained("prose", 300, END), trained("prose", 400, END)),
    (trained("code", 300), trained("code", 300)),
    (trained("code", 256), trained("prose", 400)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_figures(first: bl.Tokenizer, second: bl.Tokenizer) -> None:
    found = overlap(first, second)
    ids = []
    for tokenizer in (first, second):
        special = tokenizer.special_tokens.values()
        ids.append({token: id for id, token in tokenizer.vocab.items() if id not in special})
    here, there = map(set, ids)
    assert {token.bytes for token in found.common} == here & there
    assert [t.bytes for t in found.only_first] == sorted(here - there, key=ids[0].__getitem__)
    assert [t.bytes for t in found.only_second] == sorted(there - here, key=ids[1].__getitem__)
    assert all(ids[0][token.bytes] == token.id for token in (*found.common, *found.only_first))
    assert found.union == len(here | there)
    assert found.jaccard == len(here & there) / len(here | there)
    assert found.equal_ids == len(set(ids[0].items()) & set(ids[1].items()))
    first_difference = next(
        (
            i
            for i, (left, right) in enumerate(zip_longest(first.merges, second.merges))
            if left != right
        ),
        len(first.merges),
    )
    assert found.equal_merges == first_difference
    specials = set(first.special_tokens), set(second.special_tokens)
    assert tuple(map(set, found.special_tokens)) == (
        specials[0] & specials[1],
        specials[0] - specials[1],
        specials[1] - specials[0],
    )
    for length, row in found.by_length().items():
        parts = (here & there, here - there, there - here)
        assert row == tuple(sum(len(token) == length for token in part) for part in parts)
    assert sum(map(sum, found.by_length().values())) == found.union


def test_a_tokenizer_and_itself() -> None:
    found = overlap(PAIRS[0][0], PAIRS[0][0])
    assert found.jaccard == 1
    assert found.equal_ids == len(found.common) == 399
    assert found.equal_merges == len(PAIRS[0][0].merges)
    assert found.only_first == found.only_second == ()


def test_grouping_loses_nothing() -> None:
    rows = overlap(*PAIRS[0]).by_length()
    for longest in range(1, max(rows) + 2):
        sums = [sum(column) for column in zip(*grouped(rows, longest).values(), strict=True)]
        assert sums == [sum(column) for column in zip(*rows.values(), strict=True)]
        assert len(grouped(rows, longest)) <= longest + 1


@pytest.fixture
def found() -> Overlap:
    return overlap(*PAIRS[0])


def test_the_plot_says_what_it_shows(found: Overlap, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "overlap.svg"
    plot_overlap(found, path, "mine.json", "a < b & c", longest=5)
    text = path.read_text()
    for label in (
        f"in both ({len(found.common)})",
        f"only in mine.json ({len(found.only_first)})",
        f"only in a &lt; b &amp; c ({len(found.only_second)})",
        "length of token, bytes",
        "tokens",
        "6+",
    ):
        assert f">{label}<" in text
    # One bar for each of six lengths and three parts, in three colours.
    for colour in ("#0072b2", "#e69f00", "#009e73"):
        assert len(re.findall(rf"<path [^>]*style=\"fill: {colour}\"", text)) == 6 + 1


def test_a_name_is_no_formula(found: Overlap, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_overlap(found, tmp_path / "overlap.svg", "_a$x$", "b$_{")
    text = (tmp_path / "overlap.svg").read_text()
    assert ">only in _a$x$ (" in text
    assert ">only in b$_{ (" in text
