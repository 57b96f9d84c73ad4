"""``train-bpe``: text -> tokenizer.json."""

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
from byteloom.tokenizer import PretokenCounts, Tokenizer

DESCRIPTION = """\
Train a byte-pair-encoding tokenizer on text and write a Hugging Face tokenizer.json.

examples:
  train-bpe my.txt --vocab-size 32000 --special-token '<|endoftext|>' -o tok.json
  train-bpe 'texts/*.txt.gz' shards/ --vocab-size 10000 -o tok.json
  train-bpe web.jsonl.zst --column content --vocab-size 10000 -o tok.json
  xzcat my.txt.xz | train-bpe - --vocab-size 10000 -o tok.json
  zcat web.jsonl.gz | train-bpe - --format jsonl --vocab-size 10000 -o tok.json
  train-bpe my.txt --vocab-size 32000 --counts my.counts -o tok32k.json   # counts and keeps them
  train-bpe --vocab-size 50000 --counts my.counts -o tok50k.json          # needs no text any more
  train-bpe --vocab-size 50000 --counts a.counts --counts b.counts        # adds them up
  train-bpe big.txt --vocab-size 32000 --memory-limit 4G                  # counting keeps to that

"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "train-bpe", description=DESCRIPTION + INPUTS, formatter_class=HelpFormatter
    )
    add_inputs(parser, "*")
    parser.add_argument(
        "--vocab-size",
        type=int,
        required=True,
        metavar="N",
        help="tokens wanted, the 256 bytes and the special tokens included",
    )
    parser.add_argument(
        "--special-token",
        action="append",
        default=[],
        metavar="T",
        help="a string that is always one token and never counted; may be repeated",
    )
    add_pattern(parser)
    parser.add_argument(
        "--tie-break",
        choices=("bytes", "huggingface", "ids"),
        default="bytes",
        help="which of two equally frequent pairs: greatest bytes; smallest ids, as Hugging Face's "
        "trainer or as the bytes number them",
    )
    parser.add_argument(
        "--min-frequency", type=int, default=1, metavar="N", help="merge no pair that is rarer"
    )
    parser.add_argument(
        "--counts",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="use these pretoken counts, or save them there; several are added up",
    )
    add_memory_limit(parser)
    add_num_threads(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("tokenizer.json"), metavar="FILE", help="result"
    )
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not args.inputs and not (args.counts and all(path.exists() for path in args.counts)):
        parser.error("give at least one INPUT, or --counts with files that exist")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains, saves, and says what came out."""
    require_folder(args.output)
    # A vocabulary size that cannot be is refused before the text is read, not after.
    PretokenCounts(args.special_token, args.pattern).train(args.vocab_size)
    begin = time.perf_counter()
    counts = load_or_count(args)
    counted = time.perf_counter()
    tokenizer = counts.train(
        args.vocab_size,
        tie_break=args.tie_break,
        min_frequency=args.min_frequency,
        progress=True,
    )
    merged = time.perf_counter()
    tokenizer.save(args.output)

    if tokenizer.vocab_size < args.vocab_size:
        say(
            f"the text gives {tokenizer.vocab_size:,} tokens, not {args.vocab_size:,}: "
            f"no pair is left that occurs {args.min_frequency} time(s) or more"
        )
    figures = describe(tokenizer, counts) | {
        "counting_seconds": round(counted - begin, 3),
        "merging_seconds": round(merged - counted, 3),
        "peak_megabytes": peak_megabytes(),
        "output": str(args.output),
    }
    if args.json:
        json.dump(figures, sys.stdout)
        print()
    else:
        print_figures(figures)


def load_or_count(args: argparse.Namespace) -> PretokenCounts:
    """Counts from ``--counts`` if those files exist, else from the inputs (and saved there)."""
    # What was left out is said once, and as a message.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        if any(path.exists() for path in args.counts) or len(args.counts) > 1:
            counts = load(args)
        else:
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
            for path in args.counts:
                counts.save(path)
                say(f"counts: saved to {path}")
    if counts.pruned:
        say(f"counts: {counts.pruned}")
    return counts


def load(args: argparse.Namespace) -> PretokenCounts:
    """The sum of the counts in the files of ``--counts``."""
    names = ", ".join(map(str, args.counts))
    counts = PretokenCounts.load(*args.counts, memory_limit=args.memory_limit)
    if args.inputs:
        say(f"counts: {names} used; the text is not read")
    wanted = PretokenCounts(args.special_token, args.pattern)
    if (wanted.special_tokens, wanted.pattern) != (counts.special_tokens, counts.pattern):
        raise ValueError(
            f"{names} was counted with special tokens {counts.special_tokens} and "
            f"pattern {counts.pattern!r}, not {wanted.special_tokens} and {wanted.pattern!r}: "
            "give the same --special-token and --pattern, or other --counts files"
        )
    return counts


def describe(tokenizer: Tokenizer, counts: PretokenCounts) -> dict[str, object]:
    """Figures about a tokenizer and the text it came from."""
    special = set(tokenizer.special_tokens.values())
    longest = max((t for i, t in tokenizer.vocab.items() if i not in special), key=len)
    size, tokens = counts.total_bytes, counts.count_tokens(tokenizer)
    return {
        "vocab_size": tokenizer.vocab_size,
        "text_bytes": size,
        "pretokens": counts.total,
        "distinct_pretokens": len(counts),
        "tokens": tokens,
        "bytes_per_token": round(size / tokens, 4) if tokens else 0.0,
        "longest_token": longest.decode("utf-8", errors="replace"),
    }


def print_figures(figures: dict[str, Any]) -> None:
    """The same figures for people."""
    print(
        "tokenizer         {output} ({vocab_size:,} tokens)\n"
        "text              {text_bytes:,} bytes in {pretokens:,} pretokens, "
        "{distinct_pretokens:,} distinct\n"
        "bytes per token   {bytes_per_token:.3f}\n"
        "longest token     {longest_token!r}\n"
        "time              {counting_seconds:.2f} s counting, {merging_seconds:.2f} s merging\n"
        "peak memory       {peak_megabytes:,.0f} MB".format(**figures)
    )


if __name__ == "__main__":
    sys.exit(main())
