"""A megabyte without a space, which GPT-2's pattern may not cut: training on it, and encoding it.

Three texts, made anew each time from the same seed: random letters and one letter repeated, both
one pretoken, and base64 of random bytes, which the pattern cuts at its digits. Such texts are a
trap for code whose time grows with the square of a word's length; who is not done in time is ended.
"""

from __future__ import annotations

import argparse
import base64
import random
import string
import sys
from pathlib import Path

import tokenizer_encoding
import tokenizer_training
from harness import Race, parser_for
from report import run

#: Those of either job.
CONTESTANTS = tuple(
    {
        one.name: one for one in (*tokenizer_training.CONTESTANTS, *tokenizer_encoding.CONTESTANTS)
    }.values()
)


def texts(size: int) -> dict[str, str]:
    """Name -> text of `size` bytes."""
    source = random.Random(4)
    return {
        "random letters": "".join(source.choices(string.ascii_lowercase, k=size)),
        "one letter": "a" * size,
        "base64": base64.b64encode(source.randbytes(size * 3 // 4)).decode(),
    }


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """For each text, a race in training and one in encoding."""
    races = []
    for name, text in texts(args.bytes).items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        path = place / "text"
        path.write_text(text)
        options = {"text": path, "threads": 1, "tie_break": "", "tokenizer": None, "memory": True}
        job = argparse.Namespace(**vars(args) | options | {"pattern": "gpt2"})
        for of in (tokenizer_training, tokenizer_encoding):
            found = of.compete(job, place)
            for one in found:
                one.text = f"{name}, {args.bytes / 1e6:g} MB"
            races += found
    return races


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    parser.add_argument("--bytes", type=int, default=1_000_000, metavar="N", help="of each text")
    parser.set_defaults(timeout=20.0)
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
