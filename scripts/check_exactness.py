"""Are splitting, counts, merges and ids exactly those of the peers, on every document of a text?

For each TEXT (documents end with <|endoftext|>) and for a list of adversarial texts:

- pretokens of every preset equal the `regex` module's, and so do their counts;
- ids equal tiktoken's and Hugging Face tokenizers' with the same vocabulary, and decode to the
  text;
- counts and ids of the file, in pieces of many sizes on 1 to 8 threads, equal those from memory;
- with --train, merges equal Hugging Face's trainer's, under its rule for ties.

Documents are compared on all processors. With --memory, what the peers said is remembered by its
digest: when the engine changes and the texts do not, a repetition asks them only where it differs.

Prints a table of what was compared, and exits with 1 if anything differed. The one exception:
libraries know different versions of Unicode. A document that differs is compared once more with
U+FFFD in place of the code points whose class differs between the two libraries; if it is equal
then, it is counted under "Unicode".
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import unicode_classes
from adversarial_texts import END
from exactness_corpus import Corpus, adversarial_corpus, batches, text_corpus
from exactness_documents import Setting, Workers
from exactness_report import Report, Row, first_difference
from tqdm import tqdm

from byteloom import _rust


@dataclass
class Check:
    """One corpus under one preset, in the same tokens and merges for all."""

    report: Report
    corpus: Corpus
    core: _rust.Tokenizer
    preset: str

    def run(self, workers: Workers) -> None:
        """All documents, then the file in pieces."""
        size = self.corpus.path.stat().st_size
        label = f"{self.corpus.name}, {self.preset}"
        counts: collections.Counter[str | bytes] = collections.Counter()
        with tqdm(desc=label, total=size, unit="B", unit_scale=True) as progress:
            for outcome in workers.outcomes(
                self.corpus.name,
                tuple(self.core.special_tokens),
                self.preset,
                batches(self.corpus.documents()),
            ):
                self.report.add(outcome.report)
                counts.update(outcome.counts)
                progress.update(outcome.bytes)
        try:
            self.check_files(counts)
        except ValueError as error:
            self.report.differs(self.row("the file", "memory"), str(error))

    def row(self, what: str, peer: str) -> Row:
        """The row of the table for a comparison of this corpus under this preset."""
        return self.report.row(f"{self.corpus.name} · {self.preset} · {what}", peer)

    def check_files(self, seen: collections.Counter[str | bytes]) -> None:
        """Counts and ids of the file, in pieces and on threads, against those from memory.

        Counts from memory are compared with those that were seen, by the `regex` module.
        """
        special = list(self.core.special_tokens)
        size = self.corpus.path.stat().st_size
        counts = _rust.PretokenCounts(special, self.preset)
        ids = hashlib.sha256()
        tokens = 0
        for batch in batches(self.corpus.segments()):
            counts.count_texts(batch)
            for segment in batch:
                encoded = self.core.encode_array(segment)
                ids.update(encoded.astype("<u4").tobytes())
                tokens += len(encoded)
        expected = counts.items()
        row = self.row("counts", "regex")
        row.documents, row.bytes, row.items = 1, size, len(expected)
        if self.corpus.special_tokens == (END,):
            found = collections.Counter[bytes]()
            for pretoken, count in seen.items():
                found[pretoken.encode() if isinstance(pretoken, str) else pretoken] += count
            for token in special:
                del found[token.encode()]
            unicode = self.row("pretokens", "regex").unicode
            if sorted(found.items()) != expected and not unicode:
                place, left, right = first_difference(expected, sorted(found.items()))
                self.report.differs(row, f"entry {place}: {left}, there {right}")
        else:
            del self.report.rows[row.what, row.peer]  # these documents are not apart in the file
        counted, encoded_row = (
            self.row("counts in pieces", "memory"),
            self.row("ids in pieces", "memory"),
        )
        settings = tqdm(self.corpus.pieces, desc=f"{self.corpus.name}, {self.preset}, in pieces")
        with tempfile.TemporaryDirectory() as name:
            output = Path(name) / "ids.bin"
            for piece_size, threads in settings:
                how = f"pieces of {piece_size or 'the default size'}, {threads} threads"
                counts = _rust.PretokenCounts(special, self.preset)
                counts.count_files([str(self.corpus.path)], threads, piece_size)
                if counts.items() != expected:
                    self.report.differs(counted, how)
                self.core.encode_files(
                    [str(self.corpus.path)],
                    str(output),
                    dtype="uint32",
                    num_threads=threads,
                    piece_size=piece_size,
                )
                with output.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").digest() != ids.digest():
                        self.report.differs(encoded_row, how)
                for row, items in ((counted, len(expected)), (encoded_row, tokens)):
                    row.documents += 1
                    row.bytes += size
                    row.items += items


def check_training(report: Report, corpora: Sequence[Corpus], vocab_size: int) -> None:
    """Merges against Hugging Face's trainer, under its rule for ties, of all the texts together."""
    counts = _rust.PretokenCounts([END], "gpt2")
    counts.count_files([str(corpus.path) for corpus in corpora])
    ours = counts.train(vocab_size, [END], "huggingface").merges
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    row = report.row("merges", "tokenizers")
    row.bytes = sum(corpus.path.stat().st_size for corpus in corpora)

    def documents() -> Iterator[str]:
        with tqdm(
            desc="training with tokenizers", total=row.bytes, unit="B", unit_scale=True
        ) as bar:
            for document in itertools.chain.from_iterable(corpus.documents() for corpus in corpora):
                row.documents += 1
                bar.update(len(document) + len(END))
                yield document.decode("utf-8")

    theirs.train_from_iterator(documents(), trainer)
    merges = _rust.Tokenizer.from_json(theirs.to_str()).merges
    row.items = len(ours)
    if merges != ours:
        place, left, right = first_difference(ours, merges)
        report.differs(row, f"merge {place}: {left}, there {right}")


def vocabulary(args: argparse.Namespace, corpora: Sequence[Corpus]) -> _rust.Tokenizer:
    """The one to check with: given, or trained on the texts."""
    if args.tokenizer:
        return _rust.Tokenizer.load(str(args.tokenizer))
    special = list(corpora[0].special_tokens)
    counts = _rust.PretokenCounts(special, "gpt2")
    counts.count_files([str(corpus.path) for corpus in corpora])
    return counts.train(args.vocab_size, special, "bytes")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT")
    parser.add_argument("--tokenizer", type=Path, help="to encode with; by default, one is trained")
    parser.add_argument("--vocab-size", type=int, default=32_000, help="of the one that is trained")
    parser.add_argument("--presets", nargs="+", choices=_rust.PRESETS, default=_rust.PRESETS)
    parser.add_argument("--train", action="store_true", help="compare merges too")
    parser.add_argument(
        "--no-adversarial", action="store_true", help="leave the built-in texts out"
    )
    parser.add_argument(
        "--longest-run", type=int, default=1_000_000, help="of spaces, in those texts"
    )
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes that compare"
    )
    parser.add_argument(
        "--memory",
        type=Path,
        metavar="FOLDER",
        help="to keep digests of what the peers said in, so that a repetition need not ask them",
    )
    args = parser.parse_args(argv)
    for path in args.texts:
        if not path.is_file():
            parser.error(f"{path}: no such file")
    if args.no_adversarial and not args.texts:
        parser.error("nothing to check: give a TEXT, or leave out --no-adversarial")
    if args.train and not args.texts:
        parser.error("--train needs a TEXT")
    if args.memory:
        args.memory.mkdir(parents=True, exist_ok=True)
    report = Report(prints=True)
    with tempfile.TemporaryDirectory() as name:
        corpora = [text_corpus(path) for path in args.texts]
        if args.train:
            check_training(report, corpora, args.vocab_size)
        if not args.no_adversarial:
            corpora.append(adversarial_corpus(Path(name), args.longest_run))
        core = vocabulary(args, corpora[: len(args.texts) or 1])
        setting = Setting(tuple(core.vocab.items()), tuple(core.merges), args.memory)
        with Workers(setting, args.workers) as workers:
            for corpus, preset in itertools.product(corpora, args.presets):
                special = dict.fromkeys([*core.special_tokens, *corpus.special_tokens])
                tokenizer = setting.tokenizer(list(special), preset)
                Check(report, corpus, tokenizer, preset).run(workers)
    print(report.table())
    print(f"\n{unicode_classes.summary(report.excused)}")
    print(f"{report.different:,} differences" if report.different else "no differences")
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
