"""The course's base run by `train-lm` after compilation, from the command to the next prompt.

327,680,000 tokens with 20 evaluations of all validation tokens, 5 checkpoints and a sample at the
end. A run of ten steps and an evaluation before it compiles, which the base run then finds in the
compiler's cache. Its time is that of all else: starting Python, importing torch and the compiler,
tracing the code, making the model, training, and ending the process.

Examples:
  python benches/python/base_run.py --train train.npy --valid valid.npy --tokenizer tokenizer.json
  python benches/python/base_run.py --batch 128      # of random tokens: as fast, and learns nothing
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

TOKENS = 327_680_000
CONTEXT = 256


def configuration(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The tables of the run."""
    steps = TOKENS // (args.batch * CONTEXT)
    data: dict[str, str] = {}
    model: dict[str, Any] = {}
    if args.train is None:
        draw = np.random.default_rng(0)
        for name, count in (("train", 25_000_000), ("valid", 500_000)):
            np.save(folder / f"{name}.npy", draw.integers(0, 10_000, count, dtype=np.uint16))
            data[name] = str(folder / f"{name}.npy")
        model["vocab_size"] = 10_000
    else:
        for name in ("train", "valid", "tokenizer"):
            data[name] = str(getattr(args, name).resolve())
    return {
        "data": data,
        "model": model
        | {"context_length": CONTEXT, "d_model": 512, "num_layers": 4, "num_heads": 16},
        "schedule": {"max_lr": args.lr, "min_lr": args.lr / 10, "warmup_steps": steps // 12},
        "training": {
            "steps": steps,
            "batch_size": args.batch,
            "dtype": "bf16",
            "compile": True,
            "eval_interval": max(1, steps // 20),
            "eval_batches": "all",
            "checkpoint_interval": max(1, steps // 5),
        },
        "logging": {"interval": max(1, steps // 100)},
    }


def run(toml: Path, output: Path, cache: Path, *options: str) -> float:
    """Does it; returns the seconds."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "byteloom.cli.train_lm", str(toml), "-o", str(output), *options],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache)},
    )
    return time.perf_counter() - begin


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, metavar="FILE", help="token file")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="token file")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="which made them")
    parser.add_argument("--batch", type=int, default=512, help="sequences in a step")
    parser.add_argument("--lr", type=float, default=2e-3, help="the highest learning rate")
    args = parser.parse_args()
    if len({args.train is None, args.valid is None, args.tokenizer is None}) == 2:
        parser.error("give --train, --valid and --tokenizer, or none of them")
    with tempfile.TemporaryDirectory(prefix="byteloom-bench-") as temporary:
        folder = Path(temporary)
        toml = folder / "config.toml"
        toml.write_text(tomli_w.dumps(configuration(args, folder)))
        compiling = ["--training.steps", "10", "--schedule.warmup_steps", "1"]
        for name, options in (("compiling, 10 steps", compiling), ("base run", [])):
            seconds = run(toml, folder / name, folder / "cache", *options)
            lines = (folder / name / "metrics.jsonl").read_text().splitlines()
            records = [json.loads(line) for line in lines]
            loss = next(x["valid_loss"] for x in reversed(records) if "valid_loss" in x)
            print(
                f"{name:20} {args.batch} x {CONTEXT}: {seconds:6.1f} s from start to finish, "
                f"{records[-1]['seconds']:6.1f} s of them in the loop; validation loss {loss:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
