"""A folder that transformers opens: the writer of decoders is :mod:`byteloom.export.hf`."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path

from byteloom.atomic import atomic_folder
from byteloom.export import bert, hf, t5
from byteloom.export.hf import tokenizer_files
from byteloom.export.source import AnySource
from byteloom.model import TransformerLM
from byteloom.models import Encoder
from byteloom.training.tasks import MaskedConfig


def write(source: AnySource, destination: Path) -> list[str]:
    """Writes the folder; see :func:`byteloom.export.write`. Encoders are BERTs, others are T5s."""
    model, tokenizer = source.model, source.tokenizer
    if isinstance(model, TransformerLM):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            hf.write(model, tokenizer, destination, figures=source.figures)
        return [str(one.message) for one in warned]
    special = {} if tokenizer is None else tokenizer.special_tokens
    roles = _masked_roles(source) if isinstance(model, Encoder) else _spans_roles(source)
    roles = {role: name for role, name in roles.items() if name in special}
    with atomic_folder(destination) as unfinished:
        if isinstance(model, Encoder):
            bert.write(model, unfinished, special.get(roles.get("pad_token", ""), 0))
        else:
            t5.write(model, unfinished, special.get(roles.get("eos_token", ""), 1))
        if tokenizer is not None:
            length = model.config.context_length
            tokenizer_files.write(tokenizer, unfinished, length, roles)
    return []


def _masked_roles(source: AnySource) -> dict[str, str]:
    """What special tokens are for, as the run's task says, by transformers' names."""
    task = source.run.get("task", {})
    usual = {field.name: field.default for field in fields(MaskedConfig)}
    return {f"{role}_token": task.get(role, usual[role]) for role in ("mask", "cls", "sep", "pad")}


def _spans_roles(source: AnySource) -> dict[str, str]:
    """The same of an encoder-decoder, which fills up with what its decoder begins with."""
    special = {} if source.tokenizer is None else source.tokenizer.special_tokens
    names = {i: name for name, i in special.items()}
    start = getattr(source.model.config, "start_id", None)
    # Of a model from elsewhere only names tell; what was trained here ended with the first.
    _, named = tokenizer_files.begin_and_end(source.tokenizer)
    usual = next(iter(special), None) if source.iteration else named
    end = source.run.get("task", {}).get("end") or source.run.get("data", {}).get("separator")
    return {
        "eos_token": end or usual or "",
        "pad_token": names.get(-1 if start is None else start, ""),
    }
