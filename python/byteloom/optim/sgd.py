"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from byteloom.optim.checks import require_momentum, require_not_negative, require_something_decays
from byteloom.optim.foreach import alike, call, gradients
from byteloom.optim.groups import Decayed, LearningRateScale, parameter_groups


@dataclass(frozen=True)
class SGDConfig:
    """Gradient descent with momentum (Sutskever et al. 2013); wants rates far above AdamW's."""

    kind: Literal["sgd"] = "sgd"
    """Selects this member."""
    momentum: float = 0.9
    """What is left of the velocity after a step; 0: none is kept."""
    nesterov: bool = False
    """Whether a step looks ahead by the new velocity."""
    dampening: float = 0.0
    """What is left out of the gradient that goes into the velocity."""
    weight_decay: float = 0.0
    """Times the weight is added to the gradient: no decoupled decay, as AdamW's is."""
    decayed: Decayed = "matrices"
    """What decays: "matrices" of linear maps only, "all" parameters, or groups by their names."""
    lr_scale: LearningRateScale = field(default_factory=LearningRateScale)
    """What the learning rate is multiplied by, group by group."""

    def __post_init__(self) -> None:
        _check(0.0, self.momentum, self.dampening, self.weight_decay, self.nesterov)
        require_something_decays(self.weight_decay, self.decayed)
        if self.dampening and not self.momentum:
            raise ValueError(
                f"dampening is {self.dampening}, but momentum is 0: there is no velocity that "
                "gradients go into"
            )

    def build(self, model: nn.Module) -> SGD:
        """Makes the optimizer of a model."""
        groups = parameter_groups(model, self.weight_decay, self.decayed, self.lr_scale)
        return SGD(groups, momentum=self.momentum, dampening=self.dampening, nesterov=self.nesterov)


class SGD(torch.optim.Optimizer):
    """The velocity b becomes momentum * b + (1 - dampening) * g; p loses lr * b.

    The first velocity is the first gradient. With ``nesterov``, p loses lr * (g + momentum * b).
    Weight decay is part of g. Without momentum there is no state.

    Args:
        params: parameters, or groups of them with their own settings.
        lr: learning rate.
        momentum: in [0, 1).
        dampening: in [0, 1].
        weight_decay: times p is added to g.
        nesterov: needs momentum, and no dampening.

    Raises:
        ValueError: a setting outside its range.

    Example:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> optimizer = SGD([weight], lr=0.1)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([0.9000, 0.9000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        _check(lr, momentum, dampening, weight_decay, nesterov)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns what ``closure`` does, if given."""
        loss = call(closure)
        for group in self.param_groups:
            for params in alike(group["params"], lambda p: "momentum_buffer" in self.state[p]):
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        direction = gradients(params)
        if group["weight_decay"]:
            direction = list(torch._foreach_add(direction, params, alpha=group["weight_decay"]))
        if momentum := group["momentum"]:
            velocity = self._new_velocity(params, direction, momentum, 1 - group["dampening"])
            if group["nesterov"]:
                direction = list(torch._foreach_add(direction, velocity, alpha=momentum))
            else:
                direction = velocity
        torch._foreach_add_(params, direction, alpha=-group["lr"])

    def _new_velocity(
        self, params: list[Tensor], direction: list[Tensor], momentum: float, part: float
    ) -> list[Tensor]:
        if "momentum_buffer" not in self.state[params[0]]:
            for p, first in zip(params, direction, strict=True):
                self.state[p]["momentum_buffer"] = first.clone()
            return [self.state[p]["momentum_buffer"] for p in params]
        velocity = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_mul_(velocity, momentum)
        torch._foreach_add_(velocity, direction, alpha=part)
        return velocity


def _check(
    lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool
) -> None:
    require_not_negative(lr=lr, weight_decay=weight_decay)
    require_momentum(momentum)
    if not 0 <= dampening <= 1:
        raise ValueError(f"dampening is {dampening}; it must be in [0, 1]")
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError(
            f"nesterov needs a momentum above 0 and no dampening, not {momentum} and {dampening}"
        )
