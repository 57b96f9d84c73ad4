"""A tokenizer on a text: how much shorter the text becomes, how fast, and with which tokens."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from byteloom.tokenizer.bpe import Tokenizer
from byteloom.tokenizer.inputs import Inputs
from byteloom.tokenizer.study.token import Token

#: Ids looked at at a time, so that memory does not follow the text.
_CHUNK = 1 << 20

#: What separates words: ASCII's white space, as for ``wc -w`` and Python's ``bytes.split``.
_SPACES = b" \t\n\r\x0b\x0c"


@dataclass(frozen=True, eq=False)
class Compression:
    """What a text came to. Files that were given together are one text."""

    bytes: int
    """Of the text."""
    characters: int
    """Bytes that begin a character in UTF-8."""
    words: int
    """Runs of anything but white space: no measure for scripts that put none between words."""
    tokens: int
    """Ids, special tokens included."""
    seconds: float
    """Wall time of encoding the files into a token file, once."""
    counts: NDArray[np.int64]
    """(vocab_size,) How often each id occurs."""
    vocabulary: tuple[Token, ...]
    """In the order of the ids."""

    @property
    def bytes_per_token(self) -> float:
        """The compression ratio; 0 for an empty text, like the other ratios."""
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def characters_per_token(self) -> float:
        """Fairer than bytes between scripts: a Chinese character is three bytes."""
        return self.characters / self.tokens if self.tokens else 0.0

    @property
    def tokens_per_word(self) -> float:
        """Also known as fertility."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """10**6 bytes of text a second."""
        return self.bytes / 1e6 / max(self.seconds, 1e-9)

    @property
    def used(self) -> int:
        """Ids that occur."""
        return int(np.count_nonzero(self.counts))

    @property
    def used_share(self) -> float:
        """The part of the vocabulary that occurs, 0 to 1."""
        return self.used / len(self.counts)

    def most_frequent(self, n: int) -> list[tuple[Token, int]]:
        """The tokens that occur most, with their counts; equal counts in the order of ids."""
        order = np.argsort(-self.counts, kind="stable")[:n]
        return [(self.vocabulary[id], int(self.counts[id])) for id in order if self.counts[id]]

    def figures(self, top: int = 10) -> dict[str, Any]:
        """For JSON, with the ``top`` most frequent tokens."""
        return {
            "bytes": self.bytes,
            "characters": self.characters,
            "words": self.words,
            "tokens": self.tokens,
            "bytes_per_token": self.bytes_per_token,
            "characters_per_token": self.characters_per_token,
            "tokens_per_word": self.tokens_per_word,
            "seconds": self.seconds,
            "megabytes_per_second": self.megabytes_per_second,
            "used_tokens": self.used,
            "used_share": self.used_share,
            "most_frequent": [
                token.figures() | {"count": count} for token, count in self.most_frequent(top)
            ],
        }


def compress(
    tokenizer: Tokenizer,
    inputs: Inputs,
    num_threads: int | None = None,
    progress: bool = False,
    *,
    column: str = "text",
    format: str | None = None,
) -> Compression:
    """Encodes files, in bounded memory, and counts what comes out.

    The ids go to a temporary file (where ``TMPDIR`` says; two or four bytes an id) and all figures
    come from them: tokens, joined, are the text.

    Args:
        tokenizer: any.
        inputs: what :meth:`Tokenizer.encode_files` takes.
        num_threads: worker threads; changes the speed only.
        progress: show a bar of the bytes read.
        column: as for :meth:`Tokenizer.encode_files`.
        format: as there.

    Raises:
        FileNotFoundError: no such file, or a glob without a match.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("höher höher")
        >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b"er"}
        >>> found = compress(Tokenizer(vocab, [(b"e", b"r")]), path)
        >>> found.bytes, found.characters, found.words, found.tokens
        (13, 11, 2, 11)
        >>> found.most_frequent(1)
        [(Token(id=104, bytes=b'h', special=False), 4)]
    """
    special = set(tokenizer.special_tokens.values())
    vocabulary = tuple(
        Token(id, token, id in special) for id, token in sorted(tokenizer.vocab.items())
    )
    with tempfile.TemporaryDirectory(prefix="byteloom-") as folder:
        path = Path(folder) / "tokens.npy"
        stats = tokenizer.encode_files(
            inputs,
            path,
            num_threads=num_threads,
            progress=progress,
            column=column,
            format=format,
        )
        ids = np.load(path, mmap_mode="r") if stats.tokens else np.empty(0, np.uint16)
        counts, words = _count(ids, [token.bytes for token in vocabulary])
        del ids  # unmapped before its folder goes
    characters = np.array([token.characters for token in vocabulary], np.int64)
    return Compression(
        bytes=stats.bytes,
        characters=int(counts @ characters),
        words=words,
        tokens=stats.tokens,
        seconds=stats.seconds,
        counts=counts,
        vocabulary=vocabulary,
    )


def _count(ids: NDArray[Any], tokens: list[bytes]) -> tuple[NDArray[np.int64], int]:
    """How often each id occurs, and how many words the tokens make when they are joined.

    A word begins within a token or where one starts; the latter depends on the token before it.
    """
    inner = np.array([len((b"x" + token).split()) - 1 for token in tokens], np.int64)
    space_last = np.array([token[-1:] in _SPACES for token in tokens], bool)
    word_first = np.array([token[:1] not in _SPACES for token in tokens], bool)
    counts = np.zeros(len(tokens), np.int64)
    words = 0
    after_space = True  # so is the text's first token
    for start in range(0, len(ids), _CHUNK):
        chunk = np.asarray(ids[start : start + _CHUNK])
        counts += np.bincount(chunk, minlength=len(tokens))
        words += int(after_space and word_first[chunk[0]])
        words += int(np.count_nonzero(space_last[chunk[:-1]] & word_first[chunk[1:]]))
        after_space = bool(space_last[chunk[-1]])
    return counts, words + int(counts @ inner)
