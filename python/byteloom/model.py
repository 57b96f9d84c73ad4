"""The language model: ids -> logits. Its configuration chooses every part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.config import Presets
from byteloom.nn import (
    AttentionConfig,
    Block,
    BlockConfig,
    Cache,
    Embedding,
    FeedForwardConfig,
    MultiHeadConfig,
    NoNormConfig,
    NormConfig,
    Parts,
    Position,
    PositionConfig,
    PreNormConfig,
    RMSNormConfig,
    RotaryConfig,
    SwiGLUConfig,
)
from byteloom.nn.attention import document_mask
from byteloom.nn.checks import require_positive, require_positive_if_given
from byteloom.nn.head import Head
from byteloom.nn.init import CourseInitConfig, InitConfig
from byteloom.nn.loss import Sums
from byteloom.nn.recompute import Recomputing


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer; the defaults are the shape of the course's base model."""

    presets: ClassVar = Presets(Path(__file__).with_name("presets"), "model")
    """Published models, from which a configuration can begin: ``preset = "llama3"``."""

    vocab_size: int
    """Number of token ids; taken from the tokenizer where it is left out."""
    context_length: int = 256
    """The most tokens that are seen at once."""
    d_model: int = 512
    """Size of a token's vector."""
    num_layers: int = 4
    """Transformer blocks."""
    num_heads: int = 16
    """Attention heads a block; they share d_model evenly."""
    norm: NormConfig = field(default_factory=RMSNormConfig)
    """Normalisation."""
    position: PositionConfig = field(default_factory=RotaryConfig)
    """How tokens know their place."""
    attention: AttentionConfig = field(default_factory=MultiHeadConfig)
    """What mixes tokens."""
    ffn: FeedForwardConfig = field(default_factory=SwiGLUConfig)
    """What transforms each token."""
    dropout: float = 0.0
    """Part of the numbers that training sets to zero, in the embedding and in what blocks add."""
    block: BlockConfig = field(default_factory=PreNormConfig)
    """How a layer puts its parts together: where norms are, one after the other or side by side."""
    final_norm: bool = True
    """Whether there is a norm behind the last block."""
    tie_embeddings: bool = False
    """Whether the table of embeddings is the output map too."""
    embedding_scale: float | None = None
    """What embeddings are multiplied by, as in T5 and Gemma: there, sqrt(d_model); none: 1."""
    embedding_norm: bool = False
    """Whether there is a norm behind the embedding, as in BLOOM (arXiv:2211.05100) and nanochat."""
    full_every: int | None = None
    """Each layer of this number and its multiples sees all: no window, not sparse, not linear."""
    positionless_every: int | None = None
    """Each layer of this number and its multiples is told no places, as in SmolLM3."""
    logit_scale: float = 1.0
    """What logits are multiplied by, as in Command R."""
    logit_soft_cap: float | None = None
    """Logits become cap tanh(logit / cap), as in Gemma 2; none: they stay as they are."""
    init: InitConfig = field(default_factory=CourseInitConfig)
    """What the weights are before they learn."""

    def __post_init__(self) -> None:
        for key in ("vocab_size", "context_length", "d_model", "num_layers", "num_heads"):
            require_positive(key, getattr(self, key))
        for key in ("full_every", "positionless_every", "embedding_scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        if self.full_every is not None and self.attention == self.attention.full():
            raise ValueError(
                f"full_every is {self.full_every}, but without attention.window all layers see all"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        # What the parts refuse is refused here, not later: made without memory, on no device.
        with torch.device("meta"):
            position = self.build_position()
            if position.has_bias and not self.attention.takes_bias:
                raise ValueError(
                    f"position.kind {self.position.kind} adds to scores, and attention.kind "
                    f"{self.attention.kind} has none"
                )
            self.build_block()
            self.ffn.build(self.d_model)  # which the first block need not have
            self.build_head()

    def build_position(self) -> Position:
        """Makes the position scheme that all blocks share."""
        d_head = self.attention.head_size(self.d_model, self.num_heads)
        return self.position.build(self.d_model, self.num_heads, self.context_length, d_head)

    def build_block(self, index: int = 0) -> Block:
        """Makes the block of a layer, the first of which is 0."""
        attention = self.attention_of(index)
        return self.block.build(
            Parts(
                self.d_model,
                self.num_heads,
                attention,
                self.ffn.at(index),
                self.norm,
                self.dropout,
            )
        )

    def has_equal_layers(self) -> bool:
        """Whether any layer tells what all of them are."""
        return not (self.full_every or self.positionless_every) and all(
            self.ffn.at(index) == self.ffn.at(0) for index in range(self.num_layers)
        )

    def attention_of(self, index: int) -> AttentionConfig:
        """What mixes tokens in a layer, the first of which is 0."""
        return self.attention.full() if is_each(index, self.full_every) else self.attention

    def build_head(self) -> Head:
        """Makes the output map."""
        scale = self.logit_scale * self.init.logit_factor(self.d_model)
        return Head(self.d_model, self.vocab_size, scale, self.logit_soft_cap)

    def build(self, seed: int | None = None) -> TransformerLM:
        """Makes the model, on the CPU, with fresh weights.

        Args:
            seed: the same seed gives the same weights, and torch's global generator is left as it
                was; ``None`` draws from that.
        """
        if seed is None:
            return TransformerLM(self)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return TransformerLM(self)


def is_each(index: int, n: int | None) -> bool:
    """Whether the layer, the first of which is 0, is an n-th one.

    Example:
        >>> [i for i in range(7) if is_each(i, 3)]
        [2, 5]
    """
    return n is not None and (index + 1) % n == 0


def _stream_dtype(x: Tensor) -> torch.dtype:
    """The type in which tokens go from block to block: autocast's, if its range is float32's."""
    device = x.device.type
    narrow = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
    return torch.bfloat16 if narrow is torch.bfloat16 else x.dtype


class TransformerLM(nn.Module):
    """Embedding, blocks, norm, and a linear map to one logit a token of the vocabulary.

    The shape of GPT (Radford et al. 2018) with, by default, the parts of Llama (arXiv:2302.13971).

    Args:
        config: chooses every part.

    Example:
        >>> config = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2)
        >>> TransformerLM(config)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 10])
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embeddings = Embedding(config.vocab_size, config.d_model)
        self.position = config.build_position()
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(map(config.build_block, range(config.num_layers)))
        norm = config.norm if config.final_norm else NoNormConfig()
        self.ln_final = norm.build(config.d_model)
        self.lm_head = config.build_head()
        if config.tie_embeddings:
            nn.init.normal_(self.token_embeddings.weight, std=0.02)
            self.lm_head.weight = self.token_embeddings.weight
        if config.embedding_norm:
            self.ln_embedding = config.norm.build(config.d_model)
        config.init.start(self, config.d_model, config.num_layers)
        #: How much of the blocks is kept for the gradients.
        self.recomputing = Recomputing()

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        positions: Int[Tensor, "#batch seq"] | None = None,
        cache: Cache | None = None,
        documents: Int[Tensor, "batch seq"] | None = None,
        mask: Bool[Tensor, "#batch 1 #seq keys"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Unnormalised logits of the token after each.

        Args:
            ids: tokens; no more than ``context_length``, those in the cache included.
            positions: their places; by default 0, 1, 2 ... after those in the cache.
            cache: made by :meth:`new_cache`, holding the tokens before these; these are added.
            documents: number of the document that each token is of; none sees those of another.
                Their places may stay those in the window, as all schemes here look at distances.
            mask: True where a token may see another, those in the cache included, in place of the
                causal mask: :func:`byteloom.nn.attention.prefix_mask`, ``padding_mask`` ...

        Raises:
            ValueError: too many tokens; documents with a cache; on a CPU also an id outside the
                vocabulary.
        """
        logits: Tensor = self.lm_head(self.hidden(ids, positions, cache, documents, mask))
        return logits

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        positions: Int[Tensor, "#batch seq"] | None = None,
        cache: Cache | None = None,
        documents: Int[Tensor, "batch seq"] | None = None,
        mask: Bool[Tensor, "#batch 1 #seq keys"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """What the output map sees of each token; the arguments are those of :meth:`forward`."""
        self._check(ids, 0 if cache is None else cache.length)
        if positions is None and cache is not None:
            positions = cache.layers[0].next_positions(ids.shape[1], ids.device)
        if documents is not None and cache is not None:
            raise ValueError("documents are told apart in whole texts only: not with a cache")
        # Once for all layers; none is the attention's own, the causal one for most.
        if documents is not None:
            same = document_mask(documents, self.config.attention.causal and mask is None)
            mask = same if mask is None else same & mask
        if cache is not None and mask is None:
            mask = cache.mask(ids.shape[1])
        x = self.token_embeddings(ids)
        if self.config.embedding_scale is not None:
            x = x * self.config.embedding_scale
        x = self.position.embed(x, positions)
        if self.config.embedding_norm:
            x = self.ln_embedding(x)
        x = self.dropout(x.to(_stream_dtype(x)))
        for i, layer in enumerate(self.layers):
            position = None if is_each(i, self.config.positionless_every) else self.position
            if cache is None:
                x = self.recomputing(layer, x, positions, position, None, mask)
            else:
                x = layer(x, positions, position, cache.layers[i], mask)
        normed: Tensor = self.ln_final(x)
        return normed

    def loss(
        self,
        ids: Int[Tensor, "batch seq"],
        targets: Int[Tensor, "batch seq"],
        z_loss: float = 0.0,
    ) -> Sums:
        """The loss on targets, without holding the logits of all tokens at once.

        Args:
            ids: tokens.
            targets: those after each.
            z_loss: see :func:`byteloom.nn.loss.linear_cross_entropy`.
        """
        return self.lm_head.loss(self.hidden(ids), targets, z_loss)

    def new_cache(self, max_length: int | None = None) -> Cache:
        """An empty cache for :meth:`forward`; by default with room for the whole context.

        Raises:
            ValueError: the model reads whole texts only.
        """
        length = self.config.context_length if max_length is None else max_length
        layers = cast(Iterable[Block], self.layers)
        return Cache([layer.attn.new_cache(length) for layer in layers])

    def penalty(self) -> Tensor | float:
        """What the parts add to the loss: router and z-losses; 0 where none has any.

        A part with a method ``penalty`` gives its own, without that of parts inside it.
        """
        own: list[Tensor] = [
            part.penalty()  # type: ignore[operator]
            for part in self.modules()
            if part is not self and hasattr(part, "penalty")
        ]
        return sum(own, start=torch.zeros(())) if own else 0.0

    def lr_scales(self) -> dict[str, float]:
        """What learning rates are multiplied by, by the names of the optimizer's groups."""
        return self.config.init.lr_scales(self.config.d_model)

    def num_parameters(self, embeddings: bool = True, idle: bool = True) -> int:
        """Numbers to learn.

        Args:
            embeddings: whether those of the token embeddings and the output map count.
            idle: whether those count that have no part in what becomes of a token: the experts
                that it does not go to.
        """
        left_out = 0
        if not embeddings:
            left_out = self.token_embeddings.weight.numel()
            left_out += 0 if self.config.tie_embeddings else self.lm_head.weight.numel()
        if not idle:
            left_out += sum(
                part.idle_parameters()  # type: ignore[operator]
                for part in self.modules()
                if hasattr(part, "idle_parameters")
            )
        return sum(p.numel() for p in self.parameters()) - left_out

    def _check(self, ids: Tensor, read: int) -> None:
        if ids.ndim != 2:
            raise ValueError(f"ids must be (batch, seq), not of shape {tuple(ids.shape)}")
        tokens, limit = read + ids.shape[1], self.config.context_length
        if tokens > limit:
            raise ValueError(f"{tokens} tokens are more than the model's context of {limit}")
        # Elsewhere than on a CPU looking would mean waiting; there, the kernel itself complains.
        if ids.device.type == "cpu" and not torch.compiler.is_compiling() and ids.numel():
            lowest, highest = (int(bound) for bound in torch.aminmax(ids))
            if lowest < 0 or highest >= self.config.vocab_size:
                wrong = lowest if lowest < 0 else highest
                raise ValueError(
                    f"token id {wrong} is outside the model's vocabulary, whose ids are "
                    f"0 .. {self.config.vocab_size - 1}"
                )
