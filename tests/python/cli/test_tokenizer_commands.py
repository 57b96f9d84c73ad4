"""``train-bpe``, ``encode`` and ``decode`` as commands: results, messages, codes, no litter."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import byteloom

import byteloom as bl

END = "<|endoftext|>"
TEXT = "It's the text that the tokenizer is trained on.\n" * 40 + END + "Ünïcödé — 中文\n" * 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    return tmp_path


def train(folder: Path, *arguments: object) -> dict[str, object]:
    done = byteloom(
        "train-bpe", folder / "text.txt", "--vocab-size", 300, "--special-token", END,
        "-o", folder / "tok.json", "--json", *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_text_to_tokens_and_back(folder: Path) -> None:
    figures = train(folder)
    assert figures["vocab_size"] == 300
    assert figures["text_bytes"] == len(TEXT.encode()) - len(END)
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    assert figures["tokens"] == len(tokenizer.encode(TEXT)) - 1

    done = byteloom(
        "encode", folder / "tok.json", folder / "*.txt", "-o", folder / "t.npy", "--json"
    )
    stats = json.loads(done.stdout)
    ids = np.load(folder / "t.npy")
    assert stats["tokens"] == len(ids)
    assert stats["dtype"] == "uint16" == ids.dtype.name
    assert ids.tolist() == tokenizer.encode(TEXT)

    done = byteloom("decode", folder / "tok.json", folder / "t.npy")
    assert done.stdout == TEXT
    done = byteloom("decode", folder / "tok.json", folder / "t.npy", "--start", 3, "--count", 5)
    assert done.stdout == tokenizer.decode(ids[3:8])
    byteloom("decode", folder / "tok.json", folder / "t.npy", "-o", folder / "back.txt")
    assert (folder / "back.txt").read_text("utf-8") == TEXT


def test_output_for_people(folder: Path) -> None:
    done = byteloom("train-bpe", folder / "text.txt", "--vocab-size", 9999, "-o", folder / "t.json")
    assert done.returncode == 0
    assert "bytes per token" in done.stdout
    assert "longest token" in done.stdout
    assert "peak memory" in done.stdout
    assert "not 9,999" in done.stderr


def test_counts_are_kept_and_used_again(folder: Path) -> None:
    train(folder, "--counts", folder / "c")
    first = (folder / "tok.json").read_text()
    (folder / "text.txt").write_text("other text")
    train(folder, "--counts", folder / "c")
    assert (folder / "tok.json").read_text() == first
    done = byteloom("train-bpe", "--vocab-size", 300, "--counts", folder / "c", "-o", folder / "x")
    assert done.returncode == 1
    assert "special tokens" in done.stderr


def test_counts_of_shards_are_added_up(folder: Path) -> None:
    special = ("--special-token", END)
    shards = [TEXT, "another shard, another text\n" * 20]
    for number, text in enumerate(shards):
        (folder / f"{number}.txt").write_text(text, "utf-8")
        done = byteloom("count", folder / f"{number}.txt", *special, "-o", folder / f"{number}.c")
        assert done.returncode == 0, done.stderr
        assert f"{len(text.encode()) - len(END) * text.count(END):,} bytes" in done.stdout
    done = byteloom("add-counts", folder / "0.c", folder / "1.c", "-o", folder / "all.c", "--json")
    whole = bl.PretokenCounts.from_texts(shards, [END])
    figures = json.loads(done.stdout)
    assert (figures["pretokens"], figures["distinct_pretokens"]) == (whole.total, len(whole))
    assert bl.PretokenCounts.load(folder / "all.c") == whole
    # Or while training.
    both = ("--counts", folder / "0.c", "--counts", folder / "1.c")
    options = ("--vocab-size", 300, *special, "-o", folder / "tok.json")
    assert byteloom("train-bpe", *both, *options).returncode == 0
    assert bl.Tokenizer.load(folder / "tok.json") == whole.train(300)
    done = byteloom("train-bpe", *both, "--counts", folder / "2.c", folder / "0.txt", *options)
    assert done.returncode == 1
    assert "2.c" in done.stderr


def test_a_memory_limit_says_what_it_cost(folder: Path) -> None:
    letters = str.maketrans("0123456789", "ghijklmnop")
    words = "".join(f" {n:x}" for n in range(300_000)).translate(letters)
    (folder / "words.txt").write_text("the same words " * 3 + words)
    limited = ("--memory-limit", "12M", "--num-threads", 1)
    done = byteloom("count", folder / "words.txt", "-o", folder / "c", *limited)
    assert done.returncode == 0
    assert "occur less than 2 times" in done.stderr
    assert "Warning" not in done.stderr
    done = byteloom(
        "train-bpe", folder / "words.txt", "--vocab-size", 260, "-o", folder / "tok.json", *limited
    )
    assert done.returncode == 0
    assert done.stderr.count("occur less than 2 times") == 1


def test_inputs_of_every_kind_give_the_same_tokenizer_and_ids(folder: Path) -> None:
    train(folder)
    expected = (folder / "tok.json").read_text()
    text = (folder / "text.txt").read_bytes()
    (folder / "more").mkdir()
    (folder / "more" / "text.txt.gz").write_bytes(gzip.compress(text))
    record = json.dumps({"id": 7, "body": TEXT}) + "\n"
    (folder / "more.jsonl.gz").write_bytes(gzip.compress(record.encode()))
    options = ["--vocab-size", 300, "--special-token", END, "--json"]
    for inputs, piped in [
        (["-"], text),
        (["more"], None),
        (["more/*.gz"], None),
        (["more.jsonl.gz", "--column", "body"], None),
    ]:
        done = byteloom("train-bpe", *inputs, *options, "-o", "other.json", cwd=folder, piped=piped)
        assert done.returncode == 0, done.stderr
        assert (folder / "other.json").read_text() == expected
        for separator in ([], ["--separator", END]):
            output = ["-o", "t.npy", *separator]
            done = byteloom("encode", "tok.json", *inputs, *output, cwd=folder, piped=piped)
            assert done.returncode == 0, done.stderr
            ids = bl.Tokenizer.load(folder / "tok.json").encode(TEXT)
            assert np.load(folder / "t.npy").tolist() == ids + [0] * bool(separator)


def test_ctrl_c_ends_the_waiting_for_a_pipe(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "byteloom.cli.main", "train-bpe", "-", "--vocab-size", "300"],
        cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"some text, and then nothing for a long time")
    process.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(2) == 130
    assert [path.name for path in folder.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nope"], 2, "no command 'nope'"),
        ([], 2, "usage"),
        (["train-bpe"], 2, "--vocab-size"),
        (["train-bpe", "--vocab-size", "300"], 2, "INPUT"),
        (["train-bpe", "missing.txt", "--vocab-size", "300"], 1, "missing.txt"),
        (["train-bpe", "text.txt", "--vocab-size", "12"], 1, "256"),
        (["train-bpe", "text.txt", "--vocab-size", "300", "--special-token", ""], 1, "empty"),
        (["train-bpe", "text.txt", "--vocab-size", "300", "--pattern", "("], 1, "pattern"),
        (["train-bpe", "text.txt", "--vocab-size", "300", "-o", "no/where.json"], 1, "no folder"),
        (["train-bpe", "text.txt", "--vocab-size", "300", "--memory-limit", "lots"], 2, "500M"),
        (["train-bpe", "text.txt", "--vocab-size", "300", "--memory-limit", "9K"], 1, "the least"),
        (["count", "missing.txt", "-o", "x.counts"], 1, "missing.txt"),
        (["count", "text.txt", "-o", "no/x.counts"], 1, "no folder"),
        (["add-counts", "text.txt", "-o", "x.counts"], 1, "text.txt: this is no file of"),
        (["train-bpe", "-", "-", "--vocab-size", "300"], 1, "given twice"),
        (["train-bpe", "text.txt", "none.jsonl", "--vocab-size", "300"], 1, "none.jsonl"),
        (["encode", "tok.json", "text.txt", "-o", "x.npy", "--separator", "?"], 1, "no special"),
        (["encode", "missing.json", "text.txt", "-o", "x.npy"], 1, "missing.json"),
        (["encode", "text.txt", "text.txt", "-o", "x.npy"], 1, "text.txt"),
        (["decode", "tok.json", "text.txt"], 1, "text.txt"),
    ],
)
def test_mistakes_end_in_one_line_and_an_exit_code(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    bl.PretokenCounts().train(256).save(folder / "tok.json")
    before = sorted(folder.iterdir())
    done = byteloom(*arguments, cwd=folder)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_help_teaches() -> None:
    assert "train-lm" in byteloom("--help").stdout
    for command in ("train-bpe", "count", "add-counts", "encode", "decode"):
        done = byteloom(command, "--help")
        assert done.returncode == 0
        assert "examples:" in done.stdout
    assert byteloom("--version").stdout.startswith("byteloom 0.")


def test_a_full_disk_leaves_nothing_behind(folder: Path) -> None:
    tokenizer = bl.PretokenCounts().train(256)
    tokenizer.save(folder / "tok.json")
    (folder / "big.txt").write_bytes(b"some text " * 500_000)
    before = sorted(folder.iterdir())

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = byteloom("encode", "tok.json", "big.txt", "-o", "big.npy", cwd=folder, preexec_fn=limit)
    assert done.returncode == 1
    assert "big.npy" in done.stderr
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["train-bpe", "encode"])
def test_ctrl_c_ends_a_long_call_within_a_second_and_leaves_nothing(
    folder: Path, command: str
) -> None:
    bl.PretokenCounts().train(256).save(folder / "tok.json")
    # A fifo that never ends is a text that takes for ever.
    os.mkfifo(folder / "endless")
    arguments = {
        "train-bpe": ["train-bpe", "endless", "--vocab-size", "300", "-o", "out.json"],
        "encode": ["encode", "tok.json", "endless", "-o", "out.npy"],
    }[command]
    before = sorted(folder.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "byteloom.cli.main", *arguments],
        cwd=folder, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with (folder / "endless").open("wb", buffering=0) as feed:
        for _ in range(20):
            feed.write(b"words and more words\n" * 10_000)
        process.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        try:
            while process.poll() is None and time.perf_counter() - begin < 5:
                feed.write(b"words and more words\n" * 10_000)
        except BrokenPipeError:
            pass
        process.wait(5)
    assert process.returncode == 130
    assert time.perf_counter() - begin < 2
    assert "interrupted" in process.stderr.read()
    assert sorted(folder.iterdir()) == before


def test_the_tokenizer_half_never_imports_torch() -> None:
    code = (
        "import sys, byteloom as bl, byteloom.cli.train_bpe, byteloom.cli.encode,"
        "byteloom.cli.decode, byteloom.cli.data\n"
        "bl.PretokenCounts.from_texts(['abc']).train(257).encode('abc')\n"
        "print([m for m in ('torch', 'pydantic', 'safetensors', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_torch_train_lm_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from byteloom.cli.main import main; sys.exit(main(['train-lm', 'x.toml', '-o', 'run']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'byteloom[train]'" in done.stderr
