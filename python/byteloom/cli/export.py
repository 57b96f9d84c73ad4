"""``byteloom export``: a run folder -> a file that another tool opens."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from byteloom.cli.common import HelpFormatter, execute, say
from byteloom.cli.extra import needs_training_extra

if TYPE_CHECKING:
    from byteloom.export import Which

DESCRIPTION = """\
Write a trained model as another tool's file. What the format cannot express is refused, with the
keys of the configuration that stand in the way; docs/exports.md says what each can, and how the
results were compared.

formats:
  hf           a folder for transformers: AutoModelForCausalLM.from_pretrained(FOLDER); an encoder
               as a BERT, an encoder with a decoder as a T5
  gguf         a file for llama.cpp, the tokenizer in it: llama-completion -m FILE -p "Once"
  onnx         a folder with model.onnx (ids -> logits) and model_with_past.onnx (also keys and
               values of the tokens before -> those of all)
  nanogpt      ckpt.pt for nanoGPT's sample.py and train.py
  safetensors  the weights alone, with the model's configuration in the header

examples:
  byteloom export runs/tiny --to gguf -o tiny.gguf
  byteloom export runs/tiny --to gguf -o tiny-bf16.gguf --dtype bf16 --checkpoint best
  byteloom export runs/tiny --to onnx -o tiny-onnx
  byteloom export runs/tiny --to hf -o tiny-hf
  byteloom export runs/chat --to hf -o chat-hf --chat-template chat.jinja
"""
FORMATS = ("hf", "gguf", "onnx", "nanogpt", "safetensors")


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom export", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder that train-lm made, or a checkpoint in it"
    )
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PATH", help="the file or folder to be"
    )
    parser.add_argument(
        "--checkpoint",
        type=which,
        default="newest",
        metavar="STEP",
        help="which: a step, newest, best (of validation loss), or averaged: newest, refused if "
        "the run averages no weights; if it does, they are taken in any case",
    )
    parser.add_argument(
        "--dtype",
        choices=("fp32", "fp16", "bf16"),
        default="fp32",
        help="type of the weights in the file, for gguf and safetensors",
    )
    parser.add_argument(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="Jinja that makes one text of a conversation, for hf and gguf; it is tried out first. "
        "Without it, the run's own goes along: an imported model has kept its own",
    )
    return parser


def which(text: str) -> Which:
    """A checkpoint as the option names it."""
    names: dict[str, Which] = {"best": "best", "newest": "newest", "averaged": "averaged"}
    return names[text] if text in names else int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = build_parser().parse_args(argv)
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Writes the file, and says where it is."""
    with needs_training_extra("byteloom export"):
        from byteloom.export import chat, open_any_run, write

    template = None if args.chat_template is None else chat.read(args.chat_template)
    source = open_any_run(args.run, args.checkpoint)
    remarks = write(source, args.to, args.output, args.dtype, template)
    for remark in remarks:
        say(f"note: {remark}")
    size = source.model.num_parameters()
    print(f"{args.output}: {size:,} parameters after {source.iteration:,} steps")


if __name__ == "__main__":
    sys.exit(main())
