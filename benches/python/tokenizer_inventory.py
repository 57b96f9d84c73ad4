"""Training on text drawn from an inventory of pretokens, scaled to the size of the real text.

An inventory says how often each pretoken occurs: a JSON file (`--inventory`), or counted in a text.
From it a text is drawn at random, with the inventory's frequencies, and trained on; what that would
take for a larger text of the same kind is an *estimate*: CPU seconds times the ratio of sizes. That
counts the merges, which depend on the distinct pretokens, as if they grew with the text; a real
text of that size has more distinct pretokens than the inventory of a small sample.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizer_training
from corpus import END_OF_TEXT
from harness import (
    Race,
    parser_for,
)
from report import run
from tokenizer_training import CONTESTANTS

import byteloom as bl

#: Pretokens of a document.
_DOCUMENT = 200

#: Pretokens that are drawn at a time.
_DRAW = 1 << 18


def read_inventory(args: argparse.Namespace) -> bl.PretokenCounts:
    """The counts that the text is drawn from."""
    if args.inventory is None:
        return bl.PretokenCounts.from_files(args.text, special_tokens=[END_OF_TEXT])
    found = json.loads(args.inventory.read_text(encoding="utf-8"))
    mapping = {pretoken.encode(): count for pretoken, count in found.items()}
    return bl.PretokenCounts.from_mapping(mapping, special_tokens=[END_OF_TEXT])


def draw(inventory: Sequence[tuple[bytes, int]], size: int, path: Path) -> None:
    """Writes documents of pretokens drawn at random, `size` bytes or a little more.

    Pretokens that would grow together, two words without a space between them, are set apart by a
    line's end; else there would be far more distinct pretokens than the inventory has.
    """
    generator = np.random.default_rng(4)
    weights = np.array([count for _, count in inventory], float)
    weights /= weights.sum()
    pretokens = [pretoken for pretoken, _ in inventory]
    first, last = ([_kind(one[at : at + 1 or None]) for one in pretokens] for at in (0, -1))
    written = 0
    with path.open("wb") as file:
        while written < size:
            drawn = generator.choice(len(pretokens), _DRAW, p=weights).tolist()
            parts = []
            before = ""
            for place, index in enumerate(drawn):
                if place % _DOCUMENT == 0:
                    parts.append(END_OF_TEXT.encode() if parts or written else b"")
                elif first[index] == before:
                    parts.append(b"\n")
                parts.append(pretokens[index])
                before = last[index]
            written += file.write(b"".join(parts))


def _kind(byte: bytes) -> str:
    """The kind of character that a byte belongs to, roughly: what grows together has the same."""
    if byte.isspace():
        return "space"
    if byte.isdigit():
        return "digit"
    return "letter" if byte.isalpha() or byte >= b"\x80" else "other"


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """The race on text drawn from the inventory."""
    inventory = read_inventory(args)
    path = folder / "drawn.txt"
    print("drawing a text ...", file=sys.stderr)
    draw(inventory.items(), int(args.megabytes * 1e6), path)
    distinct = len(bl.PretokenCounts.from_files(path, special_tokens=[END_OF_TEXT]))
    job = argparse.Namespace(**vars(args) | {"text": path, "tie_break": ""})
    (done,) = tokenizer_training.compete(job, folder)
    done.text = f"like {(args.inventory or args.text).name}"
    done.notes.append(f"{distinct:,} distinct pretokens; the inventory has {len(inventory):,}")
    factor = args.gigabytes * 1e9 / done.size
    for result in done.results:
        if result.runs:
            seconds = sorted(run["cpu_seconds"] for run in result.runs)[len(result.runs) // 2]
            done.notes.append(
                f"{result.name}: {seconds:.2f} CPU seconds; estimated for {args.gigabytes:g} GB by "
                f"size alone: {seconds * factor:.1f}"
            )
            done.remark = done.remark or done.notes[-1]
    return [done]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is drawn from, and how much."""
    parser.add_argument(
        "--inventory",
        type=Path,
        metavar="FILE",
        help="JSON: pretoken -> count; default: the text's",
    )
    parser.add_argument("--megabytes", type=float, default=200, metavar="N", help="that are drawn")
    parser.add_argument(
        "--gigabytes", type=float, default=2.2, metavar="N", help="of the text to estimate for"
    )


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    add_options(parser)
    parser.set_defaults(vocab_size=10_000)
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
