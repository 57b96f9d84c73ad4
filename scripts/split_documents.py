"""Text files -> train.txt and valid.txt, split by documents.

A document ends with <|endoftext|>. Its side follows from its own bytes, so it stays the same
whatever stands around it, and equal documents never come to lie on both sides. Memory does not
follow the size of the text.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from byteloom.atomic import atomic_write

END = b"<|endoftext|>"


def documents(text: mmap.mmap) -> Iterator[bytes]:
    """The documents, each with its end; one that lacks it gets it."""
    start = 0
    while start < len(text):
        found = text.find(END, start)
        end = len(text) if found < 0 else found
        if text[start:end].strip():
            yield text[start:end] + END
        start = end + len(END)


def is_validation(document: bytes, per_mille: int) -> bool:
    """Decided by the document's content alone."""
    digest = hashlib.sha256(document.strip()).digest()
    return int.from_bytes(digest[:8], "big") % 1000 < per_mille


def cut_near_the_end(document: bytes, per_mille: int) -> tuple[bytes, bytes]:
    """One document -> two: at a line's end, else a space, else anywhere."""
    body = document.removesuffix(END)
    aim = max(1, len(body) * (1000 - per_mille) // 1000)
    line, word = (body.rfind(mark, aim // 2, aim) + 1 for mark in (b"\n", b" "))
    place = line or word or aim
    return body[:place] + END, body[place:] + END


def split(inputs: Sequence[Path], folder: Path, per_mille: int) -> dict[str, int]:
    """Writes both files and returns how many documents each has.

    The first document is always trained on. If chance gives the validation nothing, it gets the
    last document, or, where there is only one, that one's end.
    """
    counts = {"train": 0, "valid": 0}
    held: bytes | None = None  # the last document, until it is known not to be needed
    with atomic_write(folder / "train.txt") as train, atomic_write(folder / "valid.txt") as valid:
        for path in inputs:
            if not path.stat().st_size:
                continue
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
                for document in documents(text):
                    if held is not None and is_validation(document, per_mille):
                        valid.write(document)
                        counts["valid"] += 1
                    else:
                        if held is not None:
                            train.write(held)
                            counts["train"] += 1
                        held = document
        if held is None:
            raise ValueError(f"no text to train on in {', '.join(map(str, inputs))}")
        if counts["valid"]:
            train.write(held)
            counts["train"] += 1
        elif counts["train"]:
            valid.write(held)
            counts["valid"] += 1
        else:
            first, rest = cut_near_the_end(held, per_mille)
            train.write(first)
            valid.write(rest)
            counts = {"train": 1, "valid": 1}
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="+", type=Path, metavar="TEXT")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--per-mille", type=int, default=10, help="of the documents, to validate")
    args = parser.parse_args(argv)
    if not 0 < args.per_mille < 1000:
        parser.error(f"--per-mille {args.per_mille}: must be between 1 and 999")
    try:
        counts = split(args.inputs, args.output, args.per_mille)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for role, count in counts.items():
        path = args.output / f"{role}.txt"
        print(f"{role:<6} {path} ({path.stat().st_size:,} bytes in {count:,} documents)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
