"""Keys and values of tokens already read, so that generating a token reads only the last one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention.state import LayerState, StaticState


class LayerCache(LayerState):
    """The keys and values of one layer.

    Memory for ``max_length`` tokens is taken at the first use, in the shape and type of what comes.

    Args:
        max_length: tokens there is room for.
    """

    def __init__(self, max_length: int) -> None:
        super().__init__(max_length)
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds tokens and returns the keys and values of all so far.

        Raises:
            ValueError: more tokens than there is room for.
        """
        start, end = self.length, self.read(keys.shape[-2])
        if self._keys is None or self._values is None:
            self._keys = keys.new_empty((*keys.shape[:-2], self.max_length, keys.shape[-1]))
            self._values = values.new_empty((*values.shape[:-2], self.max_length, values.shape[-1]))
        self._keys[..., start:end, :] = keys
        self._values[..., start:end, :] = values
        return self._keys[..., :end, :], self._values[..., :end, :]

    def places(self, keys: Float[Tensor, "*batch heads total d_k"]) -> Int[Tensor, " total"]:
        """Where the keys stand that :meth:`append` has just returned."""
        return torch.arange(keys.shape[-2], device=keys.device)

    def cut(self, mask: Bool[Tensor, "... all"] | None, keys: Tensor) -> Tensor | None:
        """Of a mask over all tokens so far, the columns of those keys."""
        return mask

    def tensors(self) -> list[Tensor]:
        """What it holds."""
        return [x for x in (self._keys, self._values) if x is not None]

    def static(self, place: Int[Tensor, " 1"]) -> StaticState:
        """The same in memory of fixed size."""
        return StaticLayerCache(self, place)


class StaticLayerCache(StaticState, LayerCache):
    """Each token's keys and values go to its place, and all places are returned.

    Args:
        filled: the cache whose tokens are taken over.
        place: where the next token goes, shape (1,), shared by all layers.
    """

    def __init__(self, filled: LayerCache, place: Int[Tensor, " 1"]) -> None:
        super().__init__(filled.max_length)
        assert filled._keys is not None and filled._values is not None, "nothing was read yet"
        self._keys = torch.empty_like(filled._keys)
        self._values = torch.empty_like(filled._values)
        self.place = place
        self.looked_at = filled.max_length
        self.take_over(filled)

    def take_over(self, filled: LayerState) -> None:
        """Begins anew with the tokens of another cache."""
        assert isinstance(filled, LayerCache)
        for mine, other in zip(self.tensors(), filled.tensors(), strict=True):
            # What no token has written yet is masked, but must be finite.
            mine.zero_()[..., : filled.length, :] = other[..., : filled.length, :]

    def look_at(self, places: int) -> None:
        """Attends to the first ``places`` only."""
        self.looked_at = min(places, self.max_length)

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds one token; returns those of the places looked at, also those not yet taken."""
        all_keys, all_values = self.tensors()
        all_keys.index_copy_(-2, self.place, keys)
        all_values.index_copy_(-2, self.place, values)
        seen = slice(self.looked_at)
        return all_keys[..., seen, :], all_values[..., seen, :]


class Cache:
    """What all layers keep.

    Args:
        layers: what each does, in their order.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> model = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2).build()
        >>> cache, text = model.new_cache(), torch.tensor([[1, 2, 3]])
        >>> parts = [model(text[:, :2], cache=cache), model(text[:, 2:], cache=cache)]
        >>> torch.allclose(torch.cat(parts, dim=1), model(text), atol=1e-5)
        True
    """

    def __init__(self, layers: Sequence[LayerState]) -> None:
        self.layers = layers

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self.layers[0].length

    def mask(self, seq: int) -> Bool[Tensor, "1 1 seq total"] | None:
        """Which keys the next ``seq`` queries may attend to; ``None`` is the causal mask."""
        return None
