"""Text -> counts of pretokens -> a tokenizer. Counting is the long part and needs doing once."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

from byteloom import _rust
from byteloom.tokenizer.bpe import Tokenizer
from byteloom.tokenizer.inputs import Inputs, resolve_inputs
from byteloom.tokenizer.progress import progress_bar

TieBreak: TypeAlias = Literal["bytes", "huggingface", "ids"]

#: Text handed to the core at a time by ``from_texts``: enough to make the call's cost vanish.
_BATCH_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was left out of counts so that they fit into the memory that they were allowed."""

    #: Distinct pretokens that were left out. Of counts that were added, several may have left out
    #: the same one, which is then counted more than once.
    pretokens: int
    #: How often these occur.
    occurrences: int
    #: They occur less often than this.
    below: int

    def __str__(self) -> str:
        return (
            f"{self.pretokens:,} distinct pretokens that occur less than {self.below:,} times, "
            f"{self.occurrences:,} occurrences in all, are left out to keep to the memory limit"
        )


class PretokenCounts:
    """How often each pretoken occurs: all that training needs to know about a text.

    Memory follows the number of distinct pretokens, not the size of the text. Counts of several
    machines or shards are added with ``+``, kept with :meth:`save`, and trained from with
    :meth:`train` as often as one likes, at any vocabulary size.

    Example:
        >>> counts = PretokenCounts.from_texts(["low lower", "low lowest"])
        >>> counts.most_common(1), counts.total
        ([(b'low', 2)], 4)
        >>> counts.train(vocab_size=258).merges
        [(b'o', b'w'), (b'l', b'ow')]
    """

    __slots__ = ("_core",)

    def __init__(self, special_tokens: Sequence[str] = (), pattern: str = "gpt2") -> None:
        """No counts yet.

        Args:
            special_tokens: strings at which the text is split and which are never counted.
            pattern: a preset's name ("gpt2", "cl100k" ...) or a regular expression.

        Raises:
            ValueError: an empty or repeated special token, or a pattern that does not compile.
        """
        self._core = _rust.PretokenCounts(list(special_tokens), pattern)

    @classmethod
    def _wrap(cls, core: _rust.PretokenCounts) -> Self:
        self = cls.__new__(cls)
        self._core = core
        return self

    @classmethod
    def from_files(
        cls,
        inputs: Inputs,
        special_tokens: Sequence[str] = (),
        pattern: str = "gpt2",
        num_threads: int | None = None,
        progress: bool = False,
        *,
        column: str = "text",
        memory_limit: int | None = None,
        format: str | None = None,
    ) -> Self:
        r"""Counts inputs in bounded memory, on all processors unless ``num_threads`` is given.

        Args:
            inputs: a path, a folder, a glob, ``-`` for standard input, or several of them: plain
                text, ``.gz``, ``.zst``, ``.jsonl``, ``.parquet``, as the name says. Each file, or
                record of the latter two, is a text of its own.
            special_tokens: as for the class.
            pattern: as for the class.
            num_threads: worker threads; never changes the result.
            progress: show a bar of the bytes read.
            column: the key or column of ``.jsonl`` and ``.parquet`` that holds the text.
            memory_limit: bytes that counting may take, beside what the process has already. Counts
                that need more are put aside on the disk, in the folder for temporary files
                (``TMPDIR``), and added up in the end: that does not change them. Should the sums
                need more, the rarest pretokens are left out, with a ``UserWarning``; see
                :attr:`pruned`. The limit is on counting; training from the counts needs memory of
                its own.
            format: what all inputs are, whatever their names: as for
                :meth:`Tokenizer.encode_files`.

        Raises:
            FileNotFoundError: no such file, a glob without a match, a folder without files.
            ValueError: a damaged file, or a record without text; the message says where. Or a
                ``memory_limit`` that is less than the threads need; it says how much that is.

        Example:
            >>> import tempfile, pathlib
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "texts.jsonl"
            >>> _ = path.write_text('{"id": 1, "body": "low"}\n{"id": 2, "body": "er"}\n')
            >>> PretokenCounts.from_files(path, column="body").items()
            [(b'er', 1), (b'low', 1)]
        """
        files = resolve_inputs(inputs)
        counts = cls(special_tokens, pattern)
        with progress_bar("counting", "B", show=progress) as update:
            counts._core.count_files(
                files,
                num_threads,
                progress=update,
                column=column,
                memory_limit=memory_limit,
                format=format,
            )
        return counts._warned()

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str | bytes],
        special_tokens: Sequence[str] = (),
        pattern: str = "gpt2",
        num_threads: int | None = None,
        *,
        memory_limit: int | None = None,
    ) -> Self:
        """Counts texts from any iterable, lazily; no pretoken crosses from one to the next.

        ``memory_limit`` is as for :meth:`from_files`; the texts' own memory comes on top of it.
        """
        if isinstance(texts, str | bytes):
            raise ValueError("texts must be an iterable of texts, not one text: give [text]")
        counts = cls(special_tokens, pattern)
        if memory_limit is None:
            for batch in _batches(texts):
                counts._core.count_texts(batch, num_threads)
            return counts
        with tempfile.TemporaryDirectory(prefix="byteloom-") as folder:
            parts = [Path(folder) / "nothing"]
            counts.save(parts[0])
            # A limit too low is refused before texts are taken, not after.
            cls.load(*parts, memory_limit=memory_limit)
            for batch in _batches(texts):
                counts._core.count_texts(batch, num_threads)
                # Tables double when they are full, and saving takes half of them again.
                if counts._core.memory * 4 > memory_limit:
                    parts.append(Path(folder) / str(len(parts)))
                    counts.save(parts[-1])
                    counts = cls(special_tokens, pattern)
            parts.append(Path(folder) / str(len(parts)))
            counts.save(parts[-1])
            del counts
            return cls.load(*parts, memory_limit=memory_limit)

    @classmethod
    def from_mapping(
        cls,
        counts: Mapping[bytes, int],
        special_tokens: Sequence[str] = (),
        pattern: str = "gpt2",
    ) -> Self:
        """Takes counts made elsewhere.

        Raises:
            ValueError: a count that is negative or above 2**64 - 1.
        """
        self = cls(special_tokens, pattern)
        for pretoken, count in counts.items():
            if not 0 <= count < 1 << 64:
                raise ValueError(f"the count of {pretoken!r} is {count}; it must be 0 .. 2**64 - 1")
            self._core.add(pretoken, count)
        return self

    @classmethod
    def load(cls, *paths: str | os.PathLike[str], memory_limit: int | None = None) -> Self:
        """Reads what :meth:`save` wrote; several files are added up.

        Args:
            paths: files of counts of texts that were split alike.
            memory_limit: bytes that reading and the sums may take: as for :meth:`from_files`.

        Raises:
            ValueError: a file that is no such file, of a later version, damaged, or of a text that
                was split otherwise.

        Example:
            >>> import tempfile, pathlib
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> PretokenCounts.from_texts(["low lower"]).save(folder / "a")
            >>> PretokenCounts.from_texts(["low lowest"]).save(folder / "b")
            >>> PretokenCounts.load(folder / "a", folder / "b").most_common(1)
            [(b'low', 2)]
        """
        files = [os.fspath(path) for path in paths]
        return cls._wrap(_rust.PretokenCounts.load(files, memory_limit))._warned()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compact, checksummed file, whole or not at all."""
        self._core.save(os.fspath(path))

    @staticmethod
    def add_files(
        inputs: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]
    ) -> tuple[int, int]:
        """Adds files of counts up into another, without having them in memory.

        All files are read once, side by side: a few MB suffice, however large they are.

        Returns:
            How many distinct pretokens the output has, and how often they occur.

        Raises:
            ValueError: as for :meth:`load`.

        Example:
            >>> import tempfile, pathlib
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> PretokenCounts.from_texts(["low lower"]).save(folder / "a")
            >>> PretokenCounts.from_texts(["low lowest"]).save(folder / "b")
            >>> PretokenCounts.add_files([folder / "a", folder / "b"], folder / "sum")
            (3, 4)
        """
        return _rust.PretokenCounts.add_files(
            [os.fspath(path) for path in inputs], os.fspath(output)
        )

    def at_least(self, count: int) -> Self:
        """The pretokens that occur ``count`` times or more."""
        return self._wrap(self._core.at_least(count))

    def top(self, n: int) -> Self:
        """The ``n`` most frequent pretokens; of equal counts, the first in order of their bytes."""
        return self._wrap(self._core.top(n))

    def filtered(self, keep: Callable[[bytes, int], object]) -> Self:
        r"""The pretokens for which ``keep(pretoken, count)`` is true.

        Example:
            >>> counts = PretokenCounts.from_mapping({b" the": 9, b" cat": 2, b"\xff": 1})
            >>> counts.filtered(lambda pretoken, count: pretoken.isascii()).items()
            [(b' cat', 2), (b' the', 9)]
        """
        return self._wrap(self._core.filtered(keep))

    def train(
        self,
        vocab_size: int,
        special_tokens: Sequence[str] | None = None,
        tie_break: TieBreak = "bytes",
        min_frequency: int = 1,
        progress: bool = False,
    ) -> Tokenizer:
        """Trains a tokenizer: byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

        Ids: the special tokens in the order given, the 256 bytes, the merges in order of creation.

        Args:
            vocab_size: tokens wanted, special tokens and the 256 bytes included. Where the text
                cannot give so many, the vocabulary is smaller.
            special_tokens: ``None`` takes those that the text was split at.
            tie_break: among pairs of equal count, "bytes" takes the lexicographically greatest
                pair of byte strings (the course's rule), "huggingface" the smallest pair of the ids
                that its trainer gives, "ids" of ids that number the bytes 0 .. 255.
            min_frequency: pairs that occur less often are not merged.
            progress: show a bar of the merges made.

        Raises:
            ValueError: ``vocab_size`` below 256 plus the special tokens.
        """
        special = self.special_tokens if special_tokens is None else list(special_tokens)
        with progress_bar("merging", " merges", show=progress) as update:
            core = self._core.train(vocab_size, special, tie_break, min_frequency, progress=update)
        return Tokenizer._wrap(core)

    def count_tokens(self, tokenizer: Tokenizer) -> int:
        """How many ids the counted text becomes, special tokens apart, without the text."""
        return tokenizer._core.count_tokens(self._core)

    def most_common(self, n: int = 20) -> list[tuple[bytes, int]]:
        """The ``n`` most frequent pretokens, most frequent first."""
        return self._core.most_common(n)

    def items(self) -> list[tuple[bytes, int]]:
        """All pretokens and counts, sorted by the pretokens' bytes."""
        return self._core.items()

    @property
    def total(self) -> int:
        """The sum of all counts: the text's length in pretokens."""
        return self._core.total

    @property
    def total_bytes(self) -> int:
        """The bytes of all pretokens: the text's length without its special tokens."""
        return self._core.total_bytes

    @property
    def pruned(self) -> Pruned | None:
        """What was left out for lack of memory, here or in what was added; ``None`` if nothing."""
        pruned = self._core.pruned
        return None if pruned is None else Pruned(*pruned)

    @property
    def pattern(self) -> str:
        """The regular expression that split the text."""
        return self._core.pattern

    @property
    def special_tokens(self) -> list[str]:
        """The strings at which the text was split."""
        return self._core.special_tokens

    def _warned(self) -> Self:
        """These counts, after a warning if some were left out."""
        if self.pruned is not None:
            warnings.warn(str(self.pruned), UserWarning, stacklevel=3)
        return self

    def __add__(self, other: PretokenCounts) -> PretokenCounts:
        both = PretokenCounts(self.special_tokens, self.pattern)
        both._core.merge(self._core)
        both._core.merge(other._core)
        return both

    def __getitem__(self, pretoken: bytes) -> int:
        return self._core.get(pretoken)

    def __iter__(self) -> Iterator[bytes]:
        return (pretoken for pretoken, _ in self.items())

    def __len__(self) -> int:
        return len(self._core)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PretokenCounts):
            return NotImplemented
        return (
            self.pattern == other.pattern
            and self.special_tokens == other.special_tokens
            and self.items() == other.items()
        )

    __hash__ = None  # type: ignore[assignment]  # counts can be large, and equal ones are equal

    def __repr__(self) -> str:
        return f"PretokenCounts({len(self):,} distinct pretokens, {self.total:,} in all)"


def _batches(texts: Iterable[str | bytes]) -> Iterator[list[str | bytes]]:
    """Texts in lists that are worth a call each."""
    batch: list[str | bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    yield batch


def train_bpe(
    inputs: Inputs,
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    pattern: str = "gpt2",
    tie_break: TieBreak = "bytes",
    num_threads: int | None = None,
    progress: bool = False,
    *,
    column: str = "text",
    memory_limit: int | None = None,
    format: str | None = None,
) -> Tokenizer:
    """Trains a tokenizer on files: :meth:`PretokenCounts.from_files`, then ``train``.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
        >>> _ = path.write_text("low low low<|endoftext|>lower lowest")
        >>> tokenizer = train_bpe(path, 260, special_tokens=["<|endoftext|>"])
        >>> tokenizer.encode("lower<|endoftext|>")
        [258, 102, 115, 0]
    """
    # A vocabulary too small is refused before the text is read, not after.
    _rust.PretokenCounts(list(special_tokens), pattern).train(
        vocab_size, list(special_tokens), tie_break
    )
    counts = PretokenCounts.from_files(
        inputs,
        special_tokens,
        pattern,
        num_threads,
        progress,
        column=column,
        memory_limit=memory_limit,
        format=format,
    )
    return counts.train(vocab_size, tie_break=tie_break, progress=progress)
