"""``byteloom eval``: how well a model predicts a text."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from byteloom.cli.common import HelpFormatter, add_json, execute, step_or_best
from byteloom.cli.extra import needs_training_extra
from byteloom.data.shards import is_folder_of_shards
from byteloom.data.token_file import TokenFile
from byteloom.tokenizer import Tokenizer

DESCRIPTION = """\
Score a trained model on text or on a token file: every token but the first is predicted once.

  loss           nats a token, and perplexity, exp(loss): depend on the tokenizer
  bits per byte  of the text: comparable between models with different tokenizers

examples:
  byteloom eval runs/tiny valid.npy
  byteloom eval runs/tiny book.txt --json
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom eval", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that train-lm made")
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="token file (.npy, .bin), folder of shards, or text"
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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: must be at least 1")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Scores and says what came out."""
    with needs_training_extra("byteloom eval"):
        from byteloom.data.batches import sequential_batches
        from byteloom.training.evaluate import evaluate
        from byteloom.training.run_folder import RunFolder
        from byteloom.training.state import pick_device

    device = pick_device(args.device)
    folder = RunFolder.open(args.run)
    tokenizer = folder.load_tokenizer()
    model = folder.load_model(args.checkpoint, device)
    context = folder.load_config().model.context_length
    with open_tokens(args.data, tokenizer) as tokens:
        tokens.check(model.config.vocab_size)
        score = evaluate(
            model,
            model.loss,
            tqdm(
                sequential_batches(tokens, args.batch_size, context),
                total=-(-(len(tokens) - 1) // (context * args.batch_size)),
                desc="scoring",
                unit="batch",
                leave=False,
                disable=not sys.stderr.isatty(),
            ),
            device,
            nullcontext,
            None if tokenizer is None else token_bytes(tokenizer),
        )
    assert score is not None
    if args.json:
        figures = {
            "loss": score.loss,
            "perplexity": score.perplexity,
            "bits_per_byte": score.bits_per_byte,
            "tokens": score.tokens,
            "bytes": score.bytes,
        }
        print(json.dumps(figures))
        return
    bits = score.bits_per_byte
    shown = "unknown: the run has no tokenizer" if bits is None else f"{bits:.4f}"
    print(
        f"loss              {score.loss:.4f} nats a token\n"
        f"perplexity        {score.perplexity:.2f}\n"
        f"bits per byte     {shown}\n"
        f"tokens            {score.tokens:,}"
    )


@contextmanager
def open_tokens(data: Path, tokenizer: Tokenizer | None) -> Iterator[TokenFile]:
    """A token file, or text encoded into one for as long as the block runs."""
    if data.suffix in (".npy", ".bin") or is_folder_of_shards(data):
        yield TokenFile(data)
        return
    if tokenizer is None:
        raise ValueError(f"the run has no tokenizer to read {data} with: give a token file")
    with tempfile.TemporaryDirectory(prefix="byteloom-eval-") as folder:
        encoded = Path(folder) / "tokens.npy"
        stats = tokenizer.encode_files(str(data), encoded)
        if stats.tokens < 2:
            raise ValueError(f"{data} has {stats.tokens} tokens: two are needed to predict one")
        yield TokenFile(encoded)


def token_bytes(tokenizer: Tokenizer) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Id -> bytes of the text that the token stands for."""
    vocab = tokenizer.vocab
    return np.array([len(vocab[i]) for i in range(len(vocab))], dtype=np.int64)


if __name__ == "__main__":
    sys.exit(main())
