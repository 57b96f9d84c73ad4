"""Tokenizers as other libraries' objects. Files of theirs are the Rust core's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byteloom import _rust

if TYPE_CHECKING:
    import tiktoken
    import tokenizers


def to_huggingface(core: _rust.Tokenizer) -> tokenizers.Tokenizer:
    """Core -> ``tokenizers.Tokenizer``, by way of the text of a ``tokenizer.json``."""
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError("to_huggingface needs `pip install tokenizers`") from error
    return tokenizers.Tokenizer.from_str(core.to_json())


def from_huggingface(tokenizer: object) -> _rust.Tokenizer:
    """``tokenizers.Tokenizer`` or ``transformers``' fast tokenizer -> core."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        raise ValueError(
            f"a {type(tokenizer).__name__} is no Hugging Face tokenizer with a fast backend"
        )
    return _rust.Tokenizer.from_json(backend.to_str())


def to_tiktoken(core: _rust.Tokenizer, name: str) -> tiktoken.Encoding:
    """Core -> ``tiktoken.Encoding``, refused where tiktoken would give other ids.

    tiktoken has no merges: it joins the two neighbours whose union has the lowest id. That is the
    same only if the merges recovered from the ids are the merges there are.
    """
    try:
        import tiktoken
    except ImportError as error:
        raise ImportError("to_tiktoken needs `pip install tiktoken`") from error
    return tiktoken.Encoding(
        name,
        pat_str=core.pattern,
        mergeable_ranks=dict(core.ranks()),
        special_tokens=core.special_tokens,
    )


def from_tiktoken(encoding: tiktoken.Encoding) -> _rust.Tokenizer:
    """``tiktoken.Encoding`` -> core; its ranks and pattern have no public name there."""
    return _rust.Tokenizer.from_ranks(
        list(encoding._mergeable_ranks.items()),
        list(encoding._special_tokens.items()),
        encoding._pat_str,
    )
