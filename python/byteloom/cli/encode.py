"""``byteloom encode``: text -> one token file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from byteloom.cli.common import (
    INPUTS,
    HelpFormatter,
    add_inputs,
    add_json,
    add_num_threads,
    execute,
    peak_megabytes,
)
from byteloom.tokenizer import Tokenizer

DESCRIPTION = """\
Encode text into one file of token ids, in order, in bounded memory.

examples:
  byteloom encode tok.json train.txt -o train.npy
  byteloom encode tok.json 'texts/*.txt' -o all.npy --num-threads 4
  byteloom encode tok.json train.txt -o train.bin --dtype uint16    # raw ids, as nanoGPT reads them
  byteloom encode tok.json web.parquet -o web.npy --separator '<|endoftext|>'    # behind each row

"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom encode", description=DESCRIPTION + INPUTS, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "tokenizer", type=Path, help="tokenizer.json, tiktoken file, or their folder"
    )
    add_inputs(parser, "+")
    parser.add_argument(
        "--separator",
        metavar="T",
        help="a special token to put behind each text: each record, or each file of plain text",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".npy, or .bin for raw ids"
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "uint16", "uint32"),
        default="auto",
        help="auto: uint16 where the vocabulary fits",
    )
    add_num_threads(parser)
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Encodes and says what came out."""
    stats = Tokenizer.load(args.tokenizer).encode_files(
        args.inputs,
        args.output,
        args.dtype,
        args.num_threads,
        progress=True,
        column=args.column,
        separator=args.separator,
    )
    if args.json:
        extra = {"bytes_per_token": stats.bytes_per_token, "peak_megabytes": peak_megabytes()}
        json.dump(asdict(stats) | extra | {"output": str(args.output)}, sys.stdout)
        print()
        return
    print(
        f"token file        {args.output} ({stats.tokens:,} ids, {stats.dtype})\n"
        f"text              {stats.bytes:,} bytes\n"
        f"bytes per token   {stats.bytes_per_token:.3f}\n"
        f"time              {stats.seconds:.2f} s ({stats.megabytes_per_second:.0f} MB/s)\n"
        f"peak memory       {peak_megabytes():,.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
