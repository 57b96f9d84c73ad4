"""The texts that check_exactness.py goes through, document by document and as files."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import adversarial_texts
from adversarial_texts import END, OVERLAPPING

BATCH = 4 << 20  # bytes of documents that are compared together
#: Bytes read at a time, and threads: for the counts and ids of whole files.
PIECES = (
    (None, 1),
    (1 << 20, 2),
    (262_147, 3),
    (65_537, 4),
    (16_381, 5),
    (4_099, 6),
    (1_021, 7),
    (257, 8),
)
#: For the adversarial texts, a smaller file.
SMALL_PIECES = (*PIECES, (64, 2), (17, 3), (8, 1), (1, 2))


@dataclass(frozen=True)
class Corpus:
    """A file and its documents."""

    name: str
    path: Path
    special_tokens: tuple[str, ...]
    documents: Callable[[], Iterable[bytes]]
    segments: Callable[[], Iterable[bytes]]
    """Texts whose ids, one after the other, are those of the file."""
    pieces: Sequence[tuple[int | None, int]] = PIECES


def text_corpus(path: Path) -> Corpus:
    """A text whose documents end with <|endoftext|>, read document by document."""

    def segments() -> Iterator[bytes]:
        if not path.stat().st_size:
            return
        end = END.encode()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
            start = 0
            while (found := text.find(end, start)) >= 0:
                yield text[start:found]
                yield end
                start = found + len(end)
            yield text[start:]

    def documents() -> Iterator[bytes]:
        return itertools.islice(segments(), 0, None, 2)

    return Corpus(path.name, path, (END,), documents, segments)


def adversarial_corpus(folder: Path, run: int) -> Corpus:
    """The built-in texts, and all of them joined as one more."""
    texts = list(adversarial_texts.documents(run=run))
    joined = b"\n".join(texts)
    path = folder / "adversarial.txt"
    path.write_bytes(joined)
    return Corpus(
        "adversarial", path, OVERLAPPING, lambda: [*texts, joined], lambda: [joined], SMALL_PIECES
    )


def batches(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lists of documents of about BATCH bytes."""
    batch: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document) + 64
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
