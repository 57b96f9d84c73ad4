from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import byteloom as bl
from byteloom import config
from byteloom.training.config import RunConfig, resolve
from tiny_run import END, make_config, make_data, tables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_data(tmp_path)
    return tmp_path


def test_the_vocabulary_is_the_tokenizers(folder: Path) -> None:
    assert make_config(folder).model.vocab_size == 257


def test_without_a_tokenizer_it_follows_the_greatest_id(folder: Path) -> None:
    data = tables(folder)
    del data["data"]["tokenizer"]
    assert resolve(data).model.vocab_size == 257  # the special token's id, 256, is in the text
    np.save(folder / "valid.npy", np.full(100, 300, dtype=np.uint16))
    assert resolve(data).model.vocab_size == 301


def test_contradictions_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"vocab_size is 300, but the tokenizer .* has 257"):
        make_config(folder, model={"vocab_size": 300})
    bl.Tokenizer({i: bytes([i]) for i in range(256)}, []).save(folder / "tokenizer.json")
    with pytest.raises(ValueError, match=r"train\.npy: id 256 at position \d+ .* 0 to 255 only"):
        make_config(folder)


def test_data_too_short_for_the_context_are_refused(folder: Path) -> None:
    np.save(folder / "valid.npy", np.zeros(16, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"valid\.npy has 16 ids: one window takes 17"):
        make_config(folder)


def test_missing_files_are_named(folder: Path) -> None:
    for key in ("train", "valid", "tokenizer"):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            make_config(folder, data={key: "nowhere.npy"})


def test_problems_elsewhere_do_not_hide_behind_the_vocabulary(folder: Path) -> None:
    with pytest.raises(ValueError) as caught:
        resolve({"model": {"d_modle": 3}, "training": {"steps": 0}}, "run.toml")
    lines = str(caught.value).splitlines()
    assert "run.toml: model.d_modle: no such key; did you mean model.d_model?" in lines
    assert "run.toml: data.train: must be given" in lines
    assert "run.toml: training.steps: must be greater than or equal to 1, not 0" in lines
    assert len(lines) == 3


def test_impossible_shapes_are_refused_with_the_section(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"model: .*33"):
        make_config(folder, model={"d_model": 33})


def test_paths_become_absolute_and_threads_fixed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    data = {"train": "train.npy", "valid": "valid.npy", "tokenizer": "tokenizer.json"}
    run = make_config(folder, data=data, training={"num_threads": "none"})
    assert run.data.train == folder / "train.npy" and run.data.tokenizer.is_absolute()
    assert isinstance(run.training.num_threads, int)


def test_the_resolved_configuration_resolves_to_itself(folder: Path) -> None:
    run = make_config(folder, logging={"sample_prompt": f"é\n{END}"})
    assert resolve(config.dump(run)) == run == config.load(RunConfig, config.dump(run))


def test_every_key_is_documented() -> None:
    missing = [
        key.path for key in config.keys(RunConfig) if not key.doc and key.path[-5:] != ".kind"
    ]
    assert missing == []


def test_a_dozen_lines_are_enough(folder: Path) -> None:
    run = resolve({"data": {"train": str(folder / "train.npy")}, "model": {"context_length": 64}})
    assert run.training.steps > 0


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "configs").glob("*.toml")))
def test_the_examples_are_valid(path: Path) -> None:
    tables = config.merge(config.read(path), {"model": {"vocab_size": 10_000}})
    run = config.load(RunConfig, tables, path)
    assert run.data.tokenizer is not None and run.data.valid is not None
    assert run.schedule.build(run.training.steps)(run.training.steps - 1) > 0


def test_the_courses_run_is_the_courses() -> None:
    path = Path(__file__).parents[3] / "configs" / "course.toml"
    tables = config.merge(config.read(path), {"model": {"vocab_size": 10_000}})
    run = config.load(RunConfig, tables, path)
    assert run.training.steps * run.training.batch_size * 256 == 327_680_000
    with torch.device("meta"):
        # Embedding and head, and a layer's four projections, three maps and two norms.
        layer = 4 * 512 * 512 + 3 * 512 * 1344 + 2 * 512
        assert run.model.build().num_parameters() == 2 * 10_000 * 512 + 4 * layer + 512
