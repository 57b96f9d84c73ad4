"""What every whole model has, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.embedding import Embedding
from byteloom.nn.head import Head
from byteloom.nn.recompute import Recomputing

M = TypeVar("M", bound=nn.Module)


class WholeModel(nn.Module):
    """Ids in, logits out: embedded by ``token_embeddings``, mapped to logits by ``lm_head``."""

    token_embeddings: Embedding
    lm_head: Head
    #: Its ``vocab_size``, ``tie_embeddings`` and ``embedding_scale`` are asked for.
    config: Any

    def __init__(self) -> None:
        super().__init__()
        #: How much of the blocks is kept for the gradients.
        self.recomputing = Recomputing()

    def embedded(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """The tokens' vectors, before places are added; ids are checked by :meth:`check_ids`."""
        x: Tensor = self.token_embeddings(ids)
        scale = self.config.embedding_scale
        return x if scale is None else x * scale

    def penalty(self, parts: Sequence[Any] | None = None) -> Tensor | float:
        """What the parts add to the loss: router and z-losses; 0 where none has any.

        Args:
            parts: what :meth:`penalizing` gave; whoever asks often asks that once.
        """
        own: list[Tensor] = [x.penalty() for x in (self.penalizing() if parts is None else parts)]
        return sum(own, start=torch.zeros(())) if own else 0.0

    def penalizing(self) -> list[Any]:
        """The parts with a method ``penalty``: each gives its own, without that of parts inside."""
        return [part for part in self.modules() if part is not self and hasattr(part, "penalty")]

    def num_parameters(self, embeddings: bool = True, idle: bool = True) -> int:
        """Numbers to learn.

        Args:
            embeddings: whether those of the token embeddings and the output map count.
            idle: whether those count that have no part in what becomes of a token: the experts
                that it does not go to.
        """
        left_out = 0
        if not embeddings:
            left_out = self.token_embeddings.weight.numel()
            left_out += 0 if self.config.tie_embeddings else self.lm_head.weight.numel()
        if not idle:
            left_out += idle_parameters(self)
        return sum(p.numel() for p in self.parameters()) - left_out

    def check_ids(self, ids: Tensor, limit: int, read: int = 0) -> None:
        """Refuses what the model cannot read.

        Args:
            ids: tokens.
            limit: the most that are seen at once.
            read: how many were read before them.

        Raises:
            ValueError: no (batch, seq); too many tokens; on a CPU also an id outside the
                vocabulary.
        """
        if ids.ndim != 2:
            raise ValueError(f"ids must be (batch, seq), not of shape {tuple(ids.shape)}")
        tokens = read + ids.shape[1]
        if tokens > limit:
            raise ValueError(f"{tokens} tokens are more than the model's context of {limit}")
        # Elsewhere than on a CPU looking would mean waiting; there, the kernel itself complains.
        if ids.device.type == "cpu" and not torch.compiler.is_compiling() and ids.numel():
            lowest, highest = (int(bound) for bound in torch.aminmax(ids))
            if lowest < 0 or highest >= self.config.vocab_size:
                wrong = lowest if lowest < 0 else highest
                raise ValueError(
                    f"token id {wrong} is outside the model's vocabulary, whose ids are "
                    f"0 .. {self.config.vocab_size - 1}"
                )


def idle_parameters(module: nn.Module) -> int:
    """Numbers of a module that have no part in what becomes of a token."""
    return sum(
        part.idle_parameters()  # type: ignore[operator]
        for part in module.modules()
        if hasattr(part, "idle_parameters")
    )


def stream_dtype(x: Tensor) -> torch.dtype:
    """The type in which tokens go from block to block: autocast's, if its range is float32's."""
    device = x.device.type
    narrow = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
    return torch.bfloat16 if narrow is torch.bfloat16 else x.dtype


def built(make: Callable[[], M], seed: int | None) -> M:
    """A module with fresh weights, on the CPU.

    Args:
        make: makes it.
        seed: the same seed gives the same weights, and torch's global generator is left as it was;
            ``None`` draws from that.
    """
    if seed is None:
        return make()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()
