"""Training a BPE tokenizer: text file -> merges, byteloom beside its peers.

Everyone splits by GPT-2's pattern and learns as many merges from the same bytes. Peers that take no
file get the text as a list of documents; reading and cutting it counts, as reading does for the
others. After the race the merges are compared, with ours under Hugging Face's rule for ties, which
is the peers': where they differ, the notes say from which merge on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from corpus import END_OF_TEXT, documents, read
from harness import (
    GPT2_PATTERN,
    OURS,
    Contestant,
    Race,
    parser_for,
    race,
    start_worker,
    threads_in_words,
    timed,
)
from report import run


def hand_over(
    args: argparse.Namespace, merged: list[bytes], figures: dict[str, Any]
) -> dict[str, Any]:
    """Leaves the new tokens, in order, for the comparison."""
    path = args.folder / f"{args.worker}{'-' + args.tie_break if args.tie_break else ''}.json"
    path.write_text(json.dumps([token.hex() for token in merged]))
    return figures | {"merges": len(merged)}


def byteloom(args: argparse.Namespace) -> dict[str, Any]:
    import byteloom as bl

    tokenizer, figures = timed(
        lambda: bl.train_bpe(
            args.text,
            args.vocab_size,
            special_tokens=[END_OF_TEXT],
            tie_break=args.tie_break or "bytes",
            num_threads=args.threads,
        )
    )
    return hand_over(args, [left + right for left, right in tokenizer.merges], figures)


def huggingface(args: argparse.Namespace) -> dict[str, Any]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    import byteloom as bl

    def train() -> Tokenizer:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=args.vocab_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        texts = documents(read(args.text), keep_end=False)
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer

    tokenizer, figures = timed(train)
    merges = bl.Tokenizer.from_huggingface(tokenizer).merges
    return hand_over(args, [left + right for left, right in merges], figures)


def rustbpe(args: argparse.Namespace) -> dict[str, Any]:
    import rustbpe as library

    def train() -> Any:
        tokenizer = library.Tokenizer()
        texts = iter(documents(read(args.text), keep_end=False))
        # It knows no special tokens: its vocabulary is the 256 bytes and the merges.
        tokenizer.train_from_iterator(texts, args.vocab_size - 1, pattern=GPT2_PATTERN)
        return tokenizer

    tokenizer, figures = timed(train)
    ranks = sorted((rank, bytes(token)) for token, rank in tokenizer.get_mergeable_ranks())
    return hand_over(args, [token for rank, token in ranks if rank >= 256], figures)


def gigatoken(args: argparse.Namespace) -> dict[str, Any]:
    import gigatoken as library

    # Its threads are as many as the cores that this process may use.
    (_, merges), figures = timed(
        lambda: library.train_bpe(
            args.text,
            args.vocab_size,
            [END_OF_TEXT],
            tie_breaking="huggingface",
            separator=END_OF_TEXT.encode(),
        )
    )
    return hand_over(args, [left + right for left, right in merges], figures)


def ffbpe(args: argparse.Namespace) -> dict[str, Any]:
    import ffbpe as library

    def train() -> Any:
        texts = documents(read(args.text), keep_end=False)
        return library.train_bpe(texts, vocab_size=args.vocab_size, special_tokens=[END_OF_TEXT])

    model, figures = timed(train)
    tokens = sorted(model.vocab.items(), key=lambda item: item[1])
    return hand_over(args, [token for token, id_ in tokens if id_ > 256], figures)


CONTESTANTS = (
    Contestant(OURS, "byteloom", byteloom),
    Contestant("gigatoken", "gigatoken", gigatoken),
    Contestant("ffbpe", "ffbpe", ffbpe),
    Contestant("tokenizers", "tokenizers", huggingface),
    Contestant("rustbpe", "rustbpe", rustbpe),
)


def compare(ours: Path, theirs: Path) -> str:
    """How far two lists of new tokens agree, in words."""
    left, right = (json.loads(path.read_text()) for path in (ours, theirs))
    if left == right:
        return f"all {len(left):,} merges are equal"
    same = next(
        (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
        min(len(left), len(right)),
    )
    common, most = len(set(left) & set(right)), max(len(left), len(right))
    return f"the first {same:,} merges are equal, {common:,} of {most:,} tokens are in common"


def compete(args: argparse.Namespace, folder: Path) -> list[Race]:
    """The race, and how far the peers' merges are ours."""
    script = Path(__file__).resolve()
    job = f"train {args.vocab_size:,}, {threads_in_words(args.threads)}"
    results = race(script, args, CONTESTANTS, folder)
    done = Race(job, args.text.name, args.text.stat().st_size, args.threads, results)
    others = [one.name for one in results if not one.failure and one.name != OURS]
    if others and done.good:
        start_worker(script, args, OURS, folder, "--tie-break", "huggingface")
        ours = folder / f"{OURS}-huggingface.json"
        for peer in others:
            said = compare(ours, folder / f"{peer}.json")
            done.notes.append(f"against {peer}, with ties to the smallest pair of ids: {said}")
    return [done]


def main() -> int:
    parser = parser_for(__doc__.splitlines()[0], [one.name for one in CONTESTANTS[1:]])
    parser.add_argument("--tie-break", default="", help=argparse.SUPPRESS)
    return run(parser, CONTESTANTS, compete)


if __name__ == "__main__":
    sys.exit(main())
