"""The block with norms before its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from byteloom.nn.attention import AttentionConfig, MultiHeadConfig
from byteloom.nn.block.base import BlockConfigBase, Part, Parts, SequentialBlock, Tokens
from byteloom.nn.ffn import FeedForwardConfig, SwiGLUConfig
from byteloom.nn.norm import NormConfig, RMSNormConfig


@dataclass(frozen=True)
class PreNormConfig(BlockConfigBase):
    """Norms before attention and feed-forward network (Xiong et al. 2020, arXiv:2002.04745)."""

    kind: Literal["pre"] = "pre"
    """Selects this member."""

    def build(self, parts: Parts) -> PreNormBlock:
        """Makes the module."""
        return PreNormBlock(parts, self.residual_scale)


class PreNormBlock(SequentialBlock):
    """x + attn(ln1(x)), and then x + ffn(ln2(x)): GPT-2, Llama and most since."""

    def add(self, x: Tokens, part: Part, ln: str) -> Tokens:
        """The formula."""
        return x + part(self.normed(ln, x))


class TransformerBlock(PreNormBlock):
    """The pre-norm block, by its parts.

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
        super().__init__(
            Parts(
                d_model,
                num_heads,
                attention or MultiHeadConfig(),
                ffn or SwiGLUConfig(),
                norm or RMSNormConfig(),
                dropout,
            )
        )
