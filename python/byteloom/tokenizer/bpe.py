"""The tokenizer: bytes -> ids and back. The Rust core does the work; this is its curated face."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from byteloom import _rust
from byteloom.tokenizer import exchange
from byteloom.tokenizer.inputs import STDIN, Inputs, resolve_inputs
from byteloom.tokenizer.progress import progress_bar

if TYPE_CHECKING:
    import tiktoken
    import tokenizers

TokenArray: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]
AllowedSpecial: TypeAlias = Literal["all", "none"] | Collection[str]
Dtype: TypeAlias = Literal["auto", "uint16", "uint32"]


@dataclass(frozen=True)
class EncodeStats:
    """What encoding files came to."""

    tokens: int
    """Ids written."""
    bytes: int
    """Bytes of text read."""
    seconds: float
    """Wall time."""
    dtype: str
    """Type of the ids in the file: ``uint16`` or ``uint32``."""
    documents: int | None = None
    """Documents, if an index of them was written."""

    @property
    def bytes_per_token(self) -> float:
        """The compression ratio; 0 for an empty text."""
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """Speed in 10**6 bytes of text a second."""
        return self.bytes / 1e6 / max(self.seconds, 1e-9)


@dataclass(frozen=True, kw_only=True)
class ShardStats(EncodeStats):
    """What encoding into shards came to: all of them, those of an earlier run included."""

    shards: int
    """Token files in the folder."""
    kept: int
    """How many of them an interrupted run had finished before; ``seconds`` is without it."""


class Tokenizer:
    """A byte-pair-encoding tokenizer: text <-> ids, exactly as its merges say.

    Immutable, and safe to use from many threads. Any bytes encode and decode back to themselves;
    in ``str``, lone surrogates become U+FFFD first.

    Args:
        vocab: id -> bytes; ids 0 .. n-1, with all 256 single bytes among the values.
        merges: pairs of byte strings in order of creation.
        special_tokens: strings that are always one token; those not yet in ``vocab`` are appended.
        pattern: a preset's name ("gpt2", "cl100k" ...) or a regular expression.

    Raises:
        ValueError: a vocabulary and merges that contradict each other; the message says where.

    Example:
        >>> vocab = {i: bytes([i]) for i in range(256)} | {256: b"hi"}
        >>> tokenizer = Tokenizer(vocab, [(b"h", b"i")], special_tokens=["<|end|>"])
        >>> tokenizer.encode("hi!<|end|>")
        [256, 33, 257]
        >>> tokenizer.decode([256, 33])
        'hi!'
    """

    __slots__ = ("_core", "_fingerprint")
    _core: _rust.Tokenizer
    _fingerprint: str | None

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Sequence[str] | None = None,
        pattern: str = "gpt2",
    ) -> None:
        self._core = _rust.Tokenizer(
            list(vocab.items()), list(merges), list(special_tokens or ()), pattern
        )
        self._fingerprint = None

    @classmethod
    def _wrap(cls, core: _rust.Tokenizer) -> Self:
        self = cls.__new__(cls)
        self._core = core
        self._fingerprint = None
        return self

    # -- files ---------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        special_tokens: Mapping[str, int] | None = None,
        pattern: str | None = None,
    ) -> Self:
        """Reads a ``tokenizer.json``, a tiktoken rank file, or a folder that holds a tokenizer.

        Args:
            path: the file or folder; what it is, its content says.
            special_tokens: token -> id, of a tiktoken file, which cannot name its own.
            pattern: instead of the file's, or where the format has none; by default "gpt2".

        Raises:
            FileNotFoundError: nothing there.
            ValueError: the file is none of these, or damaged, or needs what byteloom does not
                have (a normalizer, say); the message names the file and the place in it.
        """
        special = list((special_tokens or {}).items())
        return cls._wrap(_rust.Tokenizer.load(os.fspath(path), special, pattern))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a Hugging Face ``tokenizer.json``, whole or not at all."""
        self._core.save(os.fspath(path))

    @classmethod
    def from_files(
        cls,
        vocab_path: str | os.PathLike[str],
        merges_path: str | os.PathLike[str],
        special_tokens: Sequence[str] | None = None,
        pattern: str = "gpt2",
    ) -> Self:
        """Reads GPT-2's pair of files, ``vocab.json`` and ``merges.txt``."""
        paths = os.fspath(vocab_path), os.fspath(merges_path)
        return cls._wrap(
            _rust.Tokenizer.from_vocab_merges(*paths, list(special_tokens or ()), pattern)
        )

    def save_vocab_merges(
        self, vocab_path: str | os.PathLike[str], merges_path: str | os.PathLike[str]
    ) -> None:
        """Writes GPT-2's pair of files."""
        self._core.save_vocab_merges(os.fspath(vocab_path), os.fspath(merges_path))

    def save_tiktoken(self, path: str | os.PathLike[str]) -> None:
        """Writes a tiktoken rank file: pattern and special tokens are not part of that format."""
        self._core.save_tiktoken(os.fspath(path))

    # -- what it is ----------------------------------------------------------------------------

    @property
    def vocab(self) -> dict[int, bytes]:
        """Id -> bytes, special tokens included."""
        return self._core.vocab

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """Pairs in order of creation."""
        return self._core.merges

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special token -> id."""
        return self._core.special_tokens

    @property
    def pattern(self) -> str:
        """The regular expression that splits text into pretokens."""
        return self._core.pattern

    @property
    def preset(self) -> str | None:
        """The pattern's name, if it is a preset's."""
        return self._core.preset

    @property
    def vocab_size(self) -> int:
        """Number of ids; they are 0 .. vocab_size - 1."""
        return self._core.vocab_size

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides which ids a text gets: equal exactly for equal ones."""
        if self._fingerprint is None:
            parts = (self.pattern, sorted(self.vocab.items()), self.merges, self.special_tokens)
            self._fingerprint = hashlib.sha256(repr(parts).encode()).hexdigest()
        return self._fingerprint

    # -- text -> ids ---------------------------------------------------------------------------

    def encode(self, text: str | bytes, allowed_special: AllowedSpecial = "all") -> list[int]:
        """Ids of a text.

        Args:
            text: any text; bytes need not be valid UTF-8.
            allowed_special: which special tokens become their ids: "all", "none", or some of
                them; the others are encoded as the ordinary text they look like.

        Raises:
            ValueError: ``allowed_special`` names something that is no special token.
        """
        return self._core.encode(text, _allowed(allowed_special))

    def encode_array(
        self, text: str | bytes, allowed_special: AllowedSpecial = "all"
    ) -> TokenArray:
        """As :meth:`encode`, as a numpy array: uint16, or uint32 for a vocabulary above 65,536."""
        return self._core.encode_array(text, _allowed(allowed_special))

    def encode_batch(
        self,
        texts: Sequence[str | bytes],
        allowed_special: AllowedSpecial = "all",
        num_threads: int | None = None,
    ) -> list[TokenArray]:
        """Encodes texts in parallel; the arrays come in the texts' order."""
        return self._core.encode_batch(list(texts), _allowed(allowed_special), num_threads)

    def encode_iterable(
        self, texts: Iterable[str | bytes], allowed_special: AllowedSpecial = "all"
    ) -> Iterator[int]:
        """Encodes texts one after the other, lazily; each is a text of its own.

        A file object is such an iterable, of lines; it needs no more memory than its longest line.
        """
        allowed = _allowed(allowed_special)
        for text in texts:
            yield from self._core.encode(text, allowed)

    def encode_files(
        self,
        inputs: Inputs,
        output: str | os.PathLike[str],
        dtype: Dtype = "auto",
        num_threads: int | None = None,
        progress: bool = False,
        *,
        column: str = "text",
        format: str | None = None,
        separator: str | None = None,
        documents: bool = False,
        document_end: str | None = None,
    ) -> EncodeStats:
        """Files -> one token file, in order, in parallel and in bounded memory.

        Args:
            inputs: a path, a folder, a glob, ``-`` for standard input, or several of them: plain
                text, ``.gz``, ``.zst``, ``.jsonl``, ``.parquet``, as the name says. Each file, or
                record of the latter two, is a text of its own.
            output: ``.npy`` (numpy's format, 1-D) or ``.bin`` (raw, little-endian); it appears
                under this name when it is complete.
            dtype: "auto" takes uint16 where the vocabulary fits.
            num_threads: worker threads; never changes the result.
            progress: show a bar of the bytes read.
            column: the key or column of ``.jsonl`` and ``.parquet`` that holds the text.
            format: what all inputs are, whatever their names: "text", "jsonl" or "parquet"; the
                first two with ".gz" or ".zst" behind, where a name does not say that either.
            separator: a special token whose id is put behind each text.
            documents: write an index beside the output, ``tokens.documents.npy`` beside
                ``tokens.npy``: n + 1 uint64, where each of n documents begins and the last one
                ends. :class:`byteloom.data.Documents` reads it.
            document_end: the special token that ends a document within plain text, for the index.
                By default the separator; without one, ``<|endoftext|>``, if there is such a token.

        Raises:
            ValueError: uint16 asked of a vocabulary above 65,536, or another ending; a separator
                that is no special token; a damaged file or a record without text, with the place;
                an output that is among the inputs.
            OSError: a file cannot be read or written; nothing is left behind.
        """
        files = resolve_inputs(inputs)
        # Else a folder that was encoded into itself before would give its ids as text.
        target = Path(output)
        if target.exists() and any(target.samefile(file) for file in files if file != STDIN):
            raise ValueError(f"{output} is among the inputs: name another output, or other inputs")
        begin = time.perf_counter()
        with progress_bar("encoding", "B", show=progress) as update:
            tokens, size, written, found = self._core.encode_files(
                files,
                os.fspath(output),
                progress=update,
                dtype=dtype,
                num_threads=num_threads,
                column=column,
                format=format,
                separator=separator,
                documents=documents,
                document_end=document_end,
            )
        return EncodeStats(tokens, size, time.perf_counter() - begin, written, found)

    def encode_shards(
        self,
        inputs: Inputs,
        folder: str | os.PathLike[str],
        shard_tokens: int,
        dtype: Dtype = "auto",
        num_threads: int | None = None,
        progress: bool = False,
        *,
        column: str = "text",
        format: str | None = None,
        separator: str | None = None,
        document_end: str | None = None,
        overwrite: bool = False,
    ) -> ShardStats:
        """Files -> a folder of token files of limited size, in order; goes on where it was stopped.

        The folder gets ``shard-00000.npy`` and so on, each when it is finished, with an index of
        documents beside it (:meth:`encode_files` describes it), and in the end ``manifest.json``:
        what it was made of and by which tokenizer, and every shard's tokens, documents and CRC-32.
        :class:`byteloom.data.TokenFile` opens the folder as one row of ids,
        :class:`byteloom.data.Documents` as one of documents.

        Called again with the same arguments after an interruption, it keeps the finished shards
        and ends with the bytes that it would have without. Inputs before the place where it was
        are not read again. The one at that place is, but not encoded, up to there, unless it is
        plain text, split by a preset's pattern.

        Args:
            inputs: as for :meth:`encode_files`.
            folder: made if it is missing.
            shard_tokens: ids in a shard at most. A document is not cut, unless it alone has more.
            dtype: as for :meth:`encode_files`.
            num_threads: worker threads; never changes the result.
            progress: show a bar of the bytes read.
            column: as for :meth:`encode_files`.
            format: as for :meth:`encode_files`.
            separator: as for :meth:`encode_files`.
            document_end: as for :meth:`encode_files`.
            overwrite: remove the shards that are there, and start anew.

        Raises:
            ValueError: what :meth:`encode_files` refuses; a folder of finished shards, or begun
                with another tokenizer, other options or inputs (by path, size and time of the last
                change); one that another process is working at; standard input that was stopped.
            OSError: a file cannot be read or written; finished shards are kept.
        """
        given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
        files = resolve_inputs(given)
        written = Path(folder).resolve()
        # Of an input that is a folder, what is written into it would be text the next time.
        around = [Path(one).resolve() for one in given if one != STDIN and Path(one).is_dir()]
        if any(one == written or one in written.parents for one in around) or any(
            written in Path(file).resolve().parents for file in files if file != STDIN
        ):
            raise ValueError(f"{folder} is among the inputs: name another folder, or other inputs")
        if shard_tokens < 1:
            raise ValueError(f"shard_tokens is {shard_tokens}; it must be at least 1")
        begin = time.perf_counter()
        with progress_bar("encoding", "B", show=progress) as update:
            tokens, size, stored, documents, shards, kept = self._core.encode_shards(
                files,
                os.fspath(folder),
                min(shard_tokens, 2**64 - 1),
                self.fingerprint,
                overwrite=overwrite,
                progress=update,
                dtype=dtype,
                num_threads=num_threads,
                column=column,
                format=format,
                separator=separator,
                document_end=document_end,
            )
        seconds = time.perf_counter() - begin
        return ShardStats(tokens, size, seconds, stored, documents, shards=shards, kept=kept)

    # -- ids -> text ---------------------------------------------------------------------------

    def decode_bytes(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> bytes:
        """The bytes that ids stand for.

        Raises:
            ValueError: an id outside the vocabulary; the message says which and where.
        """
        return self._core.decode_bytes(ids)

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """The text that ids stand for; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_batch(self, ids: Iterable[Sequence[int] | NDArray[np.integer[Any]]]) -> list[str]:
        """Decodes several lists of ids."""
        return [self.decode(one) for one in ids]

    # -- other libraries' objects ----------------------------------------------------------------

    def to_huggingface(self) -> tokenizers.Tokenizer:
        """This tokenizer as a ``tokenizers.Tokenizer``, which gives equal ids."""
        return exchange.to_huggingface(self._core)

    @classmethod
    def from_huggingface(cls, tokenizer: object) -> Self:
        """Takes a ``tokenizers.Tokenizer`` or a fast tokenizer of ``transformers``."""
        return cls._wrap(exchange.from_huggingface(tokenizer))

    def to_tiktoken(self, name: str = "byteloom") -> tiktoken.Encoding:
        """This tokenizer as a ``tiktoken.Encoding``, which gives equal ids.

        Raises:
            ValueError: tiktoken, which ranks tokens by id, would give other ids.
        """
        return exchange.to_tiktoken(self._core, name)

    @classmethod
    def from_tiktoken(cls, encoding: tiktoken.Encoding) -> Self:
        """Takes a ``tiktoken.Encoding``; its merges are recovered from the ranks."""
        return cls._wrap(exchange.from_tiktoken(encoding))

    # -- Python's own protocols ------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.vocab, self.merges, list(self.special_tokens), self.pattern)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        special = f", special_tokens={list(self.special_tokens)}" if self.special_tokens else ""
        pattern = self.preset or self.pattern
        return f"Tokenizer(vocab_size={self.vocab_size}{special}, pattern={pattern!r})"


def _allowed(allowed_special: AllowedSpecial) -> list[str] | None:
    """The core's form: ``None`` for all, else a list."""
    if allowed_special == "all":
        return None
    if allowed_special == "none":
        return []
    if isinstance(allowed_special, str):
        raise ValueError(
            f"allowed_special={allowed_special!r}: must be 'all', 'none' or a set of special tokens"
        )
    return list(allowed_special)
