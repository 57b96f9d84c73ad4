"""The benchmarks run anywhere, and notice when a peer gives something else."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import byteloom as bl

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
def modules(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(BENCHES))
    return importlib.import_module


def rows(printed: str) -> list[list[str]]:
    """The cells of all tables, heads and rules left out."""
    lines = [line.strip("| ").split("|") for line in printed.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [row for row in cells if row[0] not in ("library", "work") and set(row[0]) != {"-"}]


def test_training(text: Path) -> None:
    pytest.importorskip("tokenizers")
    done = bench("tokenizer_training", text, "--vocab-size", 500, "--repeat", 2, "--json",
                 "--peers", "tokenizers")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (race,) = found["races"]
    assert [result["name"] for result in race["results"]] == ["byteloom", "tokenizers"]
    for result in race["results"]:
        assert len(result["runs"]) == 2
        assert all(run["merges"] == 243 and run["seconds"] > 0 for run in result["runs"])
        assert all(10e6 < run["peak"] < 1e9 for run in result["runs"])
    assert race["notes"] == [
        "against tokenizers, with ties to the smallest pair of ids: all 243 merges are equal"
    ]
    assert found["machine"]["processor"]


@pytest.mark.parametrize("options", [[], ["--memory"], ["--pattern", "cl100k"]])
def test_encoding(text: Path, options: list[str]) -> None:
    done = bench("tokenizer_encoding", text, "--vocab-size", 500, "--repeat", 1, *options)
    assert done.returncode == 0, done.stderr
    assert "WRONG" not in done.stdout
    said = {row[0].split()[0]: row[1] for row in rows(done.stdout)}
    assert list(said) == ["byteloom", "gigatoken", "ffbpe", "tiktoken", "tokenizers"]
    failed = {name for name, what in said.items() if not what.replace(".", "").isdigit()}
    # It reads only certain spellings of patterns in a tokenizer.json.
    assert all(said[name] == "not installed" or name == "gigatoken" for name in failed)
    assert "gigatoken" not in failed or "cl100k" in options or said["gigatoken"] == "not installed"
    assert done.stdout.count("ids are") == len(said) - len(failed) - 1


@pytest.mark.parametrize("name", ["tokenizer_documents", "tokenizer_decoding"])
def test_all_agree(name: str, text: Path) -> None:
    done = bench(name, text, "--vocab-size", 500, "--repeat", 1, "--megabytes", 0.02, "--json")
    assert done.returncode == 0, done.stderr
    races = json.loads(done.stdout)["races"]
    assert [race["job"].split()[0] for race in races] == ["encode"] * 2 or len(races) == 1
    for race in races:
        assert race["equal"]
        assert 0 < race["size"] < len(TEXT.encode()) / 2
        assert all(one["failure"] in (None, "not installed") for one in race["results"])
        assert len({run["tokens"] for one in race["results"] for run in one["runs"]}) == 1


def test_one_pretoken() -> None:
    done = bench("tokenizer_one_pretoken", "--bytes", 3000, "--vocab-size", 300, "--repeat", 1,
                 "--peers", "tokenizers", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    races = json.loads(done.stdout)["races"]
    assert [race["text"].split(",")[0] for race in races] == [
        name for name in ("random letters", "one letter", "base64") for _ in range(2)
    ]
    assert all(race["equal"] and race["size"] == 3000 for race in races)


def test_inventory(text: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({" the": 500, "The": 20, ".": 100, "\n": 50, " é": 3}))
    done = bench("tokenizer_inventory", text, "--inventory", inventory, "--megabytes", 0.1,
                 "--vocab-size", 270, "--repeat", 1, "--peers", "tokenizers", "--json",
                 "--gigabytes", 1)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (race,) = json.loads(done.stdout)["races"]
    assert race["size"] >= 100_000
    (seconds,) = (run["cpu_seconds"] for run in race["results"][0]["runs"])
    estimate = float(race["remark"].rsplit(" ", 1)[1])
    assert estimate == pytest.approx(seconds * 1e9 / race["size"], abs=0.051)


def test_drawn_text_has_the_frequencies(modules: Callable[[str], Any], tmp_path: Path) -> None:
    counts = {b" the": 600, b"The": 200, b".": 100, b"12": 50, "é".encode(): 50}
    path = tmp_path / "drawn.txt"
    modules("tokenizer_inventory").draw(list(counts.items()), 500_000, path)
    found = bl.PretokenCounts.from_files(path, special_tokens=["<|endoftext|>"])
    drawn = sum(found[pretoken] for pretoken in counts)
    for pretoken, count in counts.items():
        assert found[pretoken] / drawn == pytest.approx(count / 1000, rel=0.05)


def test_scaling(text: Path) -> None:
    most = min(2, os.cpu_count() or 1)
    done = bench("tokenizer_scaling", text, "--threads", most, "--vocab-size", 500, "--repeat", 1,
                 "--copies", 2, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    races = json.loads(done.stdout)["races"]
    assert [race["threads"] for race in races] == [*range(1, most + 1)] * 2
    assert all(race["size"] == 2 * len(TEXT.encode()) for race in races)
    assert all("all output is equal" in race["notes"] for race in races)


def test_numbers_of_threads(modules: Callable[[str], Any]) -> None:
    of = modules("tokenizer_scaling").counts_of_threads
    assert [of(most) for most in (1, 2, 3, 16)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8, 16]]


def test_summary(text: Path) -> None:
    done = bench("summary", text, text, "--vocab-size", 500, "--repeat", 1, "--peers", "tiktoken",
                 "--only", "encoding,decoding")  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("### Summary")[1]
    assert [row[0].split()[0] for row in rows(table)] == ["encode", "decode"] * 2
    assert all("s, " in row[2] and row[3].startswith("tiktoken: ") for row in rows(table))
    assert "byteloom scans with" in table


def test_the_summary_shows_the_fastest_peer_that_did_it(modules: Callable[[str], Any]) -> None:
    harness, summary = modules("harness"), modules("summary")

    def result(name: str, seconds: float, failure: str = "") -> Any:
        contestant = harness.Contestant(name, name, lambda args: {})
        return harness.Result(contestant, [{"seconds": seconds, "peak": 2e6}], failure)

    ours, slow, fast = result("byteloom", 2.0), result("slow", 9.0), result("fast", 5.0)
    broken = result("broken", 1.0, "not done after 20 s")
    race = harness.Race("train", "text", 4_000_000, 1, [ours, slow, broken, fast])
    assert summary.row(race)[2:5] == ["2.000 s, 2 MB/s", "fast: 5.000 s, 1 MB/s", "2.50"]
    race.equal = False
    assert summary.row(race)[2] == "WRONG, see above"
    assert not race.good
    alone = harness.Race("train", "text", 4_000_000, 1, [ours, broken])
    assert summary.row(alone)[3:5] == ["none: not done after 20 s", ""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file"], "no such file"),
        (["--peers", "word2vec"], "there are gigatoken, ffbpe, tokenizers, rustbpe"),
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


def test_a_peer_that_is_missing(modules: Callable[[str], Any], text: Path) -> None:
    harness = modules("harness")
    missing = harness.Contestant("word2vec", "no_such_package", lambda args: {})
    args = argparse.Namespace(text=text, peers=["word2vec"], repeat=1, threads=1)
    (result,) = harness.race(Path("unused.py"), args, [missing], text.parent)
    assert modules("report").row(result, 1, 1.0)[:2] == ["word2vec", "not installed"]


def test_a_peer_that_hangs_is_ended(modules: Callable[[str], Any], text: Path) -> None:
    script = text.with_name("hangs.py")
    script.write_text("import time; time.sleep(60)")
    args = argparse.Namespace(text=text, vocab_size=300, threads=1, timeout=0.2)
    with pytest.raises(RuntimeError, match=r"not done after 0\.2 s"):
        modules("harness").start_worker(script, args, "hangs", text.parent)


def test_other_ids_are_noticed(modules: Callable[[str], Any], tmp_path: Path) -> None:
    harness, encode = modules("harness"), modules("tokenizer_encoding")
    results = [harness.Result(one) for one in encode.CONTESTANTS[:2]]
    np.save(tmp_path / "byteloom.npy", np.array([1, 2, 3], np.uint16))
    for theirs, place in (([1, 2, 4], 2), ([1, 2], 2), ([1, 2, 3, 4], 3), ([9, 2, 3], 0)):
        np.save(tmp_path / "gigatoken.npy", np.array(theirs, np.uint16))
        notes, equal = encode.compare(tmp_path, results)
        assert not equal
        assert f"different from id {place} on" in notes[0]
    np.save(tmp_path / "gigatoken.npy", np.array([1, 2, 3], np.uint16))
    assert encode.compare(tmp_path, results) == (["all 3 ids are gigatoken's"], True)


def test_other_merges_are_noticed(modules: Callable[[str], Any], tmp_path: Path) -> None:
    left, right = tmp_path / "a.json", tmp_path / "b.json"
    left.write_text(json.dumps(["61", "62", "63"]))
    right.write_text(json.dumps(["61", "63", "64"]))
    said = modules("tokenizer_training").compare(left, right)
    assert said == "the first 1 merges are equal, 2 of 3 tokens are in common"


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("tokenizer_decoding", {"equal": False}),
        ("tokenizer_scaling", {"sha256": "another"}),
    ],
)
def test_other_output_is_noticed(
    name: str,
    planted: dict[str, Any],
    modules: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    text: Path,
) -> None:
    """The second contestant, or the second race, gives something else."""
    module, harness = modules(name), modules("harness")
    good = {"seconds": 1.0, "peak": 1, "equal": True, "sha256": "one"}
    runs = iter([good, good | planted] + [good] * 9)

    def race(script: Path, args: Any, contestants: Any, *rest: Any) -> list[Any]:
        return [harness.Result(one, [next(runs)]) for one in contestants[:2]]

    monkeypatch.setattr(module, "race", race)
    monkeypatch.setattr(module, "prepare", lambda args, folder: text)
    args = argparse.Namespace(text=text, threads=2, megabytes=1, copies=1, at=None)
    races = module.compete(args, text.parent)
    assert [race.equal for race in races][:2] in ([False], [True, False])
    assert any(note.startswith("WRONG") for race in races for note in race.notes)


def test_pieces_are_the_text_and_cut_no_pretoken(modules: Callable[[str], Any]) -> None:
    regex = pytest.importorskip("regex")
    corpus, pattern = modules("corpus"), modules("harness").GPT2_PATTERN
    document = "It's 1 or 2 things,  isn't it? é a b " * 90_000  # three pieces
    text = f"{document}<|endoftext|>{document}<|endoftext|>end"
    pieces = corpus.documents(text, keep_end=True)
    assert "".join(pieces) == text
    assert len(pieces) >= 8
    bare = corpus.documents(text, keep_end=False)
    assert "".join(bare) == text.replace("<|endoftext|>", "")
    whole = regex.findall(pattern, document)
    assert [token for piece in bare for token in regex.findall(pattern, piece)] == [
        *whole,
        *whole,
        "end",
    ]
