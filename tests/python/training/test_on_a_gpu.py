"""What a GPU runs in ways of its own: models trained in bf16, compiled, repeated, and generating.

Skipped where there is none; BYTELOOM_TEST_DEVICE=cpu runs them on a processor, in some minutes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from byteloom import config
from byteloom.generation import Decoder
from byteloom.model import TransformerLM
from byteloom.training.arrival import Arrival
from byteloom.training.build import build
from byteloom.training.config import resolve
from byteloom.training.state import Run
from byteloom.training.step import train_step
from tiny_run import make_data, tables

DEVICE = os.environ.get("BYTELOOM_TEST_DEVICE", "cuda")
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"
)

EXPERT = {"kind": "swiglu", "d_ff": 64}
MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    "experts": {
        "ffn": {"kind": "experts", "num_experts": 4, "top_k": 2, "expert": EXPERT}
        | {"balance_loss": 1e-2, "z_loss": 1e-3, "balance_rate": 1e-3, "shared": EXPERT}
    },
    "experts with a capacity": {
        "ffn": {"kind": "experts", "num_experts": 4, "top_k": 2, "expert": EXPERT, "capacity": 1.2}
    },
    "linear": {"attention": {"kind": "linear"}},
    "linear, gated": {
        "attention": {
            "kind": "linear",
            "decay": "gated",
            "normalise": False,
            "norm": {"kind": "rmsnorm"},
        }
    },
    "windowed": {"attention": {"kind": "multi_head", "window": 5, "num_kv_heads": 2}},
    "sparse": {"attention": {"kind": "sparse", "stride": 4}},
    "flex": {"attention": {"kind": "multi_head", "backend": "flex", "soft_cap": 20.0}},
    "capped": {"attention": {"kind": "multi_head", "soft_cap": 20.0}, "logit_soft_cap": 10.0},
    "dropout of attention": {"attention": {"kind": "multi_head", "dropout": 0.1}},
    "sandwich": {"block": {"kind": "sandwich"}, "tie_embeddings": True},
}
#: Two of flex's kernels differ from run to run in the order of their sums.
ALIKE = [name for name in MODELS if name != "flex"]


@pytest.fixture(autouse=True)
def shapes_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code has pieces of functions, of which the checks know nothing."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu")
    make_data(path)
    return path


def make_run(folder: Path, name: str, **training: Any) -> Run:
    model = {"d_model": 64, "num_layers": 2, "num_heads": 4, "context_length": 32}
    chosen = {"device": DEVICE, "batch_size": 8, "dtype": "bf16", "steps": 20} | training
    over = {"model": config.merge(model, MODELS[name]), "training": chosen}
    return build(resolve(tables(folder, **over)))


def losses(run: Run, steps: int) -> list[float]:
    found = []
    for step in range(steps):
        batch = tuple(part.to(run.device) for part in run.batches.batch_at(step))
        found.append(train_step(run, [batch]).loss.item())
    return found


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_in_bf16_and_compiled_the_same(folder: Path, name: str) -> None:
    plain = losses(make_run(folder, name), 12)
    compiled = losses(make_run(folder, name, compile=True), 12)
    torch._dynamo.reset()
    assert plain[-1] < plain[0] - 0.1
    assert compiled == pytest.approx(plain, rel=0.02)
    exact = losses(make_run(folder, name, dtype="fp32"), 12)
    assert plain == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("name", ALIKE)
def test_deterministic_it_gives_the_same_bits_twice(folder: Path, name: str) -> None:
    def weights() -> tuple[list[float], list[Tensor]]:
        run = make_run(folder, name, deterministic=True, compile=name == "default")
        return losses(run, 6), [p.detach().clone() for p in run.model.parameters()]

    try:
        (first, a), (second, b) = weights(), weights()
    finally:
        torch.use_deterministic_algorithms(False)
        torch._dynamo.reset()
    assert first == second
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_with_a_cache_it_generates_what_it_does_without(
    folder: Path, name: str, compiled: bool
) -> None:
    run = make_run(folder, name, dtype="fp32")
    losses(run, 3)
    model = run.model.eval()
    assert isinstance(model, TransformerLM)
    prompts = torch.randint(256, (2, 6), device=DEVICE)
    decoder, ids = Decoder(model, compiled=compiled), prompts
    logits = decoder.read(prompts)
    for _ in range(20):
        with torch.inference_mode():
            whole = model(ids)[:, -1]
        torch.testing.assert_close(logits, whole, rtol=1e-3, atol=1e-3)
        chosen = whole.argmax(-1)
        ids = torch.cat([ids, chosen[:, None]], 1)
        logits = decoder.step(chosen)
    torch._dynamo.reset()


@pytest.mark.skipif(DEVICE != "cuda", reason="a processor has no tf32")
def test_tf32_learns_the_same_in_much_less_time_than_fp32(folder: Path) -> None:
    big = {"d_model": 1024, "num_layers": 4, "num_heads": 16, "context_length": 32}

    def trained(dtype: str) -> tuple[list[float], float]:
        training = {"device": DEVICE, "batch_size": 256, "dtype": dtype, "steps": 20}
        run = build(resolve(tables(folder, model=big, training=training)))
        found = losses(run, 5)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        return found + losses(run, 5), time.perf_counter() - begin

    (exact, slow), (rounded, fast) = trained("fp32"), trained("tf32")
    assert rounded == pytest.approx(exact, rel=1e-2)
    assert rounded != exact
    assert fast < 0.6 * slow


@pytest.mark.skipif(DEVICE != "cuda", reason="a processor is never ahead")
def test_a_step_is_known_before_the_work_behind_it_is_done(folder: Path) -> None:
    run = make_run(folder, "experts")
    first, second = (tuple(x.to(DEVICE) for x in run.batches.batch_at(i)) for i in (0, 1))
    train_step(run, [first], wait=False)  # what is made once is made
    before = train_step(run, [second], wait=False)
    arrival = Arrival(before, with_notes=True)
    torch.cuda._sleep(2_000_000_000)
    behind = torch.cuda.Event()
    behind.record()
    found = arrival.wait()
    assert not behind.query()
    assert found.updated
    assert (found.loss, found.grad_norm) == (before.loss.cpu(), before.grad_norm.cpu())
    assert [{k: v.tolist() for k, v in note.items()} for note in found.notes] == [
        {k: v.tolist() for k, v in note.items()} for note in before.notes
    ]
