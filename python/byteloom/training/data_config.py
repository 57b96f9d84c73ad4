"""The configuration of a run's data: token files, the tokenizer that made them, and documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from byteloom.data.token_file import TokenFile, TokenIds
from byteloom.tokenizer import Tokenizer
from byteloom.training.tasks.base import Specials

Weight: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]

#: Ids of a token file that are looked at before a run: a document is shorter.
_BEGINNING = 10_000_000
#: Ids of a token file that are decoded and encoded again.
_SOME = 20_000


@dataclass(frozen=True)
class DataConfig:
    """Where the tokens are. Relative paths count from where the command runs."""

    train: Path | tuple[Path, ...]
    """Token file to learn from: .npy, .bin of raw uint16 ids, or a folder of shards; or a list.
    That of a model which was imported is empty."""
    weights: tuple[Weight, ...] | None = None
    """How much is drawn from each of a list; none: as they are long, all equally often."""
    valid: Path | None = None
    """The same to evaluate on; none: the training loss is all there is."""
    tokenizer: Path | None = None
    """tokenizer.json that made them: gives vocab_size, and goes into the run folder."""
    separate_documents: bool = False
    """Whether a token sees only those of its own document, where a window holds several."""
    separator: str | None = None
    """The special token that ends a document; none: the tokenizer's first."""

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.sources):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.sources)} token files in train: give "
                "one for each"
            )
        if self.separate_documents and self.tokenizer is None:
            raise ValueError("separate_documents needs a tokenizer, whose special token ends them")

    @property
    def sources(self) -> tuple[Path, ...]:
        """The token files to learn from, one or several."""
        return self.train if isinstance(self.train, tuple) else (self.train,)


def specials_of(data: DataConfig) -> Specials | None:
    """The special tokens; ``None``: there is no tokenizer.

    Raises:
        FileNotFoundError: the tokenizer is gone.
    """
    return None if data.tokenizer is None else Specials(data.tokenizer, data.separator)


def separator_id(data: DataConfig) -> int | None:
    """The id that ends a document; ``None``: documents are not kept apart.

    Raises:
        ValueError: the tokenizer has no such special token.
        FileNotFoundError: the tokenizer is gone.
    """
    if not data.separate_documents or data.tokenizer is None:
        return None
    special = Tokenizer.load(data.tokenizer).special_tokens
    separator = next(iter(special), None) if data.separator is None else data.separator
    if separator is None:
        raise ValueError(
            f"data.separate_documents: the tokenizer {data.tokenizer} has no special token that "
            "could end a document"
        )
    if separator not in special:
        raise ValueError(
            f"data.separator: the tokenizer {data.tokenizer} has no special token {separator!r}, "
            f"only {', '.join(map(repr, special)) or 'ordinary ones'}"
        )
    return special[separator]


def sources_without_separators(data: DataConfig) -> list[Path]:
    """The token files to be read by documents in whose first millions of ids none ends."""
    separator = separator_id(data)
    if separator is None:
        return []
    beginnings = [(path, TokenFile(path).ids[:_BEGINNING]) for path in data.sources]
    return [path for path, ids in beginnings if not (ids == separator).any()]


def files_of_another_tokenizer(data: DataConfig) -> list[Path]:
    """The token files whose ids the tokenizer would not make of the text that it says they are."""
    if data.tokenizer is None:
        return []
    tokenizer = Tokenizer.load(data.tokenizer)
    files = [path for path in (*data.sources, data.valid) if path is not None]
    return [path for path in files if coming_back(tokenizer, TokenFile(path).ids[:_SOME]) < 0.99]


def coming_back(tokenizer: Tokenizer, ids: TokenIds) -> float:
    """Which part of ids stands where it did when they are decoded and encoded again.

    Of a tokenizer's own ids that is all, but for places where texts were joined without a special
    token, or cut.

    Example:
        >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b"hi"}
        >>> tokenizer = Tokenizer(vocab, [(b"h", b"i")])
        >>> [coming_back(tokenizer, np.array(ids)) for ids in ([256, 33], [104, 105, 256, 256])]
        [1.0, 0.5]
    """
    vocab = tokenizer.vocab
    again = tokenizer.encode_array(tokenizer.decode_bytes(ids))
    # A token at its place, as one number.
    before, after = [
        np.cumsum([len(vocab[i]) for i in some.tolist()]) * len(vocab) + some
        for some in (np.asarray(ids, dtype=np.int64), np.asarray(again, dtype=np.int64))
    ]
    return float(np.isin(before, after).mean())


def require_train(data: DataConfig) -> None:
    """Refuses a run that would learn from nothing.

    Raises:
        ValueError: there is no token file.
    """
    if not data.sources:
        raise ValueError("data.train is an empty list: name at least one token file")
