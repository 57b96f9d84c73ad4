"""``byteloom estimate``: what a run costs and whether it fits, before it starts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from byteloom.cli.common import FAILED, WRONG_USAGE, add_json, execute, say
from byteloom.cli.estimate_text import print_estimate
from byteloom.cli.extra import needs_training_extra
from byteloom.cli.memory import byte_size

if TYPE_CHECKING:
    from byteloom.training.config import RunConfig

DESCRIPTION = """\
Tell what a run would cost: parameters, operations, memory by phase, time; and whether it fits. If
not, settings with which it would. Data files need not exist if model.vocab_size is given. Any key
of the configuration can be given on the command line.

examples:
  byteloom estimate configs/tiny.toml
  byteloom estimate configs/course.toml --model.vocab_size 10000 --device-name H100
  byteloom estimate configs/course.toml --model.num_layers 24 --training.recompute block --depth 3
  byteloom estimate runs/tiny --json | jq .memory.peak.bytes

memory is that of the tensors, found by doing one step on tensors that hold nothing; with
training.compile, of the graphs that the compiler makes of it. time is that of a few steps with
random tokens on this machine, if no other device is named
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's own arguments, without the configuration's keys."""
    parser = argparse.ArgumentParser(
        "byteloom estimate",
        usage="byteloom estimate CONFIG.toml|RUN [--KEY VALUE ...]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # the keys tell their defaults
        allow_abbrev=False,
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.toml|RUN", help="the run to do, or one already there"
    )
    parser.add_argument(
        "--depth", type=int, default=2, metavar="N", help="levels of the parameter tree (2)"
    )
    parser.add_argument(
        "--device-name", metavar="NAME", help="a GPU that is elsewhere, such as H100"
    )
    parser.add_argument(
        "--mfu",
        type=float,
        default=0.4,
        metavar="X",
        help="part of that GPU's peak that training reaches (0.4)",
    )
    parser.add_argument(
        "--memory", type=byte_size, metavar="SIZE", help="memory that is there, such as 80G"
    )
    parser.add_argument(
        "--cache-batch", type=int, default=1, metavar="N", help="texts generated at once (1)"
    )
    parser.add_argument(
        "--cache-length", type=int, metavar="N", help="their tokens; default: the whole context"
    )
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        with needs_training_extra("byteloom estimate"):
            from byteloom import config
            from byteloom.training.config import RunConfig
    except ImportError as error:
        say(f"error: {error}")
        return FAILED
    config.add_options(parser, RunConfig)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        option = next((word for word in unknown if word.startswith("-")), unknown[0])
        say(f"error: {config.explain_unknown(option, RunConfig)}")
        say("`byteloom estimate --help` lists all keys")
        return WRONG_USAGE
    if args.depth < 1:
        parser.error(f"--depth is {args.depth}; it must be 1 or more")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Estimates, and prints what came out."""
    import torch

    from byteloom.training.build import pick_device
    from byteloom.training.estimate import estimate, machine_here, machine_named

    run_config = load(args)
    training = run_config.training
    if args.device_name:
        machine = machine_named(args.device_name, args.memory)
    else:
        if training.num_threads is not None:
            torch.set_num_threads(training.num_threads)
        machine = machine_here(pick_device(training.device), args.memory)
    if machine.is_here:
        say("timing a few steps ...")
    found = estimate(
        run_config,
        machine,
        mfu=args.mfu,
        cache_batch=args.cache_batch,
        cache_length=args.cache_length,
    )
    if args.json:
        print(json.dumps(found.as_json()))
    else:
        print_estimate(found, run_config, args.depth)


def load(args: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments name."""
    from byteloom import config
    from byteloom.training.config import RunConfig, resolve_model

    path = args.config / "config.toml" if args.config.is_dir() else args.config
    if args.config.is_dir() and not path.exists():
        raise FileNotFoundError(f"{args.config} is no run: it lacks config.toml")
    tables = config.merge(config.read(path), config.overrides(vars(args)))
    if args.config.is_dir():  # a run that began is not asked any more
        return config.load(RunConfig, tables, path)
    return resolve_model(tables, path)


if __name__ == "__main__":
    sys.exit(main())
