"""What every command does alike: exit codes, messages, and ending cleanly."""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the examples in a command's description as they were written; shows defaults."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        # "(default: None)" would say nothing.
        if action.default is False or action.default in (None, "", []):
            return action.help
        return super()._get_help_string(action)


#: What inputs can be: the end of a command's description.
INPUTS = """\
inputs:
  a file, a folder (all files below it that are not hidden), a quoted glob, or - for standard
  input; .gz and .zst are unpacked; in .jsonl (.jsonl.gz, .jsonl.zst) and .parquet every record is
  a text of its own, under the key or in the column that --column names; anything else, and
  standard input, is one plain text; --format says it where names do not
"""


def add_inputs(parser: argparse.ArgumentParser, nargs: str) -> None:
    """The arguments that say what to read."""
    parser.add_argument("inputs", nargs=nargs, metavar="INPUT", help="what to read: see above")
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how to read it."""
    parser.add_argument(
        "--column", default="text", metavar="NAME", help="where .jsonl and .parquet hold the text"
    )
    parser.add_argument(
        "--format",
        metavar="F",
        help="what all inputs are, whatever their names: text, jsonl or parquet; text.gz, "
        "jsonl.zst and so on for standard input that is compressed",
    )


def add_pattern(parser: argparse.ArgumentParser) -> None:
    """The argument that says how text is split."""
    parser.add_argument(
        "--pattern",
        default="gpt2",
        help="how text is split: a preset's name or a regular expression",
    )


def add_num_threads(parser: argparse.ArgumentParser) -> None:
    """The argument for worker threads."""
    parser.add_argument("--num-threads", type=int, metavar="N", help="default: every processor")


def add_json(parser: argparse.ArgumentParser) -> None:
    """The argument that turns a command's results into JSON."""
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def require_folder(output: Path) -> None:
    """Refuses a result that could not be written, before the work for it is done.

    Raises:
        FileNotFoundError: the folder for it is missing.
    """
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder {output.parent} to write {output.name} into")


def peak_megabytes() -> float:
    """The most memory this process ever held (peak resident set), in 10**6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes everywhere but on macOS.
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def say(message: str) -> None:
    """Prints a message for people: to stderr, so that stdout holds results only."""
    print(message, file=sys.stderr, flush=True)


def step_or_best(text: str) -> int | Literal["best"]:
    """A checkpoint as options name it."""
    return "best" if text == "best" else int(text)


def execute(body: Callable[[], int | None]) -> int:
    """Runs a command's body and turns what it raises into a message and an exit code.

    ``ValueError``, ``OSError``, ``ImportError`` and ``MemoryError`` are the user's business and
    end in one line; anything else is a mistake of ours and keeps its traceback.
    """
    try:
        return body() or DONE
    except KeyboardInterrupt:
        say("interrupted; what was finished is kept")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not a failure, and nothing to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (ValueError, OSError, ImportError, MemoryError) as error:
        say(f"error: {error}")
        return FAILED
