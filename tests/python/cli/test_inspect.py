"""``byteloom inspect`` as a command: what it says, as text and as JSON, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import byteloom

import byteloom as bl
from byteloom.markdown import display_width

END = "<|endoftext|>"
TEXT = "It's the text that the tokenizer is trained on.\n" * 40 + END + "Ünïcödé — 中文 | 文\n" * 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tokenizers, one of them as GPT-2's pair of files, and two texts."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "text.txt").write_text(TEXT, "utf-8")
    (folder / "code.txt").write_text("def f(x):\n    return x | 1\n" * 30, "utf-8")
    bl.train_bpe(folder / "text.txt", 320, [END]).save(folder / "tok.json")
    (folder / "pair").mkdir()
    other = bl.train_bpe(folder / "code.txt", 290)
    other.save_vocab_merges(folder / "pair" / "vocab.json", folder / "pair" / "merges.txt")
    return folder


def inspect(*arguments: object) -> str:
    done = byteloom("inspect", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(*arguments: object) -> dict[str, Any]:
    return json.loads(inspect(*arguments, "--json"))


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables in a text, each a list of rows of cells, without the rule."""
    found: list[list[str]] = []
    for block in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        lines = block.splitlines()
        assert len({display_width(line) for line in lines}) == 1, "columns line up"
        found.append([lines[0], *lines[2:]])
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
        for table in found
    ]


def numbers(cells: Sequence[str]) -> list[int]:
    return [int(cell.replace(",", "")) for cell in cells]


def test_the_vocabulary(folder: Path) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    text = inspect(folder / "tok.json", "--top", 3)
    assert f"({tokenizer.vocab_size} tokens)" in text
    assert re.search(rf"special tokens +{re.escape(END)} \(0\)\n", text)
    assert re.search(r"pattern +gpt2\n", text)
    kinds, lengths, longest = tables(text)
    assert sum(numbers(row[1] for row in kinds[1:])) == tokenizer.vocab_size
    assert sum(numbers(row[2] for row in lengths[1:])) == tokenizer.vocab_size - 1
    assert len(longest) == 1 + 3
    assert ["' tokenizer'", "word", "10", "10"] in [row[:4] for row in longest]

    found = figures(folder / "tok.json")["vocabulary"]
    assert found["vocab_size"] == tokenizer.vocab_size
    assert found["special_tokens"] == {END: 0}
    assert sum(found["lengths"].values()) == tokenizer.vocab_size - 1
    lengths = [len(bytes.fromhex(token["hex"])) for token in found["longest"]]
    assert lengths == sorted(map(len, [*tokenizer.vocab.values()][1:]), reverse=True)[:10]


def test_compression(folder: Path) -> None:
    corpora = [folder / "text.txt", folder / "code.txt"]
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    rows, *frequent = tables(inspect(folder / "tok.json", "--on", *corpora, "--top", 4))
    assert [row[0] for row in rows[1:]] == list(map(str, corpora))
    assert len(frequent) == 2
    assert all(len(one) == 1 + 4 for one in frequent)
    found = figures(folder / "tok.json", "--on", *corpora)
    assert "vocabulary" not in found
    for path, row, one in zip(corpora, rows[1:], found["compression"], strict=True):
        data = path.read_bytes()
        ids = tokenizer.encode(data)
        assert one["corpus"] == str(path)
        assert one["bytes_per_token"] == len(data) / len(ids)
        assert row[3] == f"{len(data) / len(ids):.3f}"
        assert row[4] == f"{len(data.decode()) / len(ids):.3f}"
        assert row[5] == f"{len(ids) / len(data.split()):.3f}"
        assert row[6] == f"{len(set(ids)) / tokenizer.vocab_size:.1%}"
        top = max(set(ids), key=lambda id: (ids.count(id), -id))
        assert one["most_frequent"][0]["id"] == top
        assert one["most_frequent"][0]["count"] == ids.count(top)


def test_a_glob_is_one_corpus(folder: Path) -> None:
    (found,) = figures(folder / "tok.json", "--on", folder / "*.txt")["compression"]
    assert found["bytes"] == sum(path.stat().st_size for path in folder.glob("*.txt"))


def test_words(folder: Path) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tok.json")
    arguments = [folder / "tok.json", "--word", " tokenizer", "--word", f"文{END}"]
    text = inspect(*arguments)
    assert "\n' tokenizer'\n└─ ' tokenizer'  id " in text
    (steps, *_) = tables(text)
    assert steps[1] == ["' ' 't' 'o' 'k' 'e' 'n' 'i' 'z' 'e' 'r'", "", ""]
    assert steps[-1][0] == "' tokenizer'"
    for _, joined, rank in steps[2:]:
        left, right = tokenizer.merges[int(rank)]
        assert joined == f"{left.decode()!r} + {right.decode()!r}"
    words = figures(*arguments)["words"]
    assert [word["text"] for word in words] == [" tokenizer", "文", END]
    assert [id for word in words for id in word["ids"]] == tokenizer.encode(f" tokenizer文{END}")
    assert words[0]["tree"][0]["rank"] == words[0]["steps"][-1]["rank"]


def test_overlap(folder: Path, tmp_path: Path) -> None:
    text = inspect(folder / "tok.json", "--with", folder / "pair", "--top", 2)
    ours = bl.Tokenizer.load(folder / "tok.json").vocab
    theirs = set(bl.Tokenizer.load(folder / "pair").vocab.values())
    mine = {token for id, token in ours.items() if id != 0}
    lengths, *listed = tables(text)
    assert lengths[0] == [
        "bytes", "in both", "only in tok.json", "only in pair", "share in both"
    ]  # fmt: skip
    for column, part in enumerate((mine & theirs, mine - theirs, theirs - mine), 1):
        assert sum(numbers(row[column] for row in lengths[1:])) == len(part)
    assert [one[0][0] for one in listed] == ["first only in tok.json", "first only in pair"]
    assert all(len(one) == 1 + 2 for one in listed)
    found = figures(folder / "tok.json", "--with", folder / "pair")["overlap"]
    assert found["common"] == len(mine & theirs)
    assert found["jaccard"] == len(mine & theirs) / len(mine | theirs)
    assert found["special_tokens"]["only_first"] == [END]


def test_the_plot(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "both.png"
    text = inspect(folder / "tok.json", "--with", folder / "pair", "--plot", path)
    assert str(path) in text
    assert path.read_bytes().startswith(b"\x89PNG")


def test_everything_at_once(folder: Path) -> None:
    found = figures(
        folder / "tok.json", "--word", "a", "--on", folder / "code.txt", "--with", folder / "pair"
    )
    assert set(found) == {"tokenizer", "vocab_size", "compression", "words", "overlap"}


def test_help_has_examples_and_no_option_is_silent(folder: Path) -> None:
    done = byteloom("inspect", "--help")
    assert done.returncode == 0
    for option in ("--on", "--word", "--with", "--plot", "--top", "--num-threads", "--json"):
        assert re.search(rf"^  {option}\b", done.stdout, re.MULTILINE)
    assert "default: 10)" in done.stdout
    assert not re.search(r"default:\s+(None|False|\[\])", done.stdout)
    examples = [line for line in done.stdout.splitlines() if "byteloom inspect tok" in line]
    assert len(examples) >= 5
    assert "inspect" in byteloom("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.json"], 1, "no.json"),
        (["tok.json", "--on", "no.txt"], 1, "no such file: no.txt"),
        (["tok.json", "--on", "*.md"], 1, "no file matches '*.md'"),
        (["tok.json", "--with", "text.txt"], 1, "text.txt"),
        (["tok.json", "--plot", "x.png"], 2, "give --with OTHER"),
        (["tok.json", "--with", "pair", "--plot", "x.jpg"], 1, "must end in .png, .svg, .pdf"),
        (["tok.json", "--with", "pair", "--plot", "no/x.png"], 1, "no folder no"),
        (["tok.json", "--word", ""], 2, "nothing in it"),
        (["tok.json", "--word", "a" * 999], 1, "999 bytes; merges are shown for up to 256"),
        (["tok.json", "--top", "-1"], 2, "must not be negative"),
        ([], 2, "WHAT"),
    ],
)
def test_what_is_refused(folder: Path, arguments: list[str], code: int, message: str) -> None:
    done = byteloom("inspect", *arguments, cwd=folder)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_plot_without_matplotlib(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('matplotlib')")
    path = ":".join([str(tmp_path), *sys.path])
    done = byteloom(
        "inspect", folder / "tok.json", "--with", folder / "pair", "--plot", tmp_path / "x.png",
        env={"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'byteloom[plot]'" in done.stderr
    assert not (tmp_path / "x.png").exists()
