"""How far each tokenizer compresses each text: its own, and the others'.

On every TEXT a tokenizer is trained and then measured on all of them, in bytes of text per token:
the more, the shorter is the text to a model. Pretokens are counted once and the counts used for
everything; texts may be larger than memory. --tokenizer measures tokenizers that you have too.

Examples:
  python scripts/compression.py books.txt code.txt
  python scripts/compression.py books.txt code='src/*.py' --vocab-size 8000 32000
  python scripts/compression.py books.txt code.txt --tokenizer gpt2=gpt2/
  python scripts/compression.py books.txt code.txt --plot compression.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiment import (
    END_OF_TEXT,
    Corpora,
    Named,
    add_training,
    check,
    check_training,
    parser_for,
    report,
)

import byteloom as bl
from byteloom.cli.common import execute
from byteloom.plotting import plot


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = parser_for(__doc__, "to train on and to measure")
    add_training(parser)
    parser.add_argument(
        "--vocab-size", nargs="+", type=int, default=[10_000], metavar="N", help="to train"
    )
    parser.add_argument(
        "--tokenizer",
        action="append",
        type=Named.parse,
        default=[],
        metavar="[NAME=]FILE",
        help="measure this one too: tokenizer.json, tiktoken file, or their folder; repeatable",
    )
    args = parser.parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains, measures, prints, draws."""
    check(args)
    special = args.special_token or [END_OF_TEXT]
    check_training(args, special)
    corpora = Corpora(args.num_threads)
    # (name, the text it was trained on, tokenizer)
    tokenizers = [(one.name, "", bl.Tokenizer.load(one.path)) for one in args.tokenizer]
    for text in args.texts:
        counts = corpora.counts(text, special, args.pattern)
        tokenizers += [(text.name, text.name, counts.train(size)) for size in args.vocab_size]

    figures = [
        {
            "tokenizer": name,
            "vocab_size": tokenizer.vocab_size,
            "trained_on": own or None,
            "bytes_per_token": {
                text.name: corpora.bytes_per_token(text, tokenizer) for text in args.texts
            },
        }
        for name, own, tokenizer in tokenizers
    ]
    names = [f"{name} {tokenizer.vocab_size:,}" for name, _, tokenizer in tokenizers]
    ratios = [list(row["bytes_per_token"].values()) for row in figures]
    own = [[text.name == own for text in args.texts] for _, own, _ in tokenizers]
    rows = [
        [
            name,
            *(f"**{v:.3f}**" if mine else f"{v:.3f}" for v, mine in zip(row, bold, strict=True)),
        ]
        for name, row, bold in zip(names, ratios, own, strict=True)
    ]
    report(
        args,
        ["tokenizer, vocabulary", *(text.name for text in args.texts)],
        rows,
        figures,
        ["bytes of text per token; **bold**: the text that the tokenizer was trained on"],
    )
    if args.plot:
        draw(args.plot, names, [text.name for text in args.texts], ratios, own)


def draw(
    path: Path,
    tokenizers: Sequence[str],
    texts: Sequence[str],
    ratios: Sequence[Sequence[float]],
    own: Sequence[Sequence[bool]],
) -> None:
    """A heat map, with the figures in it: the colours are there to find them."""
    width, height = 3.5 + 1.3 * len(texts), 1.6 + 0.5 * len(tokenizers)
    with plot(path, width, height) as axes:
        # cividis looks the same to people with and without colour blindness.
        image = axes.imshow(ratios, cmap="cividis", aspect="auto")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks(range(len(texts)), texts)
        axes.set_yticks(range(len(tokenizers)), tokenizers)
        axes.set_xlabel("text")
        axes.set_ylabel("tokenizer, vocabulary")
        axes.set_title("Bytes per token (bold: trained on this text)")
        middle = (min(map(min, ratios)) + max(map(max, ratios))) / 2
        for row, values in enumerate(ratios):
            for column, value in enumerate(values):
                axes.text(
                    column,
                    row,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    color="white" if value < middle else "black",
                    weight="bold" if own[row][column] else "normal",
                )
        axes.figure.colorbar(image, ax=axes, label="bytes per token")


if __name__ == "__main__":
    sys.exit(main())
