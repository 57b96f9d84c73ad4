"""What tasks are given, and the special tokens they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from byteloom.data.token_file import TokenFile
from byteloom.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reading:
    """What batches are made of."""

    files: Sequence[TokenFile]
    """The token files."""
    batch_size: int
    """Texts in a batch."""
    seed: int
    """Of orders and changes."""
    weights: Sequence[float] | None = None
    """How much is drawn from each file; none: as they are long."""


class Specials:
    """A tokenizer, asked for special tokens by their names.

    Args:
        path: its file.
        separator: the special token that ends a document; ``None``: the tokenizer's first.

    Raises:
        FileNotFoundError: it is gone.
    """

    def __init__(self, path: Path, separator: str | None = None) -> None:
        self.path, self.separator = path, separator
        self.tokenizer = Tokenizer.load(path)
        self.ids = self.tokenizer.special_tokens

    def id(self, key: str, name: str) -> int:
        """The id of a special token.

        Args:
            key: the key of the configuration that names it.
            name: the token.

        Raises:
            ValueError: the tokenizer has none of that name.
        """
        if name not in self.ids:
            raise ValueError(
                f"{key}: the tokenizer {self.path} has no special token {name!r}, only "
                f"{', '.join(map(repr, self.ids)) or 'ordinary ones'}: name another, or train the "
                "tokenizer with it"
            )
        return self.ids[name]

    def end(self, key: str = "data.separator") -> int:
        """The id that ends a document.

        Raises:
            ValueError: there is no special token, or none of the name that was given.
        """
        name = next(iter(self.ids), None) if self.separator is None else self.separator
        if name is None:
            raise ValueError(
                f"{key}: the tokenizer {self.path} has no special token that could end a text"
            )
        return self.id("data.separator", name)
