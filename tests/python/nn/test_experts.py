"""Experts against transformers' modules, slow loops and formulas."""

from __future__ import annotations

import copy
import math
import typing
from typing import Any

import jaxtyping
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import DeepseekV3Config, MixtralConfig, Qwen2MoeConfig, Qwen3MoeConfig
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE
from transformers.models.mixtral.modeling_mixtral import (
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

from byteloom.nn import DenseConfig, Experts, ExpertsConfig, GELUConfig, SwiGLUConfig
from byteloom.nn.ffn.experts import balance_loss, router_z_loss
from byteloom.nn.grouped import grouped_mm, grouped_outer

D, E, K, FF = 16, 8, 2, 12
SMALL = SwiGLUConfig(d_ff=FF)
SHARED = SwiGLUConfig(d_ff=20)
SIZES = {"hidden_size": D, "moe_intermediate_size": FF, "num_experts": E, "num_experts_per_tok": K}


def mixtral() -> tuple[nn.Module, ExpertsConfig]:
    config = MixtralConfig(
        hidden_size=D, intermediate_size=FF, num_local_experts=E, num_experts_per_tok=K
    )
    return MixtralSparseMoeBlock(config), ExpertsConfig(expert=SMALL)


def qwen3(normalise: bool) -> tuple[nn.Module, ExpertsConfig]:
    config = Qwen3MoeConfig(**SIZES, norm_topk_prob=normalise)
    own = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, normalise=normalise)
    return Qwen3MoeSparseMoeBlock(config), own


def qwen2() -> tuple[nn.Module, ExpertsConfig]:
    config = Qwen2MoeConfig(**SIZES, shared_expert_intermediate_size=20, norm_topk_prob=False)
    own = ExpertsConfig(
        expert=SMALL, num_experts=E, top_k=K, normalise=False, shared=SHARED, shared_gate=True
    )
    return Qwen2MoeSparseMoeBlock(config), own


def deepseek(groups: int, top_groups: int) -> tuple[nn.Module, ExpertsConfig]:
    config = DeepseekV3Config(
        hidden_size=D,
        moe_intermediate_size=10,
        n_routed_experts=E,
        num_experts_per_tok=3,
        n_shared_experts=2,
        n_group=groups,
        topk_group=top_groups,
        routed_scaling_factor=2.5,
    )
    own = ExpertsConfig(
        expert=SwiGLUConfig(d_ff=10),
        num_experts=E,
        top_k=3,
        gate="sigmoid",
        num_groups=groups,
        top_groups=top_groups,
        scale=2.5,
        balance_rate=1e-3,
        shared=SHARED,
    )
    return DeepseekV3MoE(config), own


PEERS: dict[str, Any] = {
    "mixtral": mixtral,
    "qwen3": lambda: qwen3(True),
    "qwen3, not normalised": lambda: qwen3(False),
    "qwen2": qwen2,
    "deepseek": lambda: deepseek(1, 1),
    "deepseek, groups": lambda: deepseek(4, 2),
}


def pairs_of(own: Experts, peer: Any) -> list[tuple[nn.Parameter, nn.Parameter, slice]]:
    """Parameters of ours, and the peer's with the rows that are the same."""
    d_ff = own.experts.w1.weight.shape[1]
    first, second, all_of = slice(d_ff), slice(d_ff, None), slice(None)
    found = [
        (own.router.weight, peer.gate.weight, all_of),
        (own.experts.w1.weight, peer.experts.gate_up_proj, first),
        (own.experts.w3.weight, peer.experts.gate_up_proj, second),
        (own.experts.w2.weight, peer.experts.down_proj, all_of),
    ]
    if own.shared is not None:
        shared = getattr(peer, "shared_expert", None) or peer.shared_experts
        for mine, theirs in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
            one, other = getattr(own.shared, mine).weight, getattr(shared, theirs).weight
            found.append((one, other, all_of))
    if own.shared_gate is not None:
        found.append((own.shared_gate.weight, peer.shared_expert_gate.weight, all_of))
    return found


def assert_near(got: torch.Tensor | None, want: torch.Tensor | None) -> None:
    """To 1e-5 of the largest number."""
    assert got is not None and want is not None
    assert_close(got, want, rtol=1e-5, atol=1e-5 * max(1.0, want.abs().max().item()))


def rows_of(theirs: torch.Tensor, rows: slice) -> torch.Tensor:
    return theirs[:, rows] if theirs.ndim == 3 else theirs[rows]


@pytest.mark.parametrize("name", PEERS)
def test_results_and_gradients_are_those_of_transformers(name: str) -> None:
    torch.manual_seed(0)
    peer, config = PEERS[name]()
    own = config.build(D)
    for p in own.parameters():
        nn.init.normal_(p, std=0.3)
    with torch.no_grad():
        for mine, theirs, rows in pairs_of(own, peer):
            rows_of(theirs, rows).copy_(mine)
        if own.router.balance_bias is not None:
            own.router.balance_bias.normal_(std=0.2)
            peer.gate.e_score_correction_bias.copy_(own.router.balance_bias)
    a = torch.randn(3, 7, D, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    got, want = own(a), peer(b)
    assert_close(got, want, rtol=1e-5, atol=1e-5)
    got.square().sum().backward()
    want.square().sum().backward()
    assert_near(a.grad, b.grad)
    pairs = pairs_of(own, peer)
    assert len(pairs) == len(list(own.parameters()))
    for mine, theirs, rows in pairs:
        assert mine.grad is not None and theirs.grad is not None
        assert mine.grad.any()
        assert_near(mine.grad, rows_of(theirs.grad, rows))


def test_softmax_after_the_choice_is_normalised_softmax_before() -> None:
    torch.manual_seed(0)
    own = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K).build(D)
    after = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, gate="softmax_top_k").build(D)
    after.load_state_dict(own.state_dict())
    x = torch.randn(9, D)
    assert_close(own(x), after(x))
    assert_close(own.penalty(), after.penalty())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("member", typing.get_args(DenseConfig))
def test_any_dense_network_can_be_an_expert(member: type, bias: bool) -> None:
    """Each of two experts, chosen alone, is the network itself; with bias and gradients."""
    torch.manual_seed(0)
    expert = member(d_ff=10, bias=bias)
    own = ExpertsConfig(expert=expert, num_experts=2, top_k=1).build(D)
    for p in own.parameters():
        nn.init.normal_(p, std=0.3)
    x = torch.randn(30, D)
    chosen = own.router(x).experts.flatten()
    got, want = own(x), torch.zeros(30, D)
    networks = [expert.build(D) for _ in range(2)]
    for i, network in enumerate(networks):
        network.load_state_dict({k: v[i] for k, v in own.experts.state_dict().items()})
        want[chosen == i] = network(x[chosen == i])
    assert 0 < chosen.sum() < 30
    assert_close(got, want, rtol=1e-5, atol=1e-5)
    got.square().sum().backward()
    want.square().sum().backward()
    for name, p in own.experts.named_parameters():
        assert p.grad is not None
        alone = torch.stack([dict(n.named_parameters())[name].grad for n in networks])  # type: ignore[misc]
        assert_close(p.grad, alone, rtol=1e-5, atol=1e-5)


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_the_balance_loss_and_its_gradient_are_those_of_transformers(top_k: int) -> None:
    torch.manual_seed(0)
    config = ExpertsConfig(expert=SMALL, num_experts=E, top_k=top_k, balance_loss=0.3)
    own, x = config.build(D), torch.randn(2, 20, D)
    own(x)
    logits = own.router(x.flatten(0, 1)).logits
    want = 0.3 * load_balancing_loss_func((logits,), E, top_k)
    assert_close(own.penalty(), want)
    got = torch.autograd.grad(own.penalty(), own.router.weight)  # type: ignore[arg-type]
    assert_close(got, torch.autograd.grad(want, own.router.weight))


def test_the_balance_loss_is_least_where_all_have_as_much() -> None:
    even = balance_loss(torch.full((12, 4), 0.25), torch.full((4,), 6))
    assert even.item() == pytest.approx(2.0)
    shares = torch.tensor([[0.7, 0.1, 0.1, 0.1]]).expand(12, 4)
    assert balance_loss(shares, torch.tensor([12, 4, 4, 4])) > even


def test_the_z_loss_is_its_formula() -> None:
    torch.manual_seed(0)
    own = ExpertsConfig(expert=SMALL, balance_loss=0.0, z_loss=0.5).build(D)
    x = torch.randn(10, D)
    own(x)
    logits = x @ own.router.weight.T
    want = sum(math.log(sum(math.exp(z) for z in row)) ** 2 for row in logits.tolist()) / 10
    assert_close(own.penalty(), torch.tensor(0.5 * want))
    assert router_z_loss(logits).item() == pytest.approx(want, rel=1e-5)


def test_without_weights_and_where_nothing_is_learned_nothing_is_added() -> None:
    own = ExpertsConfig(expert=SMALL).build(D)
    assert own.penalty() == 0.0
    own(torch.randn(5, D))
    assert bool(own.penalty() > 0)
    own.eval()(torch.randn(5, D))
    assert own.penalty() == 0.0 and own.load.sum() == 10
    free = ExpertsConfig(expert=SMALL, balance_loss=0.0).build(D)
    free(torch.randn(5, D))
    assert float(free.penalty()) == 0.0


def test_a_copy_can_be_made_at_any_time() -> None:
    own, x = ExpertsConfig(expert=SMALL).build(D), torch.randn(5, D)
    own(x)
    assert_close(copy.deepcopy(own)(x), own(x))


# -- capacity --------------------------------------------------------------------------------------


def with_capacity(own: Experts, x: torch.Tensor, places: int) -> tuple[torch.Tensor, int]:
    """Token after token, choice after choice; who finds no place is dropped."""
    taken, dropped, rows = [0] * E, 0, []
    routing = own.router(x)
    for token, experts, weights in zip(x, routing.experts.tolist(), routing.weights, strict=True):
        total = torch.zeros(D)
        for expert, weight in zip(experts, weights, strict=True):
            if taken[expert] == places:
                dropped += 1
                continue
            taken[expert] += 1
            w1, w2, w3 = (getattr(own.experts, w).weight[expert] for w in ("w1", "w2", "w3"))
            total = total + weight * (w2 @ (nn.functional.silu(w1 @ token) * (w3 @ token)))
        rows.append(total)
    return torch.stack(rows), dropped


@pytest.mark.parametrize("capacity", [0.01, 0.5, 1.0, 1.3, 8.0])
def test_with_a_capacity_it_is_the_slow_loop(capacity: float) -> None:
    torch.manual_seed(1)
    config = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, capacity=capacity)
    own = config.build(D)
    a = torch.randn(21, D, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    places = max(1, math.ceil(capacity * 21 * K / E))
    want, dropped = with_capacity(own, b, places)
    got = own(a)
    assert_close(got, want, rtol=1e-5, atol=1e-5)
    note = own.end_step()
    assert note["expert_tokens"].sum() == 21 * K
    assert note["expert_dropped"].item() == pytest.approx(dropped / (21 * K))
    assert (dropped == 0) == (capacity == 8.0)
    mine = torch.autograd.grad(got.square().sum(), [a, *own.parameters()])
    theirs = torch.autograd.grad(want.square().sum(), [b, *own.parameters()])
    for one, other in zip(mine, theirs, strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_with_places_enough_a_capacity_changes_nothing() -> None:
    torch.manual_seed(0)
    wide = ExpertsConfig(expert=GELUConfig(d_ff=FF, bias=True), capacity=4.0).build(D)
    free = ExpertsConfig(expert=GELUConfig(d_ff=FF, bias=True)).build(D)
    for p in wide.parameters():
        nn.init.normal_(p, std=0.3)
    free.load_state_dict(wide.state_dict())
    x = torch.randn(2, 9, D)
    assert_close(wide(x), free(x), rtol=1e-5, atol=1e-5)


def test_what_is_dropped_does_not_depend_on_later_tokens_nor_happen_after_training() -> None:
    torch.manual_seed(0)
    own = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, capacity=0.25).build(D)
    x = torch.randn(40, D)
    other = torch.cat([x[:20], torch.randn(20, D)])
    assert_close(own(x)[:20], own(other)[:20])
    assert own.end_step()["expert_dropped"] > 0.2
    own.eval()
    assert_close(own(x)[:20], own(x[:20]), rtol=1e-5, atol=1e-5)


# -- balance by a bias -----------------------------------------------------------------------------


def test_the_bias_follows_the_load_and_only_the_choice_follows_the_bias() -> None:
    torch.manual_seed(0)
    config = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, gate="sigmoid", balance_rate=0.05)
    own, bias = config.build(D), [0.0] * E
    for step in range(6):
        load = [0] * E
        for _ in range(2):  # two batches a step
            x = torch.randn(15, D) + 1
            scores = (x @ own.router.weight.T).sigmoid()
            routing = own.router(x)
            for token in range(15):
                order = sorted(range(E), key=lambda e: -(scores[token, e].item() + bias[e]))[:K]
                assert set(order) == set(routing.experts[token].tolist())
                for e in order:
                    load[e] += 1
                chosen = scores[token, routing.experts[token]]
                assert_close(routing.weights[token], chosen / chosen.sum())
            own(x)
        updated = step != 3  # as if the loss had not been finite
        note = own.end_step(torch.tensor(updated) if step % 2 else updated)
        assert note["expert_tokens"].tolist() == load
        assert note["expert_overload"].item() == pytest.approx(max(load) / (60 / E) - 1)
        if updated:
            signs = [(n < 60 / E) - (n > 60 / E) for n in load]
            bias = [b + 0.05 * sign for b, sign in zip(bias, signs, strict=True)]
        assert own.router.balance_bias is not None
        assert own.router.balance_bias.tolist() == pytest.approx(bias)
    assert "router.balance_bias" in own.state_dict() and "load" not in own.state_dict()


def test_the_bias_makes_the_load_even() -> None:
    torch.manual_seed(0)
    config = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K, balance_rate=0.02, balance_loss=0)
    own, overload = config.build(D), []
    for _ in range(60):
        own(torch.randn(200, D) + 1)
        overload.append(own.end_step()["expert_overload"].item())
    assert sum(overload[-5:]) < 0.4 * sum(overload[:5])


# -- types, compiling, recomputing -----------------------------------------------------------------


def test_under_autocast_only_the_router_stays_in_float32() -> None:
    torch.manual_seed(0)
    own = ExpertsConfig(expert=SMALL, num_experts=E, top_k=K).build(D)
    x = torch.randn(50, D)
    want, routing = own(x), own.router(x)
    with torch.autocast("cpu", torch.bfloat16):
        got, narrow = own(x), own.router(x.bfloat16())
        assert torch.equal(own.router(x).logits, routing.logits)
    assert got.dtype == torch.bfloat16 and narrow.logits.dtype == torch.float32
    assert (got.float() - want).abs().mean() < 0.02 * want.abs().mean()
    got.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in own.parameters())


@pytest.mark.parametrize("capacity", [None, 1.0])
def test_compiled_experts_are_the_same(
    capacity: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The checks of shapes would note things where the compiler allows none.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    torch._dynamo.reset()
    torch.manual_seed(0)
    own = ExpertsConfig(expert=SMALL, capacity=capacity, balance_rate=0.1, z_loss=0.1).build(D)
    x = torch.randn(2, 6, D)
    compiled = torch.compile(own, backend="aot_eager", fullgraph=True)
    found = []
    for f in (own, compiled):
        y = f(x)
        (y.square().sum() + own.penalty()).backward()
        found.append([y, own.load.clone(), own.missed.clone(), *(p.grad for p in own.parameters())])
        own.zero_grad()
        own.end_step(updated=False)
    for one, other in zip(*found, strict=True):
        assert_close(one, other)


# -- products by groups ----------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [[3, 3, 7], [0, 0, 7], [7, 7, 7]])
def test_products_by_groups_and_their_gradients(ends: list[int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, 4, 5, dtype=torch.double, requires_grad=True)
    group = [next(g for g, end in enumerate(ends) if row < end) for row in range(7)]
    offsets = torch.tensor(ends, dtype=torch.int32)
    got = grouped_mm(x, weight, offsets)
    want = torch.stack([weight[g] @ row for g, row in zip(group, x, strict=True)])
    assert_close(got, want)
    for a, b in zip(
        torch.autograd.grad(got.square().sum(), (x, weight)),
        torch.autograd.grad(want.square().sum(), (x, weight)),
        strict=True,
    ):
        assert_close(a, b)
    y = torch.randn(7, 4, dtype=torch.double)
    sums = torch.zeros(3, 4, 5, dtype=torch.double)
    for g, one, other in zip(group, y, x.detach(), strict=True):
        sums[g] += torch.outer(one, other)
    assert_close(grouped_outer(y, x.detach(), offsets), sums)


def test_torch_finds_the_operations_well_made() -> None:
    x, weight = torch.randn(7, 5, requires_grad=True), torch.randn(3, 4, 5, requires_grad=True)
    ends = torch.tensor([2, 2, 7], dtype=torch.int32)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(grouped_mm, (x, weight, ends), test_utils=tests)
    y = torch.randn(7, 4)
    torch.library.opcheck(grouped_outer, (y, x.detach(), ends), test_utils=tests[::2])


# -- configuration ---------------------------------------------------------------------------------


def test_a_token_meets_a_part_of_the_parameters() -> None:
    own = ExpertsConfig(expert=SMALL, num_experts=8, top_k=2, shared=SHARED).build(D)
    assert own.idle_parameters() == 6 * 3 * D * FF


def test_layers_have_what_was_said() -> None:
    config = ExpertsConfig(first_dense=2, every=3, dense=GELUConfig())
    kinds = [config.at(index).kind for index in range(9)]
    assert kinds == ["gelu", "gelu", "experts"] + 2 * ["gelu", "gelu", "experts"]
    assert {ExpertsConfig().at(index).kind for index in range(4)} == {"experts"}
    assert SMALL.at(3) is SMALL


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_experts": 0}, "num_experts is 0; it must be above 0"),
        ({"top_k": 9}, "top_k is 9, but there are only 8 experts"),
        ({"top_k": 0}, "top_k is 0; it must be above 0"),
        ({"num_groups": 3}, "num_groups is 3: 8 experts do not make so many equal groups"),
        ({"num_groups": 8}, "num_groups is 8: 8 experts do not make so many equal groups"),
        ({"top_groups": 2}, "top_groups is 2, of 1 groups of 8 experts"),
        ({"num_groups": 4, "top_k": 3}, "top_groups is 1, of 4 groups of 2 experts"),
        ({"every": 0}, "every is 0; it must be above 0"),
        ({"first_dense": -1}, "first_dense is -1; it must be 0 or more"),
        ({"balance_loss": -0.1}, "balance_loss is -0.1; it must be 0 or more"),
        ({"z_loss": math.nan}, "z_loss is nan; it must be 0 or more"),
        ({"balance_rate": 0.0}, "balance_rate is 0.0; it must be above 0"),
        ({"capacity": -1.0}, "capacity is -1.0; it must be above 0"),
        ({"shared_gate": True}, "shared_gate scales a shared expert"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpertsConfig(**settings)


def test_no_tokens_are_no_trouble() -> None:
    own = ExpertsConfig(expert=SMALL).build(D).eval()
    assert own(torch.zeros(2, 0, D)).shape == (2, 0, D)
