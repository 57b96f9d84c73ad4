"""Keys and values in memory whose size never changes, so that a step can be compiled once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention.cache import Cache, LayerCache


class StaticLayerCache(LayerCache):
    """One layer's: each token's keys and values go to its place, and all places are returned.

    Args:
        filled: the cache whose tokens are taken over.
        place: where the next token goes, shape (1,), shared by all layers.
    """

    def __init__(self, filled: LayerCache, place: Int[Tensor, " 1"]) -> None:
        super().__init__(filled.max_length)
        assert filled._keys is not None and filled._values is not None, "nothing was read yet"
        self._all_keys = torch.empty_like(filled._keys)
        self._all_values = torch.empty_like(filled._values)
        self.place = place
        self.looked_at = filled.max_length
        self.take_over(filled)

    def next_positions(self, seq: int, device: torch.device) -> Int[Tensor, " seq"] | None:
        """The place of the next token."""
        return self.place

    def take_over(self, filled: LayerCache) -> None:
        """Begins anew with the tokens of another cache."""
        assert filled._keys is not None and filled._values is not None
        for mine, other in ((self._all_keys, filled._keys), (self._all_values, filled._values)):
            # What no token has written yet is masked, but must be finite.
            mine.zero_()[..., : filled.length, :] = other[..., : filled.length, :]

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds one token; returns those of the places looked at, also those not yet taken."""
        self._all_keys.index_copy_(-2, self.place, keys)
        self._all_values.index_copy_(-2, self.place, values)
        seen = slice(self.looked_at)
        return self._all_keys[..., seen, :], self._all_values[..., seen, :]


class StaticCache(Cache):
    """The caches of all layers, for one token at a time.

    Args:
        filled: a cache that has read at least one token, with room for more.
    """

    def __init__(self, filled: Cache) -> None:
        first = filled.layers[0]
        assert first._keys is not None, "nothing was read yet"
        self.place = torch.tensor([first.length], device=first._keys.device)
        self._places = torch.arange(first.max_length, device=first._keys.device)
        self.layers: list[StaticLayerCache] = [
            StaticLayerCache(layer, self.place) for layer in filled.layers
        ]
        for tensor in (self.place, *self._tensors()):
            # Told so, a CUDA graph changes them where they are.
            torch._dynamo.mark_static_address(tensor)

    def fits(self, filled: Cache) -> bool:
        """Whether another cache is of the same sizes and type."""
        mine, other = self.layers[0]._all_keys, filled.layers[0]._keys
        assert other is not None
        return mine.shape == other.shape and mine.dtype == other.dtype

    def look_at(self, places: int) -> None:
        """Attends to the first ``places`` only, the next token's among them: those may be all."""
        for layer in self.layers:
            layer.looked_at = min(places, layer.max_length)

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
        return (self._places[: self.layers[0].looked_at] <= self.place)[None, None, None]

    def _tensors(self) -> list[Tensor]:
        return [t for layer in self.layers for t in (layer._all_keys, layer._all_values)]
