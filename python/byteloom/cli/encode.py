"""``byteloom encode``: text -> one token file, or a folder of shards."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from byteloom.cli.common import (
    INPUTS,
    HelpFormatter,
    add_inputs,
    add_json,
    add_num_threads,
    execute,
    peak_megabytes,
    say,
)
from byteloom.data.shards import finished_shards
from byteloom.tokenizer import EncodeStats, ShardStats, Tokenizer

DESCRIPTION = """\
Encode text into one file of token ids, or into a folder of shards, in order, in bounded memory.

examples:
  byteloom encode tok.json train.txt -o train.npy
  byteloom encode tok.json 'texts/*.txt' -o all.npy --num-threads 4
  byteloom encode tok.json train.txt -o train.bin --dtype uint16    # raw ids, as nanoGPT reads them
  byteloom encode tok.json web.parquet -o web.npy --separator '<|endoftext|>'    # behind each row
  zcat web.jsonl.gz | byteloom encode tok.json - --format jsonl -o web.npy
  byteloom encode tok.json train.txt -o train.npy --documents       # and train.documents.npy
  byteloom encode tok.json web/ -o web-tokens --shard-tokens 100M   # a folder of shards

documents:
  a record of .jsonl or .parquet is a document; in plain text a document ends behind --document-end,
  and with its file. --documents writes where they begin, and where the last one ends, as uint64.
  A folder of shards always has that beside each shard, and manifest.json about all of them. A shard
  has at most --shard-tokens ids; a document is cut only if it alone has more.

A command that was stopped, or for which the disk was too full, goes on when it is given again: what
shards are finished are kept, and the result is the same.

"""


def token_count(text: str) -> int:
    """How many ids ``100M``, ``1.5G`` or ``1000000`` are; units are powers of 1000.

    Raises:
        argparse.ArgumentTypeError: something else, or none.

    Example:
        >>> token_count("100M"), token_count("1.5k"), token_count("12")
        (100000000, 1500, 12)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text.strip(), re.I | re.ASCII)
    count = int(float(match[1]) * 1000 ** " KMG".index(match[2].upper() or " ")) if match else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tokens: write 100M or 1000000")
    return count


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
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help=".npy, or .bin for raw ids; with --shard-tokens a folder",
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "uint16", "uint32"),
        default="auto",
        help="auto: uint16 where the vocabulary fits",
    )
    parser.add_argument(
        "--documents", action="store_true", help="write an index of documents beside the token file"
    )
    parser.add_argument(
        "--document-end",
        metavar="T",
        help="the special token that ends a document of plain text; default: the separator, or "
        "<|endoftext|> if the tokenizer has it",
    )
    parser.add_argument(
        "--shard-tokens",
        type=token_count,
        metavar="N",
        help="write a folder of shards of at most so many ids, such as 100M",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what shards the folder holds, and start anew",
    )
    add_num_threads(parser)
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.shard_tokens is None and args.overwrite:
        parser.error("--overwrite is about shards: give --shard-tokens too")
    if args.shard_tokens is not None and args.output.suffix in (".npy", ".bin"):
        parser.error(f"--shard-tokens makes a folder: -o {args.output} names a token file")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Encodes and says what came out."""
    stats = encode(args)
    if args.json:
        extra = {"bytes_per_token": stats.bytes_per_token, "peak_megabytes": peak_megabytes()}
        json.dump(asdict(stats) | extra | {"output": str(args.output)}, sys.stdout)
        print()
        return
    if isinstance(stats, ShardStats):
        kept = f", {stats.kept:,} of them finished before" if stats.kept else ""
        print(f"shards            {args.output} ({stats.shards:,} files{kept})")
        print(f"ids               {stats.tokens:,} ({stats.dtype})")
    else:
        print(f"token file        {args.output} ({stats.tokens:,} ids, {stats.dtype})")
    if stats.documents is not None:
        print(f"documents         {stats.documents:,}")
    # Of a run that went on it is not known how much it did itself.
    speed = "" if getattr(stats, "kept", 0) else f" ({stats.megabytes_per_second:.0f} MB/s)"
    print(
        f"text              {stats.bytes:,} bytes\n"
        f"bytes per token   {stats.bytes_per_token:.3f}\n"
        f"time              {stats.seconds:.2f} s{speed}\n"
        f"peak memory       {peak_megabytes():,.0f} MB"
    )


def encode(args: argparse.Namespace) -> EncodeStats:
    """Encodes into what ``--shard-tokens`` asks for."""
    tokenizer = Tokenizer.load(args.tokenizer)
    options: dict[str, Any] = {
        "dtype": args.dtype,
        "num_threads": args.num_threads,
        "progress": True,
        "column": args.column,
        "format": args.format,
        "separator": args.separator,
        "document_end": args.document_end,
    }
    if args.shard_tokens is None:
        return tokenizer.encode_files(args.inputs, args.output, documents=args.documents, **options)
    if not args.overwrite and (finished := finished_shards(args.output)):
        say(f"{args.output}: going on behind {finished:,} shards that are finished")
    return tokenizer.encode_shards(
        args.inputs, args.output, args.shard_tokens, overwrite=args.overwrite, **options
    )


if __name__ == "__main__":
    sys.exit(main())
