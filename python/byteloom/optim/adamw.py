"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from byteloom.optim.groups import Decayed, parameter_groups


@dataclass(frozen=True)
class AdamWConfig:
    """AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101). The schedule gives the learning rate."""

    kind: Literal["adamw"] = "adamw"
    """Selects this member."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the mean of gradients, and of the mean of their squares."""
    eps: float = 1e-8
    """Added to the root of the mean square."""
    weight_decay: float = 0.1
    """What a weight loses a step, as a part of itself, times the learning rate."""
    decayed: Decayed = "matrices"
    """What decays: "matrices" of linear maps only, or "all" parameters."""

    def __post_init__(self) -> None:
        check_hyperparameters(0.0, self.betas, self.eps, self.weight_decay)

    def build(self, model: nn.Module) -> AdamW:
        """Makes the optimizer of a model."""
        groups = parameter_groups(model, self.weight_decay, self.decayed)
        return AdamW(groups, betas=self.betas, eps=self.eps)


class AdamW(torch.optim.Optimizer):
    """m and v are running means of g and g^2; p loses lr * m / (sqrt(v) + eps) and lr * decay * p.

    m and v start at zero, and are divided by what is missing for that. Each line works on all
    parameters of a group at once, which saves thousands of small kernels.

    Args:
        params: parameters, or groups of them with their own settings.
        lr: learning rate.
        betas: decays of m and v.
        eps: keeps the quotient finite.
        weight_decay: decoupled from the gradient.

    Raises:
        ValueError: a negative setting, or a decay outside [0, 1).

    Example:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.detach()  # the first step is as long as the learning rate
        tensor([0.9000, 0.9000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        check_hyperparameters(lr, betas, eps, weight_decay)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns what ``closure`` does, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            # Parameters that joined later have taken fewer steps: each number of steps on its own.
            by_steps: dict[int, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_steps.setdefault(self._advance(p), []).append(p)
            for steps, params in by_steps.items():
                self._update(params, steps, group)
        return loss

    def _advance(self, p: Tensor) -> int:
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        state["step"] = int(state["step"]) + 1
        steps: int = state["step"]
        return steps

    def _update(self, params: list[Tensor], steps: int, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        gradients = [p.grad for p in params if p.grad is not None]
        m = [self.state[p]["exp_avg"] for p in params]
        v = [self.state[p]["exp_avg_sq"] for p in params]

        torch._foreach_lerp_(m, gradients, 1 - beta1)  # m = beta1 m + (1 - beta1) g
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, gradients, gradients, 1 - beta2)

        denominator = torch._foreach_sqrt(v)
        torch._foreach_div_(denominator, (1 - beta2**steps) ** 0.5)
        torch._foreach_add_(denominator, group["eps"])
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_addcdiv_(params, m, denominator, -lr / (1 - beta1**steps))


def check_hyperparameters(
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> None:
    """Refuses settings with which nothing is learned.

    Raises:
        ValueError: naming the setting and its value.
    """
    for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
        if not value >= 0:
            raise ValueError(f"{name} is {value}; it must not be negative")
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas are {betas[0]} and {betas[1]}; both must be in [0, 1)")
