"""Folders of shards: what is in them, killed runs, and what is refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from texts import END, PROSE

import byteloom as bl
from byteloom.data import Documents, TokenFile

#: Documents of very different lengths, in a fixed order.
_chance = random.Random(4)
DOCUMENTS = [PROSE[: _chance.randrange(len(PROSE))] * _chance.choice([1, 1, 5]) for _ in range(120)]


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE] * 3, [END]).train(400)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    """The documents, as one text and as records."""
    text, records = tmp_path / "a.txt", tmp_path / "b.jsonl"
    text.write_bytes("".join(document + END for document in DOCUMENTS).encode())
    records.write_text("".join(json.dumps({"text": document}) + "\n" for document in DOCUMENTS))
    return [text, records]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_hold_the_documents(
    tokenizer: bl.Tokenizer, inputs: list[Path], tmp_path: Path
) -> None:
    expected = [tokenizer.encode(document + END) for document in DOCUMENTS]
    expected += [tokenizer.encode(document) for document in DOCUMENTS]
    limit = 500
    assert max(map(len, expected)) > limit > len(expected[0]), "one of them is to be cut"
    stats = tokenizer.encode_shards(inputs, tmp_path / "t", limit, num_threads=2)
    assert stats.tokens == sum(map(len, expected))
    assert stats.bytes == inputs[0].stat().st_size + sum(len(d.encode()) for d in DOCUMENTS)
    assert (stats.documents, stats.kept, stats.dtype) == (len(expected), 0, "uint16")

    manifest = json.loads((tmp_path / "t" / "manifest.json").read_text())
    assert manifest["tokenizer"] == tokenizer.fingerprint
    assert [entry["path"] for entry in manifest["inputs"]] == list(map(str, inputs))
    assert [entry["bytes"] for entry in manifest["inputs"]] == [p.stat().st_size for p in inputs]
    assert len(manifest["shards"]) == stats.shards > 10
    for shard in manifest["shards"]:
        data = (tmp_path / "t" / shard["file"]).read_bytes()
        assert f"{zlib.crc32(data):08x}" == shard["crc32"]
        assert 0 < shard["tokens"] <= limit

    documents, tokens = Documents(tmp_path / "t"), TokenFile(tmp_path / "t")
    assert [ids.tolist() for ids in documents] == expected
    assert tokens[:].tolist() == [i for ids in expected for i in ids]

    one = tokenizer.encode_files(inputs, tmp_path / "one.npy", documents=True)
    assert one.documents == len(expected)
    assert [ids.tolist() for ids in Documents(tmp_path / "one.npy")] == expected
    plain = tokenizer.encode_files(inputs, tmp_path / "plain.npy")
    assert plain.documents is None
    assert (tmp_path / "plain.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()


def start(folder: Path, inputs: Sequence[Path], output: Path, threads: int) -> subprocess.Popen:
    """The command, in small pieces of work, so that there is something to interrupt."""
    code = (
        "import sys, byteloom as bl\n"
        "tokenizer = bl.Tokenizer.load(sys.argv[1])\n"
        "tokenizer._core.encode_shards(sys.argv[4:], sys.argv[2], 700, tokenizer.fingerprint,\n"
        "    num_threads=int(sys.argv[3]), piece_size=500)\n"
    )
    command = [sys.executable, "-c", code, folder / "tok.json", output, str(threads), *inputs]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_a_run_ends_with_the_same_bytes(
    tokenizer: bl.Tokenizer, inputs: list[Path], tmp_path: Path, number: int
) -> None:
    tokenizer.save(tmp_path / "tok.json")
    inputs *= 6  # work for longer than the tenth of a second that Ctrl-C may take to be heard
    whole, output = tmp_path / "whole", tmp_path / "t"
    process = start(tmp_path, inputs, whole, 1)
    assert process.wait() == 0, process.stderr
    shards = len(json.loads((whole / "manifest.json").read_text())["shards"])
    chance, kills, kept = random.Random(number), 0, set()
    progress = output / "progress.json"
    # At any moment of work that has got further by a few shards than the run before.
    for attempt in range(200):
        process = start(tmp_path, inputs, output, 1 + attempt % 3)
        before = max(kept, default=0)
        more = chance.randrange(shards // 6)
        while process.poll() is None and kills < 6:
            if progress.exists():
                done = len(json.loads(progress.read_text())["shards"])
                if done >= before + more:
                    time.sleep(chance.random() * 0.01)
                    process.send_signal(number)
                    break
        errors = process.communicate()[1]
        # An interrupt may also come when all is done, and then the command fails all the same.
        if (output / "manifest.json").exists():
            break
        kills += 1
        if progress.exists():
            kept.add(len(json.loads(progress.read_text())["shards"]))
    assert (output / "manifest.json").exists(), errors
    assert kills >= 2 and len(kept) >= 2, "it was never interrupted within its work"
    assert contents(output) == contents(whole)


def test_what_is_refused(tokenizer: bl.Tokenizer, inputs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "t"
    with pytest.raises(ValueError, match=r"shard_tokens is 0"):
        tokenizer.encode_shards(inputs, output, 0)
    with pytest.raises(ValueError, match=r"no special token"):
        tokenizer.encode_shards(inputs, output, 500, document_end="<|none|>")
    with pytest.raises(ValueError, match=r'no key "body".*\["text"\]'):
        tokenizer.encode_shards(inputs, output, 500, column="body")
    assert not output.exists()
    tokenizer.encode_shards(inputs, output, 500)
    with pytest.raises(ValueError, match=r"holds finished shards.*overwritten"):
        tokenizer.encode_shards(inputs, output, 500)
    for around in (tmp_path, output, [inputs[0], output / "shard-00000.npy"]):
        with pytest.raises(ValueError, match=r"is among the inputs"):
            tokenizer.encode_shards(around, output, 500, overwrite=True)
    with pytest.raises(ValueError, match=r"is among the inputs"):
        tokenizer.encode_shards(tmp_path, tmp_path / "new", 500)
    assert not (tmp_path / "new").exists()
    (output / "notes.txt").touch()
    assert tokenizer.encode_shards(inputs[:1], output, 900, overwrite=True).kept == 0
    assert (output / "notes.txt").exists()
    found = [ids.tolist() for ids in Documents(output)]
    assert found == [tokenizer.encode(document + END) for document in DOCUMENTS]


@pytest.mark.skipif(os.name != "posix", reason="folders are locked where the system can")
def test_two_processes_do_not_write_into_one_folder(
    tokenizer: bl.Tokenizer, inputs: list[Path], tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tok.json")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(tmp_path, [*inputs, pipe], tmp_path / "t", 1)
    while not (tmp_path / "t" / "progress.json").exists():
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
    with pytest.raises(ValueError, match="another process is encoding into it"):
        tokenizer.encode_shards(inputs, tmp_path / "t", 700)
    pipe.write_bytes(b"and this")  # whatever it waits for
    process.communicate()
    assert process.returncode == 0
    assert tokenizer.decode(Documents(tmp_path / "t")[-1]) == "and this"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_follows_neither_ids_nor_documents(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tok.json")
    (tmp_path / "t.txt").write_bytes((f"a{END}" * 1000 + PROSE).encode() * 1500)
    code = (
        "import sys, byteloom as bl\n"
        "tokenizer = bl.Tokenizer.load(sys.argv[1])\n"
        "stats = tokenizer.encode_shards(sys.argv[2], sys.argv[3], 2_000_000, num_threads=2)\n"
        "tokenizer.encode_files(sys.argv[2], sys.argv[3] + '.npy', documents=True)\n"
        "status = open('/proc/self/status').read()\n"
        "print(stats.documents, status.split('VmHWM:')[1].split()[0])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        tmp_path / "tok.json",
        tmp_path / "t.txt",
        tmp_path / "t",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documents, peak_kilobytes = map(int, done.stdout.split())
    assert documents > 1_500_000  # 12 MB of index, and as much again for the one file
    assert peak_kilobytes < 110_000
    assert len(np.load(tmp_path / "t.documents.npy", mmap_mode="r")) == documents + 1
