"""Merges step by step: against the encoder, slow BPE, and the merges themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import byteloom as bl
from byteloom.tokenizer.study import Derivation, Node, derive
from byteloom.tokenizer.study.derivation import MAX_BYTES
from oracles import slow_bpe
from tokenizer.texts import END, NASTY_PIECES, PROSE, nasty_text


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE] * 3 + list(NASTY_PIECES), [END]).train(600)


def check(tokenizer: bl.Tokenizer, word: Derivation) -> None:
    """Every step is a merge; the last one leaves the ids, whose trees' leaves are the bytes."""
    merges, vocab = tokenizer.merges, tokenizer.vocab
    tokens = [bytes([byte]) for byte in word.pretoken]
    if word.pretoken == END.encode():
        tokens = [END.encode()]
    for step in word.steps:
        left, right = merges[step.rank]
        assert (left, right) == (step.left, step.right)
        place = next(
            i for i in range(len(tokens)) if tuple(tokens[i : i + 2]) == (step.left, step.right)
        )
        tokens[place : place + 2] = [left + right]
        assert step.tokens == tuple(tokens)
    assert [vocab[id] for id in word.ids] == tokens
    leaves = [leaf.token for root in word.roots for leaf in root.leaves()]
    assert b"".join(leaves) == word.pretoken
    assert word.pretoken == END.encode() or all(len(leaf) == 1 for leaf in leaves)

    def walk(node: Node) -> list[int]:
        assert vocab[node.id] == node.token
        if not node.parts:
            assert node.rank is None
            return []
        assert node.rank is not None
        assert merges[node.rank] == tuple(part.token for part in node.parts)
        return [node.rank, *(rank for part in node.parts for rank in walk(part))]

    ranks = [rank for root in word.roots for rank in walk(root)]
    assert sorted(ranks) == sorted(step.rank for step in word.steps)


@settings(max_examples=200)
@given(nasty_text)
def test_steps_reproduce_encode(tokenizer: bl.Tokenizer, text: str) -> None:
    words = derive(tokenizer, text)
    assert b"".join(word.pretoken for word in words) == text.encode()
    ids = [id for word in words for id in word.ids]
    assert ids == tokenizer.encode(text)
    assert ids == slow_bpe.encode(text, tokenizer.vocab, tokenizer.merges, [END])
    for word in words:
        check(tokenizer, word)


@given(st.binary(max_size=60))
def test_any_bytes(tokenizer: bl.Tokenizer, data: bytes) -> None:
    words = derive(tokenizer, data)
    assert [id for word in words for id in word.ids] == tokenizer.encode(data)
    for word in words:
        check(tokenizer, word)


def test_a_merge_that_enables_an_earlier_one() -> None:
    """Made twice, "ab" + "c" has a rank below that of the merge that makes "ab" here."""
    vocab = {i: bytes([i]) for i in range(256)}
    tokens = [b"xy", b"abc", b"abcd", b"bc", b"abcde"]
    merges = [(b"b", b"c"), (b"a", b"bc"), (b"abc", b"d"), (b"a", b"b"), (b"ab", b"c")]
    vocab |= {256 + i: token for i, token in enumerate([*tokens, b"ab"])}
    tokenizer = bl.Tokenizer(vocab, merges)
    for text in ("abcd", "ababc", "abcabc", "aabcc", "abab"):
        (word,) = derive(tokenizer, text)
        assert word.ids == tokenizer.encode(text)


def test_repeated_letters_merge_from_the_left() -> None:
    tokenizer = bl.PretokenCounts.from_texts(["aaaaaaaa"]).train(258)
    for length in range(1, 12):
        (word,) = derive(tokenizer, "a" * length)
        assert word.ids == tokenizer.encode("a" * length)
        check(tokenizer, word)


def test_the_tree_shows_every_node_once(tokenizer: bl.Tokenizer) -> None:
    (word,) = derive(tokenizer, " Тестирование")
    lines = word.tree().splitlines()
    assert len(lines) == 1 + len(word.pretoken) + len(word.steps)
    assert lines[0] == repr(" Тестирование")
    assert sum("id " in line for line in lines) == len(word.ids) + len(word.steps) - sum(
        bool(root.parts) for root in word.roots
    )
    assert [line.count("merge") for line in lines].count(1) == len(word.steps)


def test_special_tokens_are_leaves(tokenizer: bl.Tokenizer) -> None:
    words = derive(tokenizer, f"a{END}")
    assert [word.pretoken for word in words] == [b"a", END.encode()]
    assert words[1].ids == [tokenizer.special_tokens[END]]
    assert words[1].steps == ()
    assert words[1].tree() == f"{END!r}\n└─ {END!r}  id {tokenizer.special_tokens[END]}"


def test_nothing_has_no_derivation(tokenizer: bl.Tokenizer) -> None:
    assert derive(tokenizer, "") == []


def test_words_too_long_for_a_tree(tokenizer: bl.Tokenizer) -> None:
    text = "a" * MAX_BYTES
    assert derive(tokenizer, text)[0].ids == tokenizer.encode(text)
    with pytest.raises(ValueError, match=r"'aaa.*…a+' is a pretoken of 257 bytes; .* up to 256"):
        derive(tokenizer, text + "a")


def test_the_deepest_tree_there_can_be() -> None:
    """Each merge adds one byte to the token before it."""
    chain = [b"b" + b"a" * n for n in range(1, MAX_BYTES)]
    text = chain[-1]
    vocab = dict(enumerate([*(bytes([i]) for i in range(256)), *chain]))
    tokenizer = bl.Tokenizer(vocab, [(token[:-1], b"a") for token in chain])
    (word,) = derive(tokenizer, text)
    assert word.ids == tokenizer.encode(text)
    assert len(list(word.roots[0].leaves())) == MAX_BYTES
    assert word.tree().count("\n") == MAX_BYTES + len(word.steps)
    assert word.figures()["ids"] == word.ids
