"""Ids, against a slow encoder, tiktoken and Hugging Face given the same vocabulary."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import END, NASTY_PIECES, PROSE, nasty_text

import byteloom as bl
from oracles import slow_bpe


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE] * 3 + list(NASTY_PIECES), [END]).train(600)


@settings(max_examples=300)
@given(text=nasty_text)
def test_ids_equal_the_slow_encoders(tokenizer: bl.Tokenizer, text: str) -> None:
    want = slow_bpe.encode(text, tokenizer.vocab, tokenizer.merges, [END])
    assert tokenizer.encode(text) == want
    assert tokenizer.encode_array(text).tolist() == want
    assert list(tokenizer.encode_iterable([text, text])) == want + want


@settings(max_examples=300)
@given(text=nasty_text)
def test_ids_equal_tiktokens_and_hugging_faces(tokenizer: bl.Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert PEERS(tokenizer)[0].encode(text, allowed_special="all") == ids
    assert PEERS(tokenizer)[1].encode(text, add_special_tokens=False).ids == ids


_peers: dict[int, tuple] = {}


def PEERS(tokenizer: bl.Tokenizer) -> tuple:
    """The same vocabulary in tiktoken and in Hugging Face tokenizers."""
    return _peers.setdefault(id(tokenizer), (tokenizer.to_tiktoken(), tokenizer.to_huggingface()))


@given(st.binary(max_size=300))
def test_any_bytes_come_back(tokenizer: bl.Tokenizer, data: bytes) -> None:
    assert tokenizer.decode_bytes(tokenizer.encode(data)) == data
    assert tokenizer.decode(tokenizer.encode(data)) == data.decode("utf-8", errors="replace")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00" * 100,
        " " * 1_000_000,
        "\n" * 1_000_000 + "x",
        "x" * 1_000_000,
        "ab" * 500_000,
        "'" * 10_000,
        END * 1000,
        "<|endoftext|" * 1000,
    ],
    ids=["empty", "NUL", "spaces", "newlines", "x", "ab", "quotes", "specials", "almost specials"],
)
def test_long_and_odd_texts(tokenizer: bl.Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    if len(text) < 200_000:
        assert PEERS(tokenizer)[1].encode(text, add_special_tokens=False).ids == ids


def test_one_long_pretoken_equals_the_peers(tokenizer: bl.Tokenizer) -> None:
    import random

    word = "".join(random.Random(1).choices("thesaindo", k=20_000))
    assert tokenizer.encode(word) == PEERS(tokenizer)[0].encode(word)


def test_special_tokens_can_be_forbidden(tokenizer: bl.Tokenizer) -> None:
    text = f"a{END}b"
    assert tokenizer.special_tokens[END] in tokenizer.encode(text)
    for allowed in ("none", set(), []):
        ids = tokenizer.encode(text, allowed_special=allowed)
        assert tokenizer.special_tokens[END] not in ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text, {END}) == tokenizer.encode(text)
    with pytest.raises(ValueError, match="<nope>"):
        tokenizer.encode(text, {"<nope>"})
    with pytest.raises(ValueError, match="'all', 'none'"):
        tokenizer.encode(text, "some")


@settings(max_examples=200)
@given(text=nasty_text, special=st.lists(st.sampled_from(NASTY_PIECES), unique=True, max_size=4))
def test_overlapping_special_tokens(text: str, special: list[str]) -> None:
    tokenizer = bl.PretokenCounts.from_texts([PROSE], special).train(300 + len(special))
    want = slow_bpe.encode(text, tokenizer.vocab, tokenizer.merges, special)
    got = tokenizer.encode(text)
    # A special token of one byte has two ids: compare what they say, not which of the two it is.
    assert [tokenizer.vocab[i] for i in got] == [tokenizer.vocab[i] for i in want]
    assert tokenizer.decode(got) == text


def test_batches_and_threads(tokenizer: bl.Tokenizer) -> None:
    texts = [PROSE[i:] for i in range(0, len(PROSE), 3)] + ["", END]
    want = [tokenizer.encode(text) for text in texts]
    for num_threads in (None, 1, 3, 8):
        arrays = tokenizer.encode_batch(texts, num_threads=num_threads)
        assert [array.tolist() for array in arrays] == want
        assert all(array.dtype == np.uint16 for array in arrays)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenizer.encode, texts)) == want
    assert tokenizer.decode_batch(want) == texts


def test_decode_takes_lists_and_arrays_and_refuses_strangers(tokenizer: bl.Tokenizer) -> None:
    ids = tokenizer.encode(PROSE)
    for dtype in (np.uint16, np.uint32, np.int32, np.int64):
        assert tokenizer.decode(np.array(ids, dtype)) == PROSE
    assert tokenizer.decode(np.array(ids + ids)[::2]) == tokenizer.decode((ids + ids)[::2])
    assert tokenizer.decode([]) == ""
    size = tokenizer.vocab_size
    for bad in (
        [0, 1, size],
        [0, 1, 2**40],
        [0, 1, -1],
        np.array([0, 1, -1]),
        np.array([0, 1, size]),
    ):
        with pytest.raises(ValueError, match=r"position 2"):
            tokenizer.decode(bad)


def test_files_to_token_files(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    parts = [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "empty.txt"]
    for path, text in zip(parts, (PROSE * 40, END + PROSE, ""), strict=True):
        path.write_text(text, "utf-8", newline="")
    want = [i for path in parts for i in tokenizer.encode(path.read_bytes())]
    for num_threads in (1, 2, 5):
        for name, dtype in (("x.npy", "auto"), ("y.npy", "uint32"), ("z.bin", "uint16")):
            output = tmp_path / name
            stats = tokenizer.encode_files(parts, output, dtype=dtype, num_threads=num_threads)
            ids = np.load(output) if name.endswith("npy") else np.fromfile(output, "<u2")
            assert ids.tolist() == want
            assert stats.dtype == ("uint32" if dtype == "uint32" else "uint16") == ids.dtype.name
            assert stats.tokens == len(want)
            assert stats.bytes == sum(path.stat().st_size for path in parts)
            assert stats.bytes_per_token == stats.bytes / stats.tokens
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.txt", "b.txt", "empty.txt", "x.npy", "y.npy", "z.bin",
    ]  # fmt: skip


def test_a_vocabulary_above_65536_needs_uint32(tmp_path: Path) -> None:
    special = [f"<{i}>" for i in range(66_000)]
    wide = bl.PretokenCounts(special).train(66_256)
    (tmp_path / "text").write_text("<65999>a")
    stats = wide.encode_files(tmp_path / "text", tmp_path / "out.npy")
    assert (stats.dtype, np.load(tmp_path / "out.npy").tolist()) == ("uint32", [65_999, 66_097])
    assert wide.encode_array("<65999>").dtype == np.uint32
    with pytest.raises(ValueError, match=r"uint16.*66,?256"):
        wide.encode_files(tmp_path / "text", tmp_path / "no.npy", dtype="uint16")
    assert not (tmp_path / "no.npy").exists()


def test_pickles(tokenizer: bl.Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy == tokenizer
    assert hash(copy) == hash(tokenizer)
    assert copy.encode(PROSE) == tokenizer.encode(PROSE)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_encode_iterable_needs_less_than_a_megabyte_more(
    tokenizer: bl.Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tok.json")
    (tmp_path / "text.txt").write_text(PROSE * 15_000, "utf-8")
    code = textwrap.dedent("""
        import resource, sys
        import byteloom as bl
        tokenizer = bl.Tokenizer.load(sys.argv[1])
        with open("/proc/self/statm") as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 1_000_000, -1))
        with open(sys.argv[2], encoding="utf-8", newline="") as file:
            print(sum(1 for _ in tokenizer.encode_iterable(file)))
    """)
    command = [sys.executable, "-c", code, str(tmp_path / "tok.json"), str(tmp_path / "text.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = PROSE.splitlines(keepends=True)
    assert int(done.stdout) == 15_000 * sum(len(tokenizer.encode(line)) for line in lines)
