"""How compression grows with the vocabulary, and how long the merging takes.

The texts, all together, are counted once; from these counts a tokenizer of each size is trained and
measured, on the texts themselves and on others (--on) that it has not seen.

Examples:
  python scripts/vocabulary_size.py books.txt
  python scripts/vocabulary_size.py train.txt --on valid.txt code.txt --plot sizes.png
  python scripts/vocabulary_size.py train='shards/*.txt' --vocab-size 8000 16000 32000 --json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiment import (
    END_OF_TEXT,
    Corpora,
    Named,
    add_training,
    check,
    check_training,
    parser_for,
    report,
)

from byteloom.cli.common import execute, say
from byteloom.plotting import COLOURS, MARKERS, plot

SIZES = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = parser_for(__doc__, "to train on")
    add_training(parser)
    parser.add_argument(
        "--vocab-size", nargs="+", type=int, default=SIZES, metavar="N", help="to train"
    )
    parser.add_argument(
        "--on",
        nargs="+",
        type=Named.parse,
        default=[],
        metavar="[NAME=]TEXT",
        help="measure on this too",
    )
    args = parser.parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Counts, trains, measures, prints, draws."""
    check(args, *args.on)
    special = args.special_token or [END_OF_TEXT]
    check_training(args, special)
    corpora = Corpora(args.num_threads)
    first, *rest = [corpora.counts(text, special, args.pattern) for text in args.texts]
    counts = sum(rest, start=first)
    name = " + ".join(text.name for text in args.texts)

    figures: list[dict[str, Any]] = []
    for size in sorted(args.vocab_size):
        begin = time.perf_counter()
        tokenizer = counts.train(size, progress=True)
        seconds = time.perf_counter() - begin
        tokens = counts.count_tokens(tokenizer)
        ratios = {name: counts.total_bytes / tokens if tokens else 0.0}
        ratios |= {text.name: corpora.bytes_per_token(text, tokenizer) for text in args.on}
        figures.append(
            {
                "vocab_size": tokenizer.vocab_size,
                "merging_seconds": seconds,
                "bytes_per_token": ratios,
            }
        )
        if tokenizer.vocab_size < size:
            say(f"no more than {tokenizer.vocab_size:,} tokens come of this text")
            break
    rows = [
        [
            f"{one['vocab_size']:,}",
            *(f"{ratio:.3f}" for ratio in one["bytes_per_token"].values()),
            f"{one['merging_seconds']:.2f}",
        ]
        for one in figures
    ]
    size, distinct = counts.total_bytes / 1e6, len(counts)
    note = f"trained on {name}: {size:,.1f} MB, {distinct:,} distinct pretokens"
    measured = list(figures[0]["bytes_per_token"])
    report(
        args,
        ["vocabulary", *(f"{text}, bytes/token" for text in measured), "merging, s"],
        rows,
        figures,
        [note],
        text_columns=0,
    )
    if args.plot:
        draw(args.plot, figures, name)


def draw(path: Path, figures: Sequence[dict[str, Any]], trained_on: str) -> None:
    """Compression over the size of the vocabulary, which doubles from mark to mark."""
    sizes = [one["vocab_size"] for one in figures]
    with plot(path) as axes:
        for i, text in enumerate(figures[0]["bytes_per_token"]):
            axes.plot(
                sizes,
                [one["bytes_per_token"][text] for one in figures],
                color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)],
                label=f"{text} (trained on it)" if text == trained_on else text,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("vocabulary, tokens (logarithmic)")
        axes.set_ylabel("bytes per token")
        axes.set_title(f"Compression by tokenizers trained on {trained_on}")
        axes.figure.legend(loc="outside right upper")


if __name__ == "__main__":
    sys.exit(main())
