"""Keys and values of as many tokens as a window shows: memory that does not grow with the text."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from byteloom.nn.attention.cache import LayerCache
from byteloom.nn.attention.state import LayerState, StaticState


class WindowCache(LayerCache):
    """One layer's, for tokens that see ``window`` tokens, themselves included.

    Args:
        max_length: tokens that can be read.
        window: what a token sees.
    """

    def __init__(self, max_length: int, window: int) -> None:
        super().__init__(max_length)
        self.window = window
        self.kept = min(window - 1, max_length)
        """The most tokens that are kept: what the next one sees besides itself."""

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds tokens; returns those kept so far and, behind them, these.

        Raises:
            ValueError: more tokens than can be read.
        """
        if self._keys is None or self._values is None:
            self._keys = keys.new_empty((*keys.shape[:-2], self.kept, keys.shape[-1]))
            self._values = values.new_empty((*values.shape[:-2], self.kept, values.shape[-1]))
        old = min(self.length, self.kept)
        left = min(self.read(keys.shape[-2]), self.kept)
        keys = torch.cat((self._keys[..., :old, :], keys), dim=-2)
        values = torch.cat((self._values[..., :old, :], values), dim=-2)
        first = keys.shape[-2] - left
        self._keys[..., :left, :] = keys[..., first:, :]
        self._values[..., :left, :] = values[..., first:, :]
        return keys, values

    def places(self, keys: Float[Tensor, "*batch heads total d_k"]) -> Int[Tensor, " total"]:
        """Where the keys stand that :meth:`append` has just returned."""
        return torch.arange(self.length - keys.shape[-2], self.length, device=keys.device)

    def cut(self, mask: Bool[Tensor, "... all"] | None, keys: Tensor) -> Tensor | None:
        """Of a mask over all tokens so far, the columns of those keys."""
        return None if mask is None else mask[..., -keys.shape[-2] :]

    def static(self, place: Int[Tensor, " 1"]) -> StaticState:
        """The same in memory of fixed size."""
        return StaticWindowCache(self, place)


class StaticWindowCache(StaticState, LayerCache):
    """A ring: each token goes where the one stood that has just left the window.

    Args:
        filled: the cache whose tokens are taken over.
        place: where the next token stands in the text, shape (1,), shared by all layers.
    """

    def __init__(self, filled: WindowCache, place: Int[Tensor, " 1"]) -> None:
        super().__init__(filled.max_length)
        self.window, self.size = filled.window, min(filled.window, filled.max_length)
        self._keys, self._values = (
            x.new_empty((*x.shape[:-2], self.size, x.shape[-1])) for x in filled.tensors()
        )
        self.place = place
        self.slots = torch.arange(self.size, device=place.device)
        self.looked_at = self.size
        self.take_over(filled)

    def take_over(self, filled: LayerState) -> None:
        """Begins anew with the tokens of another cache."""
        assert isinstance(filled, WindowCache)
        left = min(filled.length, filled.kept)
        places = torch.arange(filled.length - left, filled.length, device=self.slots.device)
        for mine, other in zip(self.tensors(), filled.tensors(), strict=True):
            # What no token has written yet is masked, but must be finite.
            mine.zero_().index_copy_(-2, places % self.size, other[..., :left, :])

    def look_at(self, places: int) -> None:
        """While the ring is not full, its first ``places`` are those of the text."""
        self.looked_at = min(places, self.size)

    def append(
        self,
        keys: Float[Tensor, "*batch heads seq d_k"],
        values: Float[Tensor, "*batch heads seq d_v"],
    ) -> tuple[Float[Tensor, "*batch heads total d_k"], Float[Tensor, "*batch heads total d_v"]]:
        """Adds one token; returns the ring as it lies, also what is not yet taken of it."""
        slot, seen = self.place % self.size, slice(self.looked_at)
        for mine, new in zip(self.tensors(), (keys, values), strict=True):
            mine.index_copy_(-2, slot, new)
        all_keys, all_values = self.tensors()
        return all_keys[..., seen, :], all_values[..., seen, :]

    def places(self, keys: Float[Tensor, "*batch heads total d_k"]) -> Int[Tensor, " total"]:
        """Where they stand; what is not yet taken, so far before the text that none sees it."""
        places = self.place - (self.place - self.slots[: self.looked_at]) % self.size
        return torch.where(places < 0, places - self.window, places)

    def cut(self, mask: Bool[Tensor, "... all"] | None, keys: Tensor) -> Tensor | None:
        """None: the window hides what is not to be seen, and nothing comes behind one token."""
        return None
