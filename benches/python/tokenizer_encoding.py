"""Encoding text with a BPE vocabulary, byteloom beside its peers: text file -> token file.

Everyone has the same vocabulary (`--tokenizer`, or one that byteloom trains on the text first),
starts cold, reads the text, encodes it, special tokens included, and writes the ids as a .npy file
of the same type. `--memory` leaves out both files: from a string to an array. The peers' ids are
compared with ours; if one differs, the benchmark says so and fails.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import (
    END_OF_TEXT,
    OURS,
    Contestant,
    Result,
    documents,
    parse,
    parser_for,
    race,
    read,
    run_worker,
    scratch,
    timed,
)
from report import report

import byteloom as bl

Ids = np.ndarray[Any, np.dtype[Any]]


def dtype_for(tokenizer: bl.Tokenizer) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32


def pieces(text: str, tokenizer: bl.Tokenizer) -> list[str]:
    """For threads to share; a text without special tokens of this vocabulary stays whole."""
    known = END_OF_TEXT in tokenizer.special_tokens
    return documents(text, keep_end=True) if known else [text]


def measure(args: argparse.Namespace, encode: Callable[[str], Ids]) -> dict[str, Any]:
    """Times a peer whose part is string -> ids."""
    output = args.folder / f"{args.worker}.npy"
    if args.memory:
        text = read(args.text)
        ids, figures = timed(lambda: encode(text))
        np.save(output, ids)
    else:

        def work() -> Ids:
            ids = encode(read(args.text))
            np.save(output, ids)
            return ids

        ids, figures = timed(work)
    return figures | {"tokens": len(ids)}


def byteloom(args: argparse.Namespace) -> dict[str, Any]:
    tokenizer = bl.Tokenizer.load(args.tokenizer)
    if args.memory and args.threads == 1:
        return measure(args, tokenizer.encode_array)
    if args.memory:
        return measure(
            args,
            lambda text: np.concatenate(
                tokenizer.encode_batch(pieces(text, tokenizer), num_threads=args.threads)
            ),
        )
    output = args.folder / f"{args.worker}.npy"
    stats, figures = timed(
        lambda: tokenizer.encode_files(args.text, output, num_threads=args.threads)
    )
    return figures | {"tokens": stats.tokens}


def tiktoken(args: argparse.Namespace) -> dict[str, Any]:
    tokenizer = bl.Tokenizer.load(args.tokenizer)
    encoding, dtype = tokenizer.to_tiktoken(), dtype_for(tokenizer)

    def encode(text: str) -> Ids:
        if args.threads == 1:
            return encoding.encode_to_numpy(text, allowed_special="all").astype(dtype)
        lists = encoding.encode_batch(
            pieces(text, tokenizer), num_threads=args.threads, allowed_special="all"
        )
        return np.fromiter(itertools.chain.from_iterable(lists), dtype)

    return measure(args, encode)


def huggingface(args: argparse.Namespace) -> dict[str, Any]:
    from tokenizers import Tokenizer

    ours, tokenizer = bl.Tokenizer.load(args.tokenizer), Tokenizer.from_file(str(args.tokenizer))

    def encode(text: str) -> Ids:
        parts, found = pieces(text, ours), []
        # In batches: an Encoding keeps much beside the ids.
        for i in range(0, len(parts), 1000):
            batch = tokenizer.encode_batch_fast(parts[i : i + 1000])
            found += [np.array(one.ids, dtype_for(ours)) for one in batch]
        return np.concatenate(found)

    return measure(args, encode)


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("tiktoken", "tiktoken", tiktoken),
    Contestant("tokenizers", "tokenizers", huggingface),
)


def compare(folder: Path, results: list[Result]) -> tuple[list[str], bool]:
    """Says for every peer whether its ids are ours, and whether all are."""
    notes, equal = [], True
    for result in results:
        peer = result.contestant.name
        if result.failure or peer == OURS or results[0].failure:
            continue
        ours, theirs = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in (OURS, peer))
        if ours.dtype == theirs.dtype and np.array_equal(ours, theirs):
            notes.append(f"all {len(ours):,} ids are {peer}'s")
            continue
        equal = False
        length = min(len(ours), len(theirs))
        different = np.flatnonzero(ours[:length] != theirs[:length])
        place = int(different[0]) if len(different) else length
        notes.append(
            f"WRONG: {len(ours):,} ids, {peer} has {len(theirs):,}; different from id {place:,} on"
        )
    return notes, equal


def prepare(args: argparse.Namespace, folder: Path) -> Path:
    """The vocabulary of all, as a tokenizer.json."""
    path = folder / "tokenizer.json"
    if args.tokenizer is None:
        print(f"training a tokenizer of {args.vocab_size:,} tokens ...", file=sys.stderr)
        special = [END_OF_TEXT]
        bl.train_bpe(args.text, args.vocab_size, special_tokens=special, pattern=args.pattern).save(
            path
        )
    elif args.tokenizer.suffix == ".json" and args.tokenizer.is_file():
        shutil.copy(args.tokenizer, path)
    else:
        bl.Tokenizer.load(args.tokenizer).save(path)
    return path


def main() -> int:
    peers = [one.name for one in CONTESTANTS if one.name != OURS]
    parser = parser_for(__doc__.splitlines()[0], peers)
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="default: trained here")
    parser.add_argument("--pattern", default="gpt2", help="of the tokenizer that is trained here")
    parser.add_argument("--memory", action="store_true", help="string -> array, without files")
    args = parse(parser, peers)
    if args.worker:
        run_worker(args, CONTESTANTS)
        return 0
    with scratch() as name:
        folder = Path(name)
        tokenizer = prepare(args, folder)
        extra = ["--tokenizer", str(tokenizer), *(["--memory"] if args.memory else [])]
        results = race(Path(__file__).resolve(), args, CONTESTANTS, folder, *extra)
        notes, equal = compare(folder, results)
        size = bl.Tokenizer.load(tokenizer).vocab_size
    what = "a string in memory" if args.memory else "a file to a token file"
    report(f"Encoding {what} with {size:,} tokens", args, results, notes)
    return 0 if equal and not results[0].failure else 1


if __name__ == "__main__":
    sys.exit(main())
