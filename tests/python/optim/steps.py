"""What the optimizers' tests share: parameters, gradients, and two optimizers side by side."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.testing import assert_close

SHAPES = ((3, 4), (5,), ())


def make_params(shapes: tuple[tuple[int, ...], ...] = SHAPES, seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def set_gradients(params: list[nn.Parameter], step: int) -> None:
    """Of very different sizes, as in a real run; the same for the same step."""
    generator = torch.Generator().manual_seed(1000 + step)
    for i, p in enumerate(params):
        p.grad = torch.randn(p.shape, generator=generator) * 10.0 ** ((step + i) % 5 - 3)


def compare(
    own: torch.optim.Optimizer,
    peer: torch.optim.Optimizer,
    steps: range = range(50),
    late: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Takes the same steps with both; with ``late``, two parameters lack gradients now and then."""
    ours, theirs = ([p for g in o.param_groups for p in g["params"]] for o in (own, peer))
    for step in steps:
        for params in (ours, theirs):
            set_gradients(params, step)
            if late:
                params[0].grad = None if step < 10 else params[0].grad  # joins at step 10
                params[1].grad = None if step % 3 == 1 else params[1].grad  # comes and goes
        before = [p.detach().clone() for p in ours]
        own.step()
        peer.step()
        assert_close(ours, theirs, rtol=rtol, atol=atol)
        for p, old in zip(ours, before, strict=True):
            # Without a gradient nothing happens, not even decay.
            assert p.grad is not None or torch.equal(p, old)


def check_resumption(
    build: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    shapes: tuple[tuple[int, ...], ...] = SHAPES,
) -> None:
    """A state dict from any of the first steps goes on to the same bits."""
    for stop in (0, 1, 5):
        straight = make_params(shapes)
        optimizer = build(straight)
        saved: tuple[list[torch.Tensor], dict[str, Any]] | None = None
        for step in range(10):
            if step == stop:
                saved = copy.deepcopy(([p.detach() for p in straight], optimizer.state_dict()))
            set_gradients(straight, step)
            optimizer.step()
        assert saved is not None
        resumed = [nn.Parameter(p) for p in saved[0]]
        optimizer = build(resumed)
        for group in optimizer.param_groups:
            group["lr"] = 9.0  # what the new one is made with does not count
        optimizer.load_state_dict(saved[1])
        for step in range(stop, 10):
            set_gradients(resumed, step)
            optimizer.step()
        for p, q in zip(resumed, straight, strict=True):
            assert torch.equal(p, q)
