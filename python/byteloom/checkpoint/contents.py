"""What a checkpoint holds, and whether it fits a model and an optimizer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from byteloom import __version__
from byteloom.optim.groups import in_todays_groups


@dataclass(frozen=True)
class Checkpoint:
    """What one file holds."""

    iteration: int
    """Optimizer steps done."""
    model: dict[str, Tensor]
    """The model's state dict."""
    optimizer: dict[str, Any] | None = None
    """The optimizer's state dict; ``None`` if it was not saved, or not read."""
    optimizer_class: str = ""
    """Name of the optimizer's class."""
    config: dict[str, Any] = field(default_factory=dict)
    """The run's configuration, as nested tables."""
    tokenizer: str = ""
    """The tokenizer's fingerprint."""
    state: dict[str, Any] = field(default_factory=dict)
    """All else, nested at will: tensors, numbers, strings, lists, tuples, dicts."""
    version: str = __version__
    """byteloom's version that wrote it."""

    @classmethod
    def of(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        iteration: int,
        **rest: Any,
    ) -> Checkpoint:
        """A view of a model and its optimizer: tensors are shared, not copied."""
        return cls(
            iteration=iteration,
            model=_plain_module(model).state_dict(),
            optimizer=None if optimizer is None else optimizer.state_dict(),
            optimizer_class="" if optimizer is None else type(optimizer).__name__,
            **rest,
        )

    def restore(
        self,
        model: nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        name: str = "the checkpoint",
    ) -> None:
        """Copies the weights and the optimizer's state into these, on their devices.

        Args:
            model: with exactly the weights' names and shapes.
            optimizer: of the class and over the parameters that it was saved with.
            name: the file, for messages.

        Raises:
            ValueError: it is of another model or optimizer; the message says what differs.
        """
        if model is not None:
            model = _plain_module(model)
            _compare(self.model, model.state_dict(), name)
            model.load_state_dict(self.model)
        if optimizer is None:
            return
        wanted = type(optimizer).__name__
        if self.optimizer is None:
            raise ValueError(f"{name} holds no optimizer state")
        if self.optimizer_class != wanted:
            raise ValueError(f"{name} holds the state of {self.optimizer_class}, not of {wanted}")
        try:
            state = in_todays_groups(self.optimizer, optimizer, model)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        _compare_moments(state, optimizer, name)
        try:
            # A copy: torch takes tensors as they are, and these may lie in the mapped file.
            optimizer.load_state_dict(copy.deepcopy(state))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name} is of another optimizer: {error}") from None


def _plain_module(model: nn.Module) -> nn.Module:
    """The module inside one made by ``torch.compile``, whose names have no prefix."""
    inner = getattr(model, "_orig_mod", model)
    assert isinstance(inner, nn.Module)
    return inner


def _compare(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str) -> None:
    """Refuses weights of other names or shapes than the model's, saying which."""
    lacks = [f"lacks {key}" for key in wanted if key not in found]
    extra = [f"has {key}, which the model lacks" for key in found if key not in wanted]
    other = [
        f"{key} has shape {tuple(found[key].shape)}, the model's {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    differences = other + lacks + extra
    if differences:
        more = f" ... and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(
            f"{name} is a checkpoint of another model: {'; '.join(differences[:5])}{more}"
        )


def _compare_moments(state: dict[str, Any], optimizer: torch.optim.Optimizer, name: str) -> None:
    """Refuses an optimizer state whose tensors have other shapes than the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    order = [i for group in state["param_groups"] for i in group["params"]]
    if len(order) != len(parameters):
        raise ValueError(
            f"{name} holds the optimizer state of {len(order)} parameters, not {len(parameters)}"
        )
    for index, parameter in zip(order, parameters, strict=True):
        for key, value in state["state"].get(index, {}).items():
            is_scalar = not isinstance(value, Tensor) or value.numel() == 1
            if not is_scalar and value.shape != parameter.shape:
                raise ValueError(
                    f"{name}: the optimizer's {key} of parameter {index} has shape "
                    f"{tuple(value.shape)}, the parameter {tuple(parameter.shape)}"
                )
