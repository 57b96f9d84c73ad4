"""Decoding ids to bytes, or to text where a library has no bytes, in one call on one thread.

Everyone gets the same ids in the form that its call is fastest with, an array or a list, made
before the clock starts, and decodes them once before. What comes back must be the text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus import read, sample
from harness import (
    OURS,
    Contestant,
    Race,
    parser_for,
    race,
    timed,
)
from report import run
from tokenizer_documents import add_limit
from tokenizer_encoding import add_options, ffbpe_encoder, prepare

import byteloom as bl


def measure(
    args: argparse.Namespace, decode: Callable[[Any], str | bytes], form: Callable[[Any], Any]
) -> dict[str, Any]:
    """Times a decoder, and compares what it gives with the text."""
    text = read(args.text)
    ids = form(bl.Tokenizer.load(args.tokenizer).encode_array(text))
    found = decode(ids)
    equal = found == (text.encode() if isinstance(found, bytes) else text)
    del found
    _, figures = timed(lambda: decode(ids))
    return figures | {"equal": equal, "tokens": len(ids)}


def wide(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return ids.astype(np.uint32)


def listed(ids: np.ndarray[Any, Any]) -> list[int]:
    found: list[int] = ids.tolist()
    return found


def byteloom(args: argparse.Namespace) -> dict[str, Any]:
    return measure(args, bl.Tokenizer.load(args.tokenizer).decode_bytes, lambda ids: ids)


def gigatoken(args: argparse.Namespace) -> dict[str, Any]:
    import gigatoken as library

    return measure(args, library.Tokenizer(args.tokenizer).decode, wide)


def ffbpe(args: argparse.Namespace) -> dict[str, Any]:
    return measure(args, ffbpe_encoder(bl.Tokenizer.load(args.tokenizer)).decode, wide)


def tiktoken(args: argparse.Namespace) -> dict[str, Any]:
    return measure(args, bl.Tokenizer.load(args.tokenizer).to_tiktoken().decode_bytes, listed)


def huggingface(args: argparse.Namespace) -> dict[str, Any]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    return measure(args, lambda ids: tokenizer.decode(ids, skip_special_tokens=False), listed)


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("gigatoken", "gigatoken", gigatoken),
    Contestant("ffbpe", "ffbpe", ffbpe),
    Contestant("tiktoken", "tiktoken", tiktoken),
    Contestant("tokenizers", "tokenizers", huggingface),
)


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """The race, and whether everyone gave the text."""
    tokenizer, job = prepare(args, folder), sample(args, folder)
    results = race(
        Path(__file__).resolve(), job, CONTESTANTS, folder, "--tokenizer", str(tokenizer)
    )
    size = job.text.stat().st_size
    done = Race("decode to bytes", args.text.name, size, 1, results)
    for result in results:
        if result.runs and all(run["equal"] for run in result.runs):
            done.notes.append(f"{result.name} gives the text")
        elif result.runs:
            done.notes.append(f"WRONG: {result.name} gives something other than the text")
            done.equal = False
    return [done]


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    add_options(parser)
    add_limit(parser)
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
