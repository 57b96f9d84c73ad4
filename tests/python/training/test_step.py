from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from byteloom import checkpoint
from byteloom.nn.loss import IGNORED
from byteloom.training.build import build
from byteloom.training.state import Run
from byteloom.training.step import train_step
from tiny_run import make_config, make_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_data(tmp_path)
    return tmp_path


def make(folder: Path, **training: Any) -> Run:
    return build(make_config(folder, training=training))


def test_the_loss_goes_down_on_one_batch(folder: Path) -> None:
    run = make(folder, steps=60)
    batch = run.batches.batch_at(0)
    losses = [train_step(run, [batch]).loss.item() for _ in range(60)]
    assert run.step == 60 and losses[-1] < 0.75 * losses[0]


def test_the_loss_is_torchs_cross_entropy(folder: Path) -> None:
    run = make(folder)
    inputs, targets = run.batches.batch_at(0)
    expected = torch.nn.functional.cross_entropy(run.model(inputs).flatten(0, 1), targets.flatten())
    assert torch.allclose(train_step(run, [(inputs, targets)]).loss, expected)


def gradients_of_steps(run: Run) -> list[torch.Tensor]:
    """Fills up with the whole gradient as the optimizer sees it, step by step."""
    seen: list[torch.Tensor] = []

    def look(*_: Any) -> None:
        seen.append(torch.cat([p.grad.flatten() for p in run.model.parameters()]))  # type: ignore[union-attr]

    run.optimizer.register_step_pre_hook(look)
    return seen


def test_accumulation_equals_the_large_batch(folder: Path) -> None:
    whole, parts = make(folder, batch_size=12), make(folder, batch_size=4, accumulation=3)
    assert whole.tokens_before(1) == parts.tokens_before(1) == 12 * 16
    seen, seen_in_parts = gradients_of_steps(whole), gradients_of_steps(parts)
    for step in range(3):
        a = train_step(whole, [whole.batches.batch_at(step)])
        b = train_step(parts, [parts.batches.batch_at(3 * step + i) for i in range(3)])
        assert torch.allclose(a.loss, b.loss) and torch.allclose(a.grad_norm, b.grad_norm)
        assert torch.allclose(seen[step], seen_in_parts[step], atol=1e-5)


def test_the_gradient_is_measured_then_clipped(folder: Path) -> None:
    run = make(folder, gradient_clip=0.01)
    seen = gradients_of_steps(run)
    norm = train_step(run, [run.batches.batch_at(0)]).grad_norm.item()
    assert norm > 0.1
    assert seen[0].norm().item() == pytest.approx(0.01, rel=1e-3)


def test_clipping_can_be_off(folder: Path) -> None:
    run = make(folder, gradient_clip="none")
    seen = gradients_of_steps(run)
    norm = train_step(run, [run.batches.batch_at(0)]).grad_norm.item()
    assert seen[0].norm().item() == pytest.approx(norm, rel=1e-5)


def test_the_schedule_sets_every_groups_rate(folder: Path) -> None:
    run = make(folder)
    run.schedule = lambda step: 0.5 + step
    for step in range(3):
        assert train_step(run, [run.batches.batch_at(step)]).learning_rate == 0.5 + step
        assert {group["lr"] for group in run.optimizer.param_groups} == {0.5 + step}


def test_what_submodules_add_reaches_the_gradient_but_not_the_loss(folder: Path) -> None:
    plain, taxed = make(folder), make(folder)
    parameter = next(taxed.model.parameters())
    taxed.penalizing = [SimpleNamespace(penalty=lambda: 100.0 * parameter.square().sum())]
    a, b = (train_step(run, [run.batches.batch_at(0)]) for run in (plain, taxed))
    assert torch.equal(a.loss, b.loss) and b.grad_norm > 10 * a.grad_norm


def test_bf16_computes_in_bf16_and_keeps_fp32_weights(folder: Path) -> None:
    run, full, seen = make(folder, dtype="bf16"), make(folder), []
    run.model.layers[0].attn.register_forward_hook(lambda *call: seen.append(call[-1].dtype))
    for step in range(3):
        batch = run.batches.batch_at(step)
        a, b = train_step(run, [batch]), train_step(full, [batch])
        assert a.loss.dtype == torch.float32
        assert a.loss.item() == pytest.approx(b.loss.item(), rel=0.02)
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}


def test_bf16_has_the_range_that_fp16_lacks(folder: Path) -> None:
    """The run that would fail: squares of 1,000 are infinite in fp16, whatever the loss's scale."""

    def losses(dtype: str) -> list[float]:
        model = {"ffn": {"kind": "relu_squared"}}
        run = build(make_config(folder, model=model, training={"dtype": dtype}))
        run.loss_scale.value = 1.0
        ffn = run.model.layers[0].ffn
        with torch.no_grad():
            ffn.w1.weight.mul_(1000 / ffn.w1.weight.std() / 32**0.5)
            ffn.w2.weight.mul_(1e-6)
        return [train_step(run, [run.batches.batch_at(0)]).loss.item() for _ in range(20)]

    full, narrow, short = losses("fp32"), losses("bf16"), losses("fp16")
    assert narrow == pytest.approx(full, rel=0.02) and narrow[-1] < 0.9 * narrow[0]
    assert not any(math.isfinite(loss) for loss in short)


@pytest.mark.parametrize("dtype", ["tf32", "fp32", "bf16"])
def test_products_of_fp32_are_rounded_in_tf32_only(folder: Path, dtype: str) -> None:
    torch.set_float32_matmul_precision("medium")
    make(folder, dtype=dtype)
    assert torch.get_float32_matmul_precision() == ("high" if dtype == "tf32" else "highest")
    make(folder)
    assert torch.get_float32_matmul_precision() == "highest", "of one run, not of the next"


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
def test_bf16_weights_learn_and_resume_to_the_bit(folder: Path, rounding: str) -> None:
    training = {"dtype": "bf16", "weights": "bf16", "rounding": rounding, "steps": 40}
    run, full = make(folder, **training), make(folder, steps=40)
    losses = []
    for step in range(30):
        batch = run.batches.batch_at(step)
        losses.append([train_step(r, [batch]).loss.item() for r in (run, full)])
    assert {p.dtype for p in run.model.parameters()} == {torch.bfloat16}
    assert losses[-1][0] == pytest.approx(losses[-1][1], rel=0.02) and losses[-1][0] < losses[0][0]
    file = io.BytesIO()
    checkpoint.write(run.checkpoint(), file)
    file.seek(0)
    again = make(folder, **training)
    again.restore(checkpoint.read(file))
    for step in range(30, 35):
        batch = run.batches.batch_at(step)
        state = torch.get_rng_state()
        a = train_step(run, [batch])
        torch.set_rng_state(state)
        b = train_step(again, [batch])
        assert torch.equal(a.loss, b.loss)
    for p, q in zip(run.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_bf16_weights_want_bf16_products(folder: Path) -> None:
    with pytest.raises(ValueError, match="weights bf16 go with dtype bf16, not fp32"):
        make(folder, weights="bf16")


@pytest.mark.parametrize("what", ["selective", "block"])
def test_what_is_computed_again_changes_no_bit(folder: Path, what: str) -> None:
    runs = [make(folder), make(folder, recompute=what)]
    for step in range(3):
        results = [train_step(run, [run.batches.batch_at(step)]) for run in runs]
        assert torch.equal(results[0].loss, results[1].loss)
        assert torch.equal(results[0].grad_norm, results[1].grad_norm)


def test_accumulation_weighs_by_tokens(folder: Path) -> None:
    whole, parts = make(folder, batch_size=8), make(folder)
    inputs, targets = whole.batches.batch_at(0)
    targets = targets.clone()
    targets[0, :13] = targets[5, 3:9] = IGNORED
    a = train_step(whole, [(inputs, targets)])
    b = train_step(parts, [(inputs[:2], targets[:2]), (inputs[2:], targets[2:])])
    assert torch.allclose(a.loss, b.loss) and torch.allclose(a.grad_norm, b.grad_norm, rtol=1e-4)


def test_the_z_loss_is_minimised_and_not_reported(folder: Path) -> None:
    plain, taxed = make(folder), make(folder, z_loss=0.1)
    batch = plain.batches.batch_at(0)
    a, b = train_step(plain, [batch]), train_step(taxed, [batch])
    assert torch.allclose(a.loss, b.loss) and not torch.allclose(a.grad_norm, b.grad_norm)
    log_z = taxed.model(batch[0]).logsumexp(-1).square().mean()
    for _ in range(30):
        train_step(taxed, [batch])
    assert taxed.model(batch[0]).logsumexp(-1).square().mean() < log_z
