"""One layer of a transformer."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from byteloom.nn.attention import AttentionConfig, LayerCache, MultiHeadConfig
from byteloom.nn.ffn import FeedForwardConfig, SwiGLUConfig
from byteloom.nn.norm import NormConfig, RMSNormConfig
from byteloom.nn.position import Position


class TransformerBlock(nn.Module):
    """Pre-norm block: x + attn(ln1(x)), and then x + ffn(ln2(x)) (Xiong et al. 2020, 2002.04745).

    Args:
        d_model: size of a token's vector.
        num_heads: attention heads.
        attention: what mixes tokens.
        ffn: what transforms each of them.
        norm: what comes before either.

    Example:
        >>> import torch
        >>> TransformerBlock(d_model=16, num_heads=2)(torch.zeros(1, 5, 16)).shape
        torch.Size([1, 5, 16])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        attention: AttentionConfig = MultiHeadConfig(),
        ffn: FeedForwardConfig = SwiGLUConfig(),
        norm: NormConfig = RMSNormConfig(),
    ) -> None:
        super().__init__()
        self.ln1 = norm.build(d_model)
        self.attn = attention.build(d_model, num_heads)
        self.ln2 = norm.build(d_model)
        self.ffn = ffn.build(d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        positions: Int[Tensor, "#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Passes the tokens on; the arguments are the attention's."""
        x = x + self.attn(self.ln1(x), positions, position, cache)
        x = x + self.ffn(self.ln2(x))
        return x
