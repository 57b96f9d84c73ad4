"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.optim.checks import (
    require_decays,
    require_eps,
    require_not_negative,
    require_something_decays,
)
from byteloom.optim.foreach import alike, call, gradients
from byteloom.optim.groups import Decayed, LearningRateScale, parameter_groups

Form: TypeAlias = Literal["auto", "foreach", "fused"]


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
    """What decays: "matrices" of linear maps only, "all" parameters, or groups by their names."""
    lr_scale: LearningRateScale = field(default_factory=LearningRateScale)
    """What the learning rate is multiplied by, group by group."""
    fused: Form = "auto"
    """Whether one kernel of torch's does it all; auto: on CUDA and CPUs. Equal but for rounding."""

    def __post_init__(self) -> None:
        check_hyperparameters(0.0, self.betas, self.eps, self.weight_decay)
        require_eps(self.eps)
        require_something_decays(self.weight_decay, self.decayed)

    def build(self, model: nn.Module) -> AdamW:
        """Makes the optimizer of a model."""
        groups = parameter_groups(model, self.weight_decay, self.decayed, self.lr_scale)
        return AdamW(groups, betas=self.betas, eps=self.eps, fused=self.fused)


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
        fused: "foreach": as written out here; "fused": in torch's one kernel, which reads and
            writes everything once; "auto": fused on CUDA and CPUs. No part of the state: what one
            form began, another continues.

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
        fused: Form = "auto",
    ) -> None:
        check_hyperparameters(lr, betas, eps, weight_decay)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        self.fused = fused

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "fused": self.fused}

    @torch.no_grad()
    def step(
        self, closure: Callable[[], Any] | None = None, skip: Float[Tensor, ""] | None = None
    ) -> Any:
        """Updates every parameter that has a gradient; returns what ``closure`` does, if given.

        Args:
            closure: what is called first.
            skip: where it is 1, nothing is changed; it is on the device of the parameters, so that
                nobody has to wait for it in the fused form.
        """
        loss = call(closure)
        for group in self.param_groups:
            update_group(group, self.state, self.fused, skip)
        return loss

    def waits_for_skip(self) -> bool:
        """Whether :meth:`step` has to look at ``skip`` before it can go on."""
        params = (p for group in self.param_groups for p in group["params"])
        return not all(_is_fused(p, self.fused) for p in params)


def update_group(
    group: dict[str, Any],
    states: MutableMapping[Tensor, Any],
    fused: Form = "auto",
    skip: Tensor | None = None,
) -> None:
    """One step of AdamW with a group's parameters that have a gradient.

    Args:
        group: with lr, betas, eps and weight_decay.
        states: by parameter; new ones begin here.
        fused: see :class:`AdamW`.
        skip: see :meth:`AdamW.step`.
    """
    for params in alike(group["params"], lambda p: _is_fused(p, fused)):
        for p in params:
            if not states[p]:
                states[p]["step"] = 0
                states[p]["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                states[p]["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        if _is_fused(params[0], fused):
            _update_fused(params, states, group, skip)
        elif skip is None or not skip:
            for p in params:
                states[p]["step"] = int(states[p]["step"]) + 1
            # Parameters that joined later have taken fewer steps: each number on its own.
            for same in alike(params, lambda p: states[p]["step"]):
                _update_foreach(same, states, group)


def form_on(device: str) -> Form:
    """What "auto" is on a type of device."""
    return "fused" if device in ("cuda", "cpu") else "foreach"


def _is_fused(p: Tensor, fused: Form) -> bool:
    return (form_on(p.device.type) if fused == "auto" else fused) == "fused"


def _update_foreach(
    params: list[Tensor], states: MutableMapping[Tensor, Any], group: dict[str, Any]
) -> None:
    grads, lr, (beta1, beta2) = gradients(params), group["lr"], group["betas"]
    m, v = ([states[p][key] for p in params] for key in ("exp_avg", "exp_avg_sq"))
    steps: int = states[params[0]]["step"]
    torch._foreach_lerp_(m, grads, 1 - beta1)  # m = beta1 m + (1 - beta1) g
    torch._foreach_mul_(v, beta2)
    torch._foreach_addcmul_(v, grads, grads, 1 - beta2)

    denominator = torch._foreach_sqrt(v)
    torch._foreach_div_(denominator, (1 - beta2**steps) ** 0.5)
    torch._foreach_add_(denominator, group["eps"])
    torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
    torch._foreach_addcdiv_(params, m, denominator, -lr / (1 - beta1**steps))


def _update_fused(
    params: list[Tensor],
    states: MutableMapping[Tensor, Any],
    group: dict[str, Any],
    skip: Tensor | None,
) -> None:
    # The kernel wants a count for each parameter, on the device, where alone a skip is known.
    for p in params:
        steps = states[p]["step"]
        if not isinstance(steps, Tensor) or steps.device != p.device:
            states[p]["step"] = torch.tensor(float(steps), device=p.device)
    counts = [states[p]["step"] for p in params]
    torch._foreach_add_(counts, 1)
    torch._fused_adamw_(
        params,
        gradients(params),
        [states[p]["exp_avg"] for p in params],
        [states[p]["exp_avg_sq"] for p in params],
        [],
        counts,
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
        found_inf=skip,
    )
    if skip is not None:
        torch._foreach_sub_(counts, [skip] * len(counts))


def check_hyperparameters(
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> None:
    """Refuses settings with which nothing is learned.

    Raises:
        ValueError: naming the setting and its value.
    """
    require_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
    require_decays(betas)
