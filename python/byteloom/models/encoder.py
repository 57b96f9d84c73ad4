"""The encoder: ids -> what each means where it stands. Its configuration chooses every part."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.config import Presets
from byteloom.models.stack import Stack
from byteloom.nn import (
    AttentionConfig,
    Block,
    BlockConfig,
    Embedding,
    FeedForwardConfig,
    GELUConfig,
    LayerNormConfig,
    Linear,
    MultiHeadConfig,
    NoNormConfig,
    NormConfig,
    PositionConfig,
    PostNormConfig,
)
from byteloom.nn.attention import padding_mask
from byteloom.nn.ffn.base import FeedForwardBase
from byteloom.nn.init import CourseInitConfig, InitConfig, require_weights_only
from byteloom.nn.layered import Layered
from byteloom.nn.masked_head import MaskedHead
from byteloom.nn.position import LearnedConfig
from byteloom.nn.whole import WholeModel, built


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Layered):
    """An encoder, whose tokens see each other; the defaults are BERT's parts (arXiv:1810.04805)."""

    presets: ClassVar = Presets(Path(__file__).parents[1] / "presets" / "encoder", "model")
    """Published encoders, from which a configuration can begin: ``preset = "bert"``."""

    kind: Literal["encoder"] = "encoder"
    """Selects this member."""
    vocab_size: int
    """Number of token ids; taken from the tokenizer where it is left out."""
    context_length: int = 256
    """The most tokens that are seen at once, all that frames segments included."""
    d_model: int = 512
    """Size of a token's vector."""
    num_layers: int = 4
    """Transformer blocks."""
    num_heads: int = 8
    """Attention heads a block; they share d_model evenly."""
    norm: NormConfig = field(default_factory=lambda: LayerNormConfig(eps=1e-12, bias=True))
    """Normalisation."""
    position: PositionConfig = field(default_factory=LearnedConfig)
    """How tokens know their place; relative ones tell both directions apart."""
    attention: AttentionConfig = field(
        default_factory=lambda: MultiHeadConfig(causal=False, bias=True, output_bias=True)
    )
    """What mixes tokens; never causal."""
    ffn: FeedForwardConfig = field(default_factory=lambda: GELUConfig(bias=True))
    """What transforms each token; its activation is that of the output map too."""
    dropout: float = 0.1
    """Part of the numbers that training sets to zero, in the embedding and in what blocks add."""
    block: BlockConfig = field(default_factory=PostNormConfig)
    """How a layer puts its parts together."""
    embedding_norm: bool = True
    """Whether there is a norm behind the embedding."""
    final_norm: bool = False
    """Whether there is a norm behind the last block: for blocks with norms before their parts."""
    embedding_scale: float | None = None
    """What tokens' embeddings are multiplied by, before others are added; none: 1."""
    full_every: int | None = None
    """Each layer of this number and its multiples sees all: no window, not sparse, not linear."""
    positionless_every: int | None = None
    """Each layer of this number and its multiples is told no places."""
    token_types: int = 2
    """Kinds of segments, each with a learned vector that is added; 0: none."""
    next_sentence: bool = True
    """Whether there is a head that says if the second segment follows the first."""
    tie_embeddings: bool = True
    """Whether the table of embeddings is the output map too."""
    logit_scale: float = 1.0
    """What logits are multiplied by."""
    logit_soft_cap: float | None = None
    """Logits become cap tanh(logit / cap); none: they stay as they are."""
    init: InitConfig = field(default_factory=CourseInitConfig)
    """What the weights are before they learn; by "course", tables begin with 0.02 here."""

    def __post_init__(self) -> None:
        if self.token_types < 0:
            raise ValueError(f"token_types is {self.token_types}; it must be 0 or more")
        if self.next_sentence and self.token_types == 1:
            raise ValueError("token_types is 1, but next_sentence has two segments: 2, or 0")
        if self.attention.causal:
            raise ValueError(
                "attention.causal is true, but an encoder's tokens see those behind them too: say "
                "attention.causal = false"
            )
        require_weights_only(self.init, "an encoder")
        if self.next_sentence and getattr(self.ffn, "capacity", None) is not None:
            raise ValueError(
                "ffn.capacity is given, but pairs of segments are filled up, and what fills up one "
                "would take the places of another's tokens: leave it out"
            )
        with torch.device("meta"):
            self.check_layers()
            self.build_stack(num_layers=1)
            self.build_head()

    def build_block(self, index: int = 0) -> Block:
        """Makes the block of a layer, the first of which is 0."""
        return self.block.build(self.parts_of(index))

    def build_stack(self, num_layers: int) -> Stack:
        """Makes the blocks, with what stands around them."""
        none = NoNormConfig()
        return Stack(
            [self.build_block(index) for index in range(num_layers)],
            self.build_position(causal=False),
            (self.norm if self.embedding_norm else none).build(self.d_model),
            (self.norm if self.final_norm else none).build(self.d_model),
            self.dropout,
            self.positionless_every,
        )

    def build_head(self) -> MaskedHead:
        """Makes the output map."""
        # Not every feed-forward network has one activation.
        ffn = self.ffn if isinstance(self.ffn, FeedForwardBase) else GELUConfig()
        return MaskedHead(
            self.d_model,
            self.vocab_size,
            ffn.activation(),
            self.norm,
            self.logit_scale,
            self.logit_soft_cap,
        )

    def build(self, seed: int | None = None) -> Encoder:
        """Makes the model, on the CPU, with fresh weights.

        Args:
            seed: the same seed gives the same weights, and torch's global generator is left as it
                was; ``None`` draws from that.
        """
        return built(lambda: Encoder(self), seed)


class NextSentenceHead(nn.Module):
    """Two logits of tanh(dense(x)), with x the first token's vector: follows, does not follow.

    Args:
        d_model: size of the vector.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.dense = Linear(d_model, d_model, bias=True)
        self.output = Linear(d_model, 2, bias=True)

    def forward(self, first: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch 2"]:
        """The logits."""
        logits: Tensor = self.output(self.dense(first).tanh())
        return logits


class Encoder(WholeModel):
    """Embeddings of tokens, places and segments, blocks, and heads: BERT (arXiv:1810.04805).

    Args:
        config: chooses every part.

    Example:
        >>> config = EncoderConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2)
        >>> model = Encoder(config).eval()
        >>> hidden = model.hidden(torch.tensor([[1, 2, 3]]))
        >>> model.lm_head(hidden).shape, model.next_sentence(hidden[:, 0]).shape
        (torch.Size([1, 3, 10]), torch.Size([1, 2]))
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config: EncoderConfig = config
        self.token_embeddings = Embedding(config.vocab_size, config.d_model)
        self.token_types = None
        if config.token_types:
            self.token_types = Embedding(config.token_types, config.d_model)
            nn.init.normal_(self.token_types.weight, std=0.02)
        self.encoder = config.build_stack(config.num_layers)
        self.lm_head = config.build_head()
        nn.init.normal_(self.token_embeddings.weight, std=0.02)
        if config.tie_embeddings:
            self.lm_head.weight = self.token_embeddings.weight
        self.next_sentence = NextSentenceHead(config.d_model) if config.next_sentence else None
        config.init.start(self, config.d_model, config.num_layers)

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        token_types: Int[Tensor, "batch seq"] | None = None,
        real: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Unnormalised logits of the token that stands, or was hidden, at each place.

        Args:
            ids: tokens; no more than ``context_length``.
            token_types: the segment that each is of; by default 0.
            real: True where there is a token, and no padding; by default everywhere.

        Raises:
            ValueError: too many tokens; on a CPU also an id outside the vocabulary.
        """
        logits: Tensor = self.lm_head(self.hidden(ids, token_types, real))
        return logits

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        token_types: Int[Tensor, "batch seq"] | None = None,
        real: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """What the heads see of each token; the arguments are those of :meth:`forward`."""
        self.check_ids(ids, self.config.context_length)
        x = self.embedded(ids)
        if self.token_types is not None:
            first = self.token_types.weight[0]
            x = x + (first if token_types is None else self.token_types(token_types))
        mask = None if real is None else padding_mask(real)
        found: Tensor = self.encoder(x, self.recomputing, mask=mask)
        return found
