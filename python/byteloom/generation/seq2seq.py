"""A text -> the ids that an encoder-decoder writes about it, one at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from byteloom.generation.sample import check_sampling, sample
from byteloom.models import EncoderDecoder


def answer_ids(
    model: EncoderDecoder,
    ids: Sequence[int],
    *,
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_ids: Collection[int] = (),
    seed: int | None = None,
    use_cache: bool = True,
    known: int | None = None,
) -> Iterator[int]:
    """Generates lazily: an id is there as soon as it is drawn.

    Args:
        model: is put into evaluation mode while it is asked, and back.
        ids: what the encoder reads, at least one id.
        max_new_tokens: at most so many; ``None``: as many as the decoder can write, which are never
            more.
        temperature: as in :func:`byteloom.generation.sample`, like ``top_k`` and ``top_p``; by
            default the likeliest is taken.
        top_k: see there.
        top_p: see there.
        stop_ids: ends before the first of these.
        seed: the same seed gives the same ids; ``None`` is chance.
        use_cache: keep keys and values of what was read and written: the same ids, faster.
        known: only ids below it are drawn, where a tokenizer has fewer than the model; ``None``:
            all.

    Raises:
        ValueError: nothing to read, or too much; ids that the model lacks; no ``start_id``;
            impossible settings.

    Example:
        >>> from byteloom.models import EncoderDecoderConfig
        >>> config = EncoderDecoderConfig(
        ...     vocab_size=10, context_length=8, d_model=16, num_heads=2, start_id=0
        ... )
        >>> len(list(answer_ids(config.build(), [1, 2, 3], max_new_tokens=5)))
        5
    """
    check_sampling(temperature, top_k, top_p)
    most = model.config.decoder_length
    if max_new_tokens is not None and max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be 0 or more")
    if len(ids) == 0:
        raise ValueError("there are no ids to read: give at least one")
    start = model.config.start_id
    if start is None:
        raise ValueError("model.start_id is left out: the decoder does not know its first id")
    writer = _Writer(model, [int(token) for token in ids], start, use_cache)
    chance = torch.Generator(writer.device)
    chance.seed() if seed is None else chance.manual_seed(seed)

    def answer() -> Iterator[int]:
        for _ in range(most if max_new_tokens is None else min(most, max_new_tokens)):
            token = int(sample(writer.next_logits()[:known], temperature, top_k, top_p, chance))
            if token in stop_ids:
                return
            yield token
            writer.written.append(token)

    return answer()


class _Writer:
    """What was read, and what was written so far."""

    def __init__(self, model: EncoderDecoder, ids: list[int], start: int, use_cache: bool) -> None:
        read = torch.tensor([ids])
        model.check_ids(read, model.config.context_length)
        self.model = model
        self.device = model.lm_head.weight.device
        self.read = read.to(self.device)
        self.memory: Tensor | None = None
        self.cache = model.new_cache() if use_cache else None
        self.written = [start]

    @torch.inference_mode()
    def next_logits(self) -> Float[Tensor, " vocab"]:
        """The logits of the token after what was written."""
        was_training = self.model.training
        self.model.eval()
        try:
            if self.memory is None:
                self.memory = self.model.encode(self.read)
            cache, unseen = self.cache, self.written[-1:]
            if cache is None:
                cache, unseen = self.model.new_cache(), self.written
            text = torch.tensor([unseen], device=self.device)
            return self.model.next_logits(text, cache, self.memory)[0, -1]
        finally:
            self.model.train(was_training)
