"""Prompt ids -> the ids that a model puts after them, one at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from byteloom.generation.decoder import Decoder
from byteloom.generation.sample import check_sampling, sample
from byteloom.model import TransformerLM
from byteloom.nn.attention import prefix_mask


class Sampling(TypedDict, total=False):
    """What :func:`generate_ids` may be told, as those who hand it on name it."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int | None
    use_cache: bool
    compiled: bool
    prefix: bool


def generate_ids(
    model: TransformerLM,
    prompt: Sequence[int],
    *,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_ids: Collection[int] = (),
    seed: int | None = None,
    use_cache: bool = True,
    compiled: bool = False,
    prefix: bool = False,
    known: int | None = None,
) -> Iterator[int]:
    """Generates lazily: an id is there as soon as it is drawn.

    When the context is full, the older half of what the model sees is forgotten and the newer half
    read again from place 0; the text goes on.

    Args:
        model: is put into evaluation mode while it is asked, and back.
        prompt: at least one id; of one longer than the context, the end is read.
        max_new_tokens: at most so many.
        temperature: as in :func:`byteloom.generation.sample`, like ``top_k`` and ``top_p``.
        top_k: see there.
        top_p: see there.
        stop_ids: ends before the first of these.
        seed: the same seed gives the same ids; ``None`` is chance.
        use_cache: keep keys and values of what was read: the same ids, many times faster.
        compiled: compile the step from token to token, which pays for long texts on a GPU.
        prefix: the tokens of the prompt see each other in both directions, for models that were
            trained so (see :func:`byteloom.nn.attention.prefix_mask`).
        known: only ids below it are drawn, where a tokenizer has fewer than the model; ``None``:
            all.

    Raises:
        ValueError: an empty prompt, ids that the model lacks, impossible settings, a model whose
            tokens see those behind them.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> model = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2).build()
        >>> ids = generate_ids(model, [1, 2, 3], max_new_tokens=20, seed=0)
        >>> len(list(ids))
        20
    """
    check_sampling(temperature, top_k, top_p)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be 0 or more")
    if len(prompt) == 0:
        raise ValueError("the prompt has no tokens: generation needs at least one to go on from")
    if not model.config.attention.causal:
        raise ValueError(
            "attention.causal is false: the model reads whole texts, and cannot go on with one"
        )
    tokens, vocab_size = [int(token) for token in prompt], model.config.vocab_size
    for place, token in enumerate(tokens):
        if not 0 <= token < vocab_size:
            raise ValueError(
                f"token {place} of the prompt is {token}; the model has the ids 0 .. "
                f"{vocab_size - 1}: is the tokenizer the one it was trained with?"
            )
    reader = _Reader(model, tokens, use_cache, compiled, prefix)
    chance = torch.Generator(reader.device)
    chance.seed() if seed is None else chance.manual_seed(seed)

    def ids() -> Iterator[int]:
        for _ in range(max_new_tokens):
            token = int(sample(reader.next_logits()[:known], temperature, top_k, top_p, chance))
            if token in stop_ids:
                return
            yield token
            reader.append(token)

    return ids()


class _Reader:
    """What the model sees: a window on the text that never outgrows the context."""

    def __init__(
        self,
        model: TransformerLM,
        prompt: list[int],
        use_cache: bool,
        compiled: bool,
        prefix: bool = False,
    ) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.context = model.config.context_length
        self.decoder = Decoder(model, compiled=True) if compiled and use_cache else None
        self.cache = model.new_cache() if use_cache and not compiled else None
        self.window = prompt[-self.context :]
        self.unread = self.window
        self.prefix = len(self.window) if prefix else 0

    def append(self, token: int) -> None:
        """Adds a token; makes room for it first where there is none."""
        if len(self.window) < self.context:
            self.window.append(token)
            self.unread = [token]
            return
        forgotten = len(self.window) - self.context // 2
        self.window = [*self.window[forgotten:], token]
        self.unread = self.window
        self.prefix = max(0, self.prefix - forgotten)
        if self.cache is not None:
            self.cache = self.model.new_cache()

    @torch.inference_mode()
    def next_logits(self) -> Float[Tensor, " vocab"]:
        """The logits of the token after the window."""
        was_training = self.model.training
        self.model.eval()
        try:
            return self._ask()
        finally:
            self.model.train(was_training)

    def _ask(self) -> Float[Tensor, " vocab"]:
        if self.decoder is not None and self.unread is not self.window:
            return self.decoder.step(torch.tensor(self.unread))[0]
        if self.decoder is not None:
            return self.decoder.read(torch.tensor([self.window]), self.prefix)[0]
        tokens, mask = self.window if self.cache is None else self.unread, None
        if self.prefix and tokens is self.window:
            mask = prefix_mask(torch.tensor([self.prefix], device=self.device), len(tokens))
        ids = torch.tensor([tokens], device=self.device)
        logits: Tensor = self.model(ids, cache=self.cache, mask=mask)
        return logits[0, -1]
