"""The language model: ids -> logits. Its configuration chooses every part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, cast

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
    PositionConfig,
    PreNormConfig,
    RMSNormConfig,
    RotaryConfig,
    SwiGLUConfig,
)
from byteloom.nn.attention import document_mask, document_places
from byteloom.nn.head import Head
from byteloom.nn.init import GPT2InitConfig, InitConfig
from byteloom.nn.layered import Layered, is_each
from byteloom.nn.loss import Sums
from byteloom.nn.whole import WholeModel, built, stream_dtype


@dataclass(frozen=True)
class ModelConfig(Layered):
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
    """What embeddings are multiplied by, as in Gemma: there, sqrt(d_model); none: 1."""
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
    init: InitConfig = field(default_factory=GPT2InitConfig)
    """What the weights are before they learn."""
    kind: Literal["decoder"] = "decoder"
    """Selects this member of the whole models, which is meant where nothing is said."""

    def __post_init__(self) -> None:
        if self.embedding_norm and self.norm.kind == "none":
            raise ValueError("embedding_norm is true, but norm.kind is none: choose a norm")
        # What the parts refuse is refused here, not later: made without memory, on no device.
        with torch.device("meta"):
            self.check_layers()
            self.build_block()
            self.build_head()

    def build_block(self, index: int = 0) -> Block:
        """Makes the block of a layer, the first of which is 0."""
        return self.block.build(self.parts_of(index))

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
        return built(lambda: TransformerLM(self), seed)


class TransformerLM(WholeModel):
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
        self.config: ModelConfig = config
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
            documents: number of the document that each token is of; none sees those of another,
                and each is what it would be in its document alone.
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
        self.check_ids(ids, self.config.context_length, 0 if cache is None else cache.length)
        if positions is None and cache is not None:
            positions = cache.layers[0].next_positions(ids.shape[1], ids.device)
        if documents is not None and cache is not None:
            raise ValueError("documents are told apart in whole texts only: not with a cache")
        # Once for all layers; none is the attention's own, the causal one for most.
        if documents is not None:
            same = document_mask(documents, self.config.attention.causal and mask is None)
            mask = same if mask is None else same & mask
            # All others look at distances alone, which are the same in a window.
            if positions is None and (
                self.position.is_by_place or self.config.attention.is_by_place
            ):
                positions = document_places(documents)
        if cache is not None and mask is None:
            mask = cache.mask(ids.shape[1])
        x = self.position.embed(self.embedded(ids), positions)
        if self.config.embedding_norm:
            x = self.ln_embedding(x)
        x = self.dropout(x.to(stream_dtype(x)))
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

    def lr_scales(self) -> dict[str, float]:
        """What learning rates are multiplied by, by the names of the optimizer's groups."""
        return self.config.init.lr_scales(self.config.d_model)
