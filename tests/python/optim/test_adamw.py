"""AdamW against torch's own, step by step."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from steps import check_resumption, compare, make_params, set_gradients
from torch import nn
from torch.testing import assert_close

from byteloom.nn import Embedding, Linear, RMSNorm
from byteloom.optim import AdamW, AdamWConfig, LearningRateScale, MuonConfig

STEPS = 50
FORMS: list[Any] = ["foreach", "fused"]


@pytest.mark.parametrize("form", FORMS)
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
def test_fifty_steps_are_torchs(settings: dict[str, Any], form: Any) -> None:
    ours = make_params()
    own = AdamW(ours, fused=form, **settings)
    compare(own, torch.optim.AdamW(make_params(), **settings))
    moved = [not torch.equal(p, q) for p, q in zip(ours, make_params(), strict=True)]
    assert moved == [settings.get("lr") != 0.0] * 3


def test_the_defaults_are_torchs() -> None:
    peer = torch.optim.AdamW(make_params()).defaults
    assert AdamW(make_params()).defaults == {
        name: peer[name] for name in ("lr", "betas", "eps", "weight_decay")
    }


@pytest.mark.parametrize("form", FORMS)
def test_parameters_that_get_gradients_later_take_their_own_count_of_steps(form: Any) -> None:
    own = AdamW(make_params(), lr=0.05, weight_decay=0.3, fused=form)
    compare(own, torch.optim.AdamW(make_params(), lr=0.05, weight_decay=0.3), late=True)


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


@pytest.mark.parametrize("form", FORMS)
def test_a_state_dict_goes_on_to_the_same_bits(form: Any) -> None:
    check_resumption(lambda params: AdamW(params, lr=0.05, weight_decay=0.3, fused=form))


@pytest.mark.parametrize("forms", [FORMS, FORMS[::-1]])
def test_one_form_goes_on_from_the_other(forms: list[Any]) -> None:
    ours, theirs = make_params(), make_params()
    first = AdamW(ours, lr=0.05, fused=forms[0])
    peer = torch.optim.AdamW(theirs, lr=0.05)
    compare(first, peer, range(5))
    second = AdamW(ours, lr=9.0, fused=forms[1])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.fused == forms[1]
    compare(second, peer, range(5, 20))
    for entry in second.state_dict()["state"].values():
        assert set(entry) == {"step", "exp_avg", "exp_avg_sq"}
        assert entry["step"] == 20


@pytest.mark.parametrize("form", FORMS)
def test_a_step_that_is_to_be_skipped_changes_nothing(form: Any) -> None:
    ours, theirs = make_params(), make_params()
    own, peer = AdamW(ours, lr=0.05, fused=form), torch.optim.AdamW(theirs, lr=0.05)
    assert own.waits_for_skip() == (form != "fused")
    for step in range(12):
        set_gradients(ours, step)
        skip = step in (0, 4, 5, 11)
        if skip:
            for p in ours:
                if p.grad is not None:
                    p.grad.fill_(math.nan)
        own.step(skip=torch.tensor(float(skip)))
        if not skip:
            set_gradients(theirs, step)
            peer.step()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert {float(entry["step"]) for entry in own.state.values()} <= {float(n) for n in range(9)}


def test_the_form_that_is_asked_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = torch._fused_adamw_
    monkeypatch.setattr(torch, "_fused_adamw_", lambda *a, **k: (calls.append(1), kernel(*a, **k)))
    for form, wanted in (("foreach", 0), ("auto", 1), ("fused", 1)):
        params = make_params()
        set_gradients(params, 0)
        optimizer = AdamW(params, fused=form)  # type: ignore[arg-type]
        calls.clear()
        optimizer.step()
        assert len(calls) == wanted
        assert copy.deepcopy(optimizer).fused == form


def test_parameters_of_several_types_step_together() -> None:
    ours, theirs = make_params(), make_params()
    ours[1].data, theirs[1].data = ours[1].data.double(), theirs[1].data.double()
    for form in FORMS:
        own, peer = AdamW(ours, fused=form), torch.optim.AdamW(theirs)
        for step in range(5):
            for params in (ours, theirs):
                for p in params:
                    p.grad = torch.full_like(p, 0.1 * step)
            own.step()
            peer.step()
        assert_close(ours, theirs)


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
        ({"weight_decay": math.inf}, "weight_decay is inf; it must be finite"),
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


def test_a_configuration_divides_by_more_than_nothing() -> None:
    for config in (AdamWConfig, MuonConfig):
        with pytest.raises(ValueError, match=r"eps is 0\.0; it must be above 0"):
            config(eps=0.0)


def test_no_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        AdamW([])


def test_the_configuration_builds_what_it_says() -> None:
    model = nn.Sequential(Embedding(5, 4), Linear(4, 4), RMSNorm(4))
    optimizer = AdamWConfig(betas=(0.7, 0.8), eps=1e-6, weight_decay=0.25).build(model)
    assert isinstance(optimizer, AdamW)
    hidden, embeddings, vectors = optimizer.param_groups
    assert hidden["params"] == [model[1].weight]
    assert embeddings["params"] == [model[0].weight]
    assert vectors["params"] == [model[2].weight]
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.25, 0.0, 0.0]
    for group in optimizer.param_groups:
        assert group["betas"] == (0.7, 0.8)
        assert group["eps"] == 1e-6
    config = AdamWConfig(
        decayed=("embeddings",), lr_scale=LearningRateScale(vectors=0.5), fused="fused"
    )
    optimizer = config.build(model)
    assert optimizer.fused == "fused"
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.0, 0.1, 0.0]
    assert [g["lr_scale"] for g in optimizer.param_groups] == [1.0, 1.0, 0.5]
