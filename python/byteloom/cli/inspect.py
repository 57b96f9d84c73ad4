"""``byteloom inspect``: what is in a tokenizer, what it does to a text, a word, and beside another.

What is inspected decides who looks into it; so far, everything is a tokenizer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.cli import inspect_tokenizer
from byteloom.cli.common import HelpFormatter, add_num_threads, add_reading, execute

DESCRIPTION = """\
Look into a tokenizer. Without options: its vocabulary, and its longest tokens. With options: what
they ask for.

examples:
  byteloom inspect tok.json                                # size, special tokens, lengths, kinds
  byteloom inspect tok.json --on books.txt 'code/*.py'     # compression of two corpora
  byteloom inspect tok.json --on web.parquet --column content
  byteloom inspect tok.json --word ' tokenization'         # how bytes become tokens, as a tree
  byteloom inspect tok.json --with gpt2/                   # which tokens the two share
  byteloom inspect tok.json --with gpt2/ --plot both.svg   # the same as a picture
  byteloom inspect tok.json --on books.txt --json | jq '.compression[0].bytes_per_token'

A word in the middle of a text has a space before it, and other tokens than without: ask for
--word ' word', with the space. Each FILE of --on is a corpus; a quoted glob makes many files one.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom inspect", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "tokenizer",
        type=Path,
        metavar="TOKENIZER",
        help="tokenizer.json, tiktoken file, or their folder",
    )
    parser.add_argument(
        "--on",
        nargs="+",
        default=[],
        metavar="FILE",
        help="compression of these texts: bytes, characters and words per token, speed, "
        "the share of the vocabulary in use, the most frequent tokens",
    )
    parser.add_argument(
        "--word",
        action="append",
        default=[],
        metavar="TEXT",
        help="the merges that make this word's tokens, step by step; may be repeated",
    )
    parser.add_argument(
        "--with",
        dest="other",
        type=Path,
        metavar="OTHER",
        help="tokens in common with another tokenizer, and not",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw what --with shows: .png, .svg or .pdf"
    )
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="tokens to name in each list"
    )
    add_reading(parser)
    add_num_threads(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.plot and not args.other:
        parser.error("--plot draws what --with shows: give --with OTHER too")
    if args.top < 0:
        parser.error(f"--top {args.top}: must not be negative")
    if "" in args.word:
        parser.error("--word '': there is nothing in it to merge")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Looks, and prints what was seen."""
    report = inspect_tokenizer.look(args)
    if args.json:
        json.dump(report.figures(), sys.stdout)
        print()
    else:
        print(report.text())


if __name__ == "__main__":
    sys.exit(main())
