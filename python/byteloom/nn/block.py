"""One layer of a transformer."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
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
        attention: what mixes tokens; by default multi-head attention.
        ffn: what transforms each of them; by default SwiGLU.
        norm: what comes before either; by default RMSNorm.
        dropout: part of what either adds that training sets to zero.

    Example:
        >>> import torch
        >>> TransformerBlock(d_model=16, num_heads=2)(torch.zeros(1, 5, 16)).shape
        torch.Size([1, 5, 16])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        attention: AttentionConfig | None = None,
        ffn: FeedForwardConfig | None = None,
        norm: NormConfig | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        norm = norm or RMSNormConfig()
        self.ln1 = norm.build(d_model)
        self.attn = (attention or MultiHeadConfig()).build(d_model, num_heads)
        self.ln2 = norm.build(d_model)
        self.ffn = (ffn or SwiGLUConfig()).build(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LayerCache | None = None,
        mask: Bool[Tensor, "*#batch 1 seq keys"] | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Passes the tokens on; the arguments are the attention's."""
        x = x + self.dropout(self.attn(self.ln1(x), positions, position, cache, mask))
        x = x + self.dropout(self.ffn(self.ln2(x)))
        return x  # noqa: RET504 (both lines alike)
