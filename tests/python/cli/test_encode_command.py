"""``byteloom encode`` into shards, with an index, and from inputs whose names say nothing."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from commands import byteloom

import byteloom as bl
from byteloom.cli.encode import token_count
from byteloom.data import Documents

END = "<|endoftext|>"
TEXTS = ["the first text", "", "and another one that is longer " * 5, "the last"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bl.PretokenCounts.from_texts(TEXTS, [END]).train(280).save(tmp_path / "tok.json")
    (tmp_path / "t.txt").write_text(END.join(TEXTS))
    lines = "".join(json.dumps({"body": text}) + "\n" for text in TEXTS)
    (tmp_path / "t.data").write_bytes(gzip.compress(lines.encode()))
    return tmp_path


def encode(folder: Path, *arguments: object) -> dict[str, object]:
    done = byteloom("encode", folder / "tok.json", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_shards_and_an_index(folder: Path) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    figures = encode(folder, folder / "t.txt", "-o", folder / "t", "--shard-tokens", 30)
    assert figures["documents"] == len(TEXTS)
    assert figures["shards"] == len(list((folder / "t").glob("shard-?????.npy"))) > 1
    figures = encode(folder, folder / "t.txt", "-o", folder / "t.npy", "--documents")
    assert figures["documents"] == len(TEXTS)
    for name in ("t", "t.npy"):
        found = [tokenizer.decode(ids) for ids in Documents(folder / name)]
        assert found == [*(text + END for text in TEXTS[:-1]), TEXTS[-1]]
    done = byteloom("decode", folder / "tok.json", folder / "t")
    assert done.stdout == END.join(TEXTS)


def test_a_format_that_no_name_says(folder: Path) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    reading = ["--format", "jsonl.gz", "--column", "body"]
    encode(folder, folder / "t.data", "-o", folder / "a.npy", "--separator", END, *reading)
    wanted = [i for text in TEXTS for i in tokenizer.encode(text + END)]
    assert np.load(folder / "a.npy").tolist() == wanted
    done = byteloom("inspect", folder / "tok.json", "--on", folder / "t.data", "--json", *reading)
    assert json.loads(done.stdout)["compression"][0]["bytes"] == len("".join(TEXTS))
    done = byteloom("count", folder / "t.data", "-o", folder / "c", "--json", *reading)
    assert json.loads(done.stdout)["text_bytes"] == len("".join(TEXTS))
    train = ["train-bpe", folder / "t.data", "--vocab-size", "270", "-o", folder / "b.json"]
    assert byteloom(*train, *reading).returncode == 0
    done = byteloom(*train, "--format", "csv")
    assert done.returncode == 1
    assert 'format is "csv"' in done.stderr


def test_going_on_is_said(folder: Path) -> None:
    (folder / "bad.gz").write_bytes(gzip.compress(b"text")[:10])
    arguments = [folder / "t.txt", folder / "bad.gz", "-o", folder / "t", "--shard-tokens", "30"]
    done = byteloom("encode", folder / "tok.json", *arguments)
    assert done.returncode == 1
    assert "cut short" in done.stderr
    done = byteloom("encode", folder / "tok.json", *arguments)
    assert "going on behind" in done.stderr
    done = byteloom("encode", folder / "tok.json", *arguments[:1], *arguments[2:])
    assert done.returncode == 1
    assert "begun with 2 inputs, not 1" in done.stderr
    done = byteloom("encode", folder / "tok.json", *arguments[:1], *arguments[2:], "--overwrite")
    assert done.returncode == 0, done.stderr
    assert "shards" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["-o", "t.npy", "--shard-tokens", "5"], ["-o", "t.npy", "--overwrite"]]
)
def test_wrong_usage(folder: Path, arguments: list[str]) -> None:
    assert byteloom("encode", folder / "tok.json", folder / "t.txt", *arguments).returncode == 2


def test_numbers_of_tokens() -> None:
    assert [token_count(text) for text in ("7", "1k", "2.5M", "1G")] == [7, 1000, 2_500_000, 10**9]
    for wrong in ("", "0", "-1", "x", "1T", "1 M"):
        with pytest.raises(argparse.ArgumentTypeError, match="no number of tokens"):
            token_count(wrong)
