"""Encoding text with a BPE vocabulary, byteloom beside its peers: text file -> token file.

Everyone has the same vocabulary (`--tokenizer`, or one that byteloom trains on the text first),
starts cold, reads the text, encodes it, special tokens included, and writes the ids as a .npy file
of the same type. Peers that read files themselves do; gigatoken then takes the file for one
document, which it shares out to its threads by itself. `--memory` leaves out both files: from a
string to an array. The peers' ids are compared with ours; if one differs, the benchmark says so and
fails.
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
from corpus import END_OF_TEXT, documents, read
from harness import (
    GPT2_PATTERN,
    OURS,
    Contestant,
    Race,
    Result,
    parser_for,
    race,
    threads_in_words,
    timed,
)
from report import run

import byteloom as bl

Ids = np.ndarray[Any, np.dtype[Any]]


def dtype_for(tokenizer: bl.Tokenizer) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32


def pieces(text: str, tokenizer: bl.Tokenizer) -> list[str]:
    """For threads to share; a text without special tokens of this vocabulary stays whole."""
    known = END_OF_TEXT in tokenizer.special_tokens
    return documents(text, keep_end=True) if known else [text]


def measure(
    args: argparse.Namespace,
    encode: Callable[[str], Ids],
    encode_file: Callable[[Path], Ids] | None = None,
) -> dict[str, Any]:
    """Times a peer whose part is string -> ids, or file -> ids if it can."""
    output = args.folder / f"{args.worker}.npy"
    if args.memory:
        text = read(args.text)
        ids, figures = timed(lambda: encode(text))
        np.save(output, ids)
    else:

        def work() -> Ids:
            ids = encode_file(args.text) if encode_file else encode(read(args.text))
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


def gigatoken(args: argparse.Namespace) -> dict[str, Any]:
    import gigatoken as library

    tokenizer = library.Tokenizer(args.tokenizer)
    dtype = dtype_for(bl.Tokenizer.load(args.tokenizer))

    def encode_file(path: Path) -> Ids:
        source = library.TextFileSource([path])
        found = tokenizer.encode_files(source, parallel=args.threads > 1)
        return np.asarray(found[0]).astype(dtype)

    def encode(text: str) -> Ids:
        return np.asarray(tokenizer.encode(text)).astype(dtype)

    return measure(args, encode, encode_file)


def ffbpe(args: argparse.Namespace) -> dict[str, Any]:
    ours = bl.Tokenizer.load(args.tokenizer)
    encoder, dtype = ffbpe_encoder(ours), dtype_for(ours)
    return measure(
        args,
        lambda text: encoder.encode_to_numpy(text).astype(dtype),
        lambda path: encoder.encode_file(path).astype(dtype),
    )


def ffbpe_encoder(tokenizer: bl.Tokenizer) -> Any:
    """An encoder of ffbpe's with our vocabulary."""
    import ffbpe as library

    return library.BpeEncoder(
        special_tokens=list(tokenizer.special_tokens),
        merges=tokenizer.merges,
        vocab={token: id_ for id_, token in tokenizer.vocab.items()},
        pat_str=None if tokenizer.pattern == GPT2_PATTERN else tokenizer.pattern,
    )


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("gigatoken", "gigatoken", gigatoken),
    Contestant("ffbpe", "ffbpe", ffbpe),
    Contestant("tiktoken", "tiktoken", tiktoken),
    Contestant("tokenizers", "tokenizers", huggingface),
)


def compare(folder: Path, results: list[Result]) -> tuple[list[str], bool]:
    """Says for every peer whether its ids are ours, and whether all are."""
    notes, equal = [], True
    for result in results:
        peer = result.name
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


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """The race, and whether the peers' ids are ours."""
    tokenizer = prepare(args, folder)
    extra = ["--tokenizer", str(tokenizer), *(["--memory"] if args.memory else [])]
    results = race(Path(__file__).resolve(), args, CONTESTANTS, folder, *extra)
    notes, equal = compare(folder, results)
    what = "encode a string in memory" if args.memory else "encode file -> token file"
    size = bl.Tokenizer.load(tokenizer).vocab_size
    job = f"{what}, {size:,} tokens, {threads_in_words(args.threads)}"
    length = args.text.stat().st_size
    return [Race(job, args.text.name, length, args.threads, results, notes, equal)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which vocabulary."""
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="default: trained here")
    parser.add_argument("--pattern", default="gpt2", help="of the tokenizer that is trained here")


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    add_options(parser)
    parser.add_argument("--memory", action="store_true", help="string -> array, without files")
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
