"""Trains a model and its ablations from the same tokens: tables of losses, and their curves.

What is changed, one thing at a time (docs/ablations.md): norms, their place, positions, the gate,
the width of feed-forward networks, the number of heads, depth. The baseline is CONFIG with the keys
given here. Each training is a folder of OUT/runs, named after all that decides what it computes;
started again, the script goes on where it was. OUT/ablations.md and a plot for each ablation are
made of what is finished; where matplotlib is missing there are no plots, and --plot-only makes
them elsewhere.

Examples:
  python scripts/ablations.py --train train.txt --valid valid.txt --tokenizer tokenizer.json -o OUT
  python scripts/ablations.py --train train.npy --valid valid.npy -o OUT --steps 5000 --jobs 4
  python scripts/ablations.py --train train.npy --valid valid.npy -o OUT --schedule.max_lr 1e-3
  python scripts/ablations.py --plot-only -o OUT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import byteloom as bl
from byteloom import config
from byteloom.atomic import atomic_write
from byteloom.cli.common import HelpFormatter, execute, say
from byteloom.data.shards import is_folder_of_shards
from byteloom.data.token_file import TokenFile
from byteloom.training.config import RunConfig, resolve
from byteloom.training.estimate.parameters import count_parameters

sys.path.insert(0, str(Path(__file__).parent))
from ablation_report import report
from ablation_settings import ABLATIONS, Variant
from trial import train

CONFIG = Path(__file__).with_name("tinystories.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        usage="%(prog)s --train FILE --valid FILE -o OUT [options] [--KEY VALUE ...]",
        allow_abbrev=False,
    )
    parser.add_argument("--train", type=Path, metavar="FILE", help="token file, or text")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="likewise")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="CONFIG.toml")
    parser.add_argument("--only", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="warm-up and intervals follow; default: CONFIG's"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda or mps; default: CONFIG's")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    parser.add_argument("--plot-only", action="store_true", help="tables and plots of what is done")
    config.add_options(parser, RunConfig)
    args = parser.parse_args(argv)
    if args.plot_only:
        return execute(lambda: print(report(args.output)))
    if args.train is None or args.valid is None:
        parser.error("give --train and --valid")
    for name in ("steps", "jobs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains what is not done yet, and reports."""
    (args.output / "runs").mkdir(parents=True, exist_ok=True)
    tables = baseline(args)
    base = resolve(tables, args.config)
    data = fingerprint(base)
    variants = {name: ABLATIONS[name].variants(base) for name in args.only}
    trainings: dict[str, RunConfig] = {}
    plan: dict[str, Any] = {}
    for name in args.only:
        rows = []
        for one in [Variant("baseline", {}), *variants[name]]:
            settings = resolve(config.merge(tables, one.changes), args.config)
            runs = {}
            for seed in args.seeds:
                seeded = replace(settings, training=replace(settings.training, seed=seed))
                runs[seed] = name_of(seeded, one.label, data)
                trainings[runs[seed]] = seeded
            counts = count_parameters(settings.model)
            rows.append(
                {
                    "label": one.label,
                    "parameters": counts.total,
                    "in_blocks": counts.without_embeddings,
                    "runs": list(runs.values()),
                }
            )
        plan[name] = {"question": ABLATIONS[name].question, "variants": rows}
    about = {"model": config.dump(base.model), "training": config.dump(base.training)}
    with atomic_write(args.output / "plan.json") as file:
        file.write(json.dumps({"ablations": plan, "baseline": about}, indent=1).encode())
    failed = train_all(args.output / "runs", trainings, args.jobs)
    print(report(args.output))
    if failed:
        raise ValueError("\n".join([f"{len(failed)} trainings failed:", *failed]))


def baseline(args: argparse.Namespace) -> dict[str, Any]:
    """The tables that all variants are laid upon."""
    tokenizer = None if args.tokenizer is None else bl.Tokenizer.load(args.tokenizer)
    data = {
        name: str(token_file(getattr(args, name), tokenizer, args.output))
        for name in ("train", "valid")
    }
    if args.tokenizer is not None:
        data["tokenizer"] = str(args.tokenizer)
    # Many short trainings: compiling each would take longer than it saves.
    tables = config.merge(config.read(args.config), {"data": data, "training": {"compile": False}})
    tables = config.merge(tables, config.overrides(vars(args)))
    if args.device is not None:
        tables = config.merge(tables, {"training": {"device": args.device}})
    if args.steps is not None:
        before = resolve(tables, args.config)
        steps, warmup = args.steps, getattr(before.schedule, "warmup_steps", None)
        training = {"steps": steps, "eval_interval": max(1, steps // 20)}
        schedule = {}
        if warmup is not None:
            schedule["warmup_steps"] = round(warmup * steps / before.training.steps)
        logging = {"interval": max(1, steps // 200)}
        tables = config.merge(
            tables, {"training": training, "schedule": schedule, "logging": logging}
        )
    return tables


def token_file(path: Path, tokenizer: bl.Tokenizer | None, output: Path) -> Path:
    """The file itself if it has tokens; else those of the text, encoded once.

    Raises:
        ValueError: a text without a tokenizer.
        FileNotFoundError: it is not there.
    """
    if path.suffix in (".npy", ".bin") or is_folder_of_shards(path):
        return path
    if tokenizer is None:
        raise ValueError(f"{path} is a text: give --tokenizer to encode it")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    state = path.stat()
    key = digest(str(path.absolute()), state.st_size, state.st_mtime_ns, tokenizer.fingerprint)
    encoded = output / "data" / f"{path.stem}-{key}.npy"
    if not encoded.exists():
        encoded.parent.mkdir(exist_ok=True)
        tokenizer.encode_files(str(path), encoded)
    return encoded


def digest(*what: object) -> str:
    """A short name for what is given."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:8]


def fingerprint(run: RunConfig) -> str:
    """Of the tokens, wherever they lie: how many, and the first and last of them."""
    found: list[object] = []
    for path in (*run.data.sources, run.data.valid):
        if path is not None:
            ids = TokenFile(path).ids
            ends = np.concatenate([ids[: 1 << 16], ids[-(1 << 16) :]]).astype("<u4")
            found += [len(ids), hashlib.sha256(ends.tobytes()).hexdigest()]
    return digest(*found)


def name_of(run: RunConfig, label: str, data: str) -> str:
    """The folder of a training: after what decides what it computes, not where."""
    tables = config.dump(run)
    for name in ("device", "num_threads"):
        tables["training"].pop(name, None)
    tables["data"] = {
        key: value for key, value in tables["data"].items()
        if key not in ("train", "valid", "tokenizer")
    }  # fmt: skip
    del tables["logging"]
    words = "".join(c if c.isalnum() or c == "." else "-" for c in label)
    while "--" in words:
        words = words.replace("--", "-")
    return f"{words}-seed{run.training.seed}-{digest(tables, data)}"


@dataclass
class Processes:
    """Those that run, so that they can be ended."""

    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    is_over: bool = False
    """No more are to begin."""

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Takes note of one."""
        self.running.append(process)
        if self.is_over:
            process.terminate()

    def end(self) -> None:
        """Ends all; each leaves a checkpoint."""
        self.is_over = True
        for process in self.running:
            if process.poll() is None:
                process.terminate()


def train_all(folder: Path, trainings: dict[str, RunConfig], jobs: int) -> list[str]:
    """Trains what is not done yet, so many at a time; returns what went wrong.

    Raises:
        KeyboardInterrupt: it was interrupted, and the trainings have ended.
    """
    left = [name for name in trainings if not (folder / name / "ended.json").exists()]
    say(f"{len(trainings)} trainings, {len(trainings) - len(left)} of them done")
    processes, failed = Processes(), []
    # An exception raised while a pool waits can leave its locks broken: nothing is raised until
    # all have ended, unless someone insists.
    with on_signals(lambda *_: processes.end()), ThreadPoolExecutor(jobs) as pool:
        started = {
            pool.submit(train_one, folder / name, trainings[name], processes): name for name in left
        }
        for done in as_completed(started):
            try:
                outcome = done.result()
            except ValueError as error:  # the others are still worth having
                outcome = "failed"
                failed.append(str(error))
            if not processes.is_over:
                say(f"{started[done]}: {outcome}")
    if processes.is_over:
        raise KeyboardInterrupt
    return failed


@contextmanager
def on_signals(handle: Callable[[int, object], None]) -> Iterator[None]:
    """SIGINT and SIGTERM are handled so; a second one has its usual effect."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def once(number: int, frame: object) -> None:
        restore()
        handle(number, frame)

    def restore() -> None:
        for one, handler in former.items():
            signal.signal(one, handler)

    former = {one: signal.signal(one, once) for one in signals}
    try:
        yield
    finally:
        restore()


def train_one(folder: Path, run: RunConfig, processes: Processes) -> str:
    """One training to its end; says how it ended."""
    if processes.is_over:
        raise ValueError(f"{folder} did not begin")
    toml = folder.with_suffix(folder.suffix + ".toml")
    toml.write_text(config.to_toml(run))
    trial = train(folder, [str(toml)], Path(f"{folder}.log"), processes.add)
    is_short = trial.history.steps < run.training.steps and run.training.eval_patience is None
    if processes.is_over or (is_short and not trial.is_stopped):
        raise ValueError(f"{folder} was ended early: start again, and it goes on")
    with atomic_write(folder / "ended.json") as file:
        file.write(json.dumps({"is_stopped": trial.is_stopped}).encode())
    # Many trainings would fill the disk with what nobody goes on from.
    shutil.rmtree(folder / "checkpoints")
    for path in leftovers(folder):
        path.unlink()
    return "stopped by the guard" if trial.is_stopped else f"{trial.loss:.4f}"


def leftovers(folder: Path) -> Iterator[Path]:
    """Files of a finished training that its results do not need."""
    yield from folder.glob("batches-*.safetensors")
    yield from folder.parent.glob(f"{folder.name}.toml")


if __name__ == "__main__":
    sys.exit(main())
