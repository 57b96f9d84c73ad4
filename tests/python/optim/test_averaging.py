"""The average of weights against sums written out; what is swapped in and comes back."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from byteloom import checkpoint
from byteloom.checkpoint import Checkpoint
from byteloom.optim import AveragingConfig, WeightAverage


def make_model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


def draw(model: nn.Module, step: int) -> None:
    """New weights, as a step of an optimizer would make them."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))


def slow_average(
    history: list[list[torch.Tensor]], decay: float, start: int, corrected: bool
) -> Any:
    """The weighted mean of all weights from ``start`` on; the first in ``history`` are those
    before any step."""
    if len(history) - 1 <= start:
        return [p.double() for p in history[-1]]
    seen = history[start + 1 :] if corrected else history[start:]
    weights = [decay**i * (1 - decay) for i in reversed(range(len(seen)))]
    if corrected:
        weights = [w / sum(weights) for w in weights]
    else:
        weights[0] = decay ** (len(seen) - 1)
    return [
        sum(w * p.double() for w, p in zip(weights, params, strict=True))
        for params in zip(*seen, strict=True)
    ]


@given(
    decay=st.sampled_from([0.0, 0.3, 0.9, 0.999]),
    start=st.integers(0, 6),
    corrected=st.booleans(),
    updates=st.integers(0, 12),
)
def test_it_is_the_weighted_mean(decay: float, start: int, corrected: bool, updates: int) -> None:
    model = make_model()
    average = AveragingConfig(decay, start, corrected).build(model)
    history = [[p.detach().clone() for p in model.parameters()]]
    for step in range(updates):
        draw(model, step)
        average.update(model)
        history.append([p.detach().clone() for p in model.parameters()])
    want = slow_average(history, decay, start, corrected)
    for got, expected in zip(average.average.values(), want, strict=True):
        assert_close(got.double(), expected, rtol=1e-5, atol=1e-6)


def test_it_is_torchs() -> None:
    model, decay = make_model(), 0.8
    average = WeightAverage(model, decay, bias_correction=False)
    peer = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    )
    peer.update_parameters(model)  # torch's first only copies
    for step in range(10):
        draw(model, step)
        average.update(model)
        peer.update_parameters(model)
    assert_close(list(average.average.values()), [p.data for p in peer.module.parameters()])


def test_the_weights_come_back_to_the_bit() -> None:
    model = make_model()
    average = WeightAverage(model, 0.5)
    for step in range(3):
        draw(model, step)
        average.update(model)
    with torch.no_grad():
        model[0].weight[0] = torch.tensor([math.nan, -0.0, 1e-42])
    before = [p.detach().clone() for p in model.parameters()]
    held = [(p, p.data_ptr()) for p in model.parameters()]
    mean = copy.deepcopy(average.average)
    for fails in (False, True):
        with pytest.raises(KeyError) if fails else torch.no_grad(), average.swapped_in(model):
            for (name, p), old in zip(model.named_parameters(), before, strict=True):
                assert torch.equal(p, mean[name]) and not torch.equal(p, old)
            if fails:
                raise KeyError
        for (p, address), now, old in zip(held, model.parameters(), before, strict=True):
            assert p is now and p.data_ptr() == address and p.requires_grad
            assert torch.equal(p.detach().view(torch.int32), old.view(torch.int32))
        for name, value in average.average.items():
            assert torch.equal(value, mean[name])


def test_a_model_shares_nothing_with_its_average() -> None:
    model = make_model()
    average = WeightAverage(model, 0.5)
    before = copy.deepcopy(average.average)
    draw(model, 0)
    assert all(torch.equal(value, before[name]) for name, value in average.average.items())


def test_weights_in_bf16_have_an_average_in_fp32() -> None:
    """In bf16 no small part of anything would ever arrive."""
    model = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.999, bias_correction=False)
    nn.init.ones_(model.weight)
    for _ in range(1000):
        average.update(model)
    assert average.average["weight"].dtype == torch.float32
    assert average.average["weight"].item() == pytest.approx(1 - 0.999**1000, rel=1e-3)
    with average.swapped_in(model):
        assert model.weight.dtype == torch.bfloat16
        assert model.weight.item() == pytest.approx(1 - 0.999**1000, rel=1e-2)
    assert model.weight.item() == 1.0


def test_a_tied_weight_is_averaged_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert list(WeightAverage(model).average) == ["0.weight"]


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    model = make_model()
    straight = WeightAverage(model, 0.9, start_step=2)
    for step in range(10):
        if step == 5:
            state = {"average": straight.state_dict()}
            checkpoint.write(Checkpoint.of(model, None, 5, state=state), tmp_path / "a.safetensors")
        draw(model, step)
        straight.update(model)
    resumed = WeightAverage(make_model(7), 0.9, start_step=2)
    resumed.load_state_dict(checkpoint.read(tmp_path / "a.safetensors").state["average"])
    for step in range(5, 10):
        draw(model, step)
        resumed.update(model)
    assert resumed.updates == straight.updates == 10
    for name, value in straight.average.items():
        assert torch.equal(resumed.average[name], value)


def test_the_average_of_another_model_is_refused() -> None:
    average = WeightAverage(make_model())
    before = copy.deepcopy(average.state_dict())
    other = WeightAverage(nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(ValueError, match=r"another model: 1\.bias is in one only"):
        average.load_state_dict(other.state_dict())
    wrong = copy.deepcopy(average.state_dict())
    wrong["average"]["2.weight"] = torch.zeros(2, 5)
    wrong["average"]["0.weight"].zero_()
    with pytest.raises(ValueError, match=r"2\.weight has shape \(2, 5\), the model's \(2, 4\)"):
        average.load_state_dict(wrong)
    for name, value in average.average.items():
        assert torch.equal(value, before["average"][name])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decay": 1.0}, r"decay is 1\.0; it must be in \[0, 1\)"),
        ({"decay": -0.1}, r"decay is -0\.1"),
        ({"decay": math.nan}, "decay is nan"),
        ({"start_step": -1}, "start_step is -1; it must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AveragingConfig(**wrong)
    with pytest.raises(ValueError, match=message):
        WeightAverage(make_model(), **wrong)
