"""``byteloom import``: a model from elsewhere -> a run folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.cli.common import HelpFormatter, add_json, execute, require_folder, say
from byteloom.cli.extra import needs_training_extra
from byteloom.tokenizer import Tokenizer

DESCRIPTION = """\
Make a run folder of a model that another program trained: a folder as Hugging Face's transformers
saves it, of one of the architectures that byteloom has (`byteloom inspect --list` shows some), a
BERT or T5 with byteloom's kind of tokenizer, or nanoGPT's ckpt.pt. What generate, eval, inspect and
export take, takes it too; a run can begin with its weights.

examples:
  byteloom import SmolLM3-3B/ -o runs/smollm3
  byteloom import Llama-2-7b-hf/ -o runs/llama2 --tokenizer none       # it is a SentencePiece
  byteloom import nanoGPT/out/ckpt.pt -o runs/nanogpt --tokenizer gpt2-tokenizer.json
  byteloom generate runs/smollm3 --prompt "Once upon a time"
  train-lm runs/smollm3/config.toml --training.start runs/smollm3 --data.train my.npy -o runs/tuned

weights are kept as float32, in which 16-bit ones are exact
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom import", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="FOLDER",
        help="with config.json and .safetensors, or nanoGPT's ckpt.pt",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN", help="folder to make"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FILE",
        help="a tokenizer instead of the folder's, which may be of a kind that byteloom does not "
        "have; none: the model alone",
    )
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Reads, writes, and says what it was."""
    with needs_training_extra("byteloom import"):
        from byteloom.export import hf, importing
        from byteloom.model import TransformerLM
        from byteloom.training.run_folder import CHAT, ROLES, RunFolder

    require_folder(args.output)
    if args.output.exists():
        raise ValueError(f"{args.output} is there already: give another -o")
    other = None
    if args.tokenizer not in (None, "none"):
        other = Tokenizer.load(args.tokenizer)
    try:
        found = importing.read(args.model, with_tokenizer=args.tokenizer is None)
    except ValueError as error:
        advice = " (--tokenizer none)" if "without its tokenizer" in str(error) else ""
        raise ValueError(f"{error}{advice}") from None
    model, tokenizer = found.model, found.tokenizer or other
    if tokenizer is None and not isinstance(model, TransformerLM):
        kind = model.config.kind
        raise ValueError(
            f"{args.model} is an {kind}, whose run needs a tokenizer with its special tokens: give "
            f"one with --tokenizer FILE; in Python, byteloom.export.importing.read reads the model "
            "alone"
        )
    if tokenizer is not None and tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens, the model only "
            f"{model.config.vocab_size:,} ids"
        )
    beside = {CHAT: found.chat_template} if found.chat_template else {}
    # Another tokenizer has other ids for other purposes.
    if found.roles is not None and other is None:
        beside[ROLES] = found.roles.to_json()
    RunFolder.imported(args.output, model, tokenizer, beside, importing.task_of(found))
    vocab, size = model.config.vocab_size, tokenizer and tokenizer.vocab_size
    figures = {
        "run": str(args.output),
        "architecture": found.architecture,
        "parameters": model.num_parameters(),
        "vocab_size": vocab,
        "tokenizer_size": size,
        "chat_template": bool(found.chat_template),
    }
    if args.json:
        print(json.dumps(figures))
        return
    print(
        f"run           {args.output}\n"
        f"architecture  {found.architecture}\n"
        f"parameters    {model.num_parameters():,}\n"
        f"tokenizer     {'none' if size is None else f'{size:,} tokens'}\n"
        f"chat template {'kept' if found.chat_template else 'none'}"
    )
    for remark in found.remarks:
        say(f"note: {remark}")
    if found.tokenizer is not None and (before := hf.prefix(args.model)):
        say(f"note: the model is used to {before} before a text: begin prompts with it")
    if size is not None and size != vocab:
        say(
            f"note: the model has {vocab:,} ids, the tokenizer {size:,}: those without a token "
            "were never trained"
        )


if __name__ == "__main__":
    sys.exit(main())
