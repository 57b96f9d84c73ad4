"""Trains one configuration with many learning rates or batch sizes, and draws what comes out.

Learning rates rise by a factor until a run diverges: until it stops by itself, or ends worse than
the best by more than --give-up nats. With batch sizes all runs learn from as many tokens. Every run
is a folder below OUT, made by train-lm; those already there and finished are not done again.

Examples:
  python scripts/sweep.py config.toml -o sweeps/lr --learning-rates
  python scripts/sweep.py config.toml -o sweeps/lr --learning-rates --from 1e-4 --factor 3
  python scripts/sweep.py config.toml -o sweeps/batch --batch-sizes 8 16 32 64 128
  python scripts/sweep.py config.toml -o sweeps/batch --batch-sizes 8 32 128 --rate-grows sqrt
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from byteloom import config
from byteloom.cli.common import HelpFormatter, execute, say
from byteloom.markdown import table
from byteloom.plotting import COLOURS, MARKERS, check_plot_path, logarithmic_ticks, plot
from byteloom.training.config import RunConfig, resolve

sys.path.insert(0, str(Path(__file__).parent))
from trial import Trial, train

#: How the learning rate follows the batch size, as a power.
GROWTH = {"not": 0.0, "sqrt": 0.5, "linear": 1.0}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        usage="%(prog)s CONFIG.toml -o OUT --learning-rates|--batch-sizes N ... [--KEY VALUE ...]",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--learning-rates", action="store_true", help="the highest of the schedule")
    which.add_argument("--batch-sizes", type=int, nargs="+", metavar="N", help="windows a step")
    parser.add_argument("--from", dest="first", type=float, default=1e-4, metavar="X", help="rate")
    parser.add_argument("--factor", type=float, default=2.0, metavar="X", help="to the next rate")
    parser.add_argument("--most", type=int, default=16, metavar="N", help="rates at most")
    parser.add_argument("--give-up", type=float, default=0.5, metavar="NATS", help="see above")
    parser.add_argument(
        "--rate-grows", choices=GROWTH, default="not", help="with the batch, from the first on"
    )
    config.add_options(parser, RunConfig)
    args = parser.parse_args(argv)
    if args.first <= 0 or args.factor <= 1:
        parser.error("--from must be above 0 and --factor above 1")
    if any(size < 1 for size in args.batch_sizes or []):
        parser.error("--batch-sizes must be at least 1")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains, prints a table, and draws."""
    args.output.mkdir(parents=True, exist_ok=True)
    check_plot_path(args.output / "values.png")
    given = vars(args)
    over = {key: value for key, value in given.items() if isinstance(value, config.Argument)}
    base = resolve(config.merge(config.read(args.config), config.overrides(given)), args.config)
    is_rates = args.learning_rates
    trials: dict[float, Trial] = {}
    for value, settings in rates(args, base) if is_rates else batch_sizes(args, base):
        trials[value] = train_with(args, value, {**over, **settings})
        losses = [one.loss for one in trials.values()]
        say(f"{value:g}: {losses[-1]:.4f}")
        best = min(filter(math.isfinite, losses), default=math.inf)
        if is_rates and not losses[-1] <= best + args.give_up:
            break
    name = "learning rate" if is_rates else "batch size"
    print(show(trials, name))
    draw(args.output, trials, name)


def rates(args: argparse.Namespace, base: RunConfig) -> Iterator[tuple[float, dict[str, Any]]]:
    """Learning rates, each with the settings that make it; the lowest is as far below as before."""
    for i in range(args.most):
        value = args.first * args.factor**i
        yield value, rate_settings(base, value)


def rate_settings(base: RunConfig, value: float) -> dict[str, Any]:
    """What makes the schedule reach a learning rate."""
    settings = {"schedule.max_lr": value}
    if hasattr(base.schedule, "min_lr"):
        settings["schedule.min_lr"] = value * base.schedule.min_lr / base.schedule.max_lr
    return settings


def batch_sizes(args: argparse.Namespace, base: RunConfig) -> Iterator[tuple[int, dict[str, Any]]]:
    """Batch sizes, each with the settings that make it."""
    training, warmup = base.training, getattr(base.schedule, "warmup_steps", None)
    for size in args.batch_sizes:
        fewer = training.batch_size / size
        settings: dict[str, Any] = {
            "training.batch_size": size,
            "training.steps": max(1, round(training.steps * fewer)),
            "training.eval_interval": max(1, round(training.eval_interval * fewer)),
            "logging.interval": max(1, round(base.logging.interval * fewer)),
        }
        if warmup is not None:
            settings["schedule.warmup_steps"] = round(warmup * fewer)
        growth = (size / args.batch_sizes[0]) ** GROWTH[args.rate_grows]
        yield size, settings | rate_settings(base, base.schedule.max_lr * growth)


def train_with(args: argparse.Namespace, value: float, settings: dict[str, Any]) -> Trial:
    """Trains with the settings, or goes on, or does nothing if that was done."""
    words = [word for key, x in settings.items() for word in (f"--{key}", str(x))]
    return train(args.output / f"{value:g}", [str(args.config), *words])


def show(trials: Mapping[float, Trial], name: str) -> str:
    """A table."""
    best = min(trials.values(), key=lambda one: math.inf if math.isnan(one.loss) else one.loss)
    rows = []
    for value, one in trials.items():
        note = "best" if one is best else "" if math.isfinite(one.loss) else "stopped"
        speeds = one.history.values("tokens_per_second")
        speed = f"{speeds[len(speeds) // 2 :].mean():,.0f}" if len(speeds) else ""
        rows.append([f"{value:g}", f"{one.loss:.4f}", f"{one.history.steps:,}", speed, note])
    return table([name, "loss", "steps", "tokens/s", ""], rows)


def draw(output: Path, trials: Mapping[float, Trial], name: str) -> None:
    """The losses by value, and each run's curve."""
    finite = {value: one.loss for value, one in trials.items() if math.isfinite(one.loss)}
    if finite:
        with plot(output / "values.png") as axes:
            values = list(finite)
            axes.plot(values, list(finite.values()), color=COLOURS[0], marker=MARKERS[0])
            for value in trials:
                if value not in finite:
                    axes.axvline(value, color=COLOURS[5], linestyle=":")
            axes.set_xscale("log")
            logarithmic_ticks(axes.xaxis, min(values), max(values))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlabel(f"{name} (dotted: stopped before its end)")
            axes.set_ylabel("loss in the end")
    with plot(output / "curves.png") as axes:
        for i, (value, one) in enumerate(trials.items()):
            key = "valid_loss" if len(one.history.values("valid_loss")) else "loss"
            x, y = one.history.series(key, "tokens")
            axes.plot(x, y, color=COLOURS[i % len(COLOURS)], label=f"{value:g}",
                      linestyle=("-", "--", ":")[i // len(COLOURS) % 3])  # fmt: skip
        lowest = min(finite.values(), default=0.0)
        axes.set_ylim(lowest - 0.2, lowest + 4)
        axes.set_xlabel("tokens")
        axes.set_ylabel("validation loss" if key == "valid_loss" else "loss")
        axes.legend(title=name)


if __name__ == "__main__":
    sys.exit(main())
