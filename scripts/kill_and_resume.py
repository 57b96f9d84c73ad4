"""Does a run that is killed again and again end as one that nobody touched?

A small run, with dropout, accumulation and a checkpoint every few steps, goes from start to end.
Then the same run is killed by SIGKILL at random moments and resumed, until it has been killed often
enough; then it may finish. Every part of what both leave must be the same to the last bit: weights,
optimizer, random generators, metrics but for the clock's figures, the best weights, the sample.

Examples:
  python scripts/kill_and_resume.py --kills 100
  python scripts/kill_and_resume.py --kills 10 --device cuda --set training.dtype=bf16
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from tqdm import tqdm

import byteloom as bl
from byteloom import checkpoint, config

#: Figures that depend on the clock or the machine's memory.
CLOCK = {"seconds", "tokens_per_second", "data_wait", "memory_bytes", "mfu"}

TRAIN = [sys.executable, "-m", "byteloom.cli.train_lm"]


def tables(folder: Path, device: str, steps: int) -> dict[str, Any]:
    """The run's configuration."""
    return {
        "data": {name: str(folder / f"{name}.npy") for name in ("train", "valid")}
        | {"tokenizer": str(folder / "tokenizer.json")},
        "model": {
            "d_model": 64,
            "num_layers": 2,
            "num_heads": 4,
            "context_length": 32,
            "dropout": 0.1,
        },
        "training": {
            "steps": steps,
            "batch_size": 8,
            "accumulation": 2,
            "eval_interval": 15,
            "eval_batches": 20,
            "checkpoint_interval": 5,
            "device": device,
            "deterministic": True,
            "num_threads": 1,
        },
        "logging": {"interval": 3, "sample_tokens": 20},
    }


def make_data(folder: Path) -> None:
    """Bytes as tokens: a text of small sums."""
    tokenizer = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|endoftext|>"])
    tokenizer.save(folder / "tokenizer.json")
    text = "".join(f"{i} + {i % 97} = {i + i % 97}\n<|endoftext|>" for i in range(6000))
    ids = np.array(tokenizer.encode(text), dtype=np.uint16)
    np.save(folder / "train.npy", ids[:-8000])
    np.save(folder / "valid.npy", ids[-8000:])


def finish(command: list[str]) -> None:
    """Runs to the end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def kill(command: list[str], after: float) -> bool:
    """Runs, and kills after some seconds; whether it was still running then."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _, message = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    if process.returncode != 0:
        raise RuntimeError(f"it ended with {process.returncode}:\n{message.decode()}")
    return False


def digests(run: Path) -> dict[str, str]:
    """Part of what a run leaves -> its digest."""
    found: dict[str, str] = {}
    for path in sorted((run / "checkpoints").glob("*.safetensors")):
        state = checkpoint.read(path)
        parts = {"model": state.model, "optimizer": state.optimizer, "state": state.state}
        for name, part in parts.items():
            found[f"{path.name}, {name}"] = digest(part)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]
    found["metrics.jsonl"] = digest(records)
    found["sample.txt"] = digest((run / "sample.txt").read_bytes())
    return found


def digest(value: Any) -> str:
    """Of nested values; of tensors, their bits."""
    hasher = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            hasher.update(f"{value.dtype} {tuple(value.shape)}".encode())
            hasher.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                if key not in CLOCK and key != "metrics_bytes":
                    hasher.update(repr(key).encode())
                    add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            hasher.update(repr(value).encode())

    add(value)
    return hasher.hexdigest()[:16]


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="how often")
    parser.add_argument("--steps", type=int, default=120, metavar="N", help="of the run")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the configuration"
    )
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="byteloom-kill-") as name:
        folder = Path(name)
        make_data(folder)
        toml = folder / "config.toml"
        toml.write_text(tomli_w.dumps(tables(folder, args.device, args.steps)))
        begin = [*TRAIN, str(toml), "-o"]
        options = [
            word for pair in args.set for word in ("--" + pair.split("=")[0], pair.split("=", 1)[1])
        ]

        start = time.monotonic()
        finish([*begin, str(folder / "straight"), *options])
        whole = time.monotonic() - start

        killed, runs, saved = 0, 0, set[int]()
        run = folder / "killed"
        with tqdm(total=args.kills, unit="kill", disable=not sys.stderr.isatty()) as progress:
            while killed < args.kills:
                if (run / "sample.txt").exists() or (
                    run.exists() and not (run / "config.toml").exists()
                ):
                    shutil.rmtree(run)  # it came to its end, or was killed before it began: anew
                    runs += 1
                there = (run / "config.toml").exists()
                command = [*TRAIN, "--resume", str(run)] if there else [*begin, str(run), *options]
                was_killed = kill(command, chance.uniform(0, whole))
                killed += was_killed
                progress.update(was_killed)
                saved |= {int(p.stem[5:]) for p in (run / "checkpoints").glob("step-*.safetensors")}
        there = (run / "config.toml").exists()
        finish([*TRAIN, "--resume", str(run)] if there else [*begin, str(run), *options])

        expected, found = digests(folder / "straight"), digests(run)
        wrong = [part for part in expected if found.get(part) != expected[part]]
        print(
            f"killed {killed} times in {runs + 1} runs of {args.steps} steps on {args.device}; "
            f"resumed from {len(saved)} different steps; "
            f"{len(expected)} parts compared, {len(wrong)} differ"
        )
        for part in wrong:
            print(f"  {part}: {found.get(part, 'missing')}, not {expected[part]}")
        settings = config.read(folder / "straight" / "config.toml")["training"]
        print(json.dumps({key: settings[key] for key in ("dtype", "compile", "deterministic")}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
