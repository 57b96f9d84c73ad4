"""Counting and encoding on 1, 2, 4 ... threads: how much faster is it than on one?

byteloom, and beside it gigatoken's encoding, for its counting is a part of its training. Each run
has as many cores as threads. `--copies` takes the text several times, for machines on which once is
over before all threads have begun. "processes" says what the machine allows: as many processes of
one thread, which share nothing, each with its part of the copies, where it is the same for all.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from corpus import END_OF_TEXT
from harness import (
    OURS,
    Contestant,
    Race,
    available_cores,
    parser_for,
    race,
    threads_in_words,
    timed,
)
from report import run
from tokenizer_encoding import add_options, prepare

import byteloom as bl

COUNT, ENCODE = "count", "encode"


def byteloom(args: argparse.Namespace) -> dict[str, Any]:
    inputs, threads = [args.text] * args.copies, args.threads
    if args.task == COUNT:
        counts, figures = timed(
            lambda: bl.PretokenCounts.from_files(
                inputs, special_tokens=[END_OF_TEXT], num_threads=threads
            )
        )
        found = hashlib.sha256(repr(counts.items()).encode())
    else:
        tokenizer, output = bl.Tokenizer.load(args.tokenizer), args.folder / "scaling.npy"
        _, figures = timed(lambda: tokenizer.encode_files(inputs, output, num_threads=threads))
        found = hashlib.sha256(np.load(output, mmap_mode="r"))
    return figures | {"sha256": found.hexdigest()}


def gigatoken(args: argparse.Namespace) -> dict[str, Any]:
    import gigatoken as library

    tokenizer = library.Tokenizer(args.tokenizer)
    output, source = args.folder / "scaling.npy", library.TextFileSource([args.text] * args.copies)
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32

    def work() -> None:
        found = tokenizer.encode_files(source, parallel=args.threads > 1)
        np.save(output, np.concatenate([np.asarray(one) for one in found]).astype(dtype))

    _, figures = timed(work)
    return figures | {"sha256": hashlib.sha256(np.load(output, mmap_mode="r")).hexdigest()}


def processes(args: argparse.Namespace) -> dict[str, Any]:
    """Processes of one thread, each into a file of its own."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(args.threads + 1)
    inputs = [args.text] * (args.copies // args.threads)
    outputs = [args.folder / f"scaling-{i}.npy" for i in range(args.threads)]
    workers = [
        context.Process(target=process, args=(args.tokenizer, inputs, output, barrier))
        for output in outputs
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    _, figures = timed(barrier.wait)
    for worker in workers:
        worker.join()
    found = hashlib.sha256()
    for output in outputs:
        found.update(np.load(output, mmap_mode="r"))
    return figures | {"sha256": found.hexdigest()}


def process(tokenizer: Path, inputs: list[Path], output: Path, barrier: Barrier) -> None:
    """One of them: begins and ends with the others."""
    loaded = bl.Tokenizer.load(tokenizer)
    barrier.wait()
    loaded.encode_files(inputs, output, num_threads=1)
    barrier.wait()


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("processes", "byteloom", processes),
    Contestant("gigatoken", "gigatoken", gigatoken),
)


def counts_of_threads(most: int) -> list[int]:
    """1, 2, 4 ... and the most."""
    return [*(1 << bit for bit in range(most.bit_length()) if 1 << bit < most), most]


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """A race for each number of threads, in counting and in encoding."""
    tokenizer = prepare(args, folder)
    races = []
    for task in (COUNT, ENCODE):
        extra = ["--tokenizer", str(tokenizer), "--task", task, "--copies", str(args.copies)]
        hashes = set()
        base: dict[str, float] = {}
        for threads in args.at or counts_of_threads(args.threads):
            job = argparse.Namespace(**vars(args) | {"threads": threads})
            chosen = [
                one
                for one in CONTESTANTS
                if one.name == OURS
                or (task == ENCODE and (one.job is not processes or args.copies % threads == 0))
            ]
            results = race(Path(__file__).resolve(), job, chosen, folder, *extra)
            size = args.text.stat().st_size * args.copies
            done = Race(
                f"{task}, {threads_in_words(threads)}", args.text.name, size, threads, results
            )
            for one in results:
                if one.runs and not one.failure:
                    hashes |= {run["sha256"] for run in one.runs}
                    first = base.setdefault(one.name, one.seconds)
                    done.notes.append(f"{one.name}: {first / one.seconds:.1f} times 1 thread")
            done.remark = next(iter(done.notes), "")
            done.equal = len(hashes) <= 1
            done.notes.append("all output is equal" if done.equal else "WRONG: output differs")
            races.append(done)
    return races


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    add_options(parser)
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="of the text")
    parser.add_argument(
        "--at", type=int, nargs="+", metavar="N", help="these numbers of threads instead"
    )
    parser.set_defaults(threads=len(available_cores()))
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
