"""``byteloom count``: text -> a file of pretoken counts."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byteloom.cli.common import (
    INPUTS,
    HelpFormatter,
    add_inputs,
    add_json,
    add_num_threads,
    add_pattern,
    execute,
    peak_megabytes,
    require_folder,
    say,
)
from byteloom.cli.memory import add_memory_limit
from byteloom.tokenizer import PretokenCounts

DESCRIPTION = """\
Count the pretokens of text: all that training needs to know of it. Shards can be counted on
several machines, and their counts be added up.

examples:
  byteloom count 'shard-1/*.txt' --special-token '<|endoftext|>' -o 1.counts
  byteloom count big.txt -o big.counts --memory-limit 2G
  byteloom add-counts 1.counts 2.counts -o all.counts
  train-bpe --counts all.counts --special-token '<|endoftext|>' --vocab-size 32000 -o tok.json

"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom count", description=DESCRIPTION + INPUTS, formatter_class=HelpFormatter
    )
    add_inputs(parser, "+")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the counts"
    )
    parser.add_argument(
        "--special-token",
        action="append",
        default=[],
        metavar="T",
        help="a string at which text is split and which is never counted; may be repeated",
    )
    add_pattern(parser)
    add_memory_limit(parser)
    add_num_threads(parser)
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Counts, saves, and says what came out."""
    require_folder(args.output)
    begin = time.perf_counter()
    # What was left out is said as a message.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        counts = PretokenCounts.from_files(
            args.inputs,
            args.special_token,
            args.pattern,
            args.num_threads,
            progress=True,
            column=args.column,
            format=args.format,
            memory_limit=args.memory_limit,
        )
    counts.save(args.output)
    if counts.pruned:
        say(f"counts: {counts.pruned}")
    figures: dict[str, Any] = {
        "text_bytes": counts.total_bytes,
        "pretokens": counts.total,
        "distinct_pretokens": len(counts),
        "seconds": round(time.perf_counter() - begin, 3),
        "peak_megabytes": peak_megabytes(),
        "output": str(args.output),
    }
    if args.json:
        json.dump(figures, sys.stdout)
        print()
    else:
        print(
            "counts            {output}\n"
            "text              {text_bytes:,} bytes in {pretokens:,} pretokens, "
            "{distinct_pretokens:,} distinct\n"
            "time              {seconds:.2f} s\n"
            "peak memory       {peak_megabytes:,.0f} MB".format(**figures)
        )


if __name__ == "__main__":
    sys.exit(main())
