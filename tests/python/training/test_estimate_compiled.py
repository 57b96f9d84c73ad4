"""What a compiled run is said to hold, against what it then does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from measured import peak_of_a_step

from byteloom import config
from byteloom.cli.estimate_text import print_estimate
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.estimate import estimate, machine_named
from byteloom.training.estimate import trace as trace_module
from byteloom.training.estimate.trace import trace, trace_whole
from tiny_run import compile_quickly, make_config, make_data, tables

OTHERS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(8))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled")
    make_data(path, OTHERS)
    return path


@pytest.fixture(autouse=True)
def _no_checks_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler would look into them, and refuse some.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def make(folder: Path, **over: Any) -> RunConfig:
    model = {"d_model": 64, "num_layers": 2, "num_heads": 4, "context_length": 64}
    training = {"batch_size": 16, "compile": True}
    return make_config(folder, **config.merge({"model": model, "training": training}, over))


def said(run_config: RunConfig) -> int:
    taken = trace(run_config, "cpu")
    assert taken.source == "compiler"
    return max(purposes.total() for purposes in taken.peaks.values())


def test_the_peak_is_that_of_a_real_compiled_step(folder: Path) -> None:
    run_config = make(folder, training={"dtype": "bf16"}, model={"num_layers": 1})
    assert said(run_config) == pytest.approx(peak_of_a_step(build(run_config)), rel=0.03)


@pytest.mark.parametrize("recompute", ["none", "block"])
def test_a_few_blocks_tell_what_many_take(folder: Path, recompute: Any) -> None:
    run_config = make(folder, model={"num_layers": 6}, training={"recompute": recompute})
    told = trace_module._trace(run_config, "cuda", recompute, is_compiled=True)
    whole = trace_whole(run_config, "cuda", recompute, is_compiled=True)
    assert told.kept == whole.kept
    assert {k: v.total() for k, v in told.peaks.items()} == {
        k: v.total() for k, v in whole.peaks.items()
    }


def test_compiling_keeps_less_and_computes_the_same(folder: Path) -> None:
    compiled = trace(make(folder), "cuda")
    written = trace(make(folder, training={"compile": False}), "cuda")
    assert compiled.kept["forward"] < 0.9 * written.kept["forward"]
    assert compiled.flops == written.flops
    # Weights, gradients and state are what they are.
    assert compiled.peaks["optimizer step"] == written.peaks["optimizer step"]


@pytest.mark.parametrize(
    "over",
    [
        {"model": {"ffn": {"kind": "experts"}}},
        {"model": {"dropout": 0.1}},
        {"data": {"separate_documents": True}},
        {"training": {"dtype": "bf16", "weights": "bf16"}},
        {"model": {"kind": "encoder", "num_heads": 2}},
        {"model": {"kind": "encoder_decoder", "num_heads": 2}},
    ],
)
def test_the_compiler_tells_of_other_runs_too(folder: Path, over: dict[str, Any]) -> None:
    base = {"model": {"context_length": 48}, "training": {"compile": True}}
    run_config = resolve(tables(folder, **config.merge(base, over)))
    assert said(run_config) > 0


def test_where_the_compiler_does_not_tell_it_is_a_guess_and_said_to_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(make(folder))

    def fail(*_: Any) -> Callable[..., Any]:
        raise ImportError("torch has no such thing any more")

    monkeypatch.setattr("byteloom.training.estimate.dry_run.compiled", fail)
    taken = trace_module.trace(make(folder), "cpu")
    assert taken.source == "guess"
    assert max(p.total() for p in taken.peaks.values()) == pytest.approx(told, rel=0.3)
    print_estimate(estimate(make(folder), machine_named("H100")), make(folder), 1)
    assert "a guess" in capsys.readouterr().out


def test_what_is_compiled_before_and_after_stays_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        compile_quickly(patch)
        run, other = build(make(folder)), build(make(folder))
    ids = run.batches.batch_at(0)
    before = run.objective(*ids).nats.item()
    assert said(make(folder, training={"batch_size": 4})) < said(make(folder))
    assert run.objective(*ids).nats.item() == before == other.objective(*ids).nats.item()
