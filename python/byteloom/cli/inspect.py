"""``byteloom inspect``: what is in a tokenizer, or in a model.

What is inspected decides who looks into it: ``inspect_tokenizer.py`` or ``inspect_model.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from byteloom.cli import inspect_tokenizer
from byteloom.cli.common import HelpFormatter, add_num_threads, add_reading, execute
from byteloom.cli.extra import needs_training_extra

DESCRIPTION = """\
Look into a tokenizer or a model.

A model is a published one by name, a TOML file, or a run's folder: its modules, shapes and
parameters, and each choice with the file that holds it and what made it: the default, the preset,
or the configuration. Nothing of it is computed.

examples:
  byteloom inspect --list                                  # the published models
  byteloom inspect llama3
  byteloom inspect configs/tiny.toml
  byteloom inspect runs/tiny --json | jq .parameters

Of a tokenizer, without options: its vocabulary, and its longest tokens. With options: what they ask
for.

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
        "what",
        nargs="?",
        type=Path,
        metavar="WHAT",
        help="tokenizer.json, tiktoken file, or their folder; a preset, TOML file or run",
    )
    parser.add_argument("--list", action="store_true", help="list the presets")
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
    if args.list == (args.what is not None):
        parser.error("give WHAT to look into, or --list alone")
    if args.plot and not args.other:
        parser.error("--plot draws what --with shows: give --with OTHER too")
    if args.top < 0:
        parser.error(f"--top {args.top}: must not be negative")
    if "" in args.word:
        parser.error("--word '': there is nothing in it to merge")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Looks, and prints what was seen."""
    if args.list:
        print(_models().known())
        return
    report: Report = _model(args) or inspect_tokenizer.look(args)
    if args.json:
        json.dump(report.figures(), sys.stdout)
        print()
    else:
        print(report.text())


class Report(Protocol):
    """What was seen."""

    def figures(self) -> dict[str, Any]:
        """For JSON."""

    def text(self) -> str:
        """For people."""


def _model(args: argparse.Namespace) -> Report | None:
    """A model's report; ``None``: it is no model.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: options that only a tokenizer has.
    """
    what: Path = args.what
    # Here, so that torch is not needed to know a tokenizer.
    if what.suffix not in ("", ".toml") or (what.is_file() and not what.suffix):
        return None
    if what.is_dir() and not (what / "config.toml").exists():
        return None
    models = _models()
    if not models.is_model(what):
        names = ", ".join(models.presets())
        raise FileNotFoundError(f"no {what}, and no preset of that name: there are {names}")
    if args.on or args.word or args.other:
        raise ValueError(f"{what} is a model: --on, --word and --with are for tokenizers")
    report: Report = models.look(what)
    return report


def _models() -> ModuleType:
    """Who looks into models; needs torch."""
    with needs_training_extra("byteloom inspect of a model"):
        return importlib.import_module("byteloom.cli.inspect_model")


if __name__ == "__main__":
    sys.exit(main())
