from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from byteloom.optim import AdamW
from byteloom.optim.narrow import NarrowWeights, Rounding, round_by_chance


def drift(rounding: Rounding | None, rate: float) -> float:
    """How far weights of about 1 come in 200 small steps downwards, on average."""
    torch.manual_seed(0)
    model = nn.Linear(64, 64, bias=False)
    with torch.no_grad():
        model.weight.uniform_(0.9, 1.1)
    begin = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    narrow = None if rounding is None else NarrowWeights(model, rounding)
    if narrow is None:
        model.bfloat16()
    for _ in range(200):
        model.weight.grad = torch.ones_like(model.weight)
        if narrow is None:
            optimizer.step()
        else:
            narrow.step(optimizer)
    return (begin - model.weight.detach().float()).mean().item()


@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
def test_small_updates_arrive_which_plain_bf16_loses(rounding: Rounding) -> None:
    # An eighth of the distance of neighbours in bf16: rounded to the nearest, nothing ever moves.
    rate = 2.0**-11
    assert abs(drift(None, rate)) < 0.001
    assert drift(rounding, rate) == pytest.approx(200 * rate, rel=0.02)


def test_compensated_it_is_the_float32_run_to_its_rounding() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4))
    model = copy.deepcopy(wide)
    a, b = AdamW(wide.parameters(), lr=1e-3), AdamW(model.parameters(), lr=1e-3)
    narrow = NarrowWeights(model, "compensated")
    for _ in range(50):
        # The same gradients for both, so that only the update differs.
        for p, q in zip(wide.parameters(), model.parameters(), strict=True):
            q.grad = torch.randn_like(q)
            p.grad = q.grad.float()
        a.step()
        narrow.step(b)
    for p, q, lost in zip(wide.parameters(), model.parameters(), narrow.lost, strict=True):
        assert q.dtype == torch.bfloat16
        assert torch.allclose(p, q.float() + lost.float(), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(p, q.float(), atol=1e-5, rtol=1e-5)


def test_shared_weights_stay_shared_and_nothing_wide_is_kept() -> None:
    model = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    model["b"].weight = model["a"].weight
    optimizer = AdamW(model.parameters(), lr=1e-3)
    narrow = NarrowWeights(model, "stochastic")
    assert model["a"].weight is model["b"].weight and len(list(narrow.parameters())) == 1
    for _ in range(2):
        model["a"].weight.grad = torch.ones(4, 4, dtype=torch.bfloat16)
        narrow.step(optimizer)
        kept = [p for group in optimizer.param_groups for p in group["params"]]
        assert [p.untyped_storage().nbytes() for p in kept] == [0] and kept[0].grad is None
    assert [p.shape for p in kept] == [torch.Size([4, 4])]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_by_chance_it_is_one_of_the_neighbours(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float32)
    rounded = round_by_chance(x).float()
    down = (x.view(torch.int32) & -(1 << 16)).view(torch.float32)
    up = ((x.view(torch.int32) & -(1 << 16)) + (1 << 16)).view(torch.float32)
    is_one = (rounded == down) | (rounded == up) | (rounded == x)
    assert bool(is_one.all())
    exact = down == x
    assert torch.equal(rounded[exact], x[exact])


def test_what_is_no_number_stays_so() -> None:
    x = torch.tensor([torch.inf, -torch.inf, torch.nan])
    assert round_by_chance(x).float().tolist()[:2] == [torch.inf, -torch.inf]
    assert round_by_chance(x)[2].isnan()
