"""``byteloom eval``: its figures against a computation by hand, and what it refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import byteloom as bl
from byteloom.cli import train_lm
from byteloom.cli.eval import main
from byteloom.training.data_config import separator_id
from byteloom.training.objective import document_numbers
from byteloom.training.run_folder import RunFolder
from tiny_run import make_data, write_toml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eval")
    make_data(folder)
    toml = write_toml(folder, training={"steps": 30})
    assert train_lm.main([str(toml), "-o", str(folder / "run")]) == 0
    return folder


def score(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def by_hand(folder: Path, ids: np.ndarray, context: int = 16) -> float:
    """The sum of the losses, window by window."""
    model, nats = RunFolder.open(folder / "run").load_model(), 0.0
    for start in range(0, len(ids) - 1, context):
        window = torch.from_numpy(ids[start : start + context + 1].astype(np.int64))
        with torch.no_grad():
            logits = model(window[None, :-1])[0]
        nats += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
    return nats


def test_figures_of_a_token_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = np.load(folder / "valid.npy")
    found = score(capsys, folder / "run", folder / "valid.npy")
    tokenizer = bl.Tokenizer.load(folder / "tokenizer.json")
    nats, size = by_hand(folder, ids), len(tokenizer.decode_bytes(ids[1:]))
    assert found["tokens"] == len(ids) - 1 and found["bytes"] == size
    assert found["loss"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert score(capsys, folder / "run", folder / "valid.npy", "--batch-size", 3) == pytest.approx(
        found, rel=1e-5
    )


def test_text_is_scored_as_its_tokens(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tokenizer.json")
    text = tmp_path / "text.txt"
    text.write_bytes(tokenizer.decode_bytes(np.load(folder / "valid.npy")))
    expected = score(capsys, folder / "run", folder / "valid.npy")
    assert score(capsys, folder / "run", text) == expected
    text.write_bytes(b"\xff\xfe no UTF-8 \x00" * 20)
    assert score(capsys, folder / "run", text)["bytes"] == 13 * 20 - 1


def test_several_files_are_scored_one_by_one_and_together(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [folder / "valid.npy", folder / "train.npy"]
    ones = [score(capsys, folder / "run", path) for path in paths]
    found = score(capsys, folder / "run", *paths)
    assert [f.pop("file") for f in found["files"]] == [str(path) for path in paths]
    assert found["files"] == ones
    assert found["tokens"] == sum(one["tokens"] for one in ones)
    nats = sum(one["loss"] * one["tokens"] for one in ones)
    assert found["loss"] == pytest.approx(nats / found["tokens"])
    assert main([*map(str, [folder / "run", *paths])]) == 0
    assert "train.npy" in capsys.readouterr().out


def test_documents_are_scored_by_themselves(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = bl.Tokenizer.load(folder / "tokenizer.json")
    ids = np.load(folder / "valid.npy")
    texts = [tokenizer.decode(ids[a:b]) for a, b in ((0, 5), (5, 40), (40, 41), (41, 300))]
    lines = tmp_path / "documents.jsonl"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, ""]))
    for batch_size in (1, 7):
        options = ["--by-document", "--batch-size", batch_size]
        found = score(capsys, folder / "run", lines, *options)
        assert len(found["documents"]) == 5
        for one, text in zip(found["documents"], [*texts, ""], strict=True):
            want = np.array(tokenizer.encode(text))
            assert one["tokens"] == max(0, len(want) - 1)
            if one["tokens"]:
                nats = by_hand(folder, want)
                assert one["loss"] == pytest.approx(nats / one["tokens"], rel=1e-4)
                size = len(tokenizer.decode_bytes(want[1:]))
                assert one["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-4)
            else:
                assert one["loss"] is None
        assert found["tokens"] == sum(one["tokens"] for one in found["documents"])
    assert main([str(folder / "run"), str(lines), "--by-document"]) == 0
    out = capsys.readouterr().out
    assert "hardest" in out and "documents.jsonl" in out
    assert main([str(folder / "run"), str(folder / "valid.npy"), "--by-document"]) == 1
    assert "index" in capsys.readouterr().err


def test_documents_that_training_kept_apart_are_kept_apart(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"separate_documents": True}
    toml = write_toml(folder, "apart.toml", data=data, training={"steps": 30})
    run = folder / "apart"
    assert train_lm.main([str(toml), "-o", str(run)]) == 0
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    model, config = RunFolder.open(run).load_model(), RunFolder.open(run).load_config()
    separator = separator_id(config.data)
    assert separator is not None and metrics
    ids = np.load(folder / "valid.npy")
    ids[7::11] = separator
    np.save(tmp_path / "valid.npy", ids)
    nats = 0.0
    for start in range(0, len(ids) - 1, 16):
        window = torch.from_numpy(ids[start : start + 17].astype(np.int64))[None]
        with torch.no_grad():
            numbers = document_numbers(window[:, :-1], separator)
            logits = model(window[:, :-1], documents=numbers)[0]
        nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    found = score(capsys, run, tmp_path / "valid.npy")
    assert found["loss"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)


def test_figures_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main([str(folder / "run"), str(folder / "valid.npy")]) == 0
    out = capsys.readouterr().out
    assert "perplexity" in out and "bits per byte" in out


def test_bad_input_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "foreign.npy", np.array([1, 2, 300], dtype=np.uint16))
    np.save(tmp_path / "one.npy", np.array([1], dtype=np.uint16))
    (tmp_path / "empty.txt").touch()
    for data, message in {
        tmp_path / "nowhere.npy": "no token file",
        tmp_path / "nowhere.txt": "nowhere.txt",
        tmp_path / "foreign.npy": "id 300 at position 2",
        tmp_path / "one.npy": "two are needed",
        tmp_path / "empty.txt": "empty.txt",
    }.items():
        assert main([str(folder / "run"), str(data)]) == 1
        captured = capsys.readouterr()
        assert message in captured.err and captured.out == "", data
    assert main([str(tmp_path), str(folder / "valid.npy")]) == 1
    assert "is no run" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([str(folder / "run"), str(folder / "valid.npy"), "--batch-size", "0"])
    assert caught.value.code == 2


def test_a_damaged_checkpoint_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = RunFolder.open(folder / "run").checkpoint_at()
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-10])
        assert main([str(folder / "run"), str(folder / "valid.npy")]) == 1
        assert f"{path.name} is cut short, damaged" in capsys.readouterr().err
    finally:
        path.write_bytes(whole)


def test_as_a_process(folder: Path) -> None:
    command = [sys.executable, "-m", "byteloom.cli.main", "eval"]
    done = subprocess.run(
        [*command, str(folder / "run"), str(folder / "valid.npy"), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and json.loads(done.stdout)["loss"] > 0
    assert done.stderr == ""
