"""The encoder-decoder: a text -> another text. Its configuration chooses every part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from byteloom.config import Presets
from byteloom.models.decoder_cache import DecoderCache
from byteloom.models.stack import Stack
from byteloom.nn import (
    AttentionConfig,
    BlockConfig,
    Embedding,
    FeedForwardConfig,
    LinearConfig,
    MultiHeadConfig,
    NoNormConfig,
    NormConfig,
    Parts,
    PositionConfig,
    PreNormConfig,
    ReLUConfig,
    RMSNormConfig,
)
from byteloom.nn.attention import CrossConfig, padding_mask
from byteloom.nn.attention.heads import Heads
from byteloom.nn.checks import require_positive_if_given
from byteloom.nn.head import Head
from byteloom.nn.init import CourseInitConfig, InitConfig, require_weights_only
from byteloom.nn.layered import Layered
from byteloom.nn.position import RelativeConfig
from byteloom.nn.whole import WholeModel, built


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig(Layered):
    """An encoder and a decoder that looks at it; the defaults are T5's parts (arXiv:1910.10683)."""

    presets: ClassVar = Presets(Path(__file__).parents[1] / "presets" / "encoder_decoder", "model")
    """Published ones, from which a configuration can begin: ``preset = "t5"``."""

    kind: Literal["encoder_decoder"] = "encoder_decoder"
    """Selects this member."""
    vocab_size: int
    """Number of token ids; taken from the tokenizer where it is left out."""
    context_length: int = 256
    """The most tokens that the encoder reads."""
    target_length: int | None = None
    """The most tokens that the decoder writes; none: as many."""
    d_model: int = 512
    """Size of a token's vector."""
    num_layers: int = 4
    """Transformer blocks of the encoder."""
    num_decoder_layers: int | None = None
    """And of the decoder; none: as many."""
    num_heads: int = 8
    """Attention heads a block; they share d_model evenly."""
    norm: NormConfig = field(default_factory=lambda: RMSNormConfig(eps=1e-6))
    """Normalisation."""
    position: PositionConfig = field(default_factory=RelativeConfig)
    """How tokens know their place: the encoder and the decoder have one each."""
    attention: AttentionConfig = field(default_factory=lambda: MultiHeadConfig(scale=1.0))
    """What mixes tokens: causal in the decoder, never in the encoder; across, all see all."""
    ffn: FeedForwardConfig = field(default_factory=ReLUConfig)
    """What transforms each token."""
    dropout: float = 0.1
    """Part of the numbers that training sets to zero, before and behind blocks and in them."""
    block: BlockConfig = field(default_factory=PreNormConfig)
    """How a layer puts its parts together."""
    embedding_norm: bool = False
    """Whether there are norms behind the embedding, one for either stack."""
    final_norm: bool = True
    """Whether there are norms behind the last blocks."""
    embedding_scale: float | None = None
    """What embeddings are multiplied by, in arXiv:1706.03762 sqrt(d_model); none: 1."""
    full_every: int | None = None
    """Each layer of this number and its multiples sees all: no window, not sparse, not linear."""
    positionless_every: int | None = None
    """Each layer of this number and its multiples is told no places."""
    tie_embeddings: bool = True
    """Whether the table of embeddings is the output map too, as in T5 1.0; in 1.1 it is not."""
    logit_scale: float | None = None
    """What logits are multiplied by; none: 1 / sqrt(d_model) if embeddings are tied, else 1."""
    logit_soft_cap: float | None = None
    """Logits become cap tanh(logit / cap); none: they stay as they are."""
    start_id: int | None = None
    """What the decoder begins with, in T5 0, its padding; where it is left out, task.start."""
    init: InitConfig = field(default_factory=CourseInitConfig)
    """What the weights are before they learn; queries' are then divided by what scores are not."""

    def __post_init__(self) -> None:
        for key in ("target_length", "num_decoder_layers", "logit_scale"):
            require_positive_if_given(**{key: getattr(self, key)})
        require_weights_only(self.init, "an encoder-decoder")
        if self.embedding_norm and self.norm.kind == "none":
            raise ValueError("embedding_norm is true, but norm.kind is none: choose a norm")
        if not self.attention.causal:
            raise ValueError(
                "attention.causal is false, but the decoder writes one token after the other: the "
                "encoder sees both directions in any case"
            )
        if isinstance(self.attention, LinearConfig) and self.attention.decay != "none":
            raise ValueError(
                f"attention.decay is {self.attention.decay}, but the encoder sees both directions, "
                "where there is no before that could fade"
            )
        with torch.device("meta"):
            self.check_layers()
            self.build_encoder(num_layers=1)
            self.build_decoder(num_layers=1)
            self.build_head()
        if self.start_id is not None and not 0 <= self.start_id < self.vocab_size:
            raise ValueError(
                f"start_id is {self.start_id}; there are the ids 0 .. {self.vocab_size - 1}"
            )

    @property
    def decoder_length(self) -> int:
        """The most tokens that the decoder writes."""
        return self.context_length if self.target_length is None else self.target_length

    @property
    def decoder_layers(self) -> int:
        """Blocks of the decoder."""
        return self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers

    @property
    def depth(self) -> int:
        """Layers of the deeper stack."""
        return max(self.num_layers, self.decoder_layers)

    def build_encoder(self, num_layers: int) -> Stack:
        """Makes the encoder."""
        both = [replace(self.attention_of(i), causal=False) for i in range(num_layers)]
        parts = [self.parts_of(i, attention) for i, attention in enumerate(both)]
        return self._stack(parts, self.context_length, causal=False)

    def build_decoder(self, num_layers: int) -> Stack:
        """Makes the decoder, whose layers see all that the encoder made, by a softmax."""
        cross = CrossConfig.like(self.attention.full())
        parts = [self.parts_of(i, cross=cross) for i in range(num_layers)]
        return self._stack(parts, self.decoder_length)

    def build_head(self) -> Head:
        """Makes the output map."""
        scale = self.logit_scale
        if scale is None:
            scale = 1 / math.sqrt(self.d_model) if self.tie_embeddings else 1.0
        return Head(self.d_model, self.vocab_size, scale, self.logit_soft_cap)

    def build(self, seed: int | None = None) -> EncoderDecoder:
        """Makes the model, on the CPU, with fresh weights.

        Args:
            seed: the same seed gives the same weights, and torch's global generator is left as it
                was; ``None`` draws from that.
        """
        return built(lambda: EncoderDecoder(self), seed)

    def _stack(self, parts: Sequence[Parts], length: int, causal: bool = True) -> Stack:
        none = NoNormConfig()
        return Stack(
            [self.block.build(of_layer) for of_layer in parts],
            self.build_position(length, causal),
            (self.norm if self.embedding_norm else none).build(self.d_model),
            (self.norm if self.final_norm else none).build(self.d_model),
            self.dropout,
            self.positionless_every,
        )


class EncoderDecoder(WholeModel):
    """A shared embedding, an encoder, a decoder and an output map: T5 (arXiv:1910.10683).

    With other parts it is the first transformer (arXiv:1706.03762) or T5 1.1.

    Args:
        config: chooses every part.

    Example:
        >>> config = EncoderDecoderConfig(
        ...     vocab_size=10, context_length=8, d_model=16, num_heads=2, start_id=0
        ... )
        >>> model = EncoderDecoder(config)
        >>> model(torch.tensor([[1, 2, 3]]), torch.tensor([[0, 4]])).shape
        torch.Size([1, 2, 10])
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config: EncoderDecoderConfig = config
        self.token_embeddings = Embedding(config.vocab_size, config.d_model)
        self.encoder = config.build_encoder(config.num_layers)
        self.decoder = config.build_decoder(config.decoder_layers)
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = config.build_head()
        if config.tie_embeddings:
            self.lm_head.weight = self.token_embeddings.weight
        config.init.start(self, config.d_model, config.num_layers)
        # Of another depth, and of three parts a block.
        config.init.start(self.decoder, config.d_model, 1.5 * config.decoder_layers)
        for part in self.modules():
            if isinstance(part, Heads) and part.scale is not None:
                # Scores begin as large as with the usual scale, as in T5.
                with torch.no_grad():
                    part.q_proj.weight.div_(part.scale * math.sqrt(part.d_head))

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        written: Int[Tensor, "batch out"],
        real: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch out vocab"]:
        """Unnormalised logits of the token after each of those that are written.

        Args:
            ids: what the encoder reads; no more than ``context_length``.
            written: what the decoder has written, the start included: see :meth:`shifted`.
            real: True where ``ids`` has a token, and no padding; by default everywhere.

        Raises:
            ValueError: too many tokens; on a CPU also an id outside the vocabulary.
        """
        logits: Tensor = self.lm_head(self.hidden(ids, written, real))
        return logits

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        written: Int[Tensor, "batch out"],
        real: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch out d_model"]:
        """What the output map sees; the arguments are those of :meth:`forward`."""
        self.check_ids(written, self.config.decoder_length)
        mask = None if real is None else padding_mask(real)
        x = self.embedded(written)
        memory = (self.encode(ids, real), mask)
        found: Tensor = self.dropout(self.decoder(x, self.recomputing, memory=memory))
        return found

    def encode(
        self,
        ids: Int[Tensor, "batch seq"],
        real: Bool[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """What the decoder sees of each token that the encoder reads."""
        self.check_ids(ids, self.config.context_length)
        mask = None if real is None else padding_mask(real)
        x = self.embedded(ids)
        found: Tensor = self.dropout(self.encoder(x, self.recomputing, mask=mask))
        return found

    def next_logits(
        self,
        written: Int[Tensor, "batch out"],
        cache: DecoderCache,
        memory: Float[Tensor, "batch seq d_model"] | None = None,
    ) -> Float[Tensor, "batch out vocab"]:
        """Logits after tokens that follow those in the cache, which these are added to.

        Args:
            written: the tokens.
            cache: made by :meth:`new_cache`.
            memory: what :meth:`encode` gave; the first time only.

        Raises:
            ValueError: see :meth:`forward`.
        """
        self.check_ids(written, self.config.decoder_length, cache.length)
        mask = None if cache.real is None else padding_mask(cache.real)
        x = self.embedded(written)
        seen, memories = (memory, mask), cache.memories
        x = self.decoder(x, self.recomputing, None, None, cache, seen, memories)
        logits: Tensor = self.lm_head(self.dropout(x))
        return logits

    def new_cache(self, real: Bool[Tensor, "batch seq"] | None = None) -> DecoderCache:
        """An empty cache for :meth:`next_logits`, with room for all that can be written.

        Args:
            real: True where the memory has a token, and no padding; by default everywhere.
        """
        return DecoderCache(self.decoder.new_cache(self.config.decoder_length), real)

    def shifted(self, targets: Int[Tensor, "batch out"]) -> Int[Tensor, "batch out"]:
        """What the decoder sees when it is to write the targets: the start, and all but the last.

        What is not to be predicted, below 0, is seen as the start.

        Raises:
            ValueError: the configuration has no ``start_id``.
        """
        start = self.config.start_id
        if start is None:
            raise ValueError("model.start_id is left out: the decoder does not know its first id")
        written = nn.functional.pad(targets[:, :-1], (1, 0), value=start)
        return torch.where(written < 0, start, written)
