"""Keys and values of tokens already read, so that generating a token reads only the last one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class LayerCache:
    """The keys and values of one layer.

    Memory for ``max_length`` tokens is taken at the first use, in the shape and type of what comes.

    Args:
        max_length: tokens there is room for.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def next_positions(self, seq: int, device: torch.device) -> Int[Tensor, " seq"] | None:
        """Where the next ``seq`` tokens stand; of an empty cache ``None``, which is 0, 1, 2 ..."""
        if self.length == 0:
            return None
        return torch.arange(self.length, self.length + seq, device=device)

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds tokens and returns the keys and values of all so far.

        Raises:
            ValueError: more tokens than there is room for.
        """
        end = self.length + keys.shape[-2]
        if end > self.max_length:
            raise ValueError(f"the cache holds {self.max_length} tokens; {end} are too many")
        if self._keys is None or self._values is None:
            self._keys = keys.new_empty((*keys.shape[:-2], self.max_length, keys.shape[-1]))
            self._values = values.new_empty((*values.shape[:-2], self.max_length, values.shape[-1]))
        self._keys[..., self.length : end, :] = keys
        self._values[..., self.length : end, :] = values
        self.length = end
        return self._keys[..., :end, :], self._values[..., :end, :]


class Cache:
    """The caches of all layers.

    Args:
        layers: those of the layers, in their order.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> model = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2).build()
        >>> cache, text = model.new_cache(), torch.tensor([[1, 2, 3]])
        >>> parts = [model(text[:, :2], cache=cache), model(text[:, 2:], cache=cache)]
        >>> torch.allclose(torch.cat(parts, dim=1), model(text), atol=1e-5)
        True
    """

    def __init__(self, layers: Sequence[LayerCache]) -> None:
        self.layers = layers

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self.layers[0].length

    def mask(self, seq: int) -> Bool[Tensor, "1 1 seq total"] | None:
        """Which keys the next ``seq`` queries may attend to; ``None`` is the causal mask."""
        return None
