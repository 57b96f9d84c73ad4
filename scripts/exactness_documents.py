"""Splitting and ids, document by document, against the peers; on many processes, and remembered."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex
import tiktoken
import tokenizers
import unicode_classes
from exactness_report import Report, Row, first_difference, shown

from byteloom import _rust

#: For each peer, the code points that it and byteloom put into different classes.
CLASSES_DIFFER: dict[str, Callable[[], frozenset[str]]] = {
    "regex": unicode_classes.from_regex,
    "tokenizers": unicode_classes.from_huggingface,
}

#: Libraries whose answers are remembered, as long as they are the same.
PEERS = ("regex", "tiktoken", "tokenizers")


@dataclass
class Said:
    """What the peers said of a document, as digests."""

    pretokens: str = ""
    tiktoken: str = ""
    """Empty where it gave up."""
    tokenizers: str = ""


@dataclass
class Outcome:
    """What came of a batch of documents."""

    report: Report = field(default_factory=Report)
    counts: collections.Counter[str | bytes] = field(default_factory=collections.Counter)
    """Pretokens by the `regex` module; those of texts that are no UTF-8 are bytes."""
    bytes: int = 0


class Documents:
    """The documents of one corpus under one preset, in the same tokens and merges for all."""

    def __init__(self, name: str, core: _rust.Tokenizer, preset: str, memory: Path | None) -> None:
        self.name, self.core, self.preset, self.memory = name, core, preset, memory
        self.special_ids = core.special_tokens
        # The longest first: an alternation takes what stands first in it.
        longest = sorted(self.special_ids, key=len, reverse=True)
        self.special = regex.compile("(" + "|".join(map(regex.escape, longest)) + ")")
        self.pattern = regex.compile(core.pattern)
        self.tiktoken = tiktoken.Encoding(
            "check",
            pat_str=core.pattern,
            mergeable_ranks=dict(core.ranks()),
            special_tokens=self.special_ids,
        )
        self.huggingface = tokenizers.Tokenizer.from_str(core.to_json())
        self.outcome = Outcome()

    def check(self, batch: Sequence[bytes]) -> Outcome:
        """Compares a batch; only with what the peers said before, where that is remembered.

        A document that differs from what is remembered is compared anew, as is one that is no
        UTF-8.
        """
        self.outcome = Outcome(bytes=sum(map(len, batch)))
        path = self.memory / self.key(batch) if self.memory else None
        if path and path.is_file():
            said = [Said(*digests) for digests in json.loads(path.read_text())]
            self.compare(
                [data for data, it in zip(batch, said, strict=True) if not self.as_said(data, it)]
            )
            return self.outcome
        said = self.compare(batch)
        if path:
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
                json.dump([[it.pretokens, it.tiktoken, it.tokenizers] for it in said], file)
            Path(file.name).replace(path)
        return self.outcome

    def key(self, batch: Sequence[bytes]) -> str:
        """The name of what is remembered of a batch: all that the peers' answers follow from."""
        key = hashlib.blake2b(self.setting, digest_size=20)
        for data in batch:
            key.update(len(data).to_bytes(8, "little"))
            key.update(data)
        return key.hexdigest()

    @functools.cached_property
    def setting(self) -> bytes:
        """The same, but for the documents."""
        versions = [importlib.metadata.version(peer) for peer in PEERS]
        return json.dumps([versions, self.core.pattern, self.core.to_json()]).encode()

    def as_said(self, data: bytes, said: Said) -> bool:
        """Whether a document is split and encoded as the peers did it before."""
        text = decoded(data)
        if text is None:
            return False
        try:
            pieces, ids, as_list = (
                self.ours(data),
                self.core.encode_array(data),
                self.core.encode(text),
            )
        except ValueError:
            return False
        if (
            said.pretokens != digest(b"\xff".join(pieces))
            or said.tiktoken not in ("", of_ids(ids))
            or said.tokenizers != of_ids(as_list)
            or self.core.decode_bytes(ids) != data
        ):
            return False
        self.outcome.counts.update(piece.decode() for piece in pieces)
        for what, peer, items in (
            ("pretokens", "regex", len(pieces)),
            ("ids", "tiktoken", len(ids)),
            ("ids", "tokenizers", len(ids)),
        ):
            self.row(what, peer).saw(data, items)
        self.row("ids", "tiktoken").gave_up += not said.tiktoken
        return True

    def compare(self, batch: Sequence[bytes]) -> list[Said]:
        """Compares a batch with the peers; returns what they said."""
        said = [Said() for _ in batch]
        texts = [decoded(data) for data in batch]
        for data, text, it in zip(batch, texts, said, strict=True):
            pieces = self.check_splitting(data, text, it)
            self.check_ids(data, text, pieces, it)
        valid = [(text, it) for text, it in zip(texts, said, strict=True) if text is not None]
        self.check_huggingface([text for text, _ in valid], [it for _, it in valid])
        return said

    def row(self, what: str, peer: str) -> Row:
        """The row of the table for a comparison of this corpus under this preset."""
        return self.outcome.report.row(f"{self.name} · {self.preset} · {what}", peer)

    def check_splitting(self, data: bytes, text: str | None, said: Said) -> list[bytes]:
        """Pretokens and special tokens against the `regex` module; returns ours."""
        row, report = self.row("pretokens", "regex"), self.outcome.report
        theirs = self.split(replaced(data) if text is None else text)
        if text is not None:
            self.outcome.counts.update(theirs)
            said.pretokens = digest(joined(theirs))
        try:
            ours = self.ours(data)
        except ValueError as error:
            row.saw(data, 0)
            report.differs(row, f"{shown(data)}: {error}")
            return []
        row.saw(data, len(ours))
        if text is None:
            self.outcome.counts.update(ours)
        if not same_pieces(ours, theirs, data, text) and not self.excused(
            row, data, "regex", self.splits_alike
        ):
            place, left, right = first_difference([replaced(piece) for piece in ours], theirs)
            report.differs(row, f"pretoken {place} of {shown(data)}: {left!r}, there {right!r}")
        return ours

    def ours(self, data: bytes) -> list[bytes]:
        """The parts of a text by the engine."""
        return _rust.pretokenize(data, self.preset, list(self.special_ids))

    def split(self, text: str) -> list[str]:
        """The parts of a text by the `regex` module."""
        pieces: list[str] = []
        for index, part in enumerate(self.special.split(text)):
            pieces += [part] if index % 2 else self.pattern.findall(part)
        return [piece for piece in pieces if piece]

    def splits_alike(self, data: bytes) -> bool:
        """Whether the engine and the `regex` module split a text alike."""
        return same_pieces(self.ours(data), self.split(replaced(data)), data, decoded(data))

    def check_ids(self, data: bytes, text: str | None, pieces: list[bytes], said: Said) -> None:
        """Ids against tiktoken's, and back to the text."""
        row, report = self.row("ids", "tiktoken"), self.outcome.report
        try:
            ours = self.core.encode_array(data)
        except ValueError as error:
            row.saw(data, 0)
            report.differs(row, f"{shown(data)}: {error}")
            return
        row.saw(data, len(ours))
        if self.core.decode_bytes(ours) != data:
            report.differs(self.row("decoding", "the text"), shown(data))
        try:
            theirs = self.tiktoken_ids(text, pieces)
        except BaseException as error:
            # Its regex engine runs out of stack on a run of a million spaces: a panic, which is no
            # Exception and which no module names.
            if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
                raise
            row.gave_up += 1
            return
        said.tiktoken = of_ids(theirs)
        if ours.tolist() != theirs:
            place, left, right = first_difference(ours.tolist(), theirs)
            report.differs(row, f"id {place} of {shown(data)}: {left}, there {right}")

    def tiktoken_ids(self, text: str | None, pieces: list[bytes]) -> list[int]:
        """The ids of tiktoken. Of overlapping special tokens it takes any; they are split off here.

        It has no way to encode a text that is no UTF-8; there it gets the pretokens, which were
        compared with the `regex` module's, one by one.
        """
        ids: list[int] = []
        if text is None:
            for piece in pieces:
                special = self.special_ids.get(replaced(piece))
                ids += self.tiktoken._encode_single_piece(piece) if special is None else [special]
            return ids
        for index, part in enumerate(self.special.split(text)):
            ids += [self.special_ids[part]] if index % 2 else self.tiktoken.encode_ordinary(part)
        return ids

    def check_huggingface(self, texts: list[str], said: list[Said]) -> None:
        """Ids against those of Hugging Face tokenizers."""
        row, report = self.row("ids", "tokenizers"), self.outcome.report
        encodings = self.huggingface.encode_batch_fast(texts, add_special_tokens=False)
        for text, encoding, it in zip(texts, encodings, said, strict=True):
            data, theirs = text.encode(), encoding.ids
            it.tokenizers = of_ids(theirs)
            row.saw(data, len(theirs))
            try:
                ours = self.core.encode(text)
            except ValueError as error:
                report.differs(row, f"{shown(data)}: {error}")
                continue
            if ours != theirs and not self.excused(row, data, "tokenizers", self.encodes_alike):
                place, left, right = first_difference(ours, theirs)
                report.differs(row, f"id {place} of {shown(data)}: {left}, there {right}")

    def encodes_alike(self, data: bytes) -> bool:
        """Whether the engine and Hugging Face tokenizers encode a text alike."""
        theirs = self.huggingface.encode(data.decode(), add_special_tokens=False).ids
        return bool(self.core.encode(data) == theirs)

    def excused(self, row: Row, data: bytes, peer: str, alike: Callable[[bytes], bool]) -> bool:
        """Whether a difference goes away without the code points whose class differs."""
        text = data.decode("utf-8", errors="surrogateescape")
        found = CLASSES_DIFFER[peer]().intersection(text)
        without = text.translate(dict.fromkeys(map(ord, found), 0xFFFD))
        if not found or not alike(without.encode("utf-8", errors="surrogateescape")):
            return False
        row.unicode += 1
        self.outcome.report.excused |= found
        return True


@dataclass(frozen=True)
class Setting:
    """What a worker needs to know, apart from the documents."""

    tokens: tuple[tuple[bytes, int], ...]
    merges: tuple[tuple[bytes, bytes], ...]
    memory: Path | None

    def tokenizer(self, special: Sequence[str], preset: str) -> _rust.Tokenizer:
        """The tokens and merges with a pattern and special tokens."""
        return _rust.Tokenizer(list(self.tokens), list(self.merges), list(special), preset)

    def documents(self, name: str, special: Sequence[str], preset: str) -> Documents:
        """The peers, made ready for the documents of a corpus."""
        return Documents(name, self.tokenizer(special, preset), preset, self.memory)


class Workers:
    """Processes that compare batches of documents; this one alone, if there is to be one."""

    def __init__(self, setting: Setting, number: int) -> None:
        self.setting, self.number = setting, number
        self.pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.number > 1:
            # Every process works for itself; threads of its own would be in the others' way.
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
            self.pool = concurrent.futures.ProcessPoolExecutor(
                self.number,
                multiprocessing.get_context("spawn"),
                initializer=begin,
                initargs=(self.setting,),
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def outcomes(
        self, name: str, special: tuple[str, ...], preset: str, batches: Iterable[list[bytes]]
    ) -> Iterator[Outcome]:
        """What comes of every batch, in order, with few of them in memory."""
        if not self.pool:
            yield from map(self.setting.documents(name, special, preset).check, batches)
            return
        waiting: collections.deque[concurrent.futures.Future[Outcome]] = collections.deque()
        for batch in batches:
            waiting.append(self.pool.submit(work, name, special, preset, batch))
            if len(waiting) > 2 * self.number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


#: A worker's.
_setting: list[Setting] = []


def begin(setting: Setting) -> None:
    """Begins a worker."""
    _setting.append(setting)


def work(name: str, special: tuple[str, ...], preset: str, batch: list[bytes]) -> Outcome:
    """Compares a batch, in a worker."""
    return documents(name, special, preset).check(batch)


@functools.lru_cache(maxsize=1)
def documents(name: str, special: tuple[str, ...], preset: str) -> Documents:
    """The peers, made ready once."""
    (setting,) = _setting
    return setting.documents(name, special, preset)


def digest(data: bytes) -> str:
    """A few bytes that stand for many."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def of_ids(ids: Sequence[int] | npt.NDArray[np.unsignedinteger]) -> str:
    """The digest of ids."""
    return digest(np.asarray(ids, "<u4").tobytes())


def decoded(data: bytes) -> str | None:
    """The text, or `None` if it is no UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def replaced(data: bytes) -> str:
    """The text, with U+FFFD where it is no UTF-8."""
    return data.decode("utf-8", errors="replace")


def joined(pieces: list[str]) -> bytes:
    """Pieces with what is in no valid text between them."""
    return "\udcff".join(pieces).encode("utf-8", errors="surrogateescape")


def same_pieces(ours: list[bytes], theirs: list[str], data: bytes, text: str | None) -> bool:
    """Whether our pieces are theirs. Bytes that are no UTF-8 split as if they were U+FFFD."""
    if text is None:
        return list(map(replaced, ours)) == theirs and b"".join(ours) == data
    # Joined, lists are compared at the speed of bytes.
    return b"\xff".join(ours) == joined(theirs)
