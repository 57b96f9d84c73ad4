"""The text as the contestants need it: whole, in documents, or some of it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

END_OF_TEXT = "<|endoftext|>"


def read(path: Path) -> str:
    """The text as the peers need it, every character as it is in the file."""
    return path.read_bytes().decode()


def documents(text: str, *, keep_end: bool) -> list[str]:
    """The text in pieces that a library can share out to threads; no pretoken crosses a cut.

    Args:
        text: documents, ended by the special token.
        keep_end: whether the special token stays at a document's end, or is left out.
    """
    parts = text.split(END_OF_TEXT)
    if keep_end:
        parts = [part + END_OF_TEXT for part in parts[:-1]] + parts[-1:]
    return [piece for part in parts if part for piece in _cut(part, 1 << 20)]


def _cut(document: str, size: int) -> Iterator[str]:
    """Cuts what is longer before a space between two words: exact for GPT-2's pattern."""
    safe = re.compile(r"(?<=[A-Za-z0-9])(?= [A-Za-z])")
    start = 0
    while len(document) - start > size and (found := safe.search(document, start + size)):
        yield document[start : found.start()]
        start = found.start()
    yield document[start:]


def sample(args: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """The same job on whole documents from all over the text, `args.megabytes` of them."""
    parts = [part for part in read(args.text).split(END_OF_TEXT) if part]
    share = max(1, round(args.text.stat().st_size / 1e6 / args.megabytes))
    path = folder / f"sample-{args.text.name}"
    path.write_bytes(END_OF_TEXT.join(parts[::share]).encode())
    return argparse.Namespace(**vars(args) | {"text": path, "threads": 1})
