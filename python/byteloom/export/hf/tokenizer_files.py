"""A tokenizer as ``AutoTokenizer`` opens it, and back."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from byteloom import _rust
from byteloom.export.hf.files import read_json, write_json
from byteloom.export.hf.roles import EXTRA, Roles, by_names
from byteloom.tokenizer import Tokenizer
from byteloom.training.run_folder import CHAT


def write(
    tokenizer: Tokenizer,
    folder: Path,
    context_length: int,
    roles: Roles | None = None,
    chat_template: str = "",
) -> None:
    """Writes what ``AutoTokenizer`` opens: ids are byteloom's, and none is added.

    Args:
        tokenizer: what is written.
        folder: where to.
        context_length: the longest text.
        roles: what special tokens are for; ``None``: as their names tell.
        chat_template: goes with it; empty: there is none.
    """
    tokenizer.save(folder / "tokenizer.json")
    roles = by_names(tokenizer) if roles is None else roles
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "bos_token": None,
        "eos_token": None,
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        # Else decoding takes away spaces before full stops.
        "clean_up_tokenization_spaces": False,
        **roles.tokens,
    }
    if roles.extra:
        settings[EXTRA] = list(roles.extra)
    write_json(folder / "tokenizer_config.json", settings)
    if roles.plain:
        _let_be_shown(folder / "tokenizer.json", roles.plain)
    if chat_template:
        (folder / CHAT).write_text(chat_template, "utf-8")


def _let_be_shown(path: Path, tokens: Collection[str]) -> None:
    """Makes tokens those that decoding does not leave out with the special ones."""
    parts = read_json(path)
    for one in parts["added_tokens"]:
        if one["content"] in tokens:
            one["special"] = False
    write_json(path, parts)


def read(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder; ``None``: there is none.

    Tokens that a folder's tokenizer adds to every text are left out: :func:`prefix` tells them.

    Raises:
        ValueError: it needs what byteloom does not have: it is a SentencePiece, say.
    """
    pair = all((folder / name).exists() for name in ("vocab.json", "merges.txt"))
    if (folder / "tokenizer.json").exists():
        return _load(folder / "tokenizer.json")
    if pair:
        return Tokenizer.load(folder)
    if (folder / "tokenizer.model").exists():
        raise ValueError(f"{folder / 'tokenizer.model'} is a SentencePiece tokenizer")
    return None


def prefix(folder: Path) -> str:
    """The special tokens that the folder's tokenizer puts before every text, as in Llama 3."""
    if not (folder / "tokenizer.json").exists():
        return ""
    last = read_json(folder / "tokenizer.json").get("post_processor") or {}
    found = ""
    for one in (last, *last.get("processors", ())):
        for part in one.get("single", ()) if one.get("type") == "TemplateProcessing" else ():
            if "SpecialToken" not in part:
                break
            found += part["SpecialToken"]["id"]
    return found


def _load(path: Path) -> Tokenizer:
    """A ``tokenizer.json``, with what changes no ids of texts, or turns out to change none."""
    parts = read_json(path)
    parts["post_processor"] = None
    model = parts.get("model")
    # A pretoken that is a token needs no merges. Where merges make the same token, it is the same.
    whole = isinstance(model, dict) and model.pop("ignore_merges", False) is True
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        write_json(copy, parts)
        try:
            tokenizer = Tokenizer.load(copy)
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), str(path))) from None
    if whole:
        _require_merges(tokenizer, path)
    return tokenizer


def _require_merges(tokenizer: Tokenizer, path: Path) -> None:
    """Refuses a vocabulary with tokens that are pretokens and that merges do not make."""
    special = set(tokenizer.special_tokens.values())
    for token_id, token in tokenizer.vocab.items():
        if token_id in special or tokenizer.encode(token, "none") == [token_id]:
            continue
        if _rust.pretokenize(token, tokenizer.pattern) == [token]:
            raise ValueError(
                f"{path}: model.ignore_merges is true, and merges alone do not make token "
                f"{token_id}, {token!r}"
            )
