"""A tokenizer as ``AutoTokenizer`` opens it, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byteloom.export.hf.files import write_json
from byteloom.tokenizer import Tokenizer

#: What begins and ends texts, by the names that are used for it; the first that is there counts.
_BEGIN = ("<|begin_of_text|>", "<s>", "<bos>", "<|bos|>", "<BOS_TOKEN>", "<|endoftext|>")
_END = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "<EOS_TOKEN>")


def begin_and_end(tokenizer: Tokenizer | None) -> tuple[str | None, str | None]:
    """The special tokens that begin and end a text; by other names: the first of all does both.

    Example:
        >>> begin_and_end(Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<s>", "</s>"]))
        ('<s>', '</s>')
    """
    special = {} if tokenizer is None else tokenizer.special_tokens
    end = _first(_END, special) or next(iter(special), None)
    return _first(_BEGIN, special) or end, end


def _first(names: Sequence[str], special: dict[str, int]) -> str | None:
    return next((name for name in names if name in special), None)


def write(tokenizer: Tokenizer, folder: Path, context_length: int) -> None:
    """Writes what ``AutoTokenizer`` opens: ids are byteloom's, and none is added."""
    tokenizer.save(folder / "tokenizer.json")
    begin, end = begin_and_end(tokenizer)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "bos_token": begin,
        "eos_token": end,
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        # Else decoding takes away spaces before full stops.
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)


def read(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder; ``None``: there is none.

    Raises:
        ValueError: it needs what byteloom does not have: it is a SentencePiece, say.
    """
    pair = all((folder / name).exists() for name in ("vocab.json", "merges.txt"))
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder / "tokenizer.json")
    if pair:
        return Tokenizer.load(folder)
    if (folder / "tokenizer.model").exists():
        raise ValueError(f"{folder / 'tokenizer.model'} is a SentencePiece tokenizer")
    return None
