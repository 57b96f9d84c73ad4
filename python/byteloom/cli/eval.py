"""``byteloom eval``: how well a model predicts a text."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from byteloom.cli import eval_choices
from byteloom.cli.common import HelpFormatter, add_json, execute, step_or_best
from byteloom.cli.eval_choices import add_choices, check
from byteloom.cli.extra import needs_training_extra
from byteloom.data.shards import is_folder_of_shards
from byteloom.data.token_file import TokenFile, TokenIds
from byteloom.markdown import table
from byteloom.tokenizer import Tokenizer

if TYPE_CHECKING:
    from byteloom.training.evaluate import Score

DESCRIPTION = """\
Score a trained model on texts or token files: every token but the first is predicted once. Or on
multiple-choice questions: how often the right answer is the likeliest. Of an encoder or an
encoder-decoder, what was hidden or cut out by the run's seed, the same every time.

  loss           nats a token, and perplexity, exp(loss): depend on the tokenizer
  bits per byte  of the text: comparable between models with different tokenizers

examples:
  byteloom eval runs/tiny valid.npy
  byteloom eval runs/tiny book.txt code.txt --json
  byteloom eval runs/tiny stories.jsonl --by-document
  byteloom eval runs/tiny --choices questions.jsonl --shots 5 --examples examples.jsonl
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom eval", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that train-lm made")
    parser.add_argument(
        "data",
        type=Path,
        nargs="*",
        metavar="DATA",
        help="token file (.npy, .bin), folder of shards, or text; each of several by itself",
    )
    parser.add_argument(
        "--by-document",
        action="store_true",
        help="score every document by itself: token files need an index of them; in text they are "
        "records, or end with <|endoftext|>",
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="B", help="windows at once")
    parser.add_argument(
        "--checkpoint",
        type=step_or_best,
        metavar="STEP",
        help="which checkpoint, or best: that with the best validation loss; default: the newest",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    add_json(parser)
    add_choices(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: must be at least 1")
    check(parser, args)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Scores and says what came out."""
    with needs_training_extra("byteloom eval"):
        from byteloom.training.evaluate import Score

    if args.choices:
        eval_choices.run(args)
        return
    scorer = Scorer(args)
    if args.by_document:
        documents = [(str(data), scorer.documents(data)) for data in args.data]
        total = sum((s for _, found in documents for s, _ in found), start=Score(0.0, 0, 0))
        if args.json:
            rows = [
                {"file": name, "document": i, **figures(score)}
                for name, found in documents
                for i, (score, _) in enumerate(found)
            ]
            print(json.dumps(figures(total) | {"documents": rows}))
            return
        print_documents(documents)
    else:
        files = [(str(data), scorer.file(data)) for data in args.data]
        total = sum((score for _, score in files), start=Score(0.0, 0, 0))
        if args.json:
            rows = [{"file": name, **figures(score)} for name, score in files]
            print(json.dumps(figures(total) | ({"files": rows} if len(files) > 1 else {})))
            return
        if len(files) > 1:
            print_files(files)
    bits = total.bits_per_byte
    why = "of a whole text alone" if scorer.hides else "unknown: the run has no tokenizer"
    shown = why if bits is None else f"{bits:.4f}"
    print(
        f"loss              {total.loss:.4f} nats a token\n"
        f"perplexity        {total.perplexity:.2f}\n"
        f"bits per byte     {shown}\n"
        f"tokens            {total.tokens:,}"
    )


class Scorer:
    """A model, ready to score files."""

    def __init__(self, args: argparse.Namespace) -> None:
        from byteloom.training.build import objective, pick_device
        from byteloom.training.run_folder import RunFolder
        from byteloom.training.tasks import PrefixConfig

        self.batch_size, self.device = args.batch_size, pick_device(args.device)
        folder = RunFolder.open(args.run)
        self.tokenizer = folder.load_tokenizer()
        self.model = folder.load_any_model(args.checkpoint, self.device)
        self.token_bytes = None if self.tokenizer is None else token_bytes(self.tokenizer)
        # As in training: where no token saw another document's there, none does here.
        found = folder.load_config()
        tokenizer = None if self.tokenizer is None else folder.tokenizer_file
        training = replace(found.training, batch_size=args.batch_size, z_loss=0.0, compile=False)
        data = replace(found.data, tokenizer=tokenizer)
        self.config = replace(found, data=data, training=training)
        self.loss = objective(self.config, self.model)
        #: Whether what is predicted was hidden or cut out, and stands for no text of its own.
        self.hides = self.config.task is not None and not isinstance(self.config.task, PrefixConfig)

    def file(self, data: Path) -> Score:
        """The score of a file."""
        from byteloom.training.build import everything
        from byteloom.training.evaluate import evaluate

        with open_tokens(data, self.tokenizer) as tokens:
            tokens.check(self.model.config.vocab_size)
            made, total = everything(self.config, tokens)
            batches = tqdm(
                made,
                total=total,
                desc="scoring",
                unit="batch",
                leave=False,
                disable=not sys.stderr.isatty(),
            )
            sizes = None if self.hides else self.token_bytes
            score = evaluate(self.model, self.loss, batches, self.device, nullcontext, sizes)
        assert score is not None
        return score

    def documents(self, data: Path) -> list[tuple[Score, str]]:
        """The score of each document, and how it begins."""
        from byteloom.data.documents import Documents
        from byteloom.model import TransformerLM
        from byteloom.training.evaluate import evaluate_documents

        if not isinstance(self.model, TransformerLM):
            raise ValueError("--by-document is for decoders, which predict every token of a text")
        if self.config.task is not None:
            raise ValueError(
                f"--by-document predicts every token of a text, and this run (task.kind "
                f"{self.config.task.kind}) learned only those behind a prefix"
            )
        with open_tokens(data, self.tokenizer, documents=True) as tokens:
            tokens.check(self.model.config.vocab_size)
            documents = Documents(tokens.path)
            shown = tqdm(
                documents,
                desc="scoring",
                unit="document",
                leave=False,
                disable=not sys.stderr.isatty(),
            )
            scores = evaluate_documents(self.model, shown, self.batch_size, self.token_bytes)
            return [(score, self.begin(documents[i])) for i, score in enumerate(scores)]

    def begin(self, ids: TokenIds) -> str:
        """The first words of a document, in one line."""
        if self.tokenizer is None:
            return " ".join(map(str, ids[:8]))
        return " ".join(self.tokenizer.decode(ids[:24]).split())[:50]


def figures(score: Score) -> dict[str, Any]:
    """A score, for scripts; ``None`` where there is nothing to say."""
    return {
        "loss": score.loss if score.tokens else None,
        "perplexity": score.perplexity if score.tokens else None,
        "bits_per_byte": score.bits_per_byte,
        "tokens": score.tokens,
        "bytes": score.bytes,
    }


def cells(score: Score) -> list[str]:
    """A score, in a table."""
    bits = score.bits_per_byte
    shown = "" if bits is None else f"{bits:.4f}"
    return [f"{score.loss:.4f}", f"{score.perplexity:.2f}", shown, f"{score.tokens:,}"]


COLUMNS = ["loss", "perplexity", "bits/byte", "tokens"]


def print_files(files: Sequence[tuple[str, Score]]) -> None:
    """A row each."""
    print(table(["file", *COLUMNS], [[name, *cells(score)] for name, score in files]) + "\n")


def print_documents(documents: Sequence[tuple[str, Sequence[tuple[Score, str]]]]) -> None:
    """How the documents' losses are spread, and the hardest of them."""
    all_of = [(s, name, i, t) for name, found in documents for i, (s, t) in enumerate(found)]
    scored = sorted((one for one in all_of if one[0].tokens), key=lambda one: one[0].loss)
    if not scored:
        raise ValueError("no document has two tokens: there is nothing to predict")
    places = {"easiest": 0, "a quarter below": 1, "median": 2, "a quarter above": 3, "hardest": 4}
    rows = [
        [name, *cells(scored[(len(scored) - 1) * place // 4][0])] for name, place in places.items()
    ]
    print(table([f"{len(scored):,} documents", *COLUMNS], rows) + "\n")
    rows = [
        [name, f"{number:,}", text, *cells(score)] for score, name, number, text in scored[:-6:-1]
    ]
    print(table(["the hardest", "document", "begins", *COLUMNS], rows, 3) + "\n")


@contextmanager
def open_tokens(
    data: Path, tokenizer: Tokenizer | None, documents: bool = False
) -> Iterator[TokenFile]:
    """A token file, or text encoded into one for as long as the block runs."""
    if data.suffix in (".npy", ".bin") or is_folder_of_shards(data):
        yield TokenFile(data)
        return
    if tokenizer is None:
        raise ValueError(f"the run has no tokenizer to read {data} with: give a token file")
    with tempfile.TemporaryDirectory(prefix="byteloom-eval-") as folder:
        encoded = Path(folder) / "tokens.npy"
        stats = tokenizer.encode_files(str(data), encoded, documents=documents)
        if stats.tokens < 2:
            raise ValueError(f"{data} has {stats.tokens} tokens: two are needed to predict one")
        yield TokenFile(encoded)


def token_bytes(tokenizer: Tokenizer) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Id -> bytes of the text that the token stands for."""
    vocab = tokenizer.vocab
    return np.array([len(vocab[i]) for i in range(len(vocab))], dtype=np.int64)


if __name__ == "__main__":
    sys.exit(main())
