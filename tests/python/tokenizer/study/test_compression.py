"""Compression, against the text itself and Python's own splitting."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import byteloom as bl
from byteloom.tokenizer.study import compress, compression
from tokenizer.texts import END, NASTY_PIECES, PROSE, nasty_text


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE, *NASTY_PIECES], [END]).train(500)


def check(tokenizer: bl.Tokenizer, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_bytes(data)
        found = compress(tokenizer, path)
    ids = tokenizer.encode(data)
    assert found.bytes == len(data)
    assert found.tokens == len(ids)
    assert found.words == len(data.split())
    assert found.bytes_per_token == (len(data) / len(ids) if ids else 0)
    assert found.tokens_per_word == (len(ids) / len(data.split()) if data.split() else 0)
    assert {id: n for id, n in enumerate(found.counts.tolist()) if n} == Counter(ids)
    assert found.used == len(set(ids))
    assert found.used_share == len(set(ids)) / tokenizer.vocab_size
    ranked = sorted(Counter(ids).items(), key=lambda item: (-item[1], item[0]))
    assert [(token.id, count) for token, count in found.most_frequent(5)] == ranked[:5]
    text = data.decode(errors="ignore")
    if text.encode() == data:
        assert found.characters == len(text)
        assert found.characters_per_token == (len(text) / len(ids) if ids else 0)


@given(st.one_of(nasty_text.map(str.encode), st.binary()))
def test_figures(tokenizer: bl.Tokenizer, data: bytes) -> None:
    check(tokenizer, data)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_pieces_of_the_ids_do_not_show(
    tokenizer: bl.Tokenizer, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(compression, "_CHUNK", chunk)
    check(tokenizer, (PROSE + END + " a  b " + END + "c\n").encode())
    check(tokenizer, b"")


def test_many_files_are_one_text(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(PROSE)
    found = compress(tokenizer, tmp_path / "*.txt", num_threads=2)
    assert found.bytes == 3 * len(PROSE.encode())
    assert found.tokens == 3 * len(tokenizer.encode(PROSE))
    assert found.seconds > 0
    assert found.megabytes_per_second == pytest.approx(found.bytes / 1e6 / found.seconds)


def test_special_tokens_are_told_apart(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(END * 3)
    ((token, count),) = compress(tokenizer, tmp_path / "text.txt").most_frequent(9)
    assert (token.bytes, token.kind, count) == (END.encode(), "special", 3)


def test_nothing_is_left_behind(
    tokenizer: bl.Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "text.txt").write_text(PROSE)
    compress(tokenizer, tmp_path / "text.txt")
    with pytest.raises(FileNotFoundError, match="no such file"):
        compress(tokenizer, tmp_path / "other.txt")
    assert list((tmp_path / "temporary").iterdir()) == []
