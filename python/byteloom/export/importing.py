"""What other programs trained: folders of transformers, and nanoGPT's ``ckpt.pt``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from byteloom.export import bert, hf, nanogpt, t5
from byteloom.export.hf import tokenizer_files
from byteloom.export.hf.families import FAMILIES
from byteloom.export.hf.files import read_json
from byteloom.models import AnyModel
from byteloom.tokenizer import Tokenizer

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
        return Imported(_OTHERS[kind](path), tokenizer, name)
    known = [family.model_type for family in FAMILIES]
    if kind not in known:
        raise ValueError(
            f"{path / 'config.json'}: model_type is {kind!r}; byteloom reads "
            f"{', '.join(sorted([*known, *_OTHERS]))}"
        )
    model, tokenizer = hf.read(path, with_tokenizer=with_tokenizer)
    return Imported(model, tokenizer, hf.read_config(path)[0].architecture)
