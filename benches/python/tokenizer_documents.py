"""Encoding one document at a time from Python, warm: string -> list of ids, and string -> array.

Documents of the text, split at its special tokens, are encoded one call each on one thread.
Everyone goes over all of them once before the clock starts, and leaves the ids to be compared with
ours; then again and again for half a second, and the median of those times counts. A peer without
a call of its own for one of the two gets the conversion that its users write.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpus import END_OF_TEXT, read, sample
from harness import (
    OURS,
    Contestant,
    Race,
    parser_for,
    race,
    timed,
)
from report import run
from tokenizer_encoding import Ids, add_options, compare, ffbpe_encoder, prepare

import byteloom as bl

LIST, ARRAY = "a list", "an array"

#: All documents take the fastest some hundredths of a second; one such time says little.
SECONDS = 0.5

Encode = Callable[[str], Sequence[int] | Ids]


def measure(args: argparse.Namespace, encode: Encode) -> dict[str, Any]:
    """Goes over the documents once, and then times that for half a second, or once more."""
    texts = read(args.text).split(END_OF_TEXT)
    ids = [np.asarray(encode(text), np.uint32) for text in texts]
    np.save(args.folder / f"{args.worker}.npy", np.concatenate(ids))
    tokens = sum(map(len, ids))
    del ids

    def again() -> None:
        for text in texts:
            encode(text)

    times = []
    while sum(times) < SECONDS:
        _, figures = timed(again)
        times.append(figures["seconds"])
    figures["seconds"] = statistics.median(times)
    return figures | {"tokens": tokens, "documents": len(texts)}


def byteloom(args: argparse.Namespace) -> dict[str, Any]:
    tokenizer = bl.Tokenizer.load(args.tokenizer)
    return measure(args, tokenizer.encode if args.task == LIST else tokenizer.encode_array)


def gigatoken(args: argparse.Namespace) -> dict[str, Any]:
    import gigatoken as library

    encode = library.Tokenizer(args.tokenizer).encode
    if args.task == ARRAY:
        return measure(args, encode)
    return measure(args, lambda text: encode(text).tolist())


def ffbpe(args: argparse.Namespace) -> dict[str, Any]:
    encoder = ffbpe_encoder(bl.Tokenizer.load(args.tokenizer))
    return measure(args, encoder.encode if args.task == LIST else encoder.encode_to_numpy)


def tiktoken(args: argparse.Namespace) -> dict[str, Any]:
    encoding = bl.Tokenizer.load(args.tokenizer).to_tiktoken()
    if args.task == LIST:
        return measure(args, lambda text: encoding.encode(text, allowed_special="all"))
    return measure(args, lambda text: encoding.encode_to_numpy(text, allowed_special="all"))


def huggingface(args: argparse.Namespace) -> dict[str, Any]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    if args.task == LIST:
        return measure(args, lambda text: tokenizer.encode(text).ids)
    return measure(args, lambda text: np.array(tokenizer.encode(text).ids))


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("gigatoken", "gigatoken", gigatoken),
    Contestant("ffbpe", "ffbpe", ffbpe),
    Contestant("tiktoken", "tiktoken", tiktoken),
    Contestant("tokenizers", "tokenizers", huggingface),
)


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """A race for lists and one for arrays."""
    tokenizer, job = prepare(args, folder), sample(args, folder)
    size = job.text.stat().st_size
    races = []
    for task in (LIST, ARRAY):
        extra = ["--tokenizer", str(tokenizer), "--task", task]
        results = race(Path(__file__).resolve(), job, CONTESTANTS, folder, *extra)
        notes, equal = compare(folder, results)
        if results[0].runs:
            notes.insert(0, f"{results[0].runs[0]['documents']:,} documents")
        name = f"encode one document at a time to {task}, warm"
        races.append(Race(name, args.text.name, size, 1, results, notes, equal))
    return races


def add_limit(parser: argparse.ArgumentParser) -> None:
    """How much of the text."""
    parser.add_argument(
        "--megabytes", type=float, default=10, metavar="N", help="of documents, from all over"
    )


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    add_options(parser)
    add_limit(parser)
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
