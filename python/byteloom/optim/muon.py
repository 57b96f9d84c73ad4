"""Momentum made orthogonal, for matrices; AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from byteloom.optim.adamw import check_hyperparameters, update_group
from byteloom.optim.checks import require_eps, require_momentum, require_something_decays
from byteloom.optim.foreach import alike, call, gradients
from byteloom.optim.groups import Decayed, LearningRateScale, parameter_groups

AdjustLr: TypeAlias = Literal["original", "match_rms_adamw"]


@dataclass(frozen=True)
class MuonConfig:
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for hidden matrices.

    Embeddings, the head, norms and biases have AdamW.
    """

    kind: Literal["muon"] = "muon"
    """Selects this member."""
    momentum: float = 0.95
    """Decay of the mean of gradients that is made orthogonal."""
    nesterov: bool = True
    """Whether the newest gradient counts more than in the mean."""
    ns_steps: int = 5
    """Newton-Schulz iterations that make it orthogonal."""
    adjust_lr: AdjustLr = "match_rms_adamw"
    """How a matrix's rate follows from its shape: as long a step as AdamW's would be
    (arXiv:2502.16982), so that one schedule suits both; or the original, for rates about 0.02."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay of the mean of gradients, and of the mean of their squares."""
    eps: float = 1e-8
    """AdamW's, added to the root of the mean square."""
    weight_decay: float = 0.1
    """What a weight loses a step, as a part of itself, times the learning rate."""
    decayed: Decayed = "matrices"
    """What decays: "matrices" of linear maps only, "all" parameters, or groups by their names."""
    lr_scale: LearningRateScale = field(default_factory=LearningRateScale)
    """What the learning rate is multiplied by, group by group."""

    def __post_init__(self) -> None:
        check_hyperparameters(0.0, self.betas, self.eps, self.weight_decay)
        require_eps(self.eps)
        _check(self.momentum, self.ns_steps)
        require_something_decays(self.weight_decay, self.decayed)

    def build(self, model: nn.Module) -> Muon:
        """Makes the optimizer of a model."""
        groups = parameter_groups(model, self.weight_decay, self.decayed, self.lr_scale)
        return Muon(
            [{**group, "use_muon": group["name"] == "hidden"} for group in groups],
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.ns_steps,
            adjust_lr=self.adjust_lr,
            betas=self.betas,
            eps=self.eps,
        )


class Muon(torch.optim.Optimizer):
    """m is a running mean of g; p loses lr * ratio * (m made orthogonal) and lr * decay * p.

    A step thus changes a matrix as much in every direction, also in those in which gradients are
    small. Groups with ``use_muon`` false have AdamW instead. Of a tensor with more than two
    dimensions (stacked experts) each matrix is one of its own.

    Args:
        params: matrices, or groups of parameters with their own settings.
        lr: learning rate.
        momentum: decay of m.
        nesterov: whether (1 - momentum) g + momentum m takes the place of m.
        ns_steps: see :func:`newton_schulz`.
        adjust_lr: the ratio. "original": sqrt(max(1, rows / columns)); "match_rms_adamw":
            0.2 sqrt(max(rows, columns)), with which a step is about as long as AdamW's.
        weight_decay: decoupled from the gradient.
        betas: AdamW's.
        eps: AdamW's.

    Raises:
        ValueError: a negative setting, a decay outside [0, 1), a vector in a group of matrices.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2, 2))
        >>> optimizer = Muon([weight], lr=0.1)
        >>> (weight * torch.tensor([[5.0, 0.0], [0.0, 0.1]])).sum().backward()
        >>> optimizer.step()  # the large gradient and the small one are worth the same
        >>> bool((weight.diag() < -0.05).all() and (weight.diag() > -0.15).all())
        True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr: AdjustLr = "original",
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        check_hyperparameters(lr, betas, eps, weight_decay)
        _check(momentum, ns_steps)
        defaults = {
            "use_muon": True,
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr": adjust_lr,
            "weight_decay": weight_decay,
            "betas": betas,
            "eps": eps,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if group["use_muon"] and p.ndim < 2:
                    raise ValueError(
                        f"Muon is for matrices, not for a parameter of shape {tuple(p.shape)}: "
                        "put it into a group with use_muon = False"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns what ``closure`` does, if given."""
        loss = call(closure)
        for group in self.param_groups:
            if not group["use_muon"]:
                update_group(group, self.state)
                continue
            # Matrices of one shape go through the iteration together.
            for params in alike(group["params"], lambda p: p.shape):
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        lr, momentum, grads = group["lr"], group["momentum"], gradients(params)
        for p in params:
            if not self.state[p]:
                zeros = torch.zeros_like(p, memory_format=torch.preserve_format)
                self.state[p]["momentum_buffer"] = zeros
        m = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(m, grads, 1 - momentum)
        mixed = torch._foreach_lerp(grads, m, momentum) if group["nesterov"] else m
        updates = newton_schulz(torch.stack([x.bfloat16() for x in mixed]), group["ns_steps"])
        ratio = lr_ratio(group["adjust_lr"], *params[0].shape[-2:])
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_add_(params, list(updates.to(params[0].dtype)), alpha=-lr * ratio)


def newton_schulz(
    matrices: Float[Tensor, "*batch rows columns"], steps: int = 5
) -> Float[Tensor, "*batch rows columns"]:
    """Each matrix U S V^T as nearly U V^T: its singular values come to lie around 1.

    The iteration applies the same odd polynomial of degree 5 to all singular values, again and
    again. Its coefficients are Jordan's: they lift small values fast and let all end between
    about 0.7 and 1.2, which training does not mind.

    Args:
        matrices: one or more; the result has their type.
        steps: iterations.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    rows, columns = matrices.shape[-2:]
    x = matrices.reshape(-1, rows, columns)
    if rows > columns:  # the products below are of the smaller size
        x = x.mT
    # The largest singular value is at most the Frobenius norm; from 1 down, the iteration is safe.
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return (x.mT if rows > columns else x).reshape(matrices.shape)


def lr_ratio(adjust_lr: AdjustLr, rows: int, columns: int) -> float:
    """What a matrix's learning rate is multiplied by."""
    if adjust_lr == "original":
        return math.sqrt(max(1.0, rows / columns))
    return 0.2 * math.sqrt(max(rows, columns))


def _check(momentum: float, ns_steps: int) -> None:
    require_momentum(momentum)
    if ns_steps < 1:
        raise ValueError(f"ns_steps is {ns_steps}; it must be 1 or more")
