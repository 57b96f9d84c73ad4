"""Can the model learn one batch by heart? If not, something is broken: look there first.

Takes the configuration of a run, and steps on the same batch until its loss is below --below.
Prints the losses, and exits with 1 if that is not reached.

Examples:
  python scripts/overfit.py config.toml
  python scripts/overfit.py config.toml --training.batch_size 4 --schedule.max_lr 1e-3 --steps 500
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from byteloom import config
from byteloom.cli.common import HelpFormatter, execute
from byteloom.nn.loss import IGNORED
from byteloom.optim.schedule import ConstantConfig
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.step import train_step


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        usage="%(prog)s CONFIG.toml [--KEY VALUE ...]",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="at most")
    parser.add_argument("--below", type=float, default=0.05, metavar="NATS", help="loss to reach")
    config.add_options(parser, RunConfig)
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error(f"--steps {args.steps}: must be at least 1")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Steps until the loss is low enough; returns the exit code."""
    tables = config.merge(config.read(args.config), config.overrides(vars(args)))
    run_config = resolve(tables, args.config)
    # All steps at the highest learning rate: how the schedule ends is not the question.
    schedule = ConstantConfig(max_lr=run_config.schedule.max_lr, warmup_steps=10)
    state = build(replace(run_config, schedule=schedule))
    batch = tuple(part.to(state.device) for part in state.batches.batch_at(0))
    learned = int((batch[-1] != IGNORED).sum())
    with tqdm(range(args.steps), disable=not sys.stderr.isatty(), unit="step") as steps:
        for step in steps:
            loss = train_step(state, [batch]).loss.item()
            steps.set_postfix(loss=f"{loss:.4f}")
            if step % 20 == 0 or loss < args.below:
                print(f"step {step:5}  loss {loss:.4f}")
            if loss < args.below:
                print(f"learned by heart: {learned:,} tokens in {step + 1} steps")
                return 0
    print(f"not learned by heart after {args.steps} steps: the loss is {loss:.4f}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
