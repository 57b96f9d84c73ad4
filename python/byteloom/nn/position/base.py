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

    @property
    def is_by_place(self) -> bool:
        """Whether it tells places themselves, and not distances alone: of the embedded tokens."""
        return type(self).embed is not Position.embed

    #: Whether :meth:`bias` is to be asked.
    has_bias: bool = False

    @property
    def acts_in_layers(self) -> bool:
        """Whether a layer can go without: not if all is done on the embedded tokens, or nothing."""
        return self.has_bias or type(self).rotate is not Position.rotate

    def bias(
        self, queries: Int[Tensor, "*batch q"], keys: Int[Tensor, "*batch k"]
    ) -> Float[Tensor, "*batch heads q k"]:
        """Is added to attention scores, in every layer, if ``has_bias``.

        Args:
            queries: places of the tokens that look.
            keys: places of those that are looked at.
        """
        raise NotImplementedError
