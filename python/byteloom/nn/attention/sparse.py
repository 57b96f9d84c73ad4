"""Sparse attention: a token sees those near it, and of the others only some."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from byteloom.nn.attention.heads import HeadsConfig
from byteloom.nn.attention.multi_head import MultiHeadConfig
from byteloom.nn.attention.self_attention import SelfAttention
from byteloom.nn.checks import require_positive

Pattern: TypeAlias = Literal["strided", "fixed"]


@dataclass(frozen=True)
class SparseConfig(HeadsConfig):
    """Attention to near tokens and to every n-th (Child et al. 2019, arXiv:1904.10509)."""

    kind: Literal["sparse"] = "sparse"
    """Selects this member."""
    pattern: Pattern = "strided"
    """Far ones are those at multiples of the stride, or, "fixed", the last of each block of it."""
    stride: int = 128
    """How far near is, and how far those beyond are from each other."""
    summary: int = 1
    """In the fixed pattern, so many at the end of each block are seen by all behind it."""
    split: bool = False
    """Whether half of the heads see what is near and the others what is far; else all see both."""
    causal: bool = True
    """Whether a token sees none behind it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("stride", self.stride)
        if not 1 <= self.summary <= self.stride:
            raise ValueError(
                f"summary is {self.summary}; it must be 1 .. {self.stride}, the stride"
            )
        if self.summary > 1 and self.pattern != "fixed":
            raise ValueError(f"summary is {self.summary}, but only the fixed pattern has one")

    @property
    def is_by_place(self) -> bool:
        """Blocks begin at places that are multiples of the stride."""
        return self.pattern == "fixed"

    def full(self) -> MultiHeadConfig:
        """The same, seeing all: GPT-3 has both kinds in turn (arXiv:2005.14165)."""
        shared = {key.name: getattr(self, key.name) for key in fields(HeadsConfig)}
        return MultiHeadConfig(**shared | {"kind": "multi_head"}, causal=self.causal)

    def build(self, d_model: int, num_heads: int) -> SparseSelfAttention:
        """Makes the module."""
        return SparseSelfAttention(d_model, num_heads, self)


class SparseSelfAttention(SelfAttention):
    """Every token looks at some of those before it, chosen by their places.

    With stride l, query place i and key place j, the strided pattern has the near ones
    |i - j| <= l and the far ones at |i - j| = 0 modulo l; the fixed pattern those of the same block
    of l, and the last ``summary`` of any block. It is a mask for torch's kernel: what is saved is
    what a model must learn to leave out, not time.

    Args:
        d_model: size of the last dimension, in and out.
        num_heads: heads of the queries.
        config: all that can be chosen.

    Example:
        >>> attention = SparseConfig(stride=3).build(8, 2)
        >>> places = torch.arange(8)
        >>> attention.near(places[-1:, None], places).int()  # what the last one sees
        tensor([[0, 1, 0, 0, 1, 1, 1, 1]], dtype=torch.int32)
    """

    is_local = True

    def __init__(self, d_model: int, num_heads: int, config: SparseConfig | None = None) -> None:
        config = config or SparseConfig()
        if config.split and num_heads % 2:
            raise ValueError(f"num_heads {num_heads} must be even, for heads of two kinds")
        super().__init__(d_model, num_heads, config)
        self.config, self.causal, self.num_heads = config, config.causal, num_heads

    def near(
        self, queries: Int[Tensor, "*batch q 1"], keys: Int[Tensor, "*batch 1 k"]
    ) -> Bool[Tensor, "*heads q k"]:
        """The pattern; one for all heads, or one for each."""
        stride, far_apart = self.config.stride, (queries - keys).abs()
        if self.config.pattern == "strided":
            near, far = far_apart <= stride, far_apart % stride == 0
        else:
            near = queries // stride == keys // stride
            far = (keys % stride >= stride - self.config.summary).expand_as(near)
        if not self.config.split:
            return near | far
        half = self.num_heads // 2
        return torch.cat([near] * half + [far] * half, dim=-3)
