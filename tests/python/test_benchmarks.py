"""The benchmarks run anywhere, and notice when a peer gives something else."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHES = Path(__file__).parents[2] / "benches" / "python"
TEXT = "".join(
    f"Der Wolf und die {i % 97} jungen Geißlein, they said: it's {i}.\n\n"
    + ("<|endoftext|>" if i % 5 == 0 else "")
    for i in range(2_000)
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def bench(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHES / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(BENCHES))
    import harness
    import report
    import tokenizer_encoding
    import tokenizer_training

    return {
        "harness": harness,
        "report": report,
        "train": tokenizer_training,
        "encode": tokenizer_encoding,
    }


def test_training(text: Path) -> None:
    pytest.importorskip("tokenizers")
    done = bench("tokenizer_training", text, "--vocab-size", 500, "--repeat", 2, "--json",
                 "--peers", "tokenizers")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [result["name"] for result in found["results"]] == ["byteloom", "tokenizers"]
    for result in found["results"]:
        assert len(result["runs"]) == 2
        assert all(run["merges"] == 243 and run["seconds"] > 0 for run in result["runs"])
        assert all(10e6 < run["peak"] < 1e9 for run in result["runs"])
    assert found["notes"] == [
        "against tokenizers, with ties to the smallest pair of ids: all 243 merges are equal"
    ]
    assert found["machine"]["processor"]


@pytest.mark.parametrize("options", [[], ["--memory"], ["--pattern", "cl100k"]])
def test_encoding(text: Path, options: list[str]) -> None:
    pytest.importorskip("tiktoken")
    done = bench("tokenizer_encoding", text, "--vocab-size", 500, "--repeat", 1, *options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [line.split("|")[1].split()[0] for line in lines if line.startswith("|")]
    assert rows[0] == "library"
    assert rows[2:] == ["byteloom", "tiktoken", "tokenizers"]
    assert sum("ids are" in line for line in lines) == 2
    assert "WRONG" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file"], "no such file"),
        (["--peers", "word2vec"], "there are tokenizers, rustbpe"),
        (["--threads", "0"], "at least 1"),
        (["--threads", "100000"], "core(s) are available"),
    ],
)
def test_wrong_usage(text: Path, arguments: list[str], message: str) -> None:
    done = bench("tokenizer_training", *arguments, *([] if "no-such" in arguments[0] else [text]))
    assert done.returncode == 2
    assert message in done.stderr


def test_text_that_the_peers_cannot_read(text: Path) -> None:
    text.write_bytes(b"\xff\xfe and so on" * 100)
    done = bench("tokenizer_training", text, "--vocab-size", 280, "--peers", "tokenizers")
    assert done.returncode == 0
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| tokenizers"))
    assert "UnicodeDecodeError" in row


def test_a_peer_that_is_missing(modules: dict[str, Any], text: Path) -> None:
    harness = modules["harness"]
    missing = harness.Contestant("word2vec", "no_such_package", lambda args: {})
    args = argparse.Namespace(text=text, peers=["word2vec"], repeat=1, threads=1)
    (result,) = harness.race(Path("unused.py"), args, [missing], text.parent)
    assert modules["report"].row(result, 1, 1.0)[:2] == ["word2vec", "not installed"]


def test_other_ids_are_noticed(modules: dict[str, Any], tmp_path: Path) -> None:
    harness, encode = modules["harness"], modules["encode"]
    results = [harness.Result(one) for one in encode.CONTESTANTS[:2]]
    np.save(tmp_path / "byteloom.npy", np.array([1, 2, 3], np.uint16))
    for theirs, place in (([1, 2, 4], 2), ([1, 2], 2), ([1, 2, 3, 4], 3), ([9, 2, 3], 0)):
        np.save(tmp_path / "tiktoken.npy", np.array(theirs, np.uint16))
        notes, equal = encode.compare(tmp_path, results)
        assert not equal
        assert f"different from id {place} on" in notes[0]
    np.save(tmp_path / "tiktoken.npy", np.array([1, 2, 3], np.uint16))
    assert encode.compare(tmp_path, results) == (["all 3 ids are tiktoken's"], True)


def test_other_merges_are_noticed(modules: dict[str, Any], tmp_path: Path) -> None:
    left, right = tmp_path / "a.json", tmp_path / "b.json"
    left.write_text(json.dumps(["61", "62", "63"]))
    right.write_text(json.dumps(["61", "63", "64"]))
    said = modules["train"].compare(left, right)
    assert said == "the first 1 merges are equal, 2 of 3 tokens are in common"


def test_pieces_are_the_text_and_cut_no_pretoken(modules: dict[str, Any]) -> None:
    regex = pytest.importorskip("regex")
    harness, pattern = modules["harness"], modules["train"].GPT2_PATTERN
    document = "It's 1 or 2 things,  isn't it? é a b " * 90_000  # three pieces
    text = f"{document}<|endoftext|>{document}<|endoftext|>end"
    pieces = harness.documents(text, keep_end=True)
    assert "".join(pieces) == text
    assert len(pieces) >= 8
    bare = harness.documents(text, keep_end=False)
    assert "".join(bare) == text.replace("<|endoftext|>", "")
    whole = regex.findall(pattern, document)
    assert [token for piece in bare for token in regex.findall(pattern, piece)] == [
        *whole,
        *whole,
        "end",
    ]
