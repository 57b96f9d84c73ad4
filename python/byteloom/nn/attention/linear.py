"""Linear attention: no softmax, so that what was read is a few sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from byteloom.nn.attention.linear_state import LinearState
from byteloom.nn.attention.multi_head import MultiHeadConfig
from byteloom.nn.attention.state import StaticState
from byteloom.nn.attention.sums import chunked_sums, quadratic_sums, sums_of_one
from byteloom.nn.checks import head_size, require_positive, require_positive_if_given
from byteloom.nn.linear import Linear
from byteloom.nn.norm import NormConfig
from byteloom.nn.position.base import Position

FeatureMap: TypeAlias = Literal["elu", "relu", "softmax", "identity"]
Decay: TypeAlias = Literal["none", "fixed", "gated"]

_FEATURES: dict[FeatureMap, Callable[[Tensor], Tensor]] = {
    # F.elu(x) + 1. Compiled, the gradient of torch 2.11's own is laid out otherwise than the
    # compiler believes: on a CPU, memory was overwritten.
    "elu": lambda x: F.relu(x) + x.clamp(max=0).exp(),
    # Above zero, so that a query never sums up nothing (arXiv:2009.14794).
    "relu": lambda x: F.relu(x) + 1e-3,
    "softmax": lambda x: F.softmax(x, dim=-1),
    "identity": lambda x: x,
}

#: Keeps a query that no key answers from dividing by zero.
_EPS = 1e-6


@dataclass(frozen=True)
class LinearConfig:
    """Attention in linear time, with a state of fixed size (arXiv:2006.16236)."""

    #: Whether position schemes may add to scores.
    takes_bias: ClassVar[bool] = False
    #: Whether who sees whom is a matter of places themselves, and not of distances alone.
    is_by_place: ClassVar[bool] = False

    kind: Literal["linear"] = "linear"
    """Selects this member."""
    d_head: int | None = None
    """Size of a head; none: heads share d_model evenly."""
    feature_map: FeatureMap = "elu"
    """What queries and keys become: elu(x) + 1, relu(x) + 0.001, softmax(x), x ("identity")."""
    normalise: bool = True
    """Whether weights are divided by their sum, as in the paper; in RetNet they are not."""
    decay: Decay = "none"
    """What was read fades by a "fixed" number (arXiv:2307.08621), or one "gated" by the token."""
    scale: float | None = None
    """What weights are multiplied by where they are not normalised; none: 1 / sqrt(d_head)."""
    norm: NormConfig | None = None
    """What normalises the result of each head; none: nothing."""
    output_gate: bool = False
    """Whether the result is multiplied by the SiLU of one more map of the token, as in RetNet."""
    bias: bool = False
    """Whether the maps of queries, keys and values add a learned vector."""
    output_bias: bool = False
    """Whether the last map does."""
    causal: bool = True
    """Whether a token sees none behind it."""
    chunk: int = 64
    """Tokens that are looked at together in training: a question of speed only."""

    def __post_init__(self) -> None:
        require_positive("chunk", self.chunk)
        for key in ("d_head", "scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        if self.normalise and self.feature_map == "identity":
            raise ValueError(
                "weights of either sign have no sum to be divided by: the feature_map identity "
                "needs normalise = false"
            )
        if self.normalise and self.scale is not None:
            raise ValueError(
                f"scale is {self.scale}, but weights that are divided by their sum have none: it "
                "needs normalise = false"
            )
        if self.decay != "none" and not self.causal:
            raise ValueError(f"decay is {self.decay}, but without causal there is no before")

    def head_size(self, d_model: int, num_heads: int) -> int:
        """Size of a head."""
        return head_size(d_model, num_heads) if self.d_head is None else self.d_head

    def full(self) -> MultiHeadConfig:
        """Attention with a softmax, of the same size, for layers between those of this kind."""
        return MultiHeadConfig(
            d_head=self.d_head, bias=self.bias, output_bias=self.output_bias, causal=self.causal
        )

    def build(self, d_model: int, num_heads: int) -> LinearAttention:
        """Makes the module."""
        return LinearAttention(d_model, num_heads, self)


class LinearAttention(nn.Module):
    """Every token sums up those before it, weighted by products of features.

    For each head, with f the feature map: sum of (f(q_i) . f(k_j)) v_j over j <= i, divided by the
    sum of f(q_i) . f(k_j) (Katharopoulos et al. 2020, arXiv:2006.16236). As f(q_i) can be taken out
    of the sum, all that a text leaves is the sum of f(k_j) v_j^T. Rotary positions turn f(q) and
    f(k) above the line and not below it (arXiv:2104.09864, section 3.3). Sums are in float32.

    With a decay, what was read is multiplied by a number below 1 at each token. A "fixed" one is
    1 - 2^(-5 - h) for head h (arXiv:2307.08621); a "gated" one is sigmoid(map of the token)^(1/16)
    for each head: the gate of arXiv:2312.06635, one number a head, as in arXiv:2405.21060.

    Args:
        d_model: size of the last dimension, in and out.
        num_heads: heads.
        config: all that can be chosen.

    Example:
        >>> LinearAttention(8, 2)(torch.zeros(1, 5, 8)).shape
        torch.Size([1, 5, 8])
    """

    log_decays: Tensor

    def __init__(self, d_model: int, num_heads: int, config: LinearConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LinearConfig()
        self.d_head = config.head_size(d_model, num_heads)
        self.scale = 1 / math.sqrt(self.d_head) if config.scale is None else config.scale
        inner = num_heads * self.d_head
        self.q_proj = Linear(d_model, inner, bias=config.bias)
        self.k_proj = Linear(d_model, inner, bias=config.bias)
        self.v_proj = Linear(d_model, inner, bias=config.bias)
        self.output_proj = Linear(inner, d_model, bias=config.output_bias)
        if config.decay == "gated":
            self.decay_proj = Linear(d_model, num_heads, bias=True)
        if config.decay == "fixed":
            decays = [math.log1p(-(2.0 ** (-5 - head))) for head in range(num_heads)]
            self.register_buffer("log_decays", torch.tensor(decays)[:, None], persistent=False)
        self.norm = None if config.norm is None else config.norm.build(self.d_head)
        self.gate_proj = Linear(d_model, inner) if config.output_gate else None

    def forward(
        self,
        x: Float[Tensor, "*batch seq d_model"],
        positions: Int[Tensor, "*#batch seq"] | None = None,
        position: Position | None = None,
        cache: LinearState | None = None,
        mask: Bool[Tensor, "*#batch 1 #seq keys"] | None = None,
    ) -> Float[Tensor, "*batch seq d_model"]:
        """Attends.

        Args:
            x: the tokens, which with a cache follow those already read.
            positions: their places, for the position scheme; ``None`` is 0, 1, 2 ..., after
                those in the cache.
            position: the position scheme; ``None`` is none.
            cache: the sums of earlier tokens, to be used and added to.
            mask: True where a query may attend to a key, in place of the causal mask. With one,
                time and memory grow with the square of the tokens; not where all see each other,
                and it is the same for all queries: padding, whose keys are then in no sum.

        Raises:
            ValueError: a mask over tokens of which only sums were kept.
        """
        if positions is None and cache is not None:
            positions = cache.next_positions(x.shape[-2], x.device)
        q, k, v = self._split(self.q_proj(x)), self._split(self.k_proj(x)), self.v_proj(x)
        dtype, v, fading = v.dtype, self._split(v), self._log_decay(x)
        with torch.autocast(x.device.type, enabled=False):
            features = _FEATURES[self.config.feature_map]
            q, k, v = features(q.float()), features(k.float()), v.float()
            turned = q, k
            if position is not None:
                turned = position.rotate(q, positions), position.rotate(k, positions)
            # Above the line and, if there is one, below it.
            sums = [(*turned, v)]
            if self.config.normalise:
                sums.append((q, k, torch.ones_like(v[..., :1])))
            above, *below = self._summed(sums, fading, cache, mask)
            y = above / (below[0] + _EPS) if below else above * self.scale
        y = y.to(dtype) if self.norm is None else self.norm(y.to(dtype))
        y = y.transpose(-3, -2).flatten(-2)
        if self.gate_proj is not None:
            y = y * F.silu(self.gate_proj(x))
        mixed: Tensor = self.output_proj(y)
        return mixed

    def new_cache(self, max_length: int) -> LinearState:
        """An empty cache for this layer, whose size does not depend on the tokens.

        Raises:
            ValueError: what is seen in both directions cannot be read token by token.
        """
        if not self.config.causal:
            raise ValueError("attention.causal is false: a text is read as a whole, with no cache")
        return LinearState(max_length)

    def _summed(
        self,
        sums: list[tuple[Tensor, Tensor, Tensor]],
        log_decay: Tensor | None,
        cache: LinearState | None,
        mask: Tensor | None,
    ) -> list[Tensor]:
        """Each of the sums over what is seen, and after what the cache holds."""
        chunk = self.config.chunk
        if not self.config.causal and (mask is None or mask.shape[-2] == 1):
            # One sum for all queries, in which padding's keys are nothing.
            real = [k if mask is None else k * mask.mT for _, k, _ in sums]
            return [q @ (k.mT @ v) for (q, _, v), k in zip(sums, real, strict=True)]
        if cache is None and mask is not None:
            return [quadratic_sums(q, k, v, log_decay, mask) for q, k, v in sums]
        if cache is None:
            return [chunked_sums(q, k, v, log_decay, None, chunk)[0] for q, k, v in sums]
        if mask is not None and not isinstance(cache, StaticState):
            raise ValueError(
                "linear attention has kept sums of what it read: no mask chooses there"
            )
        cache.read(sums[0][0].shape[-2])
        states: list[Tensor] | list[None] = cache.sums or [None] * len(sums)
        found = []
        for (q, k, v), state in zip(sums, states, strict=True):
            if state is not None and q.shape[-2] == 1:
                found.append(sums_of_one(q, k, v, log_decay, state))
            else:
                found.append(chunked_sums(q, k, v, log_decay, state, chunk))
        cache.replace([state for _, state in found])
        return [total for total, _ in found]

    def _log_decay(self, x: Tensor) -> Tensor | None:
        """The logarithm of each token's decay in each head, in float32."""
        if self.config.decay == "none":
            return None
        if self.config.decay == "fixed":
            return self.log_decays.expand(-1, x.shape[-2])
        return F.logsigmoid(self.decay_proj(x).float()).transpose(-2, -1) / 16

    def _split(self, x: Float[Tensor, "*batch seq d"]) -> Float[Tensor, "*batch heads seq d_head"]:
        return x.view(*x.shape[:-1], -1, self.d_head).transpose(-3, -2)
