"""A folder that transformers opens: the writer of decoders is :mod:`byteloom.export.hf`."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from pathlib import Path

from byteloom.atomic import atomic_folder
from byteloom.export import bert, hf, t5
from byteloom.export.hf import tokenizer_files
from byteloom.export.hf.card import card
from byteloom.export.hf.files import SHARD_BYTES, read_json
from byteloom.export.hf.roles import Roles, as_list, begin_and_end
from byteloom.export.source import AnySource
from byteloom.model import TransformerLM
from byteloom.models import Encoder
from byteloom.training.tasks import MaskedConfig, SpansConfig


def write(source: AnySource, destination: Path, shard_bytes: int = SHARD_BYTES) -> list[str]:
    """Writes the folder; see :func:`byteloom.export.write`. Encoders are BERTs, others are T5s.

    Args:
        source: the model, and what is known of it.
        destination: the folder to be.
        shard_bytes: weights of more are put into several files.
    """
    model, tokenizer = source.model, source.tokenizer
    if isinstance(model, TransformerLM):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            hf.write(
                model,
                tokenizer,
                destination,
                figures=source.figures,
                shard_bytes=shard_bytes,
                roles=source.roles,
                chat_template=source.chat_template,
            )
        return [str(one.message) for one in warned]
    roles = _roles(source)
    with atomic_folder(destination) as unfinished:
        if isinstance(model, Encoder):
            pad = _id(source, roles, "pad_token", 0)
            bert.write(model, unfinished, pad, shard_bytes=shard_bytes)
        else:
            ends = as_list((source.kept or roles).generation.get("eos_token_id"))
            own = _id(source, roles, "eos_token", 1)
            if not ends or (source.iteration and own not in ends):
                ends = [own, *ends]
            end = ends if len(ends) > 1 else ends[0]
            t5.write(model, unfinished, end, shard_bytes=shard_bytes)
        if tokenizer is not None:
            length = model.config.context_length
            tokenizer_files.write(tokenizer, unfinished, length, roles)
        architecture = read_json(unfinished / "config.json")["architectures"][0]
        sentinel = _first_sentinel(source)
        text = card(model, destination.name, architecture, source.figures, sentinel=sentinel)
        (unfinished / "README.md").write_text(text, "utf-8")
    return []


def _roles(source: AnySource) -> Roles:
    """What special tokens are for: as it was where the model came from, or as the task says.

    What was trained here learned what the task says.
    """
    special = {} if source.tokenizer is None else source.tokenizer.special_tokens
    is_encoder = isinstance(source.model, Encoder)
    task = _masked_roles(source) if is_encoder else _spans_roles(source)
    there = {role: name for role, name in task.items() if name in special}
    kept = {} if source.kept is None else source.kept.tokens
    named = dict(zip(("bos_token", "eos_token"), begin_and_end(source.tokenizer), strict=True))
    roles = Roles() if source.kept is None else source.kept
    last = {**kept, **there} if source.iteration else {**there, **kept}
    return replace(roles, tokens={**named, **last})


def _id(source: AnySource, roles: Roles, role: str, default: int) -> int:
    special = {} if source.tokenizer is None else source.tokenizer.special_tokens
    return special.get(roles.tokens.get(role) or "", default)


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
    _, named = begin_and_end(source.tokenizer)
    usual = next(iter(special), None) if source.iteration else named
    end = source.run.get("task", {}).get("end") or source.run.get("data", {}).get("separator")
    return {
        "eos_token": end or usual or "",
        "pad_token": names.get(-1 if start is None else start, ""),
    }


def _first_sentinel(source: AnySource) -> str:
    """What stands for the first span that was cut out."""
    usual = SpansConfig().sentinels
    found = source.run.get("task", {}).get("sentinels", usual)
    return str(found if isinstance(found, str) else found[0]).replace("{}", "0")
