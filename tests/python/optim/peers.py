"""Parameters, gradients, and a step-by-step comparison, for the tests of all optimizers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.testing import assert_close

from byteloom import checkpoint

Shapes = Sequence[tuple[int, ...]]
Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def make_params(shapes: Shapes, seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def set_gradients(params: list[nn.Parameter], step: int, missing: int = -1) -> None:
    """Of very different sizes, as in a real run; the same for the same step."""
    generator = torch.Generator().manual_seed(1000 + step)
    for i, p in enumerate(params):
        grad = torch.randn(p.shape, generator=generator) * 10.0 ** ((step + i) % 5 - 3)
        p.grad = None if i == missing and step % 3 == 0 else grad


def assert_equal_steps(
    shapes: Shapes, ours: Make, theirs: Make, steps: int = 40, **how: Any
) -> None:
    """Both go the same way; one parameter has no gradient at every third step."""
    a, b = make_params(shapes), make_params(shapes)
    first, second = ours(a), theirs(b)
    for step in range(steps):
        for params, optimizer in ((a, first), (b, second)):
            set_gradients(params, step, missing=1)
            optimizer.step()
        for p, q in zip(a, b, strict=True):
            assert_close(p, q, **how)


def assert_goes_on_to_the_bit(shapes: Shapes, make: Make) -> None:
    """Through a checkpoint in the middle, the way is the same."""
    params = make_params(shapes)
    optimizer = make(params)
    for step in range(5):
        set_gradients(params, step)
        optimizer.step()
    file, module = io.BytesIO(), nn.ParameterList(params)
    checkpoint.save(module, optimizer, 5, file)
    file.seek(0)
    other = nn.ParameterList(copy.deepcopy(params))
    again = make(list(other))
    assert checkpoint.load(file, other, again) == 5
    for step in range(5, 10):
        for some, one in ((list(module), optimizer), (list(other), again)):
            set_gradients(some, step)
            one.step()
    for p, q in zip(module, other, strict=True):
        assert torch.equal(p, q)
