"""The experiments in scripts/: on small texts, against encoding the texts; what they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import byteloom as bl

SCRIPTS = Path(__file__).parents[2] / "scripts"
END = "<|endoftext|>"
EXPERIMENTS = ("compression", "throughput", "vocabulary_size")


def experiment(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def figures(name: str, *arguments: object, cwd: Path) -> list[dict[str, Any]]:
    done = experiment(name, *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["machine"]) == {"date", "processor", "version"}
    return found["results"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    tale = "".join(
        f"Der Wolf und die {i % 97} jungen Geißlein, es waren {i}.\n" for i in range(999)
    )
    (folder / "tale.txt").write_text(tale[:20_000] + END + tale[20_000:], "utf-8")
    code = "".join(f"def function{i % 37}(x):\n    return x + {i}\n" for i in range(500))
    (folder / "code.txt").write_text(code, "utf-8")
    # No special tokens and another pattern: its counts are not those of the ones trained here.
    bl.train_bpe(folder / "tale.txt", 300, pattern="cl100k").save(folder / "other.json")
    return folder


def ratio(tokenizer: bl.Tokenizer, path: Path) -> float:
    """Bytes per token by encoding everything; special tokens count on neither side."""
    data = path.read_bytes()
    ids = tokenizer.encode(data)
    special = [id for id in ids if id in tokenizer.special_tokens.values()]
    size = len(data) - len(tokenizer.decode_bytes(special))
    return size / (len(ids) - len(special))


def test_compression(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["tale.txt", "program=code.txt", "--vocab-size", 300, 400]
    arguments += ["--tokenizer", "mine=other.json", "--plot", tmp_path / "map.svg"]
    found = figures("compression", *arguments, cwd=folder)
    assert [(row["tokenizer"], row["vocab_size"], row["trained_on"]) for row in found] == [
        ("mine", 300, None),
        ("tale", 300, "tale"),
        ("tale", 400, "tale"),
        ("program", 300, "program"),
        ("program", 400, "program"),
    ]
    paths = {"tale": folder / "tale.txt", "program": folder / "code.txt"}
    for row in found:
        tokenizer = bl.Tokenizer.load(folder / "other.json")
        if row["trained_on"]:
            tokenizer = bl.train_bpe(paths[row["trained_on"]], row["vocab_size"], [END])
        want = {name: ratio(tokenizer, path) for name, path in paths.items()}
        assert row["bytes_per_token"] == pytest.approx(want)

    done = experiment("compression", *arguments, cwd=folder)
    lines = done.stdout.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")] == [
        "", "tokenizer, vocabulary", "tale", "program", ""
    ]  # fmt: skip
    for row, line in zip(found, lines[2:7], strict=True):
        for name, value in row["bytes_per_token"].items():
            assert (f"**{value:.3f}**" in line) == (name == row["trained_on"])
            assert f"{value:.3f}" in line
    text = (tmp_path / "map.svg").read_text()
    for row in found:
        assert f">{row['tokenizer']} {row['vocab_size']}<" in text
        for value in row["bytes_per_token"].values():
            assert f">{value:.2f}<" in text


def test_throughput(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["tale.txt", "all=*.txt", "--tokenizer", "other.json", "--threads", 1, 2]
    arguments += ["--repeat", 3, "--plot", tmp_path / "speed.svg"]
    found = figures("throughput", *arguments, cwd=folder)
    texts = {"tale": ["tale.txt"], "all": ["tale.txt", "code.txt"]}
    tokenizer = bl.Tokenizer.load(folder / "other.json")
    assert [(row["text"], row["threads"]) for row in found] == [
        ("tale", 1), ("tale", 2), ("all", 1), ("all", 2)
    ]  # fmt: skip
    for row in found:
        data = [(folder / name).read_bytes() for name in texts[row["text"]]]
        assert row["bytes"] == sum(map(len, data))
        assert row["tokens"] == sum(len(tokenizer.encode(one)) for one in data)
        assert sorted(row["runs"])[1] == row["seconds"]
        assert row["megabytes_per_second"] * row["seconds"] == pytest.approx(row["bytes"] / 1e6)
        assert row["pile_seconds"] * row["bytes"] == pytest.approx(825e9 * row["seconds"])
    done = experiment("throughput", *arguments, cwd=folder)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| other")]
    assert len(rows) == 4
    assert all(re.search(r"\d h \d\d min \|$", row) for row in rows)
    text = (tmp_path / "speed.svg").read_text()
    for label in ("other on tale", "other on all", "threads", "text encoded, MB/s"):
        assert f">{label}<" in text


def test_vocabulary_size(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["tale.txt", "--on", "program=code.txt", "--vocab-size", 400, 270, 300]
    arguments += ["--plot", tmp_path / "sizes.svg"]
    found = figures("vocabulary_size", *arguments, cwd=folder)
    assert [row["vocab_size"] for row in found] == [270, 300, 400]
    for row in found:
        tokenizer = bl.train_bpe(folder / "tale.txt", row["vocab_size"], [END])
        want = {
            "tale": ratio(tokenizer, folder / "tale.txt"),
            "program": ratio(tokenizer, folder / "code.txt"),
        }
        assert row["bytes_per_token"] == pytest.approx(want)
        assert row["merging_seconds"] > 0
    text = (tmp_path / "sizes.svg").read_text()
    for label in ("tale (trained on it)", "program", "270", "300", "400", "bytes per token"):
        assert f">{label}<" in text


def test_texts_are_counted_together(folder: Path) -> None:
    (row,) = figures("vocabulary_size", "tale.txt", "code.txt", "--vocab-size", 350, cwd=folder)
    tokenizer = bl.train_bpe([folder / "tale.txt", folder / "code.txt"], 350, [END])
    counts = bl.PretokenCounts.from_files(folder / "*.txt", [END])
    want = counts.total_bytes / counts.count_tokens(tokenizer)
    assert row["bytes_per_token"] == {"tale + code": pytest.approx(want)}


def test_a_text_too_small_for_a_size(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("low lower lowest")
    done = experiment(
        "vocabulary_size", "text.txt", "--vocab-size", 260, 999, 9_999, "--json", cwd=tmp_path
    )
    assert done.returncode == 0
    sizes = [row["vocab_size"] for row in json.loads(done.stdout)["results"]]
    tokenizer = bl.train_bpe(tmp_path / "text.txt", 999, [END])
    assert sizes == [260, tokenizer.vocab_size]
    assert f"no more than {tokenizer.vocab_size} tokens come of this text" in done.stderr


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help(folder: Path, name: str) -> None:
    done = experiment(name, "--help", cwd=folder)
    assert done.returncode == 0
    assert f"python scripts/{name}.py" in done.stdout


OTHER = ["--tokenizer", "other.json"]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("compression", ["no.txt"], 1, "no such file: no.txt"),
        ("compression", ["tale.txt", "tale.txt"], 1, "2 are called 'tale': tell them apart"),
        ("compression", ["tale.txt", "--vocab-size", "9"], 1, "vocab"),
        ("compression", ["tale.txt", "--pattern", "(", "--vocab-size", "300"], 1, "pattern"),
        ("compression", ["tale.txt", "--plot", "map.gif"], 1, "must end in .png, .svg, .pdf"),
        ("compression", ["tale.txt", *OTHER, *OTHER], 1, "2 are called 'other'"),
        ("vocabulary_size", ["tale.txt", "--on", "tale.txt"], 1, "2 are called 'tale'"),
        ("vocabulary_size", ["tale.txt", "--vocab-size", "300", "1"], 1, "vocab"),
        ("throughput", ["tale.txt"], 2, "--tokenizer"),
        ("throughput", ["tale.txt", "--tokenizer", "no.json"], 1, "no.json"),
        ("throughput", ["tale.txt", *OTHER, "--threads", "0"], 2, "at least 1"),
        ("throughput", ["tale.txt", *OTHER, "--repeat", "0"], 2, "at least 1"),
    ],
)
def test_what_is_refused(
    folder: Path, name: str, arguments: list[str], code: int, message: str
) -> None:
    done = experiment(name, *arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_empty_text(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty.txt").touch()
    tokenizer = ["--tokenizer", folder / "other.json"]
    rows = figures("compression", "empty.txt", *tokenizer, cwd=tmp_path)
    assert [row["bytes_per_token"] for row in rows] == [{"empty": 0.0}] * 2
    done = experiment("throughput", "empty.txt", *tokenizer, cwd=tmp_path)
    assert done.returncode == 1
    assert "empty.txt is empty" in done.stderr
