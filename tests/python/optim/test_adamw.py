"""AdamW against torch's own, step by step."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from byteloom.nn import Embedding, Linear, RMSNorm
from byteloom.optim import AdamW, AdamWConfig

STEPS = 50


def make_params(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (5,), ())]


def set_gradients(params: list[nn.Parameter], step: int) -> None:
    """Of very different sizes, as in a real run; the same for the same step."""
    generator = torch.Generator().manual_seed(1000 + step)
    for i, p in enumerate(params):
        p.grad = torch.randn(p.shape, generator=generator) * 10.0 ** ((step + i) % 5 - 3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lr": 0.1, "weight_decay": 0.0},
        {"lr": 0.1, "weight_decay": 0.5},
        {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.01, "betas": (0.0, 0.0)},
        {"lr": 0.01, "betas": (0.0, 0.999), "eps": 1e-15},
        {"lr": 0.0, "weight_decay": 0.5},
    ],
)
def test_fifty_steps_are_torchs(settings: dict[str, Any]) -> None:
    ours, theirs = make_params(), make_params()
    own, peer = AdamW(ours, **settings), torch.optim.AdamW(theirs, **settings)
    for step in range(STEPS):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        own.step()
        peer.step()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    moved = [not torch.equal(p, q) for p, q in zip(ours, make_params(), strict=True)]
    assert moved == [settings.get("lr") != 0.0] * 3


def test_the_defaults_are_torchs() -> None:
    peer = torch.optim.AdamW(make_params()).defaults
    assert AdamW(make_params()).defaults == {
        name: peer[name] for name in ("lr", "betas", "eps", "weight_decay")
    }


def test_parameters_that_get_gradients_later_take_their_own_count_of_steps() -> None:
    ours, theirs = make_params(), make_params()
    own = AdamW(ours, lr=0.05, weight_decay=0.3)
    peer = torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.3)
    for step in range(STEPS):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        for params in (ours, theirs):
            if step < 10:
                params[0].grad = None  # joins at step 10
            if step % 3 == 1:
                params[1].grad = None  # comes and goes
        before = [p.detach().clone() for p in ours]
        own.step()
        peer.step()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        for p, old in zip(ours, before, strict=True):
            # Without a gradient nothing happens, not even decay.
            assert torch.equal(p, old) == (p.grad is None)


def test_the_learning_rate_of_each_group_can_change_at_each_step() -> None:
    ours, theirs = make_params(), make_params()

    def groups(params: list[nn.Parameter]) -> list[dict[str, Any]]:
        return [
            {"params": params[:1], "weight_decay": 0.2},
            {"params": params[1:], "weight_decay": 0.0, "betas": (0.8, 0.9), "eps": 1e-4},
        ]

    own, peer = AdamW(groups(ours)), torch.optim.AdamW(groups(theirs))
    for step in range(STEPS):
        for optimizer in (own, peer):
            for i, group in enumerate(optimizer.param_groups):
                group["lr"] = 0.1 * math.sin(step + i) ** 2
        set_gradients(ours, step)
        set_gradients(theirs, step)
        own.step()
        peer.step()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_torchs_schedulers_drive_it() -> None:
    params = make_params()
    optimizer = AdamW(params, lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for step in range(3):
        set_gradients(params, step)
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.125


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_a_state_dict_goes_on_to_the_same_bits(stop: int) -> None:
    straight = make_params()
    optimizer = AdamW(straight, lr=0.05, weight_decay=0.3)
    saved: tuple[list[torch.Tensor], dict[str, Any]] | None = None
    for step in range(15):
        if step == stop:
            saved = copy.deepcopy(([p.detach() for p in straight], optimizer.state_dict()))
        set_gradients(straight, step)
        optimizer.step()
    assert saved is not None

    resumed = [nn.Parameter(p) for p in saved[0]]
    # What the new one is made with does not count: the state brings its settings.
    optimizer = AdamW(resumed, lr=9.0, weight_decay=9.0)
    optimizer.load_state_dict(saved[1])
    for step in range(stop, 15):
        set_gradients(resumed, step)
        optimizer.step()
    for p, q in zip(resumed, straight, strict=True):
        assert torch.equal(p, q)


def test_torch_goes_on_from_its_state() -> None:
    """The names in the state are torch's, so either can continue what the other began."""
    ours = make_params()
    own = AdamW(ours, lr=0.05)
    for step in range(5):
        set_gradients(ours, step)
        own.step()
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    peer = torch.optim.AdamW(theirs, lr=0.05)
    state = copy.deepcopy(own.state_dict())
    for entry in state["state"].values():
        assert set(entry) == {"step", "exp_avg", "exp_avg_sq"}
        assert entry["step"] == 5
        entry["step"] = torch.tensor(5.0)  # torch counts in a tensor
    peer.load_state_dict({**state, "param_groups": peer.state_dict()["param_groups"]})
    for step in range(5, 20):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        own.step()
        peer.step()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_closure_is_called_with_gradients_on() -> None:
    (p,) = params = [nn.Parameter(torch.tensor([1.0, 2.0]))]
    optimizer = AdamW(params, lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(60)]
    assert losses[0] == 5.0
    assert losses[-1] < 0.1
    assert optimizer.step() is None


def test_nothing_to_do_is_no_error() -> None:
    params = make_params()
    optimizer = AdamW(params)
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, make_params(), strict=True))
    assert not optimizer.state


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1e-3}, r"lr is -0\.001; it must not be negative"),
        ({"lr": math.nan}, "lr is nan"),
        ({"eps": -1e-8}, "eps is -1e-08; it must not be negative"),
        ({"weight_decay": -0.1}, r"weight_decay is -0\.1; it must not be negative"),
        ({"betas": (1.0, 0.9)}, r"betas are 1\.0 and 0\.9; both must be in \[0, 1\)"),
        ({"betas": (-0.1, 0.9)}, r"betas are -0\.1 and 0\.9"),
        ({"betas": (0.9, 1.5)}, r"betas are 0\.9 and 1\.5"),
        ({"betas": (0.9, math.nan)}, r"betas are 0\.9 and nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdamW(make_params(), **settings)
    if "lr" in settings:
        return  # the schedule's business
    with pytest.raises(ValueError, match=message):
        AdamWConfig(**settings)


def test_no_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        AdamW([])


def test_the_configuration_builds_what_it_says() -> None:
    model = nn.Sequential(Embedding(5, 4), Linear(4, 4), RMSNorm(4))
    optimizer = AdamWConfig(betas=(0.7, 0.8), eps=1e-6, weight_decay=0.25).build(model)
    assert isinstance(optimizer, AdamW)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert groups["hidden"]["params"] == [model[1].weight]
    assert groups["embeddings"]["params"] == [model[0].weight]
    assert groups["vectors"]["params"] == [model[2].weight]
    decays = {name: group["weight_decay"] for name, group in groups.items()}
    assert decays == {"hidden": 0.25, "embeddings": 0.0, "vectors": 0.0}
    for group in groups.values():
        assert group["betas"] == (0.7, 0.8)
        assert group["eps"] == 1e-6
    everything = AdamWConfig(weight_decay=0.25, decayed="all").build(model).param_groups
    assert {group["weight_decay"] for group in everything} == {0.25}


def test_the_fused_kernel_is_the_same_and_goes_on_from_the_other() -> None:
    a, b = make_params(), make_params()
    plain, fused = AdamW(a, lr=0.01, fused="foreach"), AdamW(b, lr=0.01, fused="fused")
    for step in range(20):
        for params, optimizer in ((a, plain), (b, fused)):
            set_gradients(params, step)
            optimizer.step()
        for p, q in zip(a, b, strict=True):
            assert_close(p, q, rtol=1e-5, atol=1e-6)
    swapped = AdamW(b, lr=0.01, fused="foreach")
    swapped.load_state_dict(fused.state_dict())
    for step in range(20, 30):
        for params, optimizer in ((a, plain), (b, swapped)):
            set_gradients(params, step)
            optimizer.step()
        for p, q in zip(a, b, strict=True):
            assert_close(p, q, rtol=1e-5, atol=1e-6)
