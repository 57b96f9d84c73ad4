"""``byteloom eval --choices``: figures, tables, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byteloom.cli import train_lm
from byteloom.cli.eval import main
from tiny_run import make_data, write_toml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choices")
    make_data(folder)
    schedule = {"max_lr": 1e-2, "min_lr": 1e-3, "warmup_steps": 5}
    toml = write_toml(folder, schedule=schedule, training={"steps": 150}, model={"num_layers": 2})
    assert train_lm.main([str(toml), "-o", str(folder / "run")]) == 0
    # What the model has seen 400 times, against what it never has.
    rows = [
        {"context": "    ret", "choices": ["XQ#", "urn x"], "answer": 1},
        {"context": "def", "choices": [" f", " Z", " ?"], "answer": 0},
        {"context": "):\n  ", "choices": ["  re", "@@@@"], "answer": 0},
    ]
    (folder / "known.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_it_knows_what_it_learned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, known = str(folder / "run"), str(folder / "known.jsonl")
    capsys.readouterr()
    assert main([run, "--choices", known, "--delimiter", "", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == known and found["questions"] == 3 and found["shots"] == 0
    assert found["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    for name in ("acc", "acc_norm", "acc_bytes", "acc_tokens"):
        assert found[name] == 1.0 and found[f"{name}_stderr"] == 0.0
    assert [len(one["log_likelihoods"]) for one in found["answers"]] == [2, 3, 2]
    assert found["answers"][0]["tokens"] == [3, 5] and found["answers"][0]["answer"] == 1
    assert main([run, "--choices", known, known, "--delimiter", ""]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4 and "100.00 ± 0.00" in rows[2] and "44.44" in rows[2]
    assert main([run, "--choices", known, known, "--json", "--shots", "1"]) == 0
    both = json.loads(capsys.readouterr().out)["files"]
    assert both[0] == both[1] and both[0]["shots"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either DATA or --choices"),
        (["valid.npy", "--choices", "known.jsonl"], "give either DATA or --choices"),
        (["valid.npy", "--shots", "1"], "--shots are for --choices"),
        (["--choices", "known.jsonl", "--shots", "-1"], "0 or more"),
        (["--choices", "known.jsonl", "--examples", "known.jsonl"], "without --shots"),
        (["--choices", "known.jsonl", "--by-document"], "--by-document is for DATA"),
    ],
)
def test_what_does_not_go_together(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(folder / "run"), *arguments])
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_bad_files_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = str(folder / "known.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"context": "c", "choices": ["a", "b"], "answer": 7}')
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"context": "c", "choices": ["a", "b" * 40], "answer": 0}))
    for arguments, message in (
        (["--choices", str(bad)], "bad.jsonl, line 1: answer"),
        (["--choices", known, str(tmp_path / "no.jsonl")], "no.jsonl"),
        (["--choices", known, "--shots", "2", "--examples", str(bad)], "bad.jsonl, line 1"),
        (["--choices", known, "--shots", "3"], "3 shots need"),
        (["--choices", known, str(long)], "long.jsonl: the choice"),
    ):
        assert main([str(folder / "run"), *arguments]) == 1
        captured = capsys.readouterr()
        assert message in captured.err and captured.out == "", arguments
