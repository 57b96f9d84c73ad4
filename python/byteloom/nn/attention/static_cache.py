"""What all layers keep in memory whose size never changes, so that a step is compiled once."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from byteloom.nn.attention.cache import Cache
from byteloom.nn.attention.state import StaticState


class StaticCache(Cache):
    """The caches of all layers, for one token at a time.

    Args:
        filled: a cache that has read at least one token, with room for more.
    """

    layers: list[StaticState]

    def __init__(self, filled: Cache) -> None:
        first = filled.layers[0]
        assert first.length > 0, "nothing was read yet"
        device = first.tensors()[0].device
        self.place = torch.tensor([first.length], device=device)
        self._places = torch.arange(first.max_length, device=device)
        super().__init__([layer.static(self.place) for layer in filled.layers])
        self.looked_at = first.max_length
        for tensor in (self.place, *(t for layer in self.layers for t in layer.tensors())):
            # Told so, a CUDA graph changes them where they are.
            torch._dynamo.mark_static_address(tensor)

    def fits(self, filled: Cache) -> bool:
        """Whether another cache of the same model is of the same sizes and type."""
        mine, other = self.layers[0].tensors()[0], filled.layers[0].tensors()[0]
        same_batch = mine.shape[:-3] == other.shape[:-3] and mine.dtype == other.dtype
        return same_batch and len(self._places) == filled.layers[0].max_length

    def look_at(self, places: int) -> None:
        """Attends to the first ``places`` only, the next token's among them: those may be all."""
        self.looked_at = min(places, len(self._places))
        for layer in self.layers:
            layer.look_at(places)

    def take_over(self, filled: Cache) -> None:
        """Begins anew with the tokens of another cache, in the same memory."""
        for mine, other in zip(self.layers, filled.layers, strict=True):
            mine.take_over(other)
        self.place.fill_(filled.length)

    @property
    def length(self) -> int:
        """0: how many tokens were read is on the device, and whoever uses this counts them."""
        return 0

    def mask(self, seq: int) -> Bool[Tensor, "1 1 1 total"] | None:
        """True at the places that are taken, that of the token which comes now included."""
        return (self._places[: self.looked_at] <= self.place)[None, None, None]
