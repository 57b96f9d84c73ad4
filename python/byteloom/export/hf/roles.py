"""What special tokens are for: what begins a text, what ends it, and so on.

A model that was trained here has them by their names. One from elsewhere says it in its folder; the
run that it becomes keeps that, so that it goes out as it came in.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from byteloom.export.hf.files import read_json
from byteloom.tokenizer import Tokenizer

#: One id, or several; ``None``: there is none.
Ids: TypeAlias = int | list[int] | None

#: In ``tokenizer_config.json``; the last is a list.
TOKENS = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")
EXTRA = "additional_special_tokens"
#: In ``config.json`` and ``generation_config.json``.
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")

#: What begins and ends texts, by the names that are used for it; the first that is there counts.
_BEGIN = ("<|begin_of_text|>", "<s>", "<bos>", "<|bos|>", "<BOS_TOKEN>", "<|endoftext|>")
_END = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "<EOS_TOKEN>")


@dataclass(frozen=True)
class Roles:
    """Special tokens by what they are for."""

    tokens: dict[str, str | None] = field(default_factory=dict)
    """The tokens as a tokenizer has them: ``bos_token``, ``eos_token`` ..."""
    model: dict[str, Ids] = field(default_factory=dict)
    """Ids in ``config.json``: ``bos_token_id``, ``eos_token_id``, ``pad_token_id``."""
    generation: dict[str, Ids] = field(default_factory=dict)
    """Those in ``generation_config.json``, where several may end a text."""
    extra: tuple[str, ...] = ()
    """Tokens that are special for a reason of their own."""
    plain: tuple[str, ...] = ()
    """Tokens that are found in texts like special ones, but are text that is to be shown."""

    def ending(self, *ids: int) -> Roles:
        """The same, with more ids that end what is generated."""
        before = as_list(self.generation.get("eos_token_id"))
        after = [*before, *(i for i in ids if i not in before)]
        ends: Ids = after if len(after) > 1 else next(iter(after), None)
        return replace(self, generation={**self.generation, "eos_token_id": ends})

    def to_json(self) -> str:
        """As a run's folder keeps it."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def as_list(ids: Ids) -> list[int]:
    """None, one or several as a list."""
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else list(ids)


def begin_and_end(tokenizer: Tokenizer | None) -> tuple[str | None, str | None]:
    """The special tokens that begin and end a text; by other names: the first of all does both.

    Example:
        >>> begin_and_end(Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<s>", "</s>"]))
        ('<s>', '</s>')
    """
    special = {} if tokenizer is None else tokenizer.special_tokens
    end = _first(_END, special) or next(iter(special), None)
    return _first(_BEGIN, special) or end, end


def by_names(tokenizer: Tokenizer | None) -> Roles:
    """What the tokens' names tell."""
    special = {} if tokenizer is None else tokenizer.special_tokens
    begin, end = begin_and_end(tokenizer)
    ids: dict[str, Ids] = {
        "bos_token_id": None if begin is None else special[begin],
        "eos_token_id": None if end is None else special[end],
        "pad_token_id": None,
    }
    return Roles({"bos_token": begin, "eos_token": end}, ids, ids)


def resolved(kept: Roles | None, tokenizer: Tokenizer | None) -> Roles:
    """What was kept of a folder; where that says nothing, what follows from it or from names."""
    named = by_names(tokenizer)
    if kept is None:
        return named
    special = {} if tokenizer is None else tokenizer.special_tokens
    tokens = kept.tokens or named.tokens
    following: dict[str, Ids] = {
        f"{key}_id": special.get(tokens.get(key) or "")
        for key in ("bos_token", "eos_token", "pad_token")
    }
    model = kept.model or kept.generation or following
    return replace(kept, tokens=tokens, model=model, generation=kept.generation or model)


def known_names() -> Collection[str]:
    """Names by which special tokens are known that do not look like it."""
    return {*_BEGIN, *_END, "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>"}


def read(path: Path) -> Roles:
    """What :meth:`Roles.to_json` wrote.

    Raises:
        ValueError: it is damaged.
    """
    found = read_json(path)
    try:
        return Roles(**{**found, **{key: tuple(found.get(key, ())) for key in ("extra", "plain")}})
    except TypeError as error:
        raise ValueError(f"{path} does not say what special tokens are for: {error}") from None


def of_folder(
    folder: Path, vocab_size: int, tokenizer: Tokenizer | None
) -> tuple[Roles | None, list[str]]:
    """What a folder of transformers says.

    Args:
        folder: with ``config.json``.
        vocab_size: the model's: other ids are none.
        tokenizer: the one that was read there; ``None``: it is not wanted.

    Returns:
        What is said; ``None``: nothing. And what had to be left out, in words.

    Raises:
        ValueError: one of the files is no JSON.
    """
    remarks: list[str] = []
    settings = _settings(folder, "config.json")
    # Older folders have the ids of generation in the model's settings.
    generation = _settings(folder, "generation_config.json") or settings
    model = _ids(settings, vocab_size, "config.json", remarks)
    found = Roles(model=model, generation=_ids(generation, vocab_size, "generation", remarks))
    if tokenizer is not None:
        found = _with_tokens(found, folder, tokenizer, remarks)
    return (found if found != Roles() else None), remarks


def _ids(
    settings: Mapping[str, Any], vocab_size: int, where: str, remarks: list[str]
) -> dict[str, Ids]:
    found: dict[str, Ids] = {}
    for key in IDS:
        if key not in settings:
            continue
        value = settings[key]
        ids = value if isinstance(value, list) else [] if value is None else [value]
        good = [i for i in ids if type(i) is int and 0 <= i < vocab_size]
        if good != ids and value != -1:
            remarks.append(f"{where} has {key} {value!r}, which is no id of the model: left out")
        found[key] = good if isinstance(value, list) and good else next(iter(good), None)
    return found


def _with_tokens(found: Roles, folder: Path, tokenizer: Tokenizer, remarks: list[str]) -> Roles:
    special = tokenizer.special_tokens
    settings = {
        **_settings(folder, "special_tokens_map.json"),
        **_settings(folder, "tokenizer_config.json"),
    }
    tokens: dict[str, str | None] = {}
    for key in (f"{role}_token" for role in TOKENS):
        if key not in settings:
            continue
        token = _text(settings[key])
        if token is not None and token not in special:
            remarks.append(f"{key} is {token!r}, which is no special token here: left out")
            token = None
        tokens[key] = token
    more = settings.get("extra_special_tokens", settings.get(EXTRA))
    texts = [_text(one) for one in more] if isinstance(more, Sequence) else []
    extra = tuple(text for text in texts if text is not None and text in special)
    added = _settings(folder, "tokenizer.json").get("added_tokens") or []
    plain = tuple(
        one["content"]
        for one in added
        if one.get("special") is False and one.get("content") in special
    )
    return replace(found, tokens=tokens, extra=extra, plain=plain)


def _settings(folder: Path, name: str) -> dict[str, Any]:
    return read_json(folder / name) if (folder / name).exists() else {}


def _text(token: Any) -> str | None:
    """A token is its text, or says it as ``content``."""
    found = token.get("content") if isinstance(token, Mapping) else token
    return found if isinstance(found, str) else None


def _first(names: Sequence[str], special: Mapping[str, int]) -> str | None:
    return next((name for name in names if name in special), None)
