"""The Rust core's Python face. Private: use ``byteloom.Tokenizer`` and its neighbours instead.

Everything here works on bytes, releases the GIL while it computes, answers Ctrl-C within a fraction
of a second, and raises ``ValueError`` for wrong arguments and contents, ``OSError`` (with the
path) for what the operating system refuses, and ``KeyboardInterrupt`` when stopped.

``progress`` arguments are callables ``(done, total)`` in bytes of the files or merges, called at
most ten times a second from the calling thread, with a total of 0 where it is unknown; ``text``
arguments are ``str`` (encoded as UTF-8; lone surrogates become U+FFFD, as in tiktoken) or ``bytes``
(any, valid UTF-8 or not).
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Progress: TypeAlias = Callable[[int, int], object]
Text: TypeAlias = str | bytes

PRESETS: list[str]
"""Names that stand for a pattern: ``gpt2`` and its relatives. tiktoken's names of them do too."""

def resolve_pattern(pattern: str) -> tuple[str | None, str]:
    """A preset's name or a regular expression -> (preset's name if it is one, the expression).

    Raises:
        ValueError: neither a preset nor a regular expression that compiles.
    """

def pretokenize(text: Text, pattern: str, special_tokens: Sequence[str] = ()) -> list[bytes]:
    """Splits ``text`` as counting and encoding do; special tokens come as pieces of their own.

    The pieces, joined, are always the text: what a pattern does not match is kept.
    """

def simd() -> str:
    """How text is scanned: the best way of this processor, or what ``BYTELOOM_SIMD`` names.

    One of ``scalar``, ``avx2``, ``avx512``, ``neon``. It matters to the presets
    only. The variable is looked at once, when text is first scanned or this is first asked.
    """

@final
class PretokenCounts:
    """Distinct pretokens with 64-bit counts, and the pattern and special tokens that made them."""

    def __init__(self, special_tokens: Sequence[str], pattern: str) -> None: ...
    def count_files(
        self,
        inputs: Sequence[str],
        num_threads: int | None = None,
        piece_size: int | None = None,
        progress: Progress | None = None,
        column: str | None = None,
        memory_limit: int | None = None,
        format: str | None = None,
    ) -> None:
        """Adds the counts of inputs, read in pieces of ``piece_size`` bytes.

        Args:
            inputs: paths of files; ``-`` is standard input. What is in a file, its name says.
            num_threads: worker threads; ``None`` takes every processor the process may use.
            piece_size: bytes read at a time; never changes the result, only speed and memory.
            progress: called with bytes done and bytes in all.
            column: the key or column that holds the text; ``None`` is "text".
            memory_limit: bytes that counting may take; what needs more is put aside on the disk,
                and left out, as :attr:`pruned` says, if the sums need more.
            format: what the inputs are (``text``, ``jsonl.gz`` ...), where names do not say it.
        """

    def count_texts(self, texts: Sequence[Text], num_threads: int | None = None) -> None:
        """Adds the counts of texts, each on its own."""

    def add(self, pretoken: bytes, count: int) -> None:
        """Adds ``count`` occurrences of one pretoken."""

    def merge(self, other: PretokenCounts) -> None:
        """Adds all of ``other``'s counts; its pattern and special tokens must be the same."""

    def get(self, pretoken: bytes) -> int:
        """How often a pretoken occurs; 0 if never."""

    def items(self) -> list[tuple[bytes, int]]:
        """Every pretoken and its count, sorted by the pretoken's bytes."""

    def most_common(self, n: int) -> list[tuple[bytes, int]]:
        """The ``n`` most frequent, most frequent first, equal counts in order of their bytes."""

    def save(self, path: str) -> None:
        """Writes a versioned, checksummed file; it appears whole under its name or not at all."""

    @staticmethod
    def load(paths: Sequence[str], memory_limit: int | None = None) -> PretokenCounts:
        """Reads what :meth:`save` wrote and adds it up; refuses damaged files."""

    @staticmethod
    def add_files(inputs: Sequence[str], output: str) -> tuple[int, int]:
        """Files of counts -> one of their sums; returns (distinct pretokens, occurrences)."""

    def at_least(self, count: int) -> PretokenCounts:
        """Those that occur ``count`` times or more."""

    def top(self, n: int) -> PretokenCounts:
        """The ``n`` first of :meth:`most_common`."""

    def filtered(self, keep: Callable[[bytes, int], object]) -> PretokenCounts:
        """Those for which ``keep(pretoken, count)`` is true."""

    def train(
        self,
        vocab_size: int,
        special_tokens: Sequence[str],
        tie_break: Literal["bytes", "huggingface", "ids"],
        min_frequency: int = 1,
        progress: Progress | None = None,
    ) -> Tokenizer:
        """Merges the most frequent pair again and again until the vocabulary is full.

        Stops earlier, with a smaller vocabulary, when no pair is left.
        """

    def __len__(self) -> int: ...
    @property
    def total(self) -> int:
        """The sum of all counts."""

    @property
    def total_bytes(self) -> int:
        """The sum of every pretoken's length times its count."""

    @property
    def memory(self) -> int:
        """Bytes that the counts take."""

    @property
    def pruned(self) -> tuple[int, int, int] | None:
        """Pretokens and occurrences left out for lack of memory, and the count they are below."""

    @property
    def pattern(self) -> str: ...
    @property
    def special_tokens(self) -> list[str]: ...

@final
class Tokenizer:
    """A vocabulary with its merges and pattern, ready to encode and decode. Immutable."""

    def __init__(
        self,
        vocab: Sequence[tuple[int, bytes]],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Sequence[str],
        pattern: str,
    ) -> None: ...
    @staticmethod
    def load(
        path: str,
        special_tokens: Sequence[tuple[str, int]] = (),
        pattern: str | None = None,
    ) -> Tokenizer:
        """Reads a ``tokenizer.json``, a tiktoken file, or a folder with either GPT-2 file pair.

        Args:
            path: what to read.
            special_tokens: those of a tiktoken file, which cannot name its own.
            pattern: instead of the file's, or where the format has none; by default "gpt2".
        """

    @staticmethod
    def from_vocab_merges(
        vocab_path: str, merges_path: str, special_tokens: Sequence[str], pattern: str
    ) -> Tokenizer:
        """Reads GPT-2's ``vocab.json`` and ``merges.txt``."""

    @staticmethod
    def from_json(text: str) -> Tokenizer:
        """Reads the text of a ``tokenizer.json``."""

    @staticmethod
    def from_ranks(
        ranks: Sequence[tuple[bytes, int]], special_tokens: Sequence[tuple[str, int]], pattern: str
    ) -> Tokenizer:
        """Recovers the merges from tiktoken's ranks."""

    def to_json(self) -> str:
        """The text of a ``tokenizer.json``."""

    def save(self, path: str) -> None:
        """Writes a ``tokenizer.json``; it appears whole under its name or not at all."""

    def save_vocab_merges(self, vocab_path: str, merges_path: str) -> None:
        """Writes GPT-2's ``vocab.json`` and ``merges.txt``."""

    def ranks(self) -> list[tuple[bytes, int]]:
        """The ranks for tiktoken: tokens and ids, without special tokens.

        Raises:
            ValueError: ranks cannot express the merges.
        """

    def save_tiktoken(self, path: str) -> None:
        """Writes a tiktoken rank file (the special tokens are not part of that format)."""

    @property
    def vocab(self) -> dict[int, bytes]: ...
    @property
    def merges(self) -> list[tuple[bytes, bytes]]: ...
    @property
    def special_tokens(self) -> dict[str, int]: ...
    @property
    def pattern(self) -> str:
        """The regular expression."""

    @property
    def preset(self) -> str | None:
        """The pattern's name, if it is a preset's."""

    @property
    def vocab_size(self) -> int: ...
    def encode(self, text: Text, allowed_special: Sequence[str] | None = None) -> list[int]:
        """Ids of ``text``; ``allowed_special`` ``None`` allows every special token."""

    def encode_array(
        self, text: Text, allowed_special: Sequence[str] | None = None
    ) -> NDArray[np.uint16] | NDArray[np.uint32]:
        """As :meth:`encode`, into uint16 where the vocabulary fits, else uint32."""

    def encode_batch(
        self,
        texts: Sequence[Text],
        allowed_special: Sequence[str] | None = None,
        num_threads: int | None = None,
    ) -> list[NDArray[np.uint16] | NDArray[np.uint32]]: ...
    def encode_files(
        self,
        inputs: Sequence[str],
        output: str,
        *,
        progress: Progress | None = None,
        dtype: Literal["auto", "uint16", "uint32"] = "auto",
        num_threads: int | None = None,
        piece_size: int | None = None,
        column: str = "text",
        format: str | None = None,
        separator: str | None = None,
        documents: bool = False,
        document_end: str | None = None,
    ) -> tuple[int, int, str, int | None]:
        """Files -> one token file (``.npy`` or raw ``.bin``).

        Inputs, ``column`` and ``format`` are those of :meth:`PretokenCounts.count_files`.

        Args:
            inputs: paths of files; ``-`` is standard input.
            output: appears when it is complete.
            dtype: type of the ids.
            num_threads: worker threads; ``None`` takes every processor the process may use.
            piece_size: bytes read at a time; never changes the result.
            progress: called with bytes done and bytes in all.
            column: the key or column that holds the text.
            format: what the inputs are, where names do not say it.
            separator: a special token that is put behind every document.
            documents: write the places of documents beside the output.
            document_end: the special token that ends a document in plain text; ``None`` is
                ``separator``, else ``<|endoftext|>`` if there is such a token.

        Returns:
            Tokens, bytes of text, type of the ids, documents if asked for.
        """

    def encode_shards(
        self,
        inputs: Sequence[str],
        folder: str,
        shard_tokens: int,
        fingerprint: str,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        dtype: Literal["auto", "uint16", "uint32"] = "auto",
        num_threads: int | None = None,
        piece_size: int | None = None,
        column: str = "text",
        format: str | None = None,
        separator: str | None = None,
        document_end: str | None = None,
    ) -> tuple[int, int, str, int, int, int]:
        """Files -> a folder of token files with indices of documents, and a manifest.

        Args are those of :meth:`encode_files`, and:

        Args:
            inputs: as there.
            folder: made if it is missing; an unfinished one is gone on with.
            shard_tokens: ids in a shard at most; only a document that alone has more is cut.
            fingerprint: tells this tokenizer from others.
            overwrite: remove the shards that are there and start anew.
            progress: as there.
            dtype: as there.
            num_threads: as there.
            piece_size: as there.
            column: as there.
            format: as there.
            separator: as there.
            document_end: as there.

        Returns:
            Tokens, bytes of text, type of the ids, documents, shards, and how many of those an
            interrupted run had finished.
        """

    def count_tokens(self, counts: PretokenCounts) -> int:
        """How many tokens the counted pretokens become."""

    def decode_bytes(self, ids: Sequence[int] | NDArray[np.integer]) -> bytes:
        """The bytes that ``ids`` stand for.

        Raises:
            ValueError: an id outside the vocabulary, with its position.
        """
