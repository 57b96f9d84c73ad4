"""``byteloom decode``: a token file -> text on stdout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.atomic import atomic_write
from byteloom.cli.common import HelpFormatter, execute
from byteloom.data.token_file import TokenFile
from byteloom.tokenizer import Tokenizer

DESCRIPTION = """\
Write the text that a token file stands for, byte for byte, to stdout or a file.

examples:
  byteloom decode tok.json train.npy | head
  byteloom decode tok.json train.npy --start 1000 --count 200
  byteloom decode tok.json train.npy -o train.txt
"""

#: Ids decoded at a time: memory does not follow the file.
_CHUNK = 1 << 20


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom decode", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "tokenizer", type=Path, help="tokenizer.json, tiktoken file, or their folder"
    )
    parser.add_argument("tokens", type=Path, help=".npy, .bin or folder of shards")
    parser.add_argument("--start", type=int, default=0, metavar="I", help="first id")
    parser.add_argument("--count", type=int, metavar="N", help="how many ids; default: all")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Decodes piece by piece; bytes are never cut, whatever the pieces."""
    tokenizer = Tokenizer.load(args.tokenizer)
    ids = TokenFile(args.tokens).ids
    if not 0 <= args.start <= len(ids):
        raise ValueError(f"--start {args.start}: {args.tokens} has {len(ids):,} ids")
    if args.count is not None and args.count < 0:
        raise ValueError(f"--count {args.count} is negative")
    end = len(ids) if args.count is None else min(len(ids), args.start + args.count)
    pieces = (
        tokenizer.decode_bytes(ids[i : min(i + _CHUNK, end)])
        for i in range(args.start, end, _CHUNK)
    )
    if args.output is None:
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return
    with atomic_write(args.output) as file:
        file.writelines(pieces)


if __name__ == "__main__":
    sys.exit(main())
