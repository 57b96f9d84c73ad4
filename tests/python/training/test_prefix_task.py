"""Prefix language models: their loss, their runs, and what they write."""

from __future__ import annotations

import json
import math
import signal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from test_other_models import StopAt, newest
from torch import Tensor

from byteloom.cli import estimate as estimate_command
from byteloom.cli import eval as eval_command
from byteloom.cli import generate as generate_command
from byteloom.cli import train_lm
from byteloom.generation import generate, generate_ids
from byteloom.model import ModelConfig
from byteloom.nn import MultiHeadConfig, SparseConfig
from byteloom.nn.init import CourseInitConfig
from byteloom.nn.loss import IGNORED
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.step import train_step
from byteloom.training.tasks import PrefixConfig
from byteloom.training.tasks.prefix import PrefixObjective
from tiny_run import END, compile_quickly, make_data, read_metrics, tables, write_toml

ATTENTIONS = {
    "full": MultiHeadConfig(),
    "window": MultiHeadConfig(window=3),
    "sparse": SparseConfig(stride=3),
}
PREFIX: dict[str, Any] = {"task": {"kind": "prefix"}}


def model_of(attention: Any = None, vocab_size: int = 20) -> Any:
    return ModelConfig(
        vocab_size,
        context_length=12,
        d_model=16,
        num_layers=2,
        num_heads=4,
        attention=attention or MultiHeadConfig(),
        init=CourseInitConfig(),  # whose scores are large enough to be seen
    ).build(seed=0)


def who_sees_whom(prefix: int, length: int) -> Tensor:
    """Written out: a token sees those before it; in the prefix, all of the prefix."""
    seen = torch.zeros(1, 1, length, length, dtype=torch.bool)
    for query in range(length):
        for key in range(length):
            both_given = query < prefix and key < prefix
            seen[0, 0, query, key] = key <= query or both_given
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prefix")
    make_data(path)
    return path


def make_run(folder: Path, **over: dict[str, Any]) -> RunConfig:
    return resolve(tables(folder, **PREFIX, **over))


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS)
def test_the_loss_is_that_of_each_token_behind_the_prefix_alone(attention: Any) -> None:
    model = model_of(attention).eval()
    ids, prefixes = torch.randint(20, (3, 13)), torch.tensor([1, 5, 12])
    targets = ids[:, 1:].clone()
    nats, count = 0.0, 0
    for row, prefix in enumerate(prefixes.tolist()):
        targets[row, : prefix - 1] = IGNORED
        for place in range(prefix, 13):
            # What comes later is not even there.
            before = ids[row : row + 1, :place]
            with torch.no_grad():
                logits = model(before, mask=who_sees_whom(prefix, place))
            nats -= logits[0, -1].log_softmax(-1)[ids[row, place]].item()
            count += 1
    sums = PrefixObjective(model)(ids[:, :-1], prefixes, targets)
    assert int(sums.tokens) == count == 12 + 8 + 1
    assert sums.nats.item() == pytest.approx(nats, rel=1e-5)
    # The tokens of a prefix have looked ahead, or this would not show anything.
    causal = model.loss(ids[:, :-1], targets)
    assert abs(causal.nats.item() - nats) > 1e-3


def test_documents_are_kept_apart_within_a_prefix_too() -> None:
    model, separator = model_of().eval(), 7
    text = torch.tensor([[3, 4, 7, 5, 6, 9, 7, 1, 2, 3, 4, 5, 6]])
    inputs, targets = text[:, :-1], text[:, 1:].clone()
    targets[:, :4] = IGNORED
    found = PrefixObjective(model, separator=separator)(inputs, torch.tensor([5]), targets)
    # By itself: the second document, two of whose tokens are given, and the third, of which none.
    nats = 0.0
    for ids, mask, first in (
        ([5, 6, 9, 7], who_sees_whom(2, 4), 1),
        ([1, 2, 3, 4, 5], who_sees_whom(0, 5), 0),
    ):
        logits = model(torch.tensor([ids]), mask=mask)[0].log_softmax(-1)
        start = text[0].tolist().index(ids[0], 3 if ids[0] == 5 else 6)
        following = text[0, start + 1 : start + 1 + len(ids)]
        nats -= logits[first:].gather(1, following[first:, None]).sum().item()
    assert int(found.tokens) == 3 + 5
    assert found.nats.item() == pytest.approx(nats, rel=1e-5)


@pytest.mark.parametrize("at", [3, 8])
def test_stopped_it_resumes_to_the_same_bits(folder: Path, tmp_path: Path, at: int) -> None:
    run_config = make_run(folder, model={"dropout": 0.1}, training={"accumulation": 2})
    straight, broken = (RunFolder.create(tmp_path / x, run_config) for x in ("one", "two"))
    assert train(build(run_config), straight) is None
    assert train(build(run_config), broken, [StopAt(at)]) == signal.SIGTERM
    run = build(broken.load_config())
    run.restore(newest(broken))
    assert run.step == at and isinstance(run.config.task, PrefixConfig)
    assert train(run, broken) is None
    one, other = newest(straight), newest(broken)
    assert all(torch.equal(one.model[key], other.model[key]) for key in one.model)
    assert read_metrics(straight.metrics_file) == read_metrics(broken.metrics_file)
    assert any("valid_loss" in line for line in read_metrics(straight.metrics_file))


def test_a_step_is_the_same_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_quickly(monkeypatch)
    losses = []
    for compiled in (True, False):
        run = build(make_run(folder, training={"compile": compiled}))
        losses.append([train_step(run, [run.batches.batch_at(i)]).loss.item() for i in range(2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "how"),
    [*product(ATTENTIONS, ["cache", "whole"]), ("window", "compiled")],
)
def test_what_it_writes_is_likeliest_for_the_whole_text(
    name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_quickly(monkeypatch)
    model, prompt, text = model_of(ATTENTIONS[name]), [1, 9, 4, 4, 17], [1, 9, 4, 4, 17]
    for _ in range(7):
        with torch.no_grad():
            logits = model.eval()(torch.tensor([text]), mask=who_sees_whom(5, len(text)))
        text.append(int(logits[0, -1].argmax()))
    settings = {"use_cache": how != "whole", "compiled": how == "compiled"}
    found = generate_ids(model, prompt, max_new_tokens=7, temperature=0, prefix=True, **settings)
    assert [*prompt, *found] == text


def test_from_a_file_to_figures_and_text(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over: dict[str, Any] = {"logging": {"sample_prompt": "def f(x):"}, "training": {"seed": 5}}
    # In one layer alone, who follows the prefix does not see that it has seen itself.
    over["model"] = {"num_layers": 2, "init": {"kind": "course"}}
    path, made = write_toml(folder, "prefix.toml", **PREFIX, **over), tmp_path / "run"
    assert train_lm.main([str(path), "-o", str(made), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert math.isfinite(trained["valid_loss"])
    run = RunFolder.open(made)
    model, tokenizer = run.load_model(), run.load_tokenizer()
    assert tokenizer is not None and run.load_config().task == PrefixConfig()

    command = [str(made), str(folder / "valid.npy"), "--json"]
    assert eval_command.main(command) == 0
    score = json.loads(capsys.readouterr().out)
    # What is behind a prefix stands for text of its own.
    assert score["bits_per_byte"] > 0 and score["tokens"] > 100
    assert eval_command.main(command) == 0
    assert json.loads(capsys.readouterr().out) == score
    assert eval_command.main([*command, "--by-document"]) == 1
    assert "learned only those behind a prefix" in capsys.readouterr().err
    assert estimate_command.main([str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"]["peak"]["bytes"] > 0

    prompt, how = "def f(x):", {"max_new_tokens": 30, "temperature": 0.8, "seed": 1}
    argv = ["--prompt", prompt, "--max-new-tokens", "30", "--seed", "1", "--stop", ""]
    assert generate_command.main([str(made), *argv]) == 0
    written = generate(model, tokenizer, prompt, prefix=True, **how)  # type: ignore[arg-type]
    assert capsys.readouterr().out == f"{prompt}{written}\n"
    assert written != generate(model, tokenizer, prompt, **how)  # type: ignore[arg-type]
    how |= {"max_new_tokens": 5, "seed": 5}
    sample = generate(model, tokenizer, prompt, prefix=True, **how)  # type: ignore[arg-type]
    assert run.sample_file.read_text("utf-8") == sample


def test_questions_are_not_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = RunFolder.create(tmp_path / "run", make_run(folder))
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"query": "1 +", "choices": ["1", "2"], "answer": 0}\n')
    assert eval_command.main([str(made.path), "--choices", str(questions)]) == 1
    assert "asks models that learned the next token" in capsys.readouterr().err


def test_it_needs_no_tokenizer_and_knows_documents(folder: Path) -> None:
    ids_alone = {"data": {"tokenizer": "none"}, "model": {"vocab_size": 257}}
    run = build(resolve(tables(folder, **PREFIX, **ids_alone)))
    assert math.isfinite(train_step(run, [run.batches.batch_at(0)]).loss.item())
    run = build(make_run(folder, data={"separate_documents": True, "separator": END}))
    assert isinstance(run.objective, PrefixObjective) and run.objective.separator == 256
    assert math.isfinite(train_step(run, [run.batches.batch_at(0)]).loss.item())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "linear": (
        {"model": {"attention": {"kind": "linear"}}},
        "task.kind prefix is nothing for model.attention.kind linear: it adds tokens up",
    ),
    "encoder": (
        {"model": {"kind": "encoder"}},
        "task.kind prefix is nothing for model.kind encoder, but for decoder",
    ),
    "part": ({"task": {"kind": "prefix", "longest": 1.5}}, "task: shortest is 0.0 and longest 1.5"),
    "order": (
        {"task": {"kind": "prefix", "shortest": 0.6, "longest": 0.5}},
        "not above the second",
    ),
    "empty": ({"task": {"kind": "prefix", "longest": 0.0}}, "no length that a prefix could have"),
    "narrow": (
        {"task": {"kind": "prefix", "shortest": 0.51, "longest": 0.52}},
        "of 16 tokens is no length .* or make model.context_length larger",
    ),
    "key": ({"task": {"kind": "prefix", "rate": 0.5}}, "rate: no such key"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_learned_is_refused_when_it_is_read(folder: Path, what: str) -> None:
    over, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        resolve(tables(folder, **{**PREFIX, **over}))


def test_it_is_learned(folder: Path) -> None:
    run = build(
        make_run(folder, training={"steps": 60, "batch_size": 8}, schedule={"max_lr": 1e-2})
    )
    losses = [train_step(run, [run.batches.batch_at(step)]).loss.item() for step in range(60)]
    assert sum(losses[-10:]) / 10 < 0.75 * sum(losses[:5]) / 5
