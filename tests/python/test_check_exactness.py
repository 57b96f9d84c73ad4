"""The exactness check: it passes what is right, and notices every kind of difference."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from byteloom import _rust

SCRIPTS = Path(__file__).parents[2] / "scripts"
END = "<|endoftext|>"
TEXT = END.join(
    f"It's the {i}th of {i % 7} texts,  isn't it?\n\n日本語 Ωmega {'x' * i}'ll — ends.\n"
    for i in range(60)
)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for peer in ("regex", "tiktoken", "tokenizers"):
        pytest.importorskip(peer)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import check_exactness

    yield check_exactness
    # Only the tables of code points are kept: to make them takes seconds.
    del sys.modules["check_exactness"], sys.modules["exactness_documents"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def rows(output: str) -> dict[tuple[str, str], list[int]]:
    """(what, peer) -> documents, items, different, Unicode, gave up."""
    cells = [line.strip("|").split("|") for line in output.splitlines() if line.startswith("|")]
    found = {}
    for what, peer, *numbers in cells[2:]:
        values = [number.strip().replace(",", "") for number in numbers]
        found[what.strip(), peer.strip()] = [int(values[0]), *map(int, values[2:])]
    return found


def run(check: ModuleType, text: Path, *options: str) -> int:
    # One process: what is planted here is not in others.
    options = ("--workers", "1", "--vocab-size", "400", "--no-adversarial", *options)
    return int(check.main([str(text), *options]))


def plant(check: ModuleType, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Puts something else in the place of parts of the engine."""
    for module in (check, sys.modules["exactness_documents"]):
        monkeypatch.setattr(module, "_rust", SimpleNamespace(**vars(_rust) | changed))


def test_equal_texts_pass(
    check: ModuleType, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(check, text, "--train", "--presets", "gpt2", "o200k") == 0
    output = capsys.readouterr().out
    found = rows(output)
    compared = [
        ("pretokens", "regex"),
        ("ids", "tiktoken"),
        ("ids", "tokenizers"),
        ("counts", "regex"),
        ("counts in pieces", "memory"),
        ("ids in pieces", "memory"),
    ]
    presets = itertools.product(("gpt2", "o200k"), compared)
    expected = [(f"text.txt · {preset} · {what}", peer) for preset, (what, peer) in presets]
    assert list(found) == [("merges", "tokenizers"), *expected]
    for what, peer in expected:
        documents, items, *failures = found[what, peer]
        assert documents == {"counts": 1, "counts in pieces": 8, "ids in pieces": 8}.get(
            what.split(" · ")[2], 60
        )
        assert items > 100
        assert failures == [0, 0, 0]
    assert found["merges", "tokenizers"] == [60, 400 - 257, 0, 0, 0]
    assert "Unicode: byteloom " in output
    assert output.endswith("no differences\n")


def test_the_adversarial_texts(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import adversarial_texts

    everything = list(adversarial_texts.documents(run=200))
    monkeypatch.setattr(adversarial_texts, "documents", lambda run: everything[::40])
    options = ["--workers", "1", "--vocab-size", "400", "--longest-run", "200", "--presets", "gpt2"]
    assert check.main(options) == 0
    found = rows(capsys.readouterr().out)
    for what, peer in (("pretokens", "regex"), ("ids", "tiktoken"), ("ids", "tokenizers")):
        documents, items, *failures = found[f"adversarial · gpt2 · {what}", peer]
        assert documents > 50
        assert items > 1_000
        assert (failures[0], failures[2]) == (0, 0)


def test_the_adversarial_texts_hold_what_they_promise(check: ModuleType) -> None:
    import adversarial_texts

    texts = list(adversarial_texts.documents(run=1_000))
    assert b" " * 1_000 in texts
    assert b"\n" * 1_000 in texts
    assert any(b"\xed\xa0\x80" in text for text in texts)
    assert any(b"\t'll" in text for text in texts)
    assert sum(END.encode() in text for text in texts) > 50
    invalid = sum(sys.modules["exactness_documents"].decoded(text) is None for text in texts)
    assert 100 < invalid < len(texts) - 100


def joins_two(data: bytes, preset: str, special: list[str]) -> list[bytes]:
    pieces = _rust.pretokenize(data, preset, special)
    return [b"".join(pieces[:2]), *pieces[2:]]


def refuses(*args: Any) -> list[bytes]:
    raise ValueError("the engine gives up")


class Counts:
    """Counts that lose a pretoken of a file if it is read in pieces on seven threads."""

    def __init__(self, special: list[str], pattern: str) -> None:
        self.counts = _rust.PretokenCounts(special, pattern)

    def count_files(self, inputs: list[str], threads: int = 1, size: int | None = None) -> None:
        self.counts.count_files(inputs, threads, size)
        if threads == 7:
            self.counts.add(b" the", 1)

    def train(self, vocab_size: int, special: list[str], tie_break: str) -> _rust.Tokenizer:
        return self.counts.train(vocab_size, special, "bytes")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.counts, name)


def test_many_processes_and_a_memory_find_the_same(
    check: ModuleType, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(check, text, "--presets", "gpt2") == 0
    alone = capsys.readouterr().out
    for _ in range(2):
        options = ("--presets", "gpt2", "--memory", str(tmp_path / "memory"), "--workers", "2")
        assert run(check, text, *options) == 0
        assert capsys.readouterr().out == alone
        assert len(list((tmp_path / "memory").iterdir())) == 1


@pytest.mark.parametrize("gave_up", [False, True])
def test_what_is_remembered_is_not_asked_for(
    check: ModuleType,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gave_up: bool,
) -> None:
    documents = sys.modules["exactness_documents"].Documents
    options = ("--presets", "gpt2", "--memory", str(tmp_path))
    if gave_up:
        monkeypatch.setattr(documents, "tiktoken_ids", refuses)
    assert run(check, text, *options) == 0
    first = capsys.readouterr().out
    asked: list[int] = []
    compare = documents.compare

    def counted(self: Any, batch: list[bytes]) -> Any:
        asked.append(len(batch))
        return compare(self, batch)

    monkeypatch.setattr(documents, "compare", counted)
    assert run(check, text, *options) == 0
    assert capsys.readouterr().out == first
    assert sum(asked) == 0
    # An engine that has come to differ is found out, with the peers' help.
    plant(check, monkeypatch, pretokenize=joins_two)
    assert run(check, text, *options) == 1
    assert sum(asked) == 60
    found = rows(capsys.readouterr().out)
    assert found["text.txt · gpt2 · pretokens", "regex"][2] == 60
    # Other tokens are another question.
    monkeypatch.undo()
    capsys.readouterr()
    assert run(check, text, *options, "--vocab-size", "300") == 0
    assert len(list(tmp_path.glob("[0-9a-f]*"))) == 2


Plant = Callable[[ModuleType, pytest.MonkeyPatch], None]


def plant_pretokens(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(check, monkeypatch, pretokenize=joins_two)


def plant_refusals(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(check, monkeypatch, pretokenize=refuses)


def plant_counts(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(check, monkeypatch, PretokenCounts=Counts)


def plant_tiktoken(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks in each other's place."""
    encoding = sys.modules["exactness_documents"].tiktoken.Encoding

    def swapped(*args: Any, mergeable_ranks: dict[bytes, int], **rest: Any) -> Any:
        a, b = list(mergeable_ranks)[-2:]
        ranks = mergeable_ranks | {a: mergeable_ranks[b], b: mergeable_ranks[a]}
        return encoding(*args, mergeable_ranks=ranks, **rest)

    monkeypatch.setattr(
        sys.modules["exactness_documents"], "tiktoken", SimpleNamespace(Encoding=swapped)
    )


def plant_huggingface(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the last merge but one."""
    library = sys.modules["exactness_documents"].tokenizers

    def shortened(text: str) -> Any:
        document = json.loads(text)
        del document["model"]["merges"][-2]
        return library.Tokenizer.from_str(json.dumps(document))

    fake = SimpleNamespace(from_str=shortened)
    monkeypatch.setattr(
        sys.modules["exactness_documents"], "tokenizers", SimpleNamespace(Tokenizer=fake)
    )


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (plant_pretokens, ("gpt2 · pretokens", "regex")),
        (plant_refusals, ("gpt2 · pretokens", "regex")),
        (plant_counts, ("gpt2 · counts in pieces", "memory")),
        (plant_tiktoken, ("gpt2 · ids", "tiktoken")),
        (plant_huggingface, ("gpt2 · ids", "tokenizers")),
    ],
)
def test_planted_differences_are_noticed(
    check: ModuleType,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Plant,
    noticed: tuple[str, str],
) -> None:
    change(check, monkeypatch)
    assert run(check, text, "--presets", "gpt2") == 1
    said = capsys.readouterr()
    what, peer = f"text.txt · {noticed[0]}", noticed[1]
    different = {row: numbers[2] for row, numbers in rows(said.out).items()}
    assert different.pop((what, peer)) > 0
    assert set(different.values()) == {0}
    assert f"DIFFERENT {what} against {peer}: " in said.err
    assert said.out.rstrip().endswith(" differences")


def test_a_peer_that_gives_up_is_counted_and_no_difference(
    check: ModuleType,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    panic = type("PanicException", (BaseException,), {})

    def gives_up(self: Any, text: str | None, pieces: list[bytes]) -> list[int]:
        raise panic("no more stack")

    monkeypatch.setattr(sys.modules["exactness_documents"].Documents, "tiktoken_ids", gives_up)
    assert run(check, text, "--presets", "gpt2") == 0
    assert rows(capsys.readouterr().out)["text.txt · gpt2 · ids", "tiktoken"][2:] == [0, 0, 60]


def test_other_merges_are_noticed(
    check: ModuleType,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plant_counts(check, monkeypatch)  # which trains under the other rule
    assert run(check, text, "--train", "--presets", "gpt2") == 1
    assert rows(capsys.readouterr().out)["merges", "tokenizers"][2] == 1


def test_code_points_of_another_unicode_version_are_excused(
    check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = check.unicode_classes.from_regex()
    if not changed:
        pytest.skip("the regex module has the engine's version of Unicode")
    # Letters there, and nothing yet here: not joined to the letter before.
    letters = [
        c for c in sorted(changed) if sys.modules["exactness_documents"].regex.match(r"\p{L}", c)
    ]
    letters = [c for c in letters if len(_rust.pretokenize(f"a{c}", "gpt2")) == 2]
    path = tmp_path / "new.txt"
    path.write_bytes(f"a{letters[0]}b{END}a{letters[-1]}".encode() + b"\xff and on")
    assert run(check, path, "--presets", "gpt2") == 0
    output = capsys.readouterr().out
    assert rows(output)["new.txt · gpt2 · pretokens", "regex"][2:] == [0, 2, 0]
    assert f"Excused: U+{ord(letters[0]):04X} " in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file"], "no-such-file: no such file"),
        (["--no-adversarial"], "nothing to check"),
        (["--train"], "--train needs a TEXT"),
        (["--presets", "gpt3"], "invalid choice"),
    ],
)
def test_wrong_usage(
    check: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        check.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
