"""What ``byteloom inspect`` says of a tokenizer: the study's figures as text or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byteloom.markdown import table
from byteloom.plotting import check_plot_path
from byteloom.tokenizer import Tokenizer
from byteloom.tokenizer.inputs import resolve_inputs
from byteloom.tokenizer.study import (
    KINDS,
    Compression,
    Derivation,
    Overlap,
    VocabularySummary,
    compress,
    derive,
    overlap,
    summarize,
)
from byteloom.tokenizer.study.overlap import grouped, plot_overlap
from byteloom.tokenizer.study.token import show

#: A token's place in a table; longer ones are shown without their middle.
_WIDTH = 48
_BAR = 40


@dataclass(frozen=True)
class Report:
    """What was asked for; the rest is ``None`` or empty."""

    path: Path
    vocab_size: int
    top: int
    vocabulary: VocabularySummary | None
    compression: dict[str, Compression]
    """By corpus."""
    words: list[Derivation]
    other: Path | None
    overlap: Overlap | None
    plot: Path | None

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        figures: dict[str, Any] = {"tokenizer": str(self.path), "vocab_size": self.vocab_size}
        if self.vocabulary:
            figures["vocabulary"] = self.vocabulary.figures()
        if self.compression:
            figures["compression"] = [
                {"corpus": name} | one.figures(self.top) for name, one in self.compression.items()
            ]
        if self.words:
            figures["words"] = [word.figures() for word in self.words]
        if self.overlap:
            figures["overlap"] = {"with": str(self.other)} | self.overlap.figures(self.top)
        if self.plot:
            figures["plot"] = str(self.plot)
        return figures

    def text(self) -> str:
        """For people."""
        parts = [f"tokenizer         {self.path} ({self.vocab_size:,} tokens)"]
        if self.vocabulary:
            parts[0] += "\n" + "\n".join(_vocabulary_lines(self.vocabulary))
            parts += _vocabulary_tables(self.vocabulary)
        if self.compression:
            parts += _compression(self.compression, self.top)
        for word in self.words:
            parts += _word(word)
        if self.overlap:
            parts += _overlap(self.overlap, self.path, self.other or self.path, self.top)
        if self.plot:
            parts.append(f"plot              {self.plot}")
        return "\n\n".join(parts)


def look(args: argparse.Namespace) -> Report:
    """Computes what the arguments ask for; what they get wrong is said before any long work."""
    if args.plot:
        check_plot_path(args.plot)
    for corpus in args.on:
        resolve_inputs(corpus)
    tokenizer = Tokenizer.load(args.what)
    other = Tokenizer.load(args.other) if args.other else None
    words = [word for text in args.word for word in derive(tokenizer, text)]
    found = overlap(tokenizer, other) if other else None
    if found and args.plot:
        plot_overlap(found, args.plot, *_names(args.what, args.other))
    return Report(
        path=args.what,
        vocab_size=tokenizer.vocab_size,
        top=args.top,
        vocabulary=None if args.on or words or found else summarize(tokenizer, args.top),
        compression={
            corpus: compress(
                tokenizer,
                corpus,
                args.num_threads,
                progress=True,
                column=args.column,
                format=args.format,
            )
            for corpus in args.on
        },
        words=words,
        other=args.other,
        overlap=found,
        plot=args.plot,
    )


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Short names where they tell the two apart, else the paths."""
    if first.name != second.name:
        return first.name, second.name
    return str(first), str(second)


# -- the vocabulary --------------------------------------------------------------------------------


def _vocabulary_lines(found: VocabularySummary) -> Iterator[str]:
    special = ", ".join(f"{token} ({id})" for token, id in found.special_tokens.items())
    yield f"merges            {found.merges:,}"
    yield f"special tokens    {special or 'none'}"
    yield f"pattern           {found.preset or found.pattern}"
    yield (
        f"bytes per token   {found.mean_length:.2f} on average over the vocabulary, "
        f"half have {found.median_length} or fewer"
    )
    share = found.space_first / found.size
    yield f"space first       {found.space_first:,} tokens ({share:.1%}) start with a space"


def _vocabulary_tables(found: VocabularySummary) -> Iterator[str]:
    rows = [
        [KINDS[kind], f"{count:,}", f"{count / found.size:.1%}"]
        for kind, count in found.kinds.items()
        if count
    ]
    yield table(["what tokens are", "tokens", "share"], rows)
    lengths = grouped({length: (count,) for length, count in found.lengths.items()})
    most = max(count for (count,) in lengths.values())
    rows = [
        [length, "█" * round(_BAR * count / most), f"{count:,}", f"{count / found.size:.1%}"]
        for length, (count,) in lengths.items()
    ]
    yield table(["bytes", "", "tokens", "share"], rows, text_columns=2)
    if found.longest:
        rows = [
            [
                show(token.bytes, _WIDTH),
                token.kind,
                f"{len(token.bytes)}",
                f"{token.characters}",
                f"{token.id}",
            ]
            for token in found.longest
        ]
        header = ["longest tokens", "kind", "bytes", "characters", "id"]
        yield table(header, rows, text_columns=2)


# -- compression -----------------------------------------------------------------------------------


def _compression(found: dict[str, Compression], top: int) -> Iterator[str]:
    header = ["corpus", "MB", "tokens", "bytes/token", "characters/token", "tokens/word"]
    header += ["vocabulary used", "MB/s"]
    rows = [
        [
            name,
            f"{one.bytes / 1e6:,.1f}",
            f"{one.tokens:,}",
            f"{one.bytes_per_token:.3f}",
            f"{one.characters_per_token:.3f}",
            f"{one.tokens_per_word:.3f}",
            f"{one.used_share:.1%}",
            f"{one.megabytes_per_second:,.0f}",
        ]
        for name, one in found.items()
    ]
    yield table(header, rows)
    for name, one in found.items():
        frequent = [
            [show(token.bytes, _WIDTH), f"{token.id}", f"{count:,}", f"{count / one.tokens:.2%}"]
            for token, count in one.most_frequent(top)
        ]
        if frequent:
            yield table([f"most frequent in {name}", "id", "count", "share"], frequent)


# -- a word ----------------------------------------------------------------------------------------


def _word(word: Derivation) -> Iterator[str]:
    if word.steps:
        rows = [
            [
                " ".join(show(token) for token in step.tokens),
                f"{show(step.left)} + {show(step.right)}",
                f"{step.rank}",
            ]
            for step in word.steps
        ]
        start = " ".join(show(node.token) for root in word.roots for node in root.leaves())
        yield table(["tokens", "joined", "merge"], [[start, "", ""], *rows], text_columns=2)
    yield word.tree()


# -- two tokenizers --------------------------------------------------------------------------------


def _overlap(found: Overlap, path: Path, other: Path, top: int) -> Iterator[str]:
    first, second = _names(path, other)
    common, here, there = len(found.common), len(found.only_first), len(found.only_second)
    all_here, all_there = common + here, common + there
    yield "\n".join(
        [
            f"with              {other}",
            f"in both           {common:,} of {found.union:,} tokens ({found.jaccard:.1%})",
            f"only in the first {here:,} of its {all_here:,} ({here / all_here:.1%})",
            f"only in the other {there:,} of its {all_there:,} ({there / all_there:.1%})",
            f"equal ids         {found.equal_ids:,} of those in both",
            f"equal merges      {found.equal_merges:,} from the first on",
            f"special tokens    {', '.join(found.special_tokens[0]) or 'none'} in both",
        ]
    )
    rows = [
        [length, *(f"{count:,}" for count in row), f"{row[0] / sum(row):.1%}"]
        for length, row in grouped(found.by_length()).items()
    ]
    header = ["bytes", "in both", f"only in {first}", f"only in {second}", "share in both"]
    yield table(header, rows)
    for name, tokens in ((first, found.only_first), (second, found.only_second)):
        if tokens and top:
            listed = [[show(token.bytes, _WIDTH), f"{token.id}"] for token in tokens[:top]]
            yield table([f"first only in {name}", "id"], listed)
