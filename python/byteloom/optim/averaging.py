"""A running mean of the weights, often better than the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AveragingConfig:
    """Exponential moving average of the weights (Polyak & Juditsky 1992; arXiv:1803.05407)."""

    decay: float = 0.999
    """What is left of the average after an update."""
    start_step: int = 0
    """Updates before the average begins; until then it is the weights."""
    bias_correction: bool = True
    """Whether only weights that were seen count; otherwise the first stand for all before them."""

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay is {self.decay}; it must be in [0, 1)")
        if self.start_step < 0:
            raise ValueError(f"start_step is {self.start_step}; it must be 0 or more")

    def build(self, model: nn.Module) -> WeightAverage:
        """Makes the average of a model's weights, equal to them so far."""
        return WeightAverage(model, self.decay, self.start_step, self.bias_correction)


class WeightAverage:
    """average = decay * average + (1 - decay) * weights, at each update, in float32 at least.

    With ``bias_correction`` the average after n updates is the mean of the n weights seen, the
    one i updates ago counting decay^i: Adam's correction, as a decay that rises from 0.
    Buffers are not averaged.

    Args:
        model: whose parameters.
        decay: in [0, 1).
        start_step: updates that only copy the weights.
        bias_correction: otherwise the weights before the first update count decay^n.

    Raises:
        ValueError: a setting outside its range.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(model, decay=0.5)
        >>> for value in (1.0, 4.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update(model)
        >>> with average.swapped_in(model):
        ...     model.weight.item()  # (0.5 * 1 + 1 * 4) / (0.5 + 1)
        3.0
        >>> model.weight.item()
        4.0
    """

    def __init__(
        self,
        model: nn.Module,
        decay: float = 0.999,
        start_step: int = 0,
        bias_correction: bool = True,
    ) -> None:
        self.config = AveragingConfig(decay, start_step, bias_correction)
        self.updates = 0
        self.average = {
            name: p.detach().to(torch.promote_types(p.dtype, torch.float32), copy=True)
            for name, p in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes the model's weights in; call it after each step of the optimizer."""
        self.updates += 1
        average = list(self.average.values())
        weights = [p.to(a.dtype) for p, a in zip(self._weights(model), average, strict=True)]
        if (part := self._part_of_newest()) == 1:
            torch._foreach_copy_(average, weights)
        else:
            torch._foreach_lerp_(average, weights, part)

    def _part_of_newest(self) -> float:
        decay, averaged = self.config.decay, self.updates - self.config.start_step
        if averaged <= 0:
            return 1.0
        return (1 - decay) / (1 - decay**averaged) if self.config.bias_correction else 1 - decay

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside, and its own, to the bit, after."""
        weights = self._weights(model)
        own = [w.clone() for w in weights]
        _copy(weights, list(self.average.values()))
        try:
            yield
        finally:
            _copy(weights, own)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates it has had; tensors are shared, not copied."""
        return {"updates": self.updates, "average": dict(self.average)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` gave.

        Raises:
            ValueError: it is of another model; the average is as before.
        """
        found = state["average"]
        if different := sorted(found.keys() ^ self.average.keys()):
            raise ValueError(f"the average is of another model: {different[0]} is in one only")
        for name, own in self.average.items():
            if found[name].shape != own.shape:
                raise ValueError(
                    f"the average is of another model: {name} has shape "
                    f"{tuple(found[name].shape)}, the model's {tuple(own.shape)}"
                )
        _copy(list(self.average.values()), [found[name] for name in self.average])
        self.updates = int(state["updates"])

    def _weights(self, model: nn.Module) -> list[Tensor]:
        """The model's parameters in the order of the average."""
        weights = dict(model.named_parameters())
        assert weights.keys() == self.average.keys(), "it averages another model"
        return [weights[name].detach() for name in self.average]


@torch.no_grad()
def _copy(into: list[Tensor], source: list[Tensor]) -> None:
    torch._foreach_copy_(into, source)
