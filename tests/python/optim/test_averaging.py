from __future__ import annotations

import pytest
import torch
from torch import nn

from byteloom.optim import AveragingConfig, WeightAverage


def make() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


def walk(model: nn.Module, average: WeightAverage, updates: int) -> list[list[torch.Tensor]]:
    """Random weights at each update; returns them."""
    seen = []
    for _ in range(updates):
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn_like(p))
        average.update(model)
        seen.append([p.detach().clone() for p in model.parameters()])
    return seen


def average_of(model: nn.Module, average: WeightAverage) -> list[torch.Tensor]:
    with average.swapped_in(model):
        return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("start", [0, 4])
def test_corrected_it_is_the_weighted_mean_of_what_was_seen(decay: float, start: int) -> None:
    model = make()
    average = WeightAverage(model, decay, start)
    seen = walk(model, average, 9)[start:]
    shares = torch.tensor([decay ** (len(seen) - 1 - i) for i in range(len(seen))])
    for i, found in enumerate(average_of(model, average)):
        stacked = torch.stack([weights[i] for weights in seen])
        expected = torch.einsum("n,n...->...", shares / shares.sum(), stacked)
        assert torch.allclose(found, expected, atol=1e-5)


def test_uncorrected_the_first_weights_count() -> None:
    model = make()
    begin = [p.detach().clone() for p in model.parameters()]
    average = WeightAverage(model, 0.9, bias_correction=False)
    expected = begin
    for weights in walk(model, average, 5):
        expected = [0.9 * a + 0.1 * w for a, w in zip(expected, weights, strict=True)]
    for a, b in zip(average_of(model, average), expected, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_before_its_start_it_is_the_weights() -> None:
    model = make()
    average = WeightAverage(model, 0.9, start_step=5)
    walk(model, average, 3)
    for a, p in zip(average_of(model, average), model.parameters(), strict=True):
        assert torch.equal(a, p)


def test_swapping_gives_back_the_very_weights_even_after_an_error() -> None:
    model = make().bfloat16()
    average = WeightAverage(model, 0.9)
    walk(model, average, 3)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(KeyError), average.swapped_in(model):
        assert not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
        raise KeyError
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert {a.dtype for a in average.average.values()} == {torch.float32}


def test_its_state_goes_on_to_the_bit() -> None:
    model, other = make(), make()
    average, again = WeightAverage(model, 0.9), WeightAverage(other, 0.9)
    walk(model, average, 3)
    again.load_state_dict(average.state_dict())
    other.load_state_dict(model.state_dict())
    state = torch.get_rng_state()
    walk(model, average, 3)
    torch.set_rng_state(state)
    walk(other, again, 3)
    assert again.updates == average.updates == 6
    for a, b in zip(average_of(model, average), average_of(other, again), strict=True):
        assert torch.equal(a, b)


def test_another_models_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0.weight has shape"):
        WeightAverage(make()).load_state_dict(
            WeightAverage(nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(4))).state_dict()
        )
    with pytest.raises(ValueError, match="is in one only"):
        WeightAverage(make()).load_state_dict(WeightAverage(nn.Linear(3, 4)).state_dict())


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"start_step": -1}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        AveragingConfig(**settings)  # type: ignore[arg-type]
