"""Are splitting, counts, merges and ids exactly those of the peers, on every document of a text?

For each TEXT (documents end with <|endoftext|>) and for a list of adversarial texts:

- pretokens of every preset equal the `regex` module's, and so do their counts;
- ids equal tiktoken's and Hugging Face tokenizers' with the same vocabulary, and decode to the
  text;
- counts and ids of the file, in pieces of many sizes on 1 to 8 threads, equal those from memory;
- with --train, merges equal Hugging Face's trainer's, under its rule for ties.

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
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import regex
import tiktoken
import tokenizers
import unicode_classes
from adversarial_texts import END
from exactness_corpus import Corpus, adversarial_corpus, batches, text_corpus
from exactness_report import Report, Row, first_difference, shown
from tqdm import tqdm

from byteloom import _rust


class Check:
    """One corpus under one preset, in the same tokens and merges for all."""

    def __init__(self, report: Report, corpus: Corpus, core: _rust.Tokenizer, preset: str) -> None:
        self.report, self.corpus, self.preset = report, corpus, preset
        special = list(dict.fromkeys([*core.special_tokens, *corpus.special_tokens]))
        self.core = _rust.Tokenizer(list(core.vocab.items()), core.merges, special, preset)
        self.special_ids = self.core.special_tokens
        # The longest first: an alternation takes what stands first in it.
        longest = sorted(special, key=len, reverse=True)
        self.special = regex.compile("(" + "|".join(map(regex.escape, longest)) + ")")
        self.pattern = regex.compile(self.core.pattern)
        self.tiktoken = tiktoken.Encoding(
            "check",
            pat_str=self.core.pattern,
            mergeable_ranks=dict(self.core.ranks()),
            special_tokens=self.special_ids,
        )
        self.huggingface = tokenizers.Tokenizer.from_str(self.core.to_json())
        self.counts: collections.Counter[str | bytes] = collections.Counter()

    def run(self) -> None:
        """All documents, then the file in pieces."""
        size = self.corpus.path.stat().st_size
        label = f"{self.corpus.name}, {self.preset}"
        with tqdm(desc=label, total=size, unit="B", unit_scale=True) as progress:
            for batch in batches(self.corpus.documents()):
                texts = [decoded(data) for data in batch]
                for data, text in zip(batch, texts, strict=True):
                    pieces = self.check_splitting(data, text)
                    self.check_ids(data, text, pieces)
                self.check_huggingface([text for text in texts if text is not None])
                progress.update(sum(map(len, batch)))
        try:
            self.check_files()
        except ValueError as error:
            self.report.differs(self.row("the file", "memory"), str(error))

    def row(self, what: str, peer: str) -> Row:
        """The row of the table for a comparison of this corpus under this preset."""
        return self.report.row(f"{self.corpus.name} · {self.preset} · {what}", peer)

    # -- one document ------------------------------------------------------------------------------

    def check_splitting(self, data: bytes, text: str | None) -> list[bytes]:
        """Pretokens and special tokens against the `regex` module; returns ours."""
        row = self.row("pretokens", "regex")
        row.documents += 1
        row.bytes += len(data)
        theirs = self.split(replaced(data) if text is None else text)
        if text is not None:
            self.counts.update(theirs)
        try:
            ours = self.ours(data)
        except ValueError as error:
            self.report.differs(row, f"{shown(data)}: {error}")
            return []
        row.items += len(ours)
        if text is None:
            self.counts.update(ours)
        if not same_pieces(ours, theirs, data, text) and not self.excused(
            row, data, "regex", self.splits_alike
        ):
            place, left, right = first_difference([replaced(piece) for piece in ours], theirs)
            self.report.differs(
                row, f"pretoken {place} of {shown(data)}: {left!r}, there {right!r}"
            )
        return ours

    def ours(self, data: bytes) -> list[bytes]:
        """The parts of a text by the engine."""
        return _rust.pretokenize(data, self.preset, list(self.special_ids))

    def split(self, text: str) -> list[str]:
        """The parts of a text by the `regex` module."""
        pieces: list[str] = []
        for index, part in enumerate(self.special.split(text)):
            pieces += [part] if index % 2 else self.pattern.findall(part)
        return [piece for piece in pieces if piece]

    def splits_alike(self, data: bytes) -> bool:
        """Whether the engine and the `regex` module split a text alike."""
        return same_pieces(self.ours(data), self.split(replaced(data)), data, decoded(data))

    def check_ids(self, data: bytes, text: str | None, pieces: list[bytes]) -> None:
        """Ids against tiktoken's, and back to the text."""
        row = self.row("ids", "tiktoken")
        row.documents += 1
        row.bytes += len(data)
        try:
            ours = self.core.encode_array(data)
        except ValueError as error:
            self.report.differs(row, f"{shown(data)}: {error}")
            return
        row.items += len(ours)
        if self.core.decode_bytes(ours) != data:
            self.report.differs(self.row("decoding", "the text"), shown(data))
        try:
            theirs = self.tiktoken_ids(text, pieces)
        except BaseException as error:
            # Its regex engine runs out of stack on a run of a million spaces: a panic, which is no
            # Exception and which no module names.
            if not isinstance(error, ValueError) and type(error).__name__ != "PanicException":
                raise
            row.gave_up += 1
            return
        if ours.tolist() != theirs:
            place, left, right = first_difference(ours.tolist(), theirs)
            self.report.differs(row, f"id {place} of {shown(data)}: {left}, there {right}")

    def tiktoken_ids(self, text: str | None, pieces: list[bytes]) -> list[int]:
        """The ids of tiktoken. Of overlapping special tokens it takes any; they are split off here.

        It has no way to encode a text that is no UTF-8; there it gets the pretokens, which were
        compared with the `regex` module's, one by one.
        """
        ids: list[int] = []
        if text is None:
            for piece in pieces:
                special = self.special_ids.get(replaced(piece))
                ids += self.tiktoken._encode_single_piece(piece) if special is None else [special]
            return ids
        for index, part in enumerate(self.special.split(text)):
            ids += [self.special_ids[part]] if index % 2 else self.tiktoken.encode_ordinary(part)
        return ids

    def check_huggingface(self, texts: list[str]) -> None:
        """Ids against those of Hugging Face tokenizers."""
        row = self.row("ids", "tokenizers")
        encodings = self.huggingface.encode_batch_fast(texts, add_special_tokens=False)
        for text, encoding in zip(texts, encodings, strict=True):
            row.documents += 1
            row.bytes += len(text.encode())
            row.items += len(encoding.ids)
            try:
                ours = self.core.encode(text)
            except ValueError as error:
                self.report.differs(row, f"{shown(text.encode())}: {error}")
                continue
            if ours != encoding.ids and not self.excused(
                row, text.encode(), "tokenizers", self.encodes_alike
            ):
                place, left, right = first_difference(ours, encoding.ids)
                what = f"id {place} of {shown(text.encode())}: {left}, there {right}"
                self.report.differs(row, what)

    def encodes_alike(self, data: bytes) -> bool:
        """Whether the engine and Hugging Face tokenizers encode a text alike."""
        theirs = self.huggingface.encode(data.decode(), add_special_tokens=False).ids
        return bool(self.core.encode(data) == theirs)

    def excused(self, row: Row, data: bytes, peer: str, alike: Callable[[bytes], bool]) -> bool:
        """Whether a difference goes away without the code points whose class differs."""
        text = data.decode("utf-8", errors="surrogateescape")
        found = CLASSES_DIFFER[peer]().intersection(text)
        without = text.translate(dict.fromkeys(map(ord, found), 0xFFFD))
        if not found or not alike(without.encode("utf-8", errors="surrogateescape")):
            return False
        row.unicode += 1
        self.report.excused |= found
        return True

    # -- the whole file ----------------------------------------------------------------------------

    def check_files(self) -> None:
        """Counts and ids of the file, in pieces and on threads, against those from memory."""
        special = list(self.special_ids)
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
            for pretoken, count in self.counts.items():
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
                    [str(self.corpus.path)], str(output), "uint32", threads, piece_size
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


#: For each peer, the code points that it and byteloom put into different classes.
CLASSES_DIFFER: dict[str, Callable[[], frozenset[str]]] = {
    "regex": unicode_classes.from_regex,
    "tokenizers": unicode_classes.from_huggingface,
}


def decoded(data: bytes) -> str | None:
    """The text, or `None` if it is no UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def replaced(data: bytes) -> str:
    """The text, with U+FFFD where it is no UTF-8."""
    return data.decode("utf-8", errors="replace")


def same_pieces(ours: list[bytes], theirs: list[str], data: bytes, text: str | None) -> bool:
    """Whether our pieces are theirs. Bytes that are no UTF-8 split as if they were U+FFFD."""
    if text is None:
        return list(map(replaced, ours)) == theirs and b"".join(ours) == data
    # Joined by what is in no valid text, lists are compared at the speed of bytes.
    return b"\xff".join(ours) == "\udcff".join(theirs).encode("utf-8", errors="surrogateescape")


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
    args = parser.parse_args(argv)
    for path in args.texts:
        if not path.is_file():
            parser.error(f"{path}: no such file")
    if args.no_adversarial and not args.texts:
        parser.error("nothing to check: give a TEXT, or leave out --no-adversarial")
    if args.train and not args.texts:
        parser.error("--train needs a TEXT")
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        corpora = [text_corpus(path) for path in args.texts]
        if args.train:
            check_training(report, corpora, args.vocab_size)
        if not args.no_adversarial:
            corpora.append(adversarial_corpus(Path(name), args.longest_run))
        core = vocabulary(args, corpora[: len(args.texts) or 1])
        for corpus, preset in itertools.product(corpora, args.presets):
            Check(report, corpus, core, preset).run()
    print(report.table())
    print(f"\n{unicode_classes.summary(report.excused)}")
    print(f"{report.different:,} differences" if report.different else "no differences")
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
