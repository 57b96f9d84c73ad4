"""The sign of a momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from byteloom.optim.checks import require_decays, require_not_negative, require_something_decays
from byteloom.optim.foreach import alike, call, gradients
from byteloom.optim.groups import Decayed, LearningRateScale, parameter_groups


@dataclass(frozen=True)
class LionConfig:
    """Lion (Chen et al. 2023, arXiv:2302.06675); wants rates 3 to 10 times below AdamW's."""

    kind: Literal["lion"] = "lion"
    """Selects this member."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Weight of the momentum against the gradient in a step, and its decay."""
    weight_decay: float = 0.5
    """What a weight loses a step, as a part of itself, times the (small) learning rate."""
    decayed: Decayed = "matrices"
    """What decays: "matrices" of linear maps only, "all" parameters, or groups by their names."""
    lr_scale: LearningRateScale = field(default_factory=LearningRateScale)
    """What the learning rate is multiplied by, group by group."""

    def __post_init__(self) -> None:
        _check(0.0, self.betas, self.weight_decay)
        require_something_decays(self.weight_decay, self.decayed)

    def build(self, model: nn.Module) -> Lion:
        """Makes the optimizer of a model."""
        groups = parameter_groups(model, self.weight_decay, self.decayed, self.lr_scale)
        return Lion(groups, betas=self.betas)


class Lion(torch.optim.Optimizer):
    """p loses lr * sign(beta1 m + (1 - beta1) g) and lr * decay * p; m is a running mean of g.

    Every number moves by lr or not at all. m decays by beta2, after the step, and is all the state
    there is: half of AdamW's.

    Args:
        params: parameters, or groups of them with their own settings.
        lr: learning rate.
        betas: weight of m in the step, and decay of m.
        weight_decay: decoupled from the gradient.

    Raises:
        ValueError: a negative setting, or a decay outside [0, 1).

    Example:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> optimizer = Lion([weight], lr=0.1)
        >>> (1e-9 * weight[0]).backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9000, 1.0000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        _check(lr, betas, weight_decay)
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns what ``closure`` does, if given."""
        loss = call(closure)
        for group in self.param_groups:
            for params in alike(group["params"]):
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        for p in params:
            if not self.state[p]:
                self.state[p]["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        m, grads = [self.state[p]["exp_avg"] for p in params], gradients(params)
        step = torch._foreach_lerp(m, grads, 1 - beta1)
        torch._foreach_sign_(step)
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_add_(params, step, alpha=-lr)
        torch._foreach_lerp_(m, grads, 1 - beta2)


def _check(lr: float, betas: tuple[float, float], weight_decay: float) -> None:
    require_not_negative(lr=lr, weight_decay=weight_decay)
    require_decays(betas)
