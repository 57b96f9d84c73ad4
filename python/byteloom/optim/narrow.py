"""Weights in bf16 that learn all the same: updates too small for their type are not lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Rounding: TypeAlias = Literal["stochastic", "compensated"]


class NarrowWeights:
    """Turns a model's weights into bf16, and its optimizer's steps into steps of those.

    bf16 has eight binary digits: what is added to 1.0 and is less than 1/256 of it is rounded away,
    and most updates are. So a step is computed in float32, on copies that live only meanwhile, and
    then either rounded up or down by chance, so that it is right on average (Zamirai et al. 2020,
    arXiv:2010.06192), or what rounding lost is kept, in bf16 too, and added the next time
    (Kahan's summation).

    Args:
        model: with weights in float32, over which the optimizer was built; they are replaced.
        rounding: "stochastic" or "compensated".

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        >>> _ = nn.init.ones_(model.weight)
        >>> narrow = NarrowWeights(model, "compensated")
        >>> for _ in range(100):
        ...     (0.001 * model(torch.ones(1, 1, dtype=torch.bfloat16))).sum().backward()
        ...     narrow.step(optimizer)
        ...     model.zero_grad()
        >>> model.weight.item()  # 1.0 would not have moved
        0.8984375
    """

    def __init__(self, model: nn.Module, rounding: Rounding) -> None:
        self.rounding = rounding
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        replaced: dict[int, nn.Parameter] = {}
        for module in model.modules():
            for name, wide in list(module.named_parameters(recurse=False)):
                if id(wide) not in replaced:
                    narrow = nn.Parameter(wide.detach().bfloat16(), wide.requires_grad)
                    replaced[id(wide)] = narrow
                    self._pairs.append((narrow, wide))
                setattr(module, name, replaced[id(wide)])
        #: What rounding lost, by parameter; empty where it is left to chance.
        self.lost: list[Tensor] = []
        if rounding == "compensated":
            self.lost = [(wide.detach() - narrow).bfloat16() for narrow, wide in self._pairs]
        for _, wide in self._pairs:
            _release(wide)

    @torch.no_grad()
    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step, with the gradients of the narrow weights."""
        for i, (narrow, wide) in enumerate(self._pairs):
            wide.untyped_storage().resize_(wide.numel() * wide.element_size())
            wide.copy_(narrow)
            if self.lost:
                wide.add_(self.lost[i])
            wide.grad = None if narrow.grad is None else narrow.grad.float()
        optimizer.step()
        for i, (narrow, wide) in enumerate(self._pairs):
            if self.lost:
                narrow.copy_(wide)
                self.lost[i].copy_(wide - narrow)
            else:
                narrow.copy_(round_by_chance(wide))
            wide.grad = None
            _release(wide)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The narrow weights."""
        return (narrow for narrow, _ in self._pairs)

    @torch.no_grad()
    def load_lost(self, lost: list[Tensor]) -> None:
        """Sets what rounding lost, as a checkpoint has it."""
        for mine, saved in zip(self.lost, lost, strict=True):
            mine.copy_(saved)


def round_by_chance(x: Tensor) -> Tensor:
    """float32 -> bf16, up or down with the chances that make it right on average.

    Example:
        >>> x = torch.full((100_000,), 1.001)
        >>> round_by_chance(x).unique().tolist()
        [1.0, 1.0078125]
        >>> abs(round_by_chance(x).float().mean().item() - 1.001) < 1e-4
        True
    """
    chance = torch.randint(0, 1 << 16, x.shape, dtype=torch.int32, device=x.device)
    # The lower 16 bits are what bf16 lacks: a carry out of them is a step up.
    raised = (x.view(torch.int32) + chance) & -(1 << 16)
    # An infinity would be carried into what is no number.
    return torch.where(x.isfinite(), raised.view(torch.float32), x).bfloat16()


def _release(parameter: nn.Parameter) -> None:
    """Gives a parameter's memory back; shape and type stay."""
    parameter.untyped_storage().resize_(0)
