"""What other programs trained: folders of transformers, and nanoGPT's ``ckpt.pt``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from byteloom.export import bert, chat, hf, nanogpt, t5
from byteloom.export.hf import roles, tokenizer_files
from byteloom.export.hf.families import FAMILIES
from byteloom.export.hf.files import read_json
from byteloom.export.hf.roles import Roles, as_list
from byteloom.models import AnyModel, Encoder, EncoderDecoder
from byteloom.tokenizer import Tokenizer
from byteloom.training.tasks import MaskedConfig, SpansConfig, TaskConfig

#: Kinds of models beside decoders, by ``model_type``.
_OTHERS: dict[str, Callable[[Path], AnyModel]] = {"bert": bert.read, "t5": t5.read}


@dataclass(frozen=True)
class Imported:
    """A model from elsewhere."""

    model: AnyModel
    """In float32 and evaluation mode."""
    tokenizer: Tokenizer | None
    """The one beside it, if there is one."""
    architecture: str
    """What it is where it comes from."""
    roles: Roles | None = None
    """What special tokens are for; ``None``: nothing is said."""
    chat_template: str = ""
    """What makes one text of a conversation; empty: nothing does."""
    remarks: tuple[str, ...] = ()
    """What had to be left out, in words."""


def task_of(found: Imported) -> TaskConfig | None:
    """What it learned, as far as its special tokens tell.

    Returns:
        ``None``: it goes on with texts, or nothing is said, and it is what models of its kind
        usually do.
    """
    model, roles = found.model, found.roles
    if found.tokenizer is None or roles is None:
        return None
    special = found.tokenizer.special_tokens
    tokens = {role: token for role, token in roles.tokens.items() if token in special}
    if isinstance(model, Encoder):
        roles_of_task = ("mask", "cls", "sep", "pad")
        named: dict[str, Any] = {
            role: tokens[f"{role}_token"] for role in roles_of_task if f"{role}_token" in tokens
        }
        return MaskedConfig(**named)
    if isinstance(model, EncoderDecoder):
        names = {token_id: name for name, token_id in special.items()}
        ends = [names.get(token_id) for token_id in as_list(roles.model.get("eos_token_id"))]
        end = tokens.get("eos_token") or next(iter(ends), None)
        start = model.config.start_id
        return SpansConfig(end=end, start=None if start is None else names.get(start))
    return None


def read(path: str | os.PathLike[str], *, with_tokenizer: bool = True) -> Imported:
    """Reads a model; ``config.json`` says of what kind.

    Args:
        path: a folder with ``config.json`` and ``.safetensors``; or nanoGPT's ``ckpt.pt``, or a
            folder with it.
        with_tokenizer: whether the folder's tokenizer is wanted.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an architecture, a setting or a tokenizer that byteloom does not have; the
            message says which.
    """
    path = Path(path)
    if path.is_dir() and not (path / "config.json").exists() and (path / "ckpt.pt").exists():
        path = path / "ckpt.pt"
    if path.is_file():
        return Imported(nanogpt.read(path).model, None, "nanoGPT")
    if not path.is_dir():
        raise FileNotFoundError(f"no file or folder {path}")
    settings = read_json(path / "config.json")
    kind = settings.get("model_type")
    if kind in _OTHERS:
        tokenizer = None
        if with_tokenizer:
            try:
                tokenizer = tokenizer_files.read(path)
            except ValueError as error:
                raise ValueError(
                    f"{error}; in Python, byteloom.export.{kind}.read({str(path)!r}) reads the "
                    "model alone"
                ) from None
        name = (settings.get("architectures") or [kind])[0]
        return _with_roles(path, Imported(_OTHERS[kind](path), tokenizer, name))
    known = [family.model_type for family in FAMILIES]
    if kind not in known:
        raise ValueError(
            f"{path / 'config.json'}: model_type is {kind!r}; byteloom reads "
            f"{', '.join(sorted([*known, *_OTHERS]))}"
        )
    model, tokenizer = hf.read(path, with_tokenizer=with_tokenizer)
    return _with_roles(path, Imported(model, tokenizer, hf.read_config(path)[0].architecture))


def _with_roles(folder: Path, found: Imported) -> Imported:
    """The same, with what the folder says of special tokens and conversations."""
    vocab_size = found.model.config.vocab_size
    kept, remarks = roles.of_folder(folder, vocab_size, found.tokenizer)
    template = ""
    if found.tokenizer is not None:
        template, more = chat.of_folder(folder)
        remarks += more
    return replace(found, roles=kept, chat_template=template, remarks=tuple(remarks))
