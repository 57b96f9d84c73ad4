"""Training, against a trainer that recounts every time and against Hugging Face's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import END, PROSE, nasty_text

import byteloom as bl
from byteloom import _rust
from oracles import slow_bpe


@settings(max_examples=150)
@given(texts=st.lists(nasty_text, max_size=4), extra=st.integers(0, 40))
def test_merges_equal_the_slow_trainers(texts: list[str], extra: int) -> None:
    tokenizer = bl.PretokenCounts.from_texts(texts, [END]).train(257 + extra)
    want = slow_bpe.train(slow_bpe.count(texts, [END]), 257 + extra, [END])
    assert tokenizer.merges == want


@settings(max_examples=300)
@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=12).map(str.encode), st.integers(1, 5)),
    st.integers(0, 30),
)
def test_runs_and_overlaps(counts: dict[bytes, int], extra: int) -> None:
    tokenizer = bl.PretokenCounts.from_mapping(counts).train(256 + extra)
    assert tokenizer.merges == slow_bpe.train(Counter(counts), 256 + extra)
    assert len(set(tokenizer.vocab.values())) == tokenizer.vocab_size


def test_vocabulary_is_specials_then_bytes_then_merges() -> None:
    tokenizer = bl.PretokenCounts.from_texts(["low lower"], ["<a>", "<b>"]).train(260)
    assert list(tokenizer.vocab) == list(range(260))
    assert tokenizer.special_tokens == {"<a>": 0, "<b>": 1}
    assert [tokenizer.vocab[i] for i in range(2, 258)] == [bytes([b]) for b in range(256)]
    assert [tokenizer.vocab[i] for i in (258, 259)] == [a + b for a, b in tokenizer.merges]


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text large enough for ties, runs and rare words: this interpreter's own modules."""
    path = tmp_path_factory.mktemp("prose") / "text.txt"
    import email
    import json

    sources = [Path(module.__file__ or "") for module in (email, json)]
    files = sorted(file for source in sources for file in source.parent.glob("*.py"))
    text = END.join(file.read_text("utf-8") for file in files)
    path.write_text(text + PROSE * 50, "utf-8")
    return path


def test_merges_equal_hugging_faces_under_its_tie_rule(prose: Path) -> None:
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(prose.read_text("utf-8").split(END), trainer)
    ours = bl.train_bpe(prose, 1500, [END], tie_break="huggingface")
    theirs = bl.Tokenizer.from_huggingface(peer)
    assert ours.merges == theirs.merges
    assert set(ours.vocab.values()) == set(theirs.vocab.values())


@pytest.mark.parametrize("num_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("piece_size", [1, 7, 64, 4096, None])
def test_threads_and_pieces_change_nothing(
    prose: Path, num_threads: int, piece_size: int | None
) -> None:
    small = prose.parent / "small.txt"
    small.write_bytes(prose.read_bytes()[-30_000:])
    counts = _rust.PretokenCounts([END], "gpt2")
    counts.count_files([str(small)], num_threads, piece_size)
    text = small.read_bytes().decode("utf-8", "replace")
    want = slow_bpe.count([text], [END])
    assert counts.items() == sorted(want.items())


def test_a_tie_goes_to_the_greater_pair_of_byte_strings() -> None:
    counts = {b"ab": 5, b"ba": 5, b"zy": 5}
    assert bl.PretokenCounts.from_mapping(counts).train(257).merges == [(b"z", b"y")]
    first = bl.PretokenCounts.from_mapping(counts).train(257, tie_break="huggingface").merges
    assert first == [(b"a", b"b")]


def test_counts_above_32_bits() -> None:
    counts = {b"ab": 2**40, b"cd": 2**40 + 1, b"ef": 2**33}
    merges = bl.PretokenCounts.from_mapping(counts).train(259).merges
    assert merges == [(b"c", b"d"), (b"a", b"b"), (b"e", b"f")]


def test_the_text_may_give_fewer_tokens_than_asked() -> None:
    tokenizer = bl.PretokenCounts.from_texts(["abc"]).train(10_000)
    assert tokenizer.vocab_size == 258
    assert bl.PretokenCounts().train(300).vocab_size == 256


def test_a_rare_pair_is_not_merged() -> None:
    counts = bl.PretokenCounts.from_mapping({b"ab": 3, b"cd": 2})
    assert counts.train(300, min_frequency=3).merges == [(b"a", b"b")]


@pytest.mark.parametrize("size", [-1, 0, 255, 257])
def test_too_small_a_vocabulary_is_refused(prose: Path, size: int) -> None:
    with pytest.raises(ValueError, match=r"258"):
        bl.train_bpe(prose, size, ["<a>", "<b>"])


def test_a_word_of_a_megabyte_is_quick() -> None:
    tokenizer = bl.PretokenCounts.from_texts(["ab" * 500_000, "x" * 1_000_000]).train(300)
    assert tokenizer.decode(tokenizer.encode("ab" * 50)) == "ab" * 50
