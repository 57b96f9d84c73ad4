"""Where a position scheme may act: three hooks that do nothing unless a member says otherwise."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn


class Position(nn.Module):
    """Tells a model where a token stands. One module serves all layers.

    ``positions`` are the tokens' places in their text; ``None`` means 0, 1, 2 ...
    """

    def embed(
        self, x: Float[Tensor, "*batch seq d_model"], positions: Int[Tensor, "*#batch seq"] | None
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Acts on the embedded tokens, once."""
        return x

    def rotate(
        self,
        x: Float[Tensor, "*batch heads seq d_k"],
        positions: Int[Tensor, "*#batch seq"] | None,
    ) -> Float[Tensor, "*batch heads seq d_k"]:
        """Acts on queries and keys, in every layer."""
        return x

    def bias(
        self, num_queries: int, num_keys: int, like: Tensor
    ) -> Float[Tensor, "heads q k"] | None:
        """Is added to attention scores, in every layer; the last query stands at the last key."""
        return None
