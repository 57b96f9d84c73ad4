from __future__ import annotations

from pathlib import Path

import pytest
import torch

import byteloom as bl
from byteloom import checkpoint
from byteloom.checkpoint import Checkpoint
from byteloom.training.build import build
from byteloom.training.run_folder import RunFolder
from tiny_run import make_config, make_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_data(tmp_path)
    return tmp_path


def states(folder: RunFolder, steps: list[int], keep: int = 100) -> None:
    for step in steps:
        folder.save(Checkpoint(iteration=step, model={"a": torch.full((3,), step)}), keep)


def test_a_new_folder_holds_what_a_run_needs(folder: Path) -> None:
    run_config = make_config(folder)
    run = RunFolder.create(folder / "deep" / "run", run_config)
    assert run.load_config() == run_config
    assert run.load_tokenizer() == bl.Tokenizer.load(folder / "tokenizer.json")
    assert run.checkpoints() == []
    assert RunFolder.open(folder / "deep" / "run").config_file == run.config_file


def test_without_a_tokenizer(folder: Path) -> None:
    run = RunFolder.create(
        folder / "run", make_config(folder, data={"tokenizer": "none"}, model={"vocab_size": 257})
    )
    assert run.load_tokenizer() is None


def test_an_existing_run_is_refused_with_what_to_do(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    with pytest.raises(ValueError, match=r"a run of 0 of 12 steps: continue .*--resume .*run`"):
        RunFolder.create(folder / "run", make_config(folder))
    states(run, [12])
    with pytest.raises(ValueError, match=r"is finished \(12 steps\): try `byteloom generate"):
        run.refuse_existing()


def test_other_peoples_files_are_left_alone(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds other files, and no run"):
        RunFolder.create(folder, make_config(folder))
    with pytest.raises(ValueError, match="is a file, not a folder"):
        RunFolder.create(folder / "train.npy", make_config(folder))
    (folder / "empty").mkdir()
    RunFolder.create(folder / "empty", make_config(folder))


def test_a_folder_that_a_crash_left_half_made_can_be_made_again(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    run.config_file.unlink()
    RunFolder.create(folder / "run", make_config(folder))


def test_what_is_no_run_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run folder .*nowhere"):
        RunFolder.open(folder / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"is no run: it lacks config\.toml"):
        RunFolder.open(folder)


def test_the_newest_checkpoints_are_kept(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    states(run, [5, 90, 1_000_000, 2_000_000], keep=2)
    assert [step for step, _ in run.checkpoints()] == [1_000_000, 2_000_000]
    assert run.checkpoint_at().name == "step-2000000.safetensors"
    assert run.checkpoint_at(1_000_000).exists()
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 5, but of 1000000, 2000000"):
        run.checkpoint_at(5)


def test_no_checkpoint_yet(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    assert run.newest(pytest.fail) is None
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet"):
        run.checkpoint_at()


def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    states(run, [1, 2, 3])
    path = run.checkpoint_at(3)
    path.write_bytes(path.read_bytes()[:-1])
    said: list[str] = []
    found = run.newest(said.append)
    assert found is not None and found.iteration == 2
    assert len(said) == 1 and "step-000003.safetensors" in said[0] and "the one before" in said[0]
    for _, path in run.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no checkpoint in .*checkpoints can be read"):
        run.newest(said.append)


@pytest.mark.parametrize("keep", [1, 2])
def test_what_is_written_after_a_damaged_one_stays(folder: Path, keep: int) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    states(run, [10, 20, 30])
    for step in (20, 30):
        run.checkpoint_at(step).write_bytes(b"")
    found = run.newest(lambda _: None)
    assert found is not None and found.iteration == 10
    states(run, [15], keep=keep)
    found = run.newest(lambda _: None)
    assert found is not None and found.iteration == 15
    states(run, [20, 30], keep=keep)
    assert [step for step, _ in run.checkpoints()] == [20, 30][-keep:]


def test_what_a_killed_process_was_writing_is_removed(folder: Path) -> None:
    run = RunFolder.create(folder / "run", make_config(folder))
    states(run, [1])
    part = run.checkpoint_folder / ".step-000002.safetensors.abc.part"
    part.write_bytes(b"half")
    assert run.newest(pytest.fail) is not None and not part.exists()


def test_a_model_comes_back_for_use(folder: Path) -> None:
    run_config = make_config(folder)
    run, state = RunFolder.create(folder / "run", run_config), build(run_config)
    run.save(state.checkpoint(), keep=1)
    model = run.load_model()
    assert not model.training
    for a, b in zip(model.parameters(), state.model.parameters(), strict=True):
        assert torch.equal(a, b)
    checkpoint.write(
        Checkpoint(iteration=3, model={"a": torch.zeros(1)}),
        run.checkpoint_folder / "step-000003.safetensors",
    )
    with pytest.raises(ValueError, match=r"step-000003\.safetensors is .* of another model"):
        run.load_model()
