"""Estimates: against torch's counters on real steps, and sums by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from byteloom import config
from byteloom.training.config import RunConfig
from byteloom.training.estimate import Machine, estimate, machine_here, machine_named, shortage
from byteloom.training.estimate.memory import cache_bytes, count_memory
from byteloom.training.estimate.operations import count_operations
from byteloom.training.estimate.parameters import count_parameters
from byteloom.training.estimate.trace import trace, trace_whole
from byteloom.training.estimate.verdict import decide
from byteloom.training.state import build
from byteloom.training.step import train_step

MODEL = {"vocab_size": 500, "context_length": 32, "d_model": 64, "num_layers": 3, "num_heads": 4}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"ffn": {"kind": "silu", "d_ff": 96}},
    {"norm": {"kind": "layernorm", "bias": True}, "position": {"kind": "none"}},
    {"attention": {"backend": "reference"}, "dropout": 0.1},
]


def make(
    model: dict[str, Any] | None = None, train: str = "none.npy", **training: Any
) -> RunConfig:
    tables = {
        "data": {"train": train},
        "model": MODEL | (model or {}),
        "training": {"batch_size": 4, "device": "cpu", "steps": 10, "num_threads": 1} | training,
    }
    return config.load(RunConfig, tables)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("estimate") / "train.npy"
    np.save(path, np.random.default_rng(0).integers(0, 500, 20_000, dtype=np.uint16))
    return str(path)


def nothing_left(counts: dict[Any, int]) -> dict[Any, int]:
    return {key: count for key, count in counts.items() if count}


# -- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("blocks", [1, 3])
def test_parameters_are_the_models(variant: dict[str, Any], blocks: int) -> None:
    model_config = make(variant | {"num_layers": blocks}).model
    found, model = count_parameters(model_config), model_config.build(seed=0)
    assert found.total == found.tree.count == model.num_parameters()
    assert found.without_embeddings == model.num_parameters(embeddings=False)
    for level in (1, 2, 3, 9):
        rows = list(found.tree.rows(level))
        assert sum(node.count for depth, node in rows if depth == 0) == found.total
    by_name = {node.name: node.count for _, node in found.tree.rows(2)}
    assert by_name["attn"] == blocks * 4 * 64 * 64


# -- operations -----------------------------------------------------------------------------------


def addmm_flops(_: Any, a: Sequence[int], b: Sequence[int], **kwargs: Any) -> int:
    return 2 * a[0] * a[1] * b[1]


@pytest.mark.parametrize("recompute", ["none", "selective", "block"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_operations_are_those_that_torch_counts(
    tokens: str, variant: dict[str, Any], recompute: str
) -> None:
    run_config = make(variant, tokens, recompute=recompute)
    said = count_operations(run_config, trace(run_config, "cpu"), 1)
    run = build(run_config)
    # The counter knows neither `addmm_` nor a CPU's attention kernel.
    known: Any = {torch.ops.aten.addmm_: addmm_flops}
    counter = FlopCounterMode(display=False, custom_mapping=known)
    with sdpa_kernel(SDPBackend.MATH), counter:
        train_step(run, [run.batches.batch_at(0)])
    assert round((said.token + said.recomputed) * 4 * 32) == counter.get_total_flops()
    assert (said.recomputed > 0) == (recompute == "block")


def test_operations_by_hand() -> None:
    run_config = make(steps=7, accumulation=3, accumulation_warmup=2)
    said = count_operations(run_config, trace(run_config, "cpu"), 1000)
    d, d_ff, context, blocks = 64, 192, 32, 3
    forward = {
        "attention": blocks * 8 * d * d,
        "attention scores": blocks * 4 * d * context,
        "feed-forward": blocks * 6 * d * d_ff,
        "head": 2 * d * 500,
    }
    assert {part.name: part.forward for part in said.parts} == forward
    assert {part.name: part.backward for part in said.parts} == {
        name: 2 * count for name, count in forward.items()
    }
    pairs = sum(1 for query in range(context) for key in range(context) if key <= query)
    assert said.causal_scores == 3 * blocks * 4 * d * pairs / context
    assert said.rule_of_thumb == 6 * 1000 + 12 * blocks * d * context
    assert said.tokens == (1 + 2 + 5 * 3) * 4 * 32
    assert said.run == said.token * said.tokens


# -- memory ---------------------------------------------------------------------------------------


def peak_by_profiler(run_config: RunConfig) -> int:
    """Most bytes at once in a later step, by what the allocator reports."""
    run = build(run_config)
    batches = [run.batches.batch_at(i) for i in range(run_config.training.accumulation)]
    train_step(run, batches)
    states = [x for state in run.optimizer.state.values() for x in state.values()]
    there = [*run.model.parameters(), *run.model.buffers(), *states]
    there += [x for batch in batches for x in batch]
    peak = live = sum(x.nbytes for x in there if isinstance(x, torch.Tensor))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        train_step(run, batches)
    results: Any = seen.profiler
    events = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize(
    ("variant", "training"),
    [
        ({}, {}),
        ({}, {"dtype": "bf16", "accumulation": 3}),
        ({}, {"recompute": "block", "dtype": "bf16"}),
        ({}, {"recompute": "selective"}),
        ({"num_layers": 7}, {"batch_size": 16}),
        (VARIANTS[1], {"batch_size": 1}),
        (VARIANTS[2], {"batch_size": 16}),
        (VARIANTS[3], {"batch_size": 16}),
    ],
)
def test_peaks_are_those_that_are_measured(
    tokens: str, variant: dict[str, Any], training: dict[str, Any]
) -> None:
    run_config = make(variant, tokens, **training)
    said = count_memory(run_config, trace(run_config, "cpu"), "cpu", 1, None).peak
    assert said.bytes == pytest.approx(peak_by_profiler(run_config), rel=0.01)
    assert sum(said.purposes.values()) == said.bytes


@pytest.mark.parametrize("recompute", ["none", "selective", "block"])
@pytest.mark.parametrize("offload", [False, True])
def test_few_blocks_tell_what_many_take(recompute: Any, offload: bool) -> None:
    run_config = make(
        {"num_layers": 7}, recompute=recompute, offload=offload, accumulation=3, batch_size=128
    )
    few, all_of_them = (
        trace(run_config, "cuda"),
        trace_whole(run_config, "cuda", recompute),
    )
    for name in ("flops", "moved", "calls", "kept", "waiting"):
        assert nothing_left(getattr(few, name)) == nothing_left(getattr(all_of_them, name)), name
    assert few.peaks.keys() == all_of_them.peaks.keys()
    for name, peak in few.peaks.items():
        assert nothing_left(peak) == nothing_left(all_of_them.peaks[name]), name
    assert bool(few.waiting["offloaded"]) == offload


def test_what_stays_by_hand() -> None:
    run_config = make()
    said = count_memory(run_config, trace(run_config, "cpu"), "cpu", 1, None)
    numbers = count_parameters(run_config.model).total
    assert said.weights == said.gradients == 4 * numbers
    assert said.optimizer_state == 8 * numbers
    assert said.checkpoint_copy == 12 * numbers
    assert said.optimizer_step.purposes["gradients"] == 4 * numbers


def test_the_cache_is_as_large_as_a_real_one() -> None:
    model_config = make().model
    model = model_config.build(seed=0)
    cache = model.new_cache(20)
    model(torch.zeros(3, 5, dtype=torch.long), cache=cache)
    held = [x for layer in cache.layers for x in vars(layer).values()]
    real = sum(x.untyped_storage().nbytes() for x in held if isinstance(x, torch.Tensor))
    assert cache_bytes(model_config, 3, 20) == real == 2 * 3 * 20 * 64 * 4 * 3
    with pytest.raises(ValueError, match=r"context is 32"):
        cache_bytes(model_config, 1, 33)


def test_nothing_is_drawn_and_nothing_is_changed() -> None:
    """A run that is estimated first must end with the same bits."""
    before = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
    trace(make({"dropout": 0.1}, dtype="bf16", recompute="block"), "cpu")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == before[1:]


# -- the whole ------------------------------------------------------------------------------------


def test_a_machine_elsewhere() -> None:
    said = estimate(make(dtype="bf16"), machine_named("H100"), mfu=0.5)
    speed = 0.5 * 989e12 / said.operations.rule_of_thumb
    assert said.duration.tokens_per_second == pytest.approx(speed)
    assert said.duration.run == pytest.approx(10 * 4 * 32 / speed)
    assert said.verdict.fits and said.verdict.tried == ()
    with pytest.raises(ValueError, match=r"'H10': known are .*H100"):
        machine_named("H10")
    with pytest.raises(ValueError, match=r"mfu is 1.5"):
        estimate(make(), machine_named("H100"), mfu=1.5)


def test_settings_that_fit_do_fit() -> None:
    run_config = make({"num_layers": 6}, batch_size=64)

    def needed(changed: RunConfig) -> int:
        memory = count_memory(changed, trace(changed, "cuda"), "cuda", 1, None)
        return int(memory.peak.bytes * 1.05)

    at_first = needed(run_config)
    machine = Machine("small", "cuda", at_first // 2, None, False)
    verdict = decide(run_config, machine, at_first)
    assert verdict.fits is False
    by_text = {setting.text: setting for setting in verdict.tried}
    block = by_text["recompute = block"]
    training = replace(run_config.training, recompute="block")
    assert block.bytes == needed(replace(run_config, training=training))
    assert sum(setting.fits for setting in verdict.tried) == 3
    assert all(s.fits == (s.bytes <= at_first // 2) for s in verdict.tried)
    # Where the weights alone are too many, nothing helps, and the search ends.
    hopeless = decide(make(), replace(machine, memory=1000), 2000)
    assert hopeless.tried and not any(setting.fits for setting in hopeless.tried)


def test_batches_are_cut_into_the_same_tokens() -> None:
    machine = Machine("small", "cuda", 1, None, False)
    for setting in decide(make(batch_size=12, accumulation=2), machine, 2).tried:
        if setting.text.startswith("batch_size"):
            batch, accumulation = (int(word) for word in setting.text.split() if word.isdigit())
            assert batch * accumulation == 24


def test_a_warning_before_a_run_that_lacks_memory(
    tokens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build(make(train=tokens))
    assert shortage(run) is None
    here = machine_here(run.device)
    monkeypatch.setattr(
        "byteloom.training.estimate.shortage.machine_here",
        lambda device: replace(here, memory=1_000_000),
    )
    assert "`byteloom estimate` says what would fit" in str(shortage(run))


def test_no_files_are_needed(tmp_path: Path) -> None:
    from byteloom.training.config import resolve_model

    tables = {"data": {"train": str(tmp_path / "none.npy")}, "model": {"d_model": 64}}
    with pytest.raises(FileNotFoundError):
        resolve_model(tables)
    tables["model"] |= {"vocab_size": 10}  # type: ignore[operator]
    assert resolve_model(tables).model.vocab_size == 10
