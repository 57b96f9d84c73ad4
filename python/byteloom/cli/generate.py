"""``byteloom generate``: a run folder and a prompt -> text, as the model writes it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from byteloom.cli.common import HelpFormatter, execute, step_or_best
from byteloom.cli.extra import needs_training_extra

if TYPE_CHECKING:
    import torch

    from byteloom.tokenizer import Tokenizer
    from byteloom.training.config import RunConfig
    from byteloom.training.run_folder import RunFolder

DESCRIPTION = """\
Let a trained model write. The prompt and what follows go to stdout as they come, up to the
end-of-text token or --max-new-tokens. Of a run with task.kind prefix, the prompt's tokens see each
other in both directions. An encoder-decoder reads the prompt, and only its answer is shown, with
its special tokens. An encoder puts the likeliest token in place of each [MASK] of the prompt.

examples:
  byteloom generate runs/tiny --prompt "def main():"
  byteloom generate runs/tiny --prompt "Once" --temperature 0.7 --top-p 0.9 --seed 1
  byteloom generate runs/tiny --prompt "import" --top-k 1          # always the likeliest token
  byteloom generate runs/tiny --prompt "import" --checkpoint 500   # as it wrote after 500 steps
"""
END_OF_TEXT = "<|endoftext|>"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom generate", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that train-lm made")
    parser.add_argument(
        "--prompt", default="", metavar="TEXT", help="what to go on from; empty: a new text"
    )
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="at most")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="divides the logits: lower is safer, 0 takes the likeliest",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="only the K likeliest tokens")
    parser.add_argument(
        "--top-p", type=float, metavar="P", help="only the likeliest tokens that sum to P"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed writes the same text")
    parser.add_argument(
        "--stop",
        metavar="TOKEN",
        help=f"special token to end at, '' for none; default: what the folder of an imported "
        f"model named, or {END_OF_TEXT} if there is one; of an encoder-decoder, what ended the "
        "texts that it learned from",
    )
    parser.add_argument(
        "--checkpoint",
        type=step_or_best,
        metavar="STEP",
        help="which checkpoint, or best: that with the best validation loss; default: the newest",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the step from token to token: worth it for long texts on a GPU",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Streams the text."""
    with needs_training_extra("byteloom generate"):
        from byteloom.generation import stream_text
        from byteloom.training.build import pick_device
        from byteloom.training.run_folder import RunFolder
        from byteloom.training.tasks import PrefixConfig

    device = pick_device(args.device)
    folder = RunFolder.open(args.run)
    tokenizer = folder.load_tokenizer()
    if tokenizer is None:
        raise ValueError(f"the run in {folder.path} has no tokenizer: it was trained on ids alone")
    special = tokenizer.special_tokens
    if args.stop and args.stop not in special:
        known = ", ".join(special) or "none"
        raise ValueError(f"--stop {args.stop}: not a special token of this tokenizer ({known})")
    if not args.prompt and END_OF_TEXT not in special:
        raise ValueError("give a --prompt: the tokenizer has no token that begins a text")
    stops = [args.stop] if args.stop else []
    if args.stop is None:
        stops = usual_ends(folder, tokenizer)
    run_config = folder.load_config()
    if run_config.model.kind != "decoder":
        if args.compile:
            raise ValueError(f"--compile is for decoders, and this is an {run_config.model.kind}")
        answer(args, folder, run_config, device)
        return
    model = folder.load_model(args.checkpoint, device)
    print(args.prompt, end="", flush=True)
    pieces = stream_text(
        model,
        tokenizer,
        args.prompt or END_OF_TEXT,
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
        stop=stops,
        compiled=args.compile,
        prefix=isinstance(run_config.task, PrefixConfig),
    )
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def usual_ends(folder: RunFolder, tokenizer: Tokenizer) -> list[str]:
    """What ends a text: as the model's folder said, if it comes from elsewhere."""
    from byteloom.training.run_folder import ROLES

    special = tokenizer.special_tokens
    if (folder.path / ROLES).exists():
        from byteloom.export.hf import roles

        kept = roles.resolved(roles.read(folder.path / ROLES), tokenizer)
        ends = roles.as_list(kept.generation.get("eos_token_id"))
        if found := [name for name, token_id in special.items() if token_id in ends]:
            return found
    return [END_OF_TEXT] if END_OF_TEXT in special else []


def answer(
    args: argparse.Namespace, folder: RunFolder, run_config: RunConfig, device: torch.device
) -> None:
    """Streams what another model than a decoder makes of the prompt."""
    from byteloom.training.sample import reply

    pieces = reply(
        folder.load_any_model(args.checkpoint, device),
        run_config,
        folder,
        args.prompt,
        args.stop,
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
    )
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    sys.exit(main())
