"""Prompt -> the text that a model puts after it."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator
from typing import Unpack

from byteloom.generation.ids import Sampling, generate_ids
from byteloom.model import TransformerLM
from byteloom.tokenizer import Tokenizer


def stream_text(
    model: TransformerLM,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    stop: str | Collection[str] | None = None,
    **how: Unpack[Sampling],
) -> Iterator[str]:
    """Generates text piece by piece, as soon as whole characters are there.

    Args:
        model: what writes.
        tokenizer: the one it was trained with.
        prompt: what to go on from; not part of the result.
        stop: special token at which the text ends, or several of which each does.
        **how: as :func:`byteloom.generation.generate_ids` takes it: ``max_new_tokens``,
            ``temperature``, ``top_k``, ``top_p``, ``seed``, ``use_cache``, ``compiled``,
            ``prefix``.

    Raises:
        ValueError: a ``stop`` that is no special token; what :func:`generate_ids` refuses.
    """
    ends = [] if stop is None else [stop] if isinstance(stop, str) else stop
    for end in ends:
        if end not in tokenizer.special_tokens:
            raise ValueError(f"stop={end!r} is no special token of this tokenizer")
    stop_ids = [tokenizer.special_tokens[end] for end in ends]
    known = tokenizer.vocab_size
    ids = generate_ids(model, tokenizer.encode(prompt), stop_ids=stop_ids, known=known, **how)
    return decode_stream(tokenizer, ids)


def generate(
    model: TransformerLM,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    stop: str | None = None,
    **how: Unpack[Sampling],
) -> str:
    """Generates text, all at once; otherwise as :func:`stream_text`.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [])
        >>> model = ModelConfig(vocab_size=256, context_length=8, d_model=16, num_heads=2).build()
        >>> isinstance(generate(model, tokenizer, "Once", max_new_tokens=5, temperature=0.8), str)
        True
    """
    return "".join(stream_text(model, tokenizer, prompt, stop=stop, **how))


def decode_stream(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Ids -> text as they come; a character waits until all its bytes are there.

    Bytes that are no UTF-8 become U+FFFD, so the pieces, joined, are ``tokenizer.decode(ids)``.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in ids:
        if piece := decoder.decode(tokenizer.decode_bytes([token])):
            yield piece
    if piece := decoder.decode(b"", final=True):
        yield piece
