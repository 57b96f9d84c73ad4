"""Counts as an artifact: made in several ways, added, kept and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import END, PROSE, nasty_text

import byteloom as bl
from oracles import slow_bpe


@given(st.lists(nasty_text, max_size=5))
def test_texts_equal_the_oracle(texts: list[str]) -> None:
    counts = bl.PretokenCounts.from_texts(iter(texts), [END])
    want = slow_bpe.count(texts, [END])
    assert counts.items() == sorted(want.items())
    assert counts.total == want.total()
    assert counts.total_bytes == sum(len(word) * n for word, n in want.items())
    assert len(counts) == len(want)


@given(st.dictionaries(st.binary(min_size=1, max_size=40), st.integers(1, 2**40)))
def test_mapping_there_and_back(mapping: dict[bytes, int]) -> None:
    counts = bl.PretokenCounts.from_mapping(mapping)
    assert dict(counts.items()) == mapping
    assert set(counts) == set(mapping)
    ranked = sorted(mapping.items(), key=lambda item: (-item[1], item[0]))
    assert counts.most_common(3) == ranked[:3]


def test_sums_of_parts_equal_the_whole() -> None:
    parts = [bl.PretokenCounts.from_texts([text]) for text in PROSE.splitlines(keepends=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total == bl.PretokenCounts.from_texts(PROSE.splitlines(keepends=True))
    assert parts[0][b"It"] == 1
    assert parts[0][b"no such"] == 0


def test_sums_of_differently_split_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="pattern"):
        bl.PretokenCounts(pattern="gpt2") + bl.PretokenCounts(pattern=r"\w+")
    with pytest.raises(ValueError, match="special"):
        bl.PretokenCounts([END]) + bl.PretokenCounts()


def test_saved_and_loaded(tmp_path: Path) -> None:
    counts = bl.PretokenCounts.from_texts([PROSE, "x" * 5000], [END])
    path = tmp_path / "some.counts"
    counts.save(path)
    assert bl.PretokenCounts.load(path) == counts
    assert [file.name for file in tmp_path.iterdir()] == ["some.counts"]
    assert bl.PretokenCounts.load(path).train(300) == counts.train(300)


def test_every_damage_to_a_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "some.counts"
    bl.PretokenCounts.from_texts(["one two three"], [END]).save(path)
    good = path.read_bytes()
    for end in range(len(good)):
        path.write_bytes(good[:end])
        with pytest.raises(ValueError, match=r"some\.counts"):
            bl.PretokenCounts.load(path)
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x55]) + good[i + 1 :])
        with pytest.raises(ValueError, match=r"some\.counts"):
            bl.PretokenCounts.load(path)


def test_counts_outside_64_bits_are_refused() -> None:
    for count in (-1, 2**64):
        with pytest.raises(ValueError, match=str(count)):
            bl.PretokenCounts.from_mapping({b"x": count})


def test_one_text_is_not_an_iterable_of_texts() -> None:
    with pytest.raises(ValueError, match=r"\[text\]"):
        bl.PretokenCounts.from_texts("text")


def test_counted_tokens_equal_encoded_ones() -> None:
    counts = bl.PretokenCounts.from_texts([PROSE])
    tokenizer = counts.train(400)
    assert counts.count_tokens(tokenizer) == len(tokenizer.encode(PROSE))


@given(
    st.lists(st.dictionaries(st.binary(min_size=1, max_size=20), st.integers(1, 9)), max_size=4),
    st.integers(0, 10),
)
def test_parts_are_what_a_list_gives(mappings: list[dict[bytes, int]], n: int) -> None:
    parts = [bl.PretokenCounts.from_mapping(mapping) for mapping in mappings]
    counts = sum(parts, start=bl.PretokenCounts())
    items = counts.items()
    assert counts.at_least(n).items() == [(word, c) for word, c in items if c >= n]
    ranked = sorted(items, key=lambda item: (-item[1], item[0]))[:n]
    assert counts.top(n).items() == sorted(ranked)
    kept = counts.filtered(lambda word, c: counts[word] == c and len(word) + c > n)
    assert kept.items() == [(word, c) for word, c in items if len(word) + c > n]
    assert (kept.pattern, kept.special_tokens) == (counts.pattern, counts.special_tokens)


def test_what_a_filter_raises_is_raised() -> None:
    counts = bl.PretokenCounts.from_texts([PROSE])
    with pytest.raises(ZeroDivisionError):
        counts.filtered(lambda word, count: 1 / 0)


def test_trained_from_a_part() -> None:
    counts = bl.PretokenCounts.from_texts(["hug hug hug pug pug bun"])
    assert counts.at_least(2).train(270).merges == slow_bpe.train(
        {word: n for word, n in counts.items() if n >= 2}, 270
    )


@pytest.mark.parametrize("memory_limit", [None, 1 << 24])
@pytest.mark.parametrize("parts", [1, 3, 40])
def test_files_are_added_up(tmp_path: Path, parts: int, memory_limit: int | None) -> None:
    texts = [PROSE[n:] for n in range(parts)]
    paths = [tmp_path / str(n) for n in range(parts)]
    for path, text in zip(paths, texts, strict=True):
        bl.PretokenCounts.from_texts([text], [END]).save(path)
    want = bl.PretokenCounts.from_texts(texts, [END])
    assert bl.PretokenCounts.load(*paths, memory_limit=memory_limit) == want
    assert bl.PretokenCounts.add_files(paths, tmp_path / "sum") == (len(want), want.total)
    assert bl.PretokenCounts.load(tmp_path / "sum") == want


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    bl.PretokenCounts.from_texts([PROSE], [END]).save(one)
    bl.PretokenCounts.from_texts([PROSE]).save(other)
    for use in (
        lambda: bl.PretokenCounts.load(one, other),
        lambda: bl.PretokenCounts.add_files([one, other], tmp_path / "sum"),
    ):
        with pytest.raises(ValueError, match="special tokens"):
            use()
    with pytest.raises(ValueError, match="no files"):
        bl.PretokenCounts.load()
    with pytest.raises(FileNotFoundError, match="missing"):
        bl.PretokenCounts.add_files([one, tmp_path / "missing"], tmp_path / "sum")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]
