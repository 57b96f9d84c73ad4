"""What a model writes at the end of its training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from byteloom.atomic import atomic_write
from byteloom.generation import answer_ids, fill_ids, generate
from byteloom.generation.text import decode_stream
from byteloom.models import AnyModel, Encoder, EncoderDecoder
from byteloom.tokenizer import Tokenizer
from byteloom.training.config import RunConfig
from byteloom.training.data_config import specials_of
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from byteloom.training.tasks import MaskedConfig, PrefixConfig, SpansConfig


def owes_sample(run_config: RunConfig) -> bool:
    """Whether a run is to write something; other models than decoders only if they are asked."""
    settings = run_config.logging
    is_asked = run_config.model.kind == "decoder" or bool(settings.sample_prompt)
    return is_asked and settings.sample_tokens > 0


def write_sample(run: Run, folder: RunFolder, tokenizer: Tokenizer) -> str:
    """Lets the model write into ``sample.txt``: always the same for the same weights and seed."""
    settings = run.config.logging
    with run.averaged():
        if run.config.model.kind == "decoder":
            text = generate(
                run.model,  # type: ignore[arg-type]
                tokenizer,
                settings.sample_prompt or next(iter(tokenizer.special_tokens), "\n"),
                max_new_tokens=settings.sample_tokens,
                temperature=0.8,
                seed=run.config.training.seed,
                prefix=isinstance(run.config.task, PrefixConfig),
            )
        else:
            pieces = reply(
                run.model,
                run.config,
                folder,
                settings.sample_prompt,
                max_new_tokens=settings.sample_tokens,
                temperature=0.0,
            )
            text = "".join(pieces)
    with atomic_write(folder.sample_file) as file:
        file.write(text.encode("utf-8", errors="replace"))
    return text


def reply(
    model: AnyModel,
    run_config: RunConfig,
    folder: RunFolder,
    prompt: str,
    stop: str | None = None,
    **how: Any,
) -> Iterator[str]:
    """What another model than a decoder makes of a prompt, as it comes.

    Of an encoder-decoder, its answer. Of an encoder, the prompt with the likeliest tokens in place
    of the masks.

    Args:
        model: an encoder, or an encoder-decoder.
        run_config: what it learned.
        folder: where its tokenizer is.
        prompt: for encoders with the mask where something is to be found.
        stop: special token at which an answer ends; empty: none; ``None``: that which ended those
            it learned from.
        **how: as :func:`byteloom.generation.answer_ids` takes it.

    Raises:
        ValueError: a prompt without a mask for an encoder, or one that is too long.
    """
    specials = specials_of(replace(run_config.data, tokenizer=folder.tokenizer_file))
    assert specials is not None
    tokenizer, task = specials.tokenizer, run_config.task
    if isinstance(model, Encoder) and isinstance(task, MaskedConfig):
        ids = task.question(specials, prompt)
        mask = specials.id("task.mask", task.mask)
        without_token = range(tokenizer.vocab_size, run_config.model.vocab_size)
        found = fill_ids(model, ids, mask, never=[*specials.ids.values(), *without_token])
        return iter([tokenizer.decode(found[1:-1])])
    assert isinstance(model, EncoderDecoder) and isinstance(task, SpansConfig)
    ends = [task.end_id(specials)] if stop is None else [specials.ids[stop]] if stop else []
    how["known"] = tokenizer.vocab_size
    answer = answer_ids(model, task.question(specials, prompt), stop_ids=ends, **how)
    return decode_stream(tokenizer, answer)
