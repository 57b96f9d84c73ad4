"""A folder that transformers opens: the writer of decoders is :mod:`byteloom.export.hf`."""

from __future__ import annotations

import warnings
from pathlib import Path

from byteloom.atomic import atomic_folder
from byteloom.export import bert, hf, t5
from byteloom.export.hf import tokenizer_files
from byteloom.export.source import AnySource
from byteloom.model import TransformerLM
from byteloom.models import Encoder


def write(source: AnySource, destination: Path) -> list[str]:
    """Writes the folder; see :func:`byteloom.export.write`. Encoders are BERTs, others are T5s."""
    model, tokenizer = source.model, source.tokenizer
    if isinstance(model, TransformerLM):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            hf.write(model, tokenizer, destination, figures=source.figures)
        return [str(one.message) for one in warned]
    special = {} if tokenizer is None else tokenizer.special_tokens
    with atomic_folder(destination) as unfinished:
        if isinstance(model, Encoder):
            pad = source.run.get("task", {}).get("pad", "[PAD]")
            bert.write(model, unfinished, special.get(pad, 0))
        else:
            ends = source.begin_and_end
            t5.write(model, unfinished, 1 if ends is None else ends[1])
        if tokenizer is not None:
            tokenizer_files.write(tokenizer, unfinished, model.config.context_length)
    return []
