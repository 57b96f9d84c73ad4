"""What decides which experts a token goes to, and keeps them busy alike."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Gate: TypeAlias = Literal["softmax", "softmax_top_k", "sigmoid"]


class Routing(NamedTuple):
    """Where tokens go."""

    experts: Int[Tensor, "tokens top_k"]
    """Of each token."""
    weights: Float[Tensor, "tokens top_k"]
    """What their results are multiplied by, float32."""
    logits: Float[Tensor, "tokens experts"]
    """Of all experts, float32."""
    shares: Float[Tensor, "tokens experts"]
    """The scores of all experts, so that they add up to 1."""


class Router(nn.Module):
    """Scores of all experts by a linear map of the token, of which the highest count.

    It computes in float32, whatever the rest does: near ties, a small error is another expert
    (arXiv:2101.03961). With ``balanced``, a bias is added to the scores where experts are chosen,
    and only there (arXiv:2408.15664).

    Args:
        d_model: size of a token's vector.
        num_experts: how many there are.
        top_k: how many a token goes to.
        gate: "softmax" of all logits; "softmax_top_k", of the chosen ones only; or "sigmoid".
        normalise: whether the weights of a token's experts are made to add up to 1.
        scale: what they are then multiplied by.
        balanced: whether there is the bias; it begins as zeros.
        num_groups: equal groups that the experts are in, on a machine each, say.
        top_groups: a token's experts are in so many of them, those whose two highest scores are
            highest (DeepSeek-V3, arXiv:2412.19437).

    Example:
        >>> routing = Router(8, num_experts=4, top_k=2)(torch.randn(5, 8))
        >>> routing.experts.shape, routing.weights.sum(-1).allclose(torch.ones(5))
        (torch.Size([5, 2]), True)
    """

    is_map = True
    balance_bias: Tensor | None

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        top_k: int,
        gate: Gate = "softmax",
        normalise: bool = True,
        scale: float = 1.0,
        balanced: bool = False,
        num_groups: int = 1,
        top_groups: int = 1,
    ) -> None:
        super().__init__()
        self.num_groups, self.top_groups = num_groups, top_groups
        self.top_k, self.gate, self.normalise, self.scale = top_k, gate, normalise, scale
        self.weight = nn.Parameter(torch.empty(num_experts, d_model))
        std = math.sqrt(2 / (d_model + num_experts))
        nn.init.trunc_normal_(self.weight, std=std, a=-3 * std, b=3 * std)
        self.register_buffer("balance_bias", torch.zeros(num_experts) if balanced else None)

    def forward(self, x: Float[Tensor, "tokens d_model"]) -> Routing:
        """Chooses each token's experts."""
        with torch.autocast(x.device.type, enabled=False):
            logits = F.linear(x.float(), self.weight.float())
        if self.gate == "sigmoid":
            scores = logits.sigmoid()
            shares = scores / (scores.sum(-1, keepdim=True) + 1e-20)
        else:
            shares = logits.softmax(-1)
            scores = shares if self.gate == "softmax" else logits
        wanted = scores if self.balance_bias is None else scores + self.balance_bias
        if self.top_groups < self.num_groups:
            wanted = self._in_best_groups(wanted)
        experts = wanted.topk(self.top_k, dim=-1).indices
        weights = scores.gather(-1, experts)
        if self.gate == "softmax_top_k":
            weights = weights.softmax(-1)
        elif self.normalise:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return Routing(experts, weights * self.scale, logits, shares)

    def _in_best_groups(
        self, scores: Float[Tensor, "tokens experts"]
    ) -> Float[Tensor, "tokens experts"]:
        """The scores, with all that are in other groups out of the question."""
        # Not len(scores): exported, that would be one number for all texts.
        by_group = scores.view(-1, self.num_groups, scores.shape[-1] // self.num_groups)
        best = by_group.topk(2, dim=-1).values.sum(-1).topk(self.top_groups, dim=-1).indices
        is_best = torch.zeros_like(by_group[..., 0], dtype=torch.bool).scatter(1, best, True)
        return by_group.masked_fill(~is_best[..., None], -torch.inf).flatten(1)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"{self.weight.shape[1]} -> {self.top_k} of {self.weight.shape[0]}, {self.gate}"


def balance_loss(
    shares: Float[Tensor, "tokens experts"], load: Int[Tensor, " experts"]
) -> Float[Tensor, ""]:
    """The sum over experts of E times tokens' part that goes there times their mean share.

    It is smallest where all experts have as much, and is then ``top_k`` (Fedus et al. 2021,
    arXiv:2101.03961, equation 4; with several experts a token, as transformers has it).

    Args:
        shares: what each token would give to each expert.
        load: tokens of each expert; no gradients go through it.

    Example:
        >>> balance_loss(torch.full((6, 3), 1 / 3), torch.tensor([2, 2, 2])).item()
        1.0
    """
    tokens, experts = shares.shape
    return experts * (shares.mean(0) * load).sum() / max(tokens, 1)


def router_z_loss(logits: Float[Tensor, "tokens experts"]) -> Float[Tensor, ""]:
    """The mean of log(sum exp logits)^2: keeps them small (Zoph et al. 2022, arXiv:2202.08906)."""
    return logits.logsumexp(-1).square().mean()
