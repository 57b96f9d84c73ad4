"""How fast a tokenizer turns texts into token files, and how long the Pile would take it.

Every run encodes a whole text from its file into a token file, as `byteloom encode` does; the
median of --repeat runs counts, after one that warms the file cache. The Pile (Gao et al. 2020,
arXiv:2101.00027) stands for a large corpus: 825 GB, taken as 825 * 10**9 bytes.

Examples:
  python scripts/throughput.py books.txt code.txt --tokenizer tok.json
  python scripts/throughput.py books.txt --tokenizer tok.json --threads 1 2 4 8 --plot speed.svg
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import Named, check, parser_for, processors, report

import byteloom as bl
from byteloom.cli.common import execute
from byteloom.plotting import COLOURS, MARKERS, plot

PILE = 825e9


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = parser_for(__doc__, "to encode")
    parser.add_argument(
        "--tokenizer",
        action="append",
        type=Named.parse,
        required=True,
        metavar="[NAME=]FILE",
        help="tokenizer.json, tiktoken file, or their folder; may be repeated",
    )
    parser.add_argument(
        "--threads",
        nargs="+",
        type=int,
        default=thread_counts(processors()),
        metavar="N",
        help="numbers of threads to try",
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each")
    args = parser.parse_args(argv)
    if min(args.threads) < 1 or args.repeat < 1:
        parser.error("--threads and --repeat must be at least 1")
    return execute(lambda: run(args))


def thread_counts(available: int) -> list[int]:
    """1, 2, 4 ... and all there are."""
    doubled = [1 << i for i in range(available.bit_length())]
    return sorted({*doubled, available})


def run(args: argparse.Namespace) -> None:
    """Encodes, prints, draws."""
    check(args)
    tokenizers = [(one.name, bl.Tokenizer.load(one.path)) for one in args.tokenizer]
    figures = [
        measure(name, tokenizer, text, threads, args.repeat)
        for name, tokenizer in tokenizers
        for text in args.texts
        for threads in args.threads
    ]
    rows = [
        [
            one["tokenizer"],
            one["text"],
            f"{one['threads']}",
            f"{one['bytes'] / 1e6:,.1f}",
            f"{one['seconds']:.2f}",
            f"{one['megabytes_per_second']:,.0f}",
            duration(one["pile_seconds"]),
        ]
        for one in figures
    ]
    header = ["tokenizer", "text", "threads", "MB", "seconds", "MB/s", "825 GB would take"]
    note = f"file to token file, median of {args.repeat} run(s), file cache warm"
    report(args, header, rows, figures, [note], text_columns=2)
    if args.plot:
        draw(args.plot, figures)


def measure(
    name: str, tokenizer: bl.Tokenizer, text: Named, threads: int, repeat: int
) -> dict[str, Any]:
    """The median of some runs, after one that is not counted."""
    with tempfile.TemporaryDirectory(prefix="byteloom-") as folder:
        output = Path(folder) / "tokens.npy"
        runs = [
            tokenizer.encode_files(text.path, output, num_threads=threads)
            for _ in range(repeat + 1)
        ]
    seconds = statistics.median(one.seconds for one in runs[1:])
    size = runs[0].bytes
    if not size:
        raise ValueError(f"{text.path} is empty: there is nothing to time")
    return {
        "tokenizer": name,
        "vocab_size": tokenizer.vocab_size,
        "text": text.name,
        "threads": threads,
        "bytes": size,
        "tokens": runs[0].tokens,
        "seconds": seconds,
        "runs": [one.seconds for one in runs[1:]],
        "megabytes_per_second": size / 1e6 / seconds,
        "pile_seconds": PILE / size * seconds,
    }


def duration(seconds: float) -> str:
    """To the minute: "1 h 08 min"."""
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def draw(path: Path, figures: Sequence[dict[str, Any]]) -> None:
    """Speed over threads, one line for each tokenizer and text."""
    pairs = list(dict.fromkeys((one["tokenizer"], one["text"]) for one in figures))
    with plot(path) as axes:
        for i, pair in enumerate(pairs):
            points = [one for one in figures if (one["tokenizer"], one["text"]) == pair]
            axes.plot(
                [one["threads"] for one in points],
                [one["megabytes_per_second"] for one in points],
                color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)],
                label=f"{pair[0]} on {pair[1]}",
            )
        axes.set_xticks(sorted({one["threads"] for one in figures}))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("threads")
        axes.set_ylabel("text encoded, MB/s")
        axes.set_title("From file to token file")
        axes.figure.legend(loc="outside right upper")


if __name__ == "__main__":
    sys.exit(main())
