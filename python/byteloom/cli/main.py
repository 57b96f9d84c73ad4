"""``byteloom COMMAND ...``: finds the command and hands it the rest of the line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from byteloom.cli.common import DONE, WRONG_USAGE, say
from byteloom.cli.process import run_as_process

#: Command -> (module below ``byteloom.cli``, what it does). Modules load only when asked for,
#: so that the tokenizer's commands work, and start fast, without torch.
COMMANDS = {
    "data": ("data", "get text to start from: the standard library's source, TinyStories, ..."),
    "train-bpe": ("train_bpe", "train a tokenizer on text"),
    "count": ("count", "text -> pretoken counts, to train from later"),
    "add-counts": ("add_counts", "counts of shards or machines -> their sums"),
    "encode": ("encode", "text -> token file"),
    "decode": ("decode", "token file -> text"),
    "estimate": ("estimate", "what a run would cost: parameters, memory, time; whether it fits"),
    "train-lm": ("train_lm", "train a language model on token files"),
    "generate": ("generate", "let a trained model write"),
    "import": ("import_model", "a model from elsewhere -> a run folder: Hugging Face's formats"),
    "export": ("export", "runs -> files of other tools: Hugging Face, llama.cpp, ONNX, nanoGPT"),
    "report": ("report", "runs -> a page with figures, plots and samples"),
    "inspect": (
        "inspect",
        "look into a tokenizer, or into a model: a preset, a configuration, a run",
    ),
    "eval": ("eval", "loss, perplexity and bits per byte of a model on text or tokens"),
}


def usage() -> str:
    """The text of ``byteloom --help``."""
    rows = "\n".join(f"  {name:<11} {what}" for name, (_, what) in COMMANDS.items())
    return (
        "usage: byteloom COMMAND [ARGUMENT ...]\n\n"
        "From text to a language model's words. The commands, in the order one uses them:\n\n"
        f"{rows}\n\n"
        "`byteloom COMMAND --help` explains a command with examples; `byteloom --version`."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``byteloom``; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        say(usage())
        return WRONG_USAGE
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        print(usage())
        return DONE
    if name in ("-V", "--version"):
        from byteloom import __version__

        print(f"byteloom {__version__}")
        return DONE
    if name not in COMMANDS:
        say(f"error: no command {name!r}\n\n{usage()}")
        return WRONG_USAGE
    module = importlib.import_module(f"byteloom.cli.{COMMANDS[name][0]}")
    code: int = module.main(rest)
    return code


def command() -> NoReturn:
    """The command of the shell."""
    if sys.argv[1:2] == ["train-lm"]:
        run_as_process(main)
    sys.exit(main())


if __name__ == "__main__":
    command()
