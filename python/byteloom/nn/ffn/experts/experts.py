"""Experts: their configuration, and the module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.nn.checks import require_positive, require_positive_if_given
from byteloom.nn.ffn.dense import DenseConfig
from byteloom.nn.ffn.experts.bank import Bank
from byteloom.nn.ffn.experts.plan import Plan, collect, make_plan, spread
from byteloom.nn.ffn.experts.router import Gate, Router, Routing, balance_loss, router_z_loss
from byteloom.nn.ffn.swiglu import SwiGLUConfig
from byteloom.nn.linear import Linear
from byteloom.nn.recompute import is_second_time


@dataclass(frozen=True)
class ExpertsConfig:
    """A few of many feed-forward networks for each token (Shazeer et al. 2017, arXiv:1701.06538).

    The defaults are Mixtral's (arXiv:2401.04088). Many narrow experts and a shared one make
    DeepSeekMoE (arXiv:2401.06066).
    """

    kind: Literal["experts"] = "experts"
    """Selects this member."""
    expert: DenseConfig = field(default_factory=SwiGLUConfig)
    """What each expert is."""
    num_experts: int = 8
    """How many there are."""
    top_k: int = 2
    """How many of them a token goes to."""
    gate: Gate = "softmax"
    """Scores: "softmax" of all experts, "softmax_top_k" of the chosen ones, or "sigmoid"."""
    num_groups: int = 1
    """Equal groups that the experts are in, on a machine each, say."""
    top_groups: int = 1
    """In how many of these groups a token's experts are, as in DeepSeek-V3 (arXiv:2412.19437)."""
    normalise: bool = True
    """Whether the weights of a token's experts are made to add up to 1."""
    scale: float = 1.0
    """What these weights are then multiplied by, as in DeepSeek-V3."""
    balance_loss: float = 0.01
    """Weight of the loss that is least where all experts have as much to do (arXiv:2101.03961)."""
    z_loss: float = 0.0
    """Weight of the router's log(Z)^2, which keeps its logits small; 1e-3 in arXiv:2202.08906."""
    balance_rate: float | None = None
    """What a step adds to the bias of experts with too few tokens, and takes from others
    (arXiv:2408.15664, which has 1e-3, and no loss); none: there is no bias."""
    capacity: float | None = None
    """Tokens that an expert takes in training, as a multiple of what it would have if all had as
    many; those beyond are dropped. None: all are taken, as they are where nothing is learned."""
    shared: DenseConfig | None = None
    """A feed-forward network that all tokens go through beside their experts; none: no such one."""
    shared_gate: bool = False
    """Whether a token scales what the shared one adds, by a sigmoid, as in Qwen 2's."""
    dense: DenseConfig = field(default_factory=SwiGLUConfig)
    """What the layers without experts have."""
    first_dense: int = 0
    """So many layers at the beginning have no experts, as in DeepSeek's."""
    every: int = 1
    """Of the others, layers whose number is no multiple of this have none, as in Qwen 3's."""

    def __post_init__(self) -> None:
        for key in ("num_experts", "top_k", "num_groups", "top_groups", "scale", "every"):
            require_positive(key, getattr(self, key))
        require_positive_if_given(balance_rate=self.balance_rate, capacity=self.capacity)
        for key in ("balance_loss", "z_loss", "first_dense"):
            if not getattr(self, key) >= 0:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be 0 or more")
        if self.top_k > self.num_experts:
            raise ValueError(
                f"top_k is {self.top_k}, but there are only {self.num_experts} experts"
            )
        in_group, rest = divmod(self.num_experts, self.num_groups)
        if rest or (self.num_groups > 1 and in_group < 2):
            raise ValueError(
                f"num_groups is {self.num_groups}: {self.num_experts} experts do not make so many "
                "equal groups of two or more"
            )
        if self.top_groups > self.num_groups or self.top_k > self.top_groups * in_group:
            raise ValueError(
                f"top_groups is {self.top_groups}, of {self.num_groups} groups of {in_group} "
                f"experts: there must be so many groups, and {self.top_k} experts in them"
            )
        if self.shared_gate and self.shared is None:
            raise ValueError("shared_gate scales a shared expert: choose one with shared.kind")
        self._require_effect()

    def _require_effect(self) -> None:
        """Refuses what would be said for nothing beside other keys."""
        if self.gate == "softmax_top_k" and not self.normalise:
            raise ValueError(
                "normalise is false, but the gate softmax_top_k makes weights that add up to 1: "
                "leave it out, or choose the gate softmax"
            )
        if self.balance_rate is not None and self.top_k == self.num_experts:
            raise ValueError(
                f"balance_rate is {self.balance_rate}, but top_k {self.top_k} takes all experts: "
                "a bias would change no choice"
            )
        if self.dense != SwiGLUConfig() and not self.first_dense and self.every == 1:
            raise ValueError(
                "dense is what layers without experts have, but all have some: give first_dense or "
                "every, or leave it out"
            )

    def at(self, index: int) -> ExpertsConfig | DenseConfig:
        """What the layer has, the first of which is 0; all would have it, if that were said."""
        if index < self.first_dense or (index + 1) % self.every:
            return self.dense
        return replace(self, first_dense=0, every=1, dense=SwiGLUConfig())

    def build(self, d_model: int) -> Experts:
        """Makes the module."""
        return Experts(d_model, self)


class Experts(nn.Module):
    """The sum of a token's experts, weighted by the router; and of the shared one, if there is one.

    The work follows the tokens: pairs of token and expert are sorted by expert, and each expert
    sees its own. With a capacity there are as many places for each, in one product of matrices.

    Args:
        d_model: size of the last dimension, in and out.
        config: all else.

    Example:
        >>> experts = ExpertsConfig(num_experts=4, top_k=1).build(8)
        >>> experts(torch.randn(2, 3, 8)).shape
        torch.Size([2, 3, 8])
        >>> experts.end_step()["expert_tokens"].sum()
        tensor(6)
    """

    load: Tensor
    missed: Tensor

    def __init__(self, d_model: int, config: ExpertsConfig) -> None:
        super().__init__()
        self.config = config
        self.router = Router(
            d_model,
            config.num_experts,
            config.top_k,
            config.gate,
            config.normalise,
            config.scale,
            balanced=config.balance_rate is not None,
            num_groups=config.num_groups,
            top_groups=config.top_groups,
        )
        self.experts = Bank(config.num_experts, d_model, config.expert)
        self.shared = None if config.shared is None else config.shared.build(d_model)
        self.shared_gate = Linear(d_model, 1) if config.shared_gate else None
        # Since the last step: pairs of each expert, and how many of all were dropped.
        counts = torch.zeros(config.num_experts, dtype=torch.long)
        self.register_buffer("load", counts, persistent=False)
        self.register_buffer("missed", torch.zeros((), dtype=torch.long), persistent=False)
        self._penalty: Tensor | None = None

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Each token on its own, unless there is a capacity."""
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.router(tokens)
        capacity = self.config.capacity if self.training else None
        plan = make_plan(routing.experts, self.config.num_experts, capacity)
        y = self._routed(tokens, routing, plan)
        self._note(routing, plan)
        if self.shared is not None:
            more = self.shared(tokens)
            y = y + (
                more if self.shared_gate is None else self.shared_gate(tokens).sigmoid() * more
            )
        return y.reshape(x.shape)

    def penalty(self) -> Tensor | float:
        """What the last forward pass in training adds to the loss."""
        return 0.0 if self._penalty is None else self._penalty

    @torch.no_grad()
    def end_step(self, updated: bool | Tensor = True) -> dict[str, Tensor]:
        """Moves the balance bias, and begins to count anew; nobody waits for a device.

        Args:
            updated: whether the step changed the weights; if not, the bias stays, too.

        Returns:
            ``expert_tokens``: of each expert since the last time, those that are dropped included.
            ``expert_overload``: what the busiest had more than the mean, as a part of that.
            ``expert_dropped``: the part of all that was dropped.
        """
        load, missed = self.load.clone(), self.missed.clone()
        self.load.zero_()
        self.missed.zero_()
        self._penalty = None
        mean = load.float().mean()
        bias, rate = self.router.balance_bias, self.config.balance_rate
        if bias is not None and rate is not None:
            bias += rate * updated * (mean - load).sign()
        return {
            "expert_tokens": load,
            "expert_overload": load.max() / mean - 1,
            "expert_dropped": missed / load.sum(),
        }

    def idle_parameters(self) -> int:
        """How many of the parameters have no part in what becomes of a token."""
        all_of = sum(p.numel() for p in self.experts.parameters())
        return all_of - all_of * self.config.top_k // self.config.num_experts

    def _routed(self, tokens: Tensor, routing: Routing, plan: Plan) -> Tensor:
        device = tokens.device.type
        if torch.is_autocast_enabled(device):  # it does not know of products by groups
            tokens = tokens.to(torch.get_autocast_dtype(device))
        rows = spread(tokens, plan)
        if plan.ends is None:
            rows = rows.view(self.config.num_experts, -1, rows.shape[-1])
        y = self.experts(rows, plan.ends)
        pairs = collect(y.flatten(0, -2), plan)
        weights = routing.weights
        if plan.kept is not None:
            weights = weights * plan.kept.view_as(weights)
        weighted = pairs * weights.to(pairs.dtype).view(-1, 1)
        return weighted.view(*weights.shape, y.shape[-1]).sum(1)

    def _note(self, routing: Routing, plan: Plan) -> None:
        """Keeps what this pass adds to the loss and to the counts."""
        if not self.training:
            self._penalty = None
            return
        config = self.config
        penalty = routing.logits.new_zeros(())
        if config.balance_loss:
            penalty = penalty + config.balance_loss * balance_loss(routing.shares, plan.load)
        if config.z_loss:
            penalty = penalty + config.z_loss * router_z_loss(routing.logits)
        if is_second_time():
            return
        self._penalty = penalty
        self.load += plan.load
        if plan.kept is not None:
            self.missed += (~plan.kept).sum()

    def __getstate__(self) -> Mapping[str, Any]:
        # A copy of the module has nothing to do with a loss that is under way.
        return self.__dict__ | {"_penalty": None}
