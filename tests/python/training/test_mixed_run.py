"""Runs on several token files and with documents kept apart: configuration, loss, resuming."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import byteloom as bl
from byteloom import config
from byteloom.cli.train_lm import main
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.data_config import separator_id
from byteloom.training.evaluate import evaluate
from byteloom.training.loop import train
from byteloom.training.objective import Objective, document_numbers
from byteloom.training.run_folder import RunFolder
from tiny_run import END, compile_quickly, make_config, make_data, read_metrics, tables, write_toml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Beside the usual data a second file, of documents of four tokens."""
    make_data(tmp_path)
    np.save(tmp_path / "more.npy", np.array([97, 98, 10, 256] * 100, dtype=np.uint16))
    return tmp_path


def mixed(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "train": [str(folder / "train.npy"), str(folder / "more.npy")],
        "weights": [3, 1],
        **more,
    }


# -- configuration --------------------------------------------------------------------------------


def test_a_list_of_files_resolves_to_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run = make_config(folder, data={"train": ["train.npy", "more.npy"], "weights": [3, 1]})
    assert run.data.train == (folder / "train.npy", folder / "more.npy") == run.data.sources
    assert run.data.weights == (3.0, 1.0)
    assert resolve(config.dump(run)) == run == config.load(RunConfig, config.dump(run))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a.npy", Path("a.npy")),
        ('["a.npy", "b.npy"]', (Path("a.npy"), Path("b.npy"))),
        ("['a.npy']", (Path("a.npy"),)),
        ("[a].npy", Path("[a].npy")),
        ("12", Path("12")),
    ],
)
def test_both_forms_can_be_typed(folder: Path, typed: str, meant: object) -> None:
    over = config.merge(tables(folder), {"data": {"train": config.Argument(typed)}})
    over = config.merge(over, {"model": {"vocab_size": 10}})
    assert config.load(RunConfig, over).data.train == meant


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan"), "3"])
def test_weights_are_checked(folder: Path, weight: Any) -> None:
    with pytest.raises(ValueError, match=r"data\.weights: must be"):
        make_config(folder, data=mixed(folder, weights=[1, weight]))


def test_lists_that_make_no_sense_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="data: 3 weights for 2 token files in train"):
        make_config(folder, data=mixed(folder, weights=[1, 2, 3]))
    with pytest.raises(ValueError, match="data: 2 weights for 1 token files in train"):
        make_config(folder, data={"weights": [1, 2]})
    with pytest.raises(ValueError, match=r"data\.train is an empty list"):
        make_config(folder, data={"train": []})


def test_every_file_is_checked(folder: Path) -> None:
    data = mixed(folder)
    np.save(folder / "more.npy", np.full(100, 400, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"more\.npy: id 400 at position 0"):
        make_config(folder, data=data)
    without = config.merge(tables(folder), {"data": {**data, "tokenizer": "none"}})
    assert resolve(without).model.vocab_size == 401
    np.save(folder / "more.npy", np.zeros(16, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"more\.npy has 16 ids: one window takes 17"):
        make_config(folder, data=data)
    (folder / "more.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"no token file .*more\.npy"):
        make_config(folder, data=data)


def test_the_separator_is_the_tokenizers(folder: Path) -> None:
    assert separator_id(make_config(folder).data) is None
    apart = {"separate_documents": True}
    assert separator_id(make_config(folder, data=apart).data) == 256
    tokenizer = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<a>", "<b>"])
    tokenizer.save(folder / "tokenizer.json")
    assert separator_id(make_config(folder, data=apart).data) == tokenizer.special_tokens["<a>"]
    named = apart | {"separator": "<b>"}
    assert separator_id(make_config(folder, data=named).data) == tokenizer.special_tokens["<b>"]
    with pytest.raises(ValueError, match=rf"no special token '{END[:3]}.*only '<a>', '<b>'"):
        make_config(folder, data=apart | {"separator": END})


def test_without_a_separator_documents_cannot_be_told_apart(folder: Path) -> None:
    apart = {"separate_documents": True}
    with pytest.raises(ValueError, match="data: separate_documents needs a tokenizer"):
        make_config(folder, data=apart | {"tokenizer": "none"})
    bl.Tokenizer({i: bytes([i]) for i in range(256)}, []).save(folder / "tokenizer.json")
    for name in ("train", "valid"):
        np.save(folder / f"{name}.npy", np.zeros(100, dtype=np.uint16))
    with pytest.raises(ValueError, match="has no special token that could end a document"):
        make_config(folder, data=apart)


# -- objective ------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_a_separator_is_of_the_document_that_it_ends(ids: list[int]) -> None:
    want = [ids[:place].count(0) for place in range(len(ids))]
    assert document_numbers(torch.tensor([ids, ids]), 0).tolist() == [want, want]


def test_training_and_validation_score_documents_apart(folder: Path) -> None:
    """The loss is that of every document by itself."""
    run = build(make_config(folder, data=mixed(folder, separate_documents=True)))
    inputs, targets = run.batches.batch_at(0)
    assert (inputs == 256).any()

    def alone(ids: torch.Tensor, wanted: torch.Tensor) -> float:
        nats = 0.0
        for row, aims in zip(ids, wanted, strict=True):
            ends = [i + 1 for i in torch.where(row == 256)[0].tolist()]
            for begin, end in itertools.pairwise(sorted({0, *ends, len(row)})):
                part = slice(begin, end)
                nats += run.model.loss(row[None, part], aims[None, part]).nats.item()
        return nats

    assert_close(
        run.objective(inputs, targets).nats.item(), alone(inputs, targets), rtol=1e-5, atol=0
    )
    assert run.validation is not None
    score = evaluate(run.model, run.objective, run.validation(), run.device, run.autocast)
    want = sum(alone(*batch) for batch in run.validation())
    assert score is not None and score.nats == pytest.approx(want, rel=1e-5)
    # Read as one text, a batch has another loss, or this would not show anything.
    pairs = [
        [objective(*run.batches.batch_at(step)).nats.item() for step in range(8)]
        for objective in (Objective(run.model), run.objective)
    ]
    assert max(abs(plain / kept - 1) for plain, kept in zip(*pairs, strict=True)) > 1e-5


# -- runs -----------------------------------------------------------------------------------------


def finished(path: Path, run_config: RunConfig, deaths: tuple[int, ...] = ()) -> RunFolder:
    """A run to its end, killed after some steps and resumed from its folder alone."""
    folder = RunFolder.create(path, run_config)

    class DiedError(Exception):
        pass

    class Dying:
        def __init__(self, at: int) -> None:
            self.at = at

        def advance(self, step: int) -> None:
            if step == self.at:
                raise DiedError

        def log(self, record: dict[str, float]) -> None:
            pass

        def close(self) -> None:
            pass

    for death in (*deaths, 0):
        run = build(folder.load_config())
        if found := folder.newest(pytest.fail):
            run.restore(found)
        try:
            train(run, folder, [Dying(death)])
        except DiedError:
            continue
    return folder


def test_interrupted_it_ends_with_the_same_bits(folder: Path) -> None:
    run_config = make_config(folder, data=mixed(folder, separate_documents=True))
    straight = finished(folder / "straight", run_config)
    broken = finished(folder / "broken", run_config, deaths=(3, 7, 11))
    a, b = straight.newest(pytest.fail), broken.newest(pytest.fail)
    assert a is not None and b is not None and a.iteration == b.iteration == 12
    assert all(torch.equal(a.model[name], b.model[name]) for name in a.model)
    assert read_metrics(straight.metrics_file) == read_metrics(broken.metrics_file)


def test_it_compiles_to_the_same_losses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = mixed(folder, separate_documents=True)
    plain = finished(folder / "plain", make_config(folder, data=data))
    compile_quickly(monkeypatch)
    compiled = finished(
        folder / "compiled", make_config(folder, data=data, training={"compile": True})
    )
    ours, theirs = read_metrics(compiled.metrics_file), read_metrics(plain.metrics_file)
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_the_command_tells_of_every_source(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_toml(folder, data={"separate_documents": True})
    files = [str(folder / name) for name in ("train.npy", "more.npy")]
    arguments = [str(toml), "--data.train", str(files), "--data.weights", "[3, 1]"]
    assert main([*arguments, "-o", str(folder / "run")]) == 0
    said = capsys.readouterr().err
    # About a quarter of 12 steps of 4 windows, of the 24 there are.
    assert f"75.00% of the windows, {files[0]}\n" in said
    assert "data      400 tokens, gone through 0." in said
    assert f"25.00% of the windows, {files[1]}\n" in said
    written = config.read(folder / "run" / "config.toml")["data"]
    assert written["train"] == files and written["weights"] == [3.0, 1.0]


def test_a_source_without_separators_is_warned_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(folder / "more.npy", np.array([97, 98, 10] * 100, dtype=np.uint16))
    toml = write_toml(folder, data=mixed(folder, separate_documents=True))
    assert main([str(toml), "-o", str(folder / "run")]) == 0
    said = capsys.readouterr().err
    assert f"the beginning of {folder / 'more.npy'} has no separator" in said
    assert said.count("has no separator") == 1
