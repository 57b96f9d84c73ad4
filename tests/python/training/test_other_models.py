"""Runs of an encoder and of an encoder-decoder, from a configuration to what commands say."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from byteloom import config
from byteloom.cli import estimate as estimate_command
from byteloom.cli import eval as eval_command
from byteloom.cli import generate as generate_command
from byteloom.cli import train_lm
from byteloom.models import Encoder, EncoderDecoder
from byteloom.tokenizer import Tokenizer
from byteloom.training import sample
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.evaluate import evaluate
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from byteloom.training.step import train_step
from byteloom.training.tasks import MaskedConfig, SpansConfig
from tiny_run import END, StopAt, make_data, read_metrics, tables, write_toml

BERT = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
SENTINELS = [f"<extra_id_{i}>" for i in range(4)]
SIZES = {"d_model": 32, "num_layers": 1, "num_heads": 2}
RUNS: dict[str, dict[str, Any]] = {
    "pairs": {"model": SIZES | {"kind": "encoder", "context_length": 24}},
    "singles": {
        "model": SIZES | {"kind": "encoder", "context_length": 24, "next_sentence": False},
        "task": {"kind": "masked", "whole_words": True},
    },
    "spans": {"model": SIZES | {"kind": "encoder_decoder", "context_length": 24}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other")
    make_data(path, [*BERT, *SENTINELS])
    return path


def make_run(folder: Path, name: str, **over: dict[str, Any]) -> RunConfig:
    return resolve(tables(folder, **config.merge(RUNS[name], over)))


def newest(folder: RunFolder) -> Any:
    found = folder.newest(pytest.fail)
    assert found is not None
    return found


#: Beside the published ones: the first has padding, which its sums are to leave out.
OTHER_PARTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in RUNS} | {
    "linear": ("pairs", {"attention": {"kind": "linear", "causal": False}}),
    "parallel": ("spans", {"block": {"kind": "parallel"}, "attention": {"kind": "sparse"}}),
}


@pytest.mark.parametrize("name", ["pairs", "spans"])
def test_a_run_begins_with_anothers_weights(folder: Path, tmp_path: Path, name: str) -> None:
    model = make_run(folder, name).model.build(seed=5)
    RunFolder.imported(tmp_path / "first", model, Tokenizer.load(folder / "tokenizer.json"))
    still = {"schedule": {"max_lr": 0.0, "min_lr": 0.0}, "logging": {"sample_tokens": 0}}
    over = config.merge(RUNS[name], still | {"training": {"steps": 1}})
    argv = [str(write_toml(folder, f"{name}.toml", **over)), "-o", str(tmp_path / "run")]
    assert train_lm.main([*argv, f"--training.start={tmp_path / 'first'}"]) == 0
    found = RunFolder.open(tmp_path / "run").load_any_model().state_dict()
    assert all(torch.equal(found[key], x) for key, x in model.state_dict().items())


@pytest.mark.parametrize("name", OTHER_PARTS)
def test_losses_fall(folder: Path, name: str) -> None:
    over = {"training": {"steps": 60, "batch_size": 8}, "schedule": {"max_lr": 1e-2}}
    name, parts = OTHER_PARTS[name]
    run = build(make_run(folder, name, **over, model={"dropout": 0.0, **parts}))
    losses = [train_step(run, [run.batches.batch_at(step)]).loss.item() for step in range(60)]
    first, last = np.mean(losses[:5]), np.mean(losses[-10:])
    assert last < 0.75 * first
    assert run.validation is not None
    score = evaluate(run.model, run.objective, run.validation(), run.device, run.autocast)
    assert score is not None and score.loss < 0.8 * first


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("at", [3, 8])
def test_stopped_it_resumes_to_the_same_bits(
    folder: Path, tmp_path: Path, name: str, at: int
) -> None:
    # Dropout draws from torch's generator, and the two batches of a step are of several numbers.
    run_config = make_run(folder, name, training={"accumulation": 2})
    assert isinstance(run_config.task, MaskedConfig | SpansConfig)
    assert run_config.model.dropout == 0.1
    straight, broken = (RunFolder.create(tmp_path / x, run_config) for x in ("one", "two"))
    assert train(build(run_config), straight) is None
    assert train(build(run_config), broken, [StopAt(at)]) == signal.SIGTERM
    run = build(broken.load_config())
    run.restore(newest(broken))
    assert run.step == at
    assert train(run, broken) is None
    one, other = newest(straight), newest(broken)
    assert one.iteration == other.iteration == 12
    assert all(torch.equal(one.model[key], other.model[key]) for key in one.model)
    assert read_metrics(straight.metrics_file) == read_metrics(broken.metrics_file)
    lines = read_metrics(straight.metrics_file)
    assert [line["step"] for line in lines if "valid_loss" in line] == [4, 8, 12]


@pytest.mark.parametrize("name", ["singles", "spans"])
def test_two_batches_of_a_step_are_one_of_twice_the_size(folder: Path, name: str) -> None:
    def gradients(size: int) -> list[torch.Tensor]:
        run = build(make_run(folder, name, training={"batch_size": size}, model={"dropout": 0.0}))
        seen: list[torch.Tensor] = []
        run.optimizer.register_step_pre_hook(
            lambda *_: seen.extend(
                p.grad.clone() for p in run.model.parameters() if p.grad is not None
            )
        )
        train_step(run, [run.batches.batch_at(step) for step in range(8 // size)])
        return seen

    for a, b in zip(gradients(4), gradients(8), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_without_a_task_it_is_the_usual_one(folder: Path) -> None:
    assert make_run(folder, "pairs").task == MaskedConfig()
    spans = make_run(folder, "spans")
    assert spans.task == SpansConfig() and spans.model.start_id == 256  # type: ignore[union-attr]
    assert resolve(tables(folder)).task is None


def in_toml(folder: Path, name: str, **over: Any) -> Path:
    return write_toml(folder, f"{name}.toml", **config.merge(RUNS[name], over))


@pytest.mark.parametrize("name", RUNS)
def test_from_a_file_to_figures(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = in_toml(folder, name)
    assert train_lm.main([str(path), "-o", str(tmp_path / "run"), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["steps"] == 12 and math.isfinite(trained["valid_loss"])
    assert train_lm.main(["--resume", str(tmp_path / "run")]) == 0
    assert "nothing to do" in capsys.readouterr().err
    run = RunFolder.open(tmp_path / "run")
    assert not run.sample_file.exists()
    assert isinstance(run.load_any_model(), EncoderDecoder if name == "spans" else Encoder)
    with pytest.raises(ValueError, match="decoders alone"):
        run.load_model()

    command = [str(run.path), str(folder / "valid.npy"), "--json"]
    assert eval_command.main(command) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["bits_per_byte"] is None and score["tokens"] > 100
    assert abs(score["loss"] - trained["valid_loss"]) < 0.5
    assert eval_command.main(command) == 0
    assert json.loads(capsys.readouterr().out) == score
    assert eval_command.main([*command, "--by-document"]) == 1
    text = tmp_path / "text.txt"
    text.write_text(f"def f(x):\n    return x + 1\n{END}" * 30)
    assert eval_command.main([str(run.path), str(text)]) == 0
    assert "of a whole text alone" in capsys.readouterr().out

    assert estimate_command.main([str(path), "--device-name", "H100"]) == 0
    assert "fits" in capsys.readouterr().out


def test_an_encoder_decoder_answers_and_an_encoder_does_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("spans", "pairs"):
        assert train_lm.main([str(in_toml(folder, name)), "-o", str(tmp_path / name)]) == 0
    capsys.readouterr()
    asked = ["--prompt", "def <extra_id_0>(x):", "--max-new-tokens", "8", "--temperature", "0"]
    assert generate_command.main([str(tmp_path / "spans"), *asked]) == 0
    answer = capsys.readouterr().out
    assert "def <extra_id_0>(x):" not in answer and answer.endswith("\n")
    assert generate_command.main([str(tmp_path / "spans"), *asked]) == 0
    assert capsys.readouterr().out == answer
    assert generate_command.main([str(tmp_path / "pairs"), *asked]) == 1
    assert "finds hidden tokens and writes no text" in capsys.readouterr().err
    assert generate_command.main([str(tmp_path / "spans"), *asked, "--compile"]) == 1
    assert "--compile is for decoders, and this is an encoder_decoder" in capsys.readouterr().err


def test_an_answer_ends_where_it_is_said_to_or_nowhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, run_config = Tokenizer.load(folder / "tokenizer.json"), make_run(folder, "spans")
    run = RunFolder.imported(tmp_path / "run", run_config.model.build(), tokenizer)
    asked: list[list[int]] = []
    monkeypatch.setattr(
        sample, "answer_ids", lambda *_, stop_ids, known: asked.append(stop_ids) or []
    )
    for stop in (None, "", "[SEP]"):
        list(sample.reply(run.load_any_model(), run.load_config(), run, "def", stop))
    special = tokenizer.special_tokens
    assert asked == [[special[END]], [], [special["[SEP]"]]]


def test_it_compiles_to_the_same_losses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_run import compile_quickly

    compile_quickly(monkeypatch)
    losses: list[list[float]] = []
    for compiled in (True, False):
        over = {"training": {"compile": compiled}, "model": {"dropout": 0.0}}
        run: Run = build(make_run(folder, "pairs", **over))
        taken = [train_step(run, [run.batches.batch_at(i)]) for i in range(2)]
        losses.append([step.loss.item() for step in taken])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "encoder": ({"task": {"kind": "spans"}}, "task.kind spans is nothing for model.kind encoder"),
    "decoder": (
        {"model": {"kind": "decoder"}, "task": {"kind": "masked"}},
        "task.kind masked is nothing for model.kind decoder, but for encoder",
    ),
    "no tokenizer": (
        {"data": {"tokenizer": "none"}, "model": {"vocab_size": 300}},
        "needs data.tokenizer",
    ),
    "documents": ({"data": {"separate_documents": True}}, "separate_documents is for decoders"),
    "mask": (
        {"task": {"kind": "masked", "mask": "<mask>"}},
        r"task.mask: the tokenizer .* has no special token '<mask>', only '<\|endoftext\|>'",
    ),
    "pad": ({"task": {"kind": "masked", "pad": "x"}}, "task.pad: .* no special token 'x'"),
    "rate": ({"task": {"kind": "masked", "rate": 0.0}}, "task: rate is 0.0"),
    "separator": ({"data": {"separator": "[CLS]"}}, "has 1 documents of two ids or more"),
    "short": ({"model": {"context_length": 5}}, "it must be at least 6"),
    "causal": ({"model": {"attention": {"causal": True}}}, "model: attention.causal is true"),
    "kind": ({"model": {"kind": "encodr"}}, "did you mean encoder"),
    "of others": (
        {"model": {"target_length": 5}},
        "model.target_length: no such key; only kind encoder_decoder has it",
    ),
    "no kind of task": ({"task": {"rate": 0.2}}, "task.kind: must be given"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_encoder_cannot_learn_is_refused(folder: Path, what: str) -> None:
    over, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        build(make_run(folder, "pairs", **over))


SPANS_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sentinels": (
        {"model": {"context_length": 200}},
        "context_length 200 has 11 spans, but .* only 4 sentinels",
    ),
    "pattern": ({"task": {"kind": "spans", "sentinels": "<x>"}}, "or a name with {}"),
    "list": (
        {"task": {"kind": "spans", "sentinels": ["<extra_id_0>", "<x>"]}},
        "task.sentinels: .* no special token '<x>'",
    ),
    "end": ({"task": {"kind": "spans", "end": "</s>"}}, "task.end: .* no special token '</s>'"),
    "start": ({"task": {"kind": "spans", "start": "<s>"}}, "task.start: .* no special token '<s>'"),
    "targets": ({"model": {"target_length": 3}}, "target_length is 3, but .* targets of 6 ids"),
    "density": ({"task": {"kind": "spans", "density": 1.0}}, "task: density is 1.0"),
}


@pytest.mark.parametrize("what", SPANS_REFUSED)
def test_what_an_encoder_decoder_cannot_learn_is_refused(folder: Path, what: str) -> None:
    over, message = SPANS_REFUSED[what]
    with pytest.raises(ValueError, match=message):
        build(make_run(folder, "spans", **over))


def test_a_configuration_is_read_back(folder: Path) -> None:
    for name in RUNS:
        made = make_run(folder, name)
        assert config.load(RunConfig, config.dump(made)) == made


def test_files_of_former_times_mean_decoders(folder: Path) -> None:
    former = config.dump(resolve(tables(folder)))
    del former["model"]["kind"]
    assert config.load(RunConfig, former) == resolve(tables(folder))
