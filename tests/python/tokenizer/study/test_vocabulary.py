"""A vocabulary in figures, against plain loops over it."""

from __future__ import annotations

import statistics

import pytest

import byteloom as bl
from byteloom.tokenizer.study import Token, summarize
from tokenizer.texts import END, PROSE


@pytest.fixture(scope="module", params=["gpt2", "cl100k", r"\S+|\s+"])
def tokenizer(request: pytest.FixtureRequest) -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE], [END], request.param).train(450)


def test_figures(tokenizer: bl.Tokenizer) -> None:
    found = summarize(tokenizer, longest=7)
    ordinary = [token for id, token in tokenizer.vocab.items() if id != found.special_tokens[END]]
    lengths = [len(token) for token in ordinary]
    assert found.size == len(ordinary) + 1 == tokenizer.vocab_size
    assert found.merges == len(tokenizer.merges)
    assert found.lengths == {length: lengths.count(length) for length in sorted(set(lengths))}
    assert found.mean_length == pytest.approx(statistics.mean(lengths))
    assert found.median_length == statistics.median_low(lengths)
    assert found.space_first == sum(token[:1] == b" " for token in ordinary)
    assert [len(token.bytes) for token in found.longest] == sorted(lengths)[:-8:-1]
    assert all(tokenizer.vocab[token.id] == token.bytes for token in found.longest)


def test_kinds_add_up(tokenizer: bl.Tokenizer) -> None:
    found = summarize(tokenizer)
    assert sum(found.kinds.values()) == tokenizer.vocab_size
    assert found.kinds["special"] == 1
    undecodable = 0
    for token in tokenizer.vocab.values():
        try:
            token.decode()
        except UnicodeDecodeError:
            undecodable += 1
    assert found.kinds["partial"] == undecodable
    for kind, count in found.kinds.items():
        tokens = [Token(id, token, id == 0) for id, token in tokenizer.vocab.items()]
        assert count == sum(token.kind == kind for token in tokens)


def test_the_pattern_has_its_name() -> None:
    for pattern, name in (("gpt2", "gpt2"), (r"\S+|\s+", None)):
        tokenizer = bl.PretokenCounts.from_texts([PROSE], pattern=pattern).train(256)
        found = summarize(tokenizer)
        assert found.preset == name
        assert found.pattern == tokenizer.pattern


def test_equally_long_tokens_come_in_the_order_of_ids() -> None:
    tokenizer = bl.PretokenCounts.from_texts(["ab cd"]).train(259)
    longest = summarize(tokenizer, longest=260).longest
    assert [token.id for token in longest[1:]] == [
        *(id for id, token in tokenizer.vocab.items() if len(token) == 2),
        *(id for id, token in tokenizer.vocab.items() if len(token) == 1),
    ]
