"""What the experiments share: texts and tokenizers by name, counts made once, how results look."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import byteloom as bl
from byteloom.cli.common import HelpFormatter
from byteloom.markdown import table
from byteloom.plotting import check_plot_path
from byteloom.tokenizer.inputs import resolve_inputs

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class Named:
    """A text or a tokenizer: NAME=FILE on the command line, or FILE, which names itself."""

    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Named:
        """From the command line."""
        name, equals, path = text.partition("=")
        # A file that is there and has a = in its name is meant as it stands.
        if equals and not Path(text).exists():
            return cls(name, path)
        return cls(Path(text).stem, text)


@dataclass
class Corpora:
    """Texts, counted when first asked for, once for each way to split them."""

    num_threads: int | None = None
    _counts: dict[tuple[str, str, frozenset[str]], bl.PretokenCounts] = field(default_factory=dict)

    def counts(self, text: Named, special_tokens: Iterable[str], pattern: str) -> bl.PretokenCounts:
        """How often each pretoken of the text occurs, if it is split like this."""
        special = frozenset(special_tokens)
        key = (text.name, bl.PretokenCounts(pattern=pattern).pattern, special)
        if key not in self._counts:
            self._counts[key] = bl.PretokenCounts.from_files(
                text.path, sorted(special), pattern, self.num_threads, progress=True
            )
        return self._counts[key]

    def bytes_per_token(self, text: Named, tokenizer: bl.Tokenizer) -> float:
        """Without the text, from its counts; special tokens count on neither side."""
        counts = self.counts(text, tokenizer.special_tokens, tokenizer.pattern)
        tokens = counts.count_tokens(tokenizer)
        return counts.total_bytes / tokens if tokens else 0.0


def parser_for(doc: str | None, texts: str) -> argparse.ArgumentParser:
    """A parser with what all experiments take."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=HelpFormatter)
    parser.add_argument(
        "texts",
        nargs="+",
        type=Named.parse,
        metavar="[NAME=]TEXT",
        help=f"{texts}: a file or a quoted glob",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw them too: .png, .svg or .pdf"
    )
    return parser


def add_training(parser: argparse.ArgumentParser) -> None:
    """How texts are counted and tokenizers trained, for those experiments that do it."""
    parser.add_argument("--pattern", default="gpt2", help="how text is split to train")
    parser.add_argument(
        "--special-token",
        action="append",
        metavar="T",
        help=f"of the tokenizers trained here; may be repeated; default: {END_OF_TEXT}",
    )
    parser.add_argument("--num-threads", type=int, metavar="N", help="default: every processor")


def check(args: argparse.Namespace, *more: Named) -> None:
    """Says what is wrong with the arguments before any long work.

    Raises:
        ValueError: two texts or two tokenizers of one name, or a plot that cannot be.
        FileNotFoundError: a text that is not there.
    """
    if args.plot:
        check_plot_path(args.plot)
    for group in ([*args.texts, *more], getattr(args, "tokenizer", [])):
        names = [one.name for one in group]
        for one in group:
            if names.count(one.name) > 1:
                raise ValueError(
                    f"{names.count(one.name)} are called {one.name!r}: tell them apart, "
                    f"as in NAME={one.path}"
                )
    for text in [*args.texts, *more]:
        resolve_inputs(text.path)


def check_training(args: argparse.Namespace, special_tokens: Sequence[str]) -> None:
    """Says what is wrong with the tokenizers wanted before any text is read.

    Raises:
        ValueError: a vocabulary too small, a pattern that does not compile, bad special tokens.
    """
    bl.PretokenCounts(special_tokens, args.pattern).train(min(args.vocab_size))


def report(
    args: argparse.Namespace,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    figures: Sequence[dict[str, Any]],
    notes: Sequence[str] = (),
    text_columns: int = 1,
) -> None:
    """Prints the table, then what is needed to understand it; or the figures as JSON."""
    about = machine()
    if args.json:
        print(json.dumps({"results": list(figures), "machine": about}))
        return
    print(table(header, rows, text_columns))
    print()
    for note in (*notes, *(f"{key}: {value}" for key, value in about.items())):
        print(f"- {note}")


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, str]:
    """When, with what, and on what."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        model = found[1] if found else model
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{model}, {processors()} core(s)",
        "version": f"byteloom {bl.__version__}",
    }
