"""What is said about a run before it starts, against what it then does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from measured import batches_of, peak_of_a_step
from torch.utils.flop_counter import FlopCounterMode

from byteloom import config
from byteloom.cli.estimate import main
from byteloom.cli.estimate_text import print_estimate
from byteloom.training.build import build
from byteloom.training.config import RunConfig
from byteloom.training.estimate import (
    Estimate,
    Machine,
    estimate,
    machine_named,
    rehearsal,
    shortage,
)
from byteloom.training.estimate.duration import measured
from byteloom.training.estimate.trace import trace, trace_whole
from byteloom.training.state import Run
from byteloom.training.step import train_step
from tiny_run import make_config, make_data, write_toml

ELSEWHERE = Machine("a GPU", "cuda", 80_000_000_000, 989e12, is_here=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("estimate")
    make_data(path)
    return path


def make(folder: Path, **over: Any) -> RunConfig:
    model = {"d_model": 64, "num_layers": 3, "num_heads": 4, "context_length": 64}
    training = {"batch_size": 8, "accumulation": 1}
    base = config.merge({"model": model, "training": training}, over)
    return make_config(folder, **base)


NARROW = {"dtype": "bf16", "weights": "bf16"}
OPTIMIZERS = ["adamw", "sgd", "lion", "muon"]


def say(run_config: RunConfig) -> Estimate:
    return estimate(run_config, ELSEWHERE)


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"training": {"recompute": "block"}},
        {"training": {"recompute": "selective", "dtype": "bf16"}},
        {"training": {"accumulation": 3}, "model": {"num_layers": 6}},
        {"optimizer": {"kind": "lion"}, "averaging": {"decay": 0.9}},
        {"training": NARROW | {"rounding": "stochastic"}},
        {"training": NARROW | {"rounding": "compensated", "batch_size": 1}},
        # So few tokens that the optimizer holds more than anything before.
        *({"training": {"batch_size": 1}, "optimizer": {"kind": kind}} for kind in OPTIMIZERS),
    ],
)
def test_the_peak_is_that_of_a_real_step(folder: Path, over: dict[str, Any]) -> None:
    run_config = make(folder, **over)
    taken = trace(run_config, "cpu")
    said = max(purposes.total() for purposes in taken.peaks.values())
    # Where a CPU takes bf16 from fp32, it makes a wide copy for itself, which nobody sees.
    rel = 0.02 if run_config.training.rounding == "compensated" else 0.01
    assert said == pytest.approx(peak_of_a_step(build(run_config)), rel=rel)


@pytest.mark.parametrize("num_layers", [1, 2, 7])
def test_parameters_are_counted_without_making_them(folder: Path, num_layers: int) -> None:
    run_config = make(folder, model={"num_layers": num_layers})
    model, found = run_config.model.build(), say(run_config).parameters
    assert found.total == found.tree.count == model.num_parameters()
    assert found.without_embeddings == model.num_parameters(embeddings=False)


@pytest.mark.parametrize("recompute", ["none", "selective", "block"])
def test_operations_are_those_that_torch_counts(folder: Path, recompute: str) -> None:
    run_config = make(folder, training={"recompute": recompute})
    found, run = say(run_config).operations, build(run_config)

    def addmm(_: Any, a: Any, b: Any, **rest: Any) -> int:
        return int(2 * a[0] * a[1] * b[1])

    known: Any = {torch.ops.aten.addmm_: addmm}
    # As products: it does not know a CPU's kernel of attention.
    with (
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False, custom_mapping=known) as counter,
    ):
        train_step(run, batches_of(run))
    tokens = 8 * 64
    assert round((found.token + found.recomputed) * tokens) == counter.get_total_flops()
    assert (found.recomputed > 0) == (recompute == "block")
    forward, backward = (sum(getattr(p, k) for p in found.parts) for k in ("forward", "backward"))
    assert backward == pytest.approx(2 * forward) and found.token == pytest.approx(3 * forward)
    assert found.run == pytest.approx(found.token * tokens * 12)


def test_a_few_blocks_tell_what_many_take(folder: Path) -> None:
    run_config = make(folder, model={"num_layers": 9})
    told, whole = trace(run_config, "cuda"), trace_whole(run_config, "cuda", "none")
    assert told.flops == whole.flops and told.kept == whole.kept
    assert {k: v.total() for k, v in told.peaks.items()} == {
        k: v.total() for k, v in whole.peaks.items()
    }


def test_memory_is_told_by_purpose(folder: Path) -> None:
    found = say(make(folder)).memory
    parameters = say(make(folder)).parameters.total
    assert found.weights == found.gradients == 4 * parameters
    # And one count a tensor, of which a model has dozens.
    assert 8 * parameters < found.optimizer_state < 8 * parameters + 4 * 100
    for phase in (found.forward_backward, found.optimizer_step):
        assert sum(phase.purposes.values()) == phase.bytes <= found.peak.bytes
    # Keys and values of 64 tokens in three blocks.
    assert found.cache == 2 * 3 * 64 * 64 * 4


def test_what_saves_memory_is_said_to(folder: Path) -> None:
    base = {"batch_size": 32}
    kept = [
        say(make(folder, training=base | {"recompute": how})).memory.activations
        for how in ("none", "selective", "block")
    ]
    assert kept[0] > 1.3 * kept[1] > 1.3 * 1.3 * kept[2]
    offloaded = say(make(folder, training=base | {"offload": True})).memory
    assert offloaded.offloaded > 0 and offloaded.activations < kept[0]


def test_what_does_not_fit_is_told_what_would(folder: Path) -> None:
    run_config = make(folder, training={"batch_size": 64})
    roomy = say(run_config)
    assert roomy.verdict.fits and roomy.verdict.tried == ()
    small = replace(ELSEWHERE, memory=roomy.verdict.needed // 2)
    verdict = estimate(run_config, small).verdict
    assert verdict.fits is False
    fitting = [setting for setting in verdict.tried if setting.fits]
    assert fitting and all(setting.bytes <= small.memory for setting in fitting)
    assert any("recompute = block" in setting.text for setting in verdict.tried)


def test_a_run_is_warned_and_only_if_it_lacks_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build(make(folder))
    assert shortage(run) is None
    from byteloom.training.estimate import shortage as module_function
    from byteloom.training.estimate.shortage import machine_here

    tiny = replace(machine_here(torch.device("cpu")), memory=100_000)
    monkeypatch.setitem(module_function.__globals__, "machine_here", lambda device: tiny)
    found = shortage(run)
    assert found is not None and "GB of memory" in found


def test_an_h100_is_known_and_a_toaster_is_not() -> None:
    assert machine_named("H100").peak == 989e12
    with pytest.raises(ValueError, match="no figures about a device 'toaster'"):
        machine_named("toaster")


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = str(write_toml(folder))
    assert main([toml, "--device-name", "H100", "--json", "--model.num_layers", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"]["fits"] is True and found["machine"]["name"] == "H100"
    assert found["memory"]["peak"]["bytes"] > 0
    assert main([toml, "--memory", "500K"]) == 0
    text = capsys.readouterr().out
    assert "does not fit" in text and "attention" in text
    # Without data files, if the vocabulary is given.
    alone = tmp_path / "alone.toml"
    alone.write_text('[data]\ntrain = "nowhere.npy"\n[model]\nvocab_size = 100\nd_model = 64\n')
    assert main([str(alone), "--device-name", "H200"]) == 0
    assert "H200" in capsys.readouterr().out
    assert main([str(alone), "--device-name", "toaster"]) == 1
    assert main([str(alone), "--model.layers", "3"]) == 2


def test_the_time_is_that_of_few_blocks_and_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves by what is computed: time is as regular as it never is on a machine."""
    now = 0.0

    def step(run: Run, batches: Any) -> None:
        nonlocal now
        rows = sum(len(inputs) for inputs, _ in batches)
        now += rows * (5 + run.config.model.num_layers)
        run.optimizer.step()
        now += 3 + 2 * run.config.model.num_layers

    monkeypatch.setattr(rehearsal, "train_step", step)
    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(rehearsal, "_OPERATIONS", 0.0)  # a window at a time
    for num_layers in (2, 4, 9):
        over = {
            "training": {"batch_size": 6, "accumulation": 2},
            "model": {"num_layers": num_layers},
        }
        run_config, before = make(folder, **over), torch.get_rng_state()
        found = measured(run_config, rehearsal.rehearse(run_config))
        assert torch.equal(torch.get_rng_state(), before)
        assert found.optimizer == pytest.approx(3 + 2 * num_layers)
        assert found.step == pytest.approx(2 * 6 * (5 + num_layers) + found.optimizer)
        steps = run_config.training.steps
        assert found.run == pytest.approx(steps * found.step)
        assert found.tokens_per_second == pytest.approx(2 * 6 * 64 / found.step)


def test_real_steps_are_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_SECONDS", 0.0)
    found = rehearsal.rehearse(make(folder, model={"num_layers": 6}))
    assert found.batch > found.evaluation > 0 and found.optimizer > 0


def test_what_does_not_fit_is_not_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_Rehearsed", pytest.fail)
    run_config = make(folder)
    found = estimate(run_config, replace(ELSEWHERE, is_here=True, memory=1000))
    assert found.duration is None
    print_estimate(found, run_config, 2)
