"""``byteloom add-counts``: files of pretoken counts -> one of their sums."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.cli.common import HelpFormatter, add_json, execute
from byteloom.tokenizer import PretokenCounts

DESCRIPTION = """\
Add counts up that `byteloom count` or `train-bpe --counts` saved, of shards or on several machines.
The files are read side by side: a few MB of memory suffice, however large they are.

examples:
  byteloom add-counts 1.counts 2.counts -o all.counts
  byteloom add-counts all.counts new.counts -o all.counts   # adds to what is there
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom add-counts", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="COUNTS", help="files of counts")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the sums")
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Adds, and says what came out."""
    distinct, total = PretokenCounts.add_files(args.inputs, args.output)
    if args.json:
        figures = {"pretokens": total, "distinct_pretokens": distinct, "output": str(args.output)}
        json.dump(figures, sys.stdout)
        print()
    else:
        print(f"{args.output}: {total:,} pretokens, {distinct:,} distinct")


if __name__ == "__main__":
    sys.exit(main())
