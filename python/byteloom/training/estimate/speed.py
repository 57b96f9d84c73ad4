"""How fast this machine's device is at what training does: measured in two seconds."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.loss import piece_size
from byteloom.training.config import RunConfig
from byteloom.training.estimate.ledger import Ledger
from byteloom.training.estimate.parameters import skeleton

#: Seconds for one figure.
_SECONDS = 0.2
#: Operations in one timed product at most.
_PRODUCT = {"cpu": 4e9}
#: Numbers in what is timed between products, at most.
_NUMBERS = 1 << 24


@dataclass(frozen=True)
class Speed:
    """What a device does in a second."""

    products: float
    """Operations in products of the model's matrices, in the type of the run."""
    scores: float
    """Operations in attention, of all queries with all keys, forward and backward."""
    bytes: float
    """Bytes that everything else reads and writes."""
    call: float
    """Seconds that an operation takes in any case, however small."""


def measure(run_config: RunConfig, device: torch.device) -> Speed:
    """Times products, attention and other operations in the sizes of a run."""
    training = run_config.training
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(training.dtype, torch.float32)
    return Speed(
        _products(run_config, device, dtype),
        _scores(run_config, device, dtype),
        _bytes(run_config, device, dtype),
        _call(device),
    )


def _timed(run: Callable[[], object], device: torch.device, least: int = 2) -> float:
    """Seconds that something takes, the median of several times."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    run()
    wait()
    took: list[float] = []
    while len(took) < least or sum(took) < _SECONDS:
        begin = time.perf_counter()
        run()
        wait()
        took.append(time.perf_counter() - begin)
        if sum(took) > 3 * _SECONDS:
            break
    return statistics.median(took)


def _products(run_config: RunConfig, device: torch.device, dtype: torch.dtype) -> float:
    """Of the matrices that do most of the work, weighted by that."""
    model = run_config.model
    shapes: Counter[tuple[int, int]] = Counter()
    made = skeleton(model, 1)
    for module in made.layers.modules():
        for p in module.parameters(recurse=False):
            if p.ndim == 2:
                shapes[p.shape[0], p.shape[1]] += model.num_layers
    shapes[model.vocab_size, model.d_model] += 1
    work = {shape: shape[0] * shape[1] * copies for shape, copies in shapes.items()}
    chosen = sorted(work, key=lambda shape: -work[shape])[:4]
    seconds = 0.0
    tokens = run_config.training.batch_size * model.context_length
    for shape in chosen:
        outer, inner = shape
        rows = tokens
        if outer == model.vocab_size:
            rows = piece_size(tokens, outer, device.type)
        most = _PRODUCT.get(device.type, 1e13) / (2 * outer * inner)
        rows = max(1, min(rows, int(most)))
        x = torch.randn(rows, inner, device=device, dtype=dtype)
        weight = torch.randn(outer, inner, device=device, dtype=dtype)
        gradient = torch.randn(rows, outer, device=device, dtype=dtype)

        def run(x: Tensor = x, weight: Tensor = weight, gradient: Tensor = gradient) -> object:
            return x @ weight.T, gradient @ weight, gradient.T @ x

        seconds += work[shape] * _timed(run, device) / (6 * rows * outer * inner)
    return sum(work[shape] for shape in chosen) / seconds


def _scores(run_config: RunConfig, device: torch.device, dtype: torch.dtype) -> float:
    """Forward and backward."""
    model, batch = run_config.model, run_config.training.batch_size
    head = model.d_model // model.num_heads
    context = model.context_length
    work = 12 * model.num_heads * context * context * head
    batch = max(1, min(batch, int(_PRODUCT.get(device.type, 1e13) / work)))
    shape = (batch, model.num_heads, context, head)
    q, k, v = (torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
    gradient = torch.randn(shape, device=device, dtype=dtype)

    def run() -> object:
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.autograd.grad(mixed, (q, k, v), gradient)

    return batch * work / _timed(run, device)


def _bytes(run_config: RunConfig, device: torch.device, dtype: torch.dtype) -> float:
    """Of what is between the products: a norm and the turning of queries, with their gradients."""
    model = run_config.model
    rows = run_config.training.batch_size
    # Enough to lie in no cache, where the run's own tensors do not.
    rows = max(1, min(rows, _NUMBERS // (model.context_length * model.d_model)))
    norm = model.norm.build(model.d_model).to(device)
    position = model.build_position().to(device)
    stream = torch.float32 if dtype is torch.float16 else dtype
    shape = (rows, model.context_length, model.d_model)
    x = torch.randn(shape, device=device, dtype=stream, requires_grad=True)
    gradient = torch.randn(shape, device=device, dtype=stream)

    def run() -> object:
        heads = norm(x).unflatten(-1, (model.num_heads, -1)).transpose(1, 2)
        turned = position.rotate(heads, None).transpose(1, 2).flatten(2)
        return torch.autograd.grad(turned, x, gradient)

    with Ledger() as ledger:
        run()
    moved: int = ledger.moved.total()
    return moved / _timed(run, device)


def _call(device: torch.device) -> float:
    """Of an addition, with what autograd does for it."""
    x = torch.zeros(8, device=device, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(100):
            y = y + x
        y.sum().backward()  # type: ignore[no-untyped-call]

    return _timed(run, device) / 200
