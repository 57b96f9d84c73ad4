"""A run so small that it takes a second: data, configuration, and what comparisons need."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

import byteloom as bl
from byteloom import config
from byteloom.nn import loss
from byteloom.training.config import RunConfig, resolve

END = "<|endoftext|>"
#: Figures of metrics.jsonl that depend on the clock.
TIMING = {"seconds", "tokens_per_second", "data_wait", "memory_bytes"}


def make_data(folder: Path, special: Sequence[str] = ()) -> bl.Tokenizer:
    """Writes tokenizer.json (bytes and special tokens, END first), train.npy and valid.npy."""
    tokenizer = bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], [END, *special])
    tokenizer.save(folder / "tokenizer.json")
    text = "".join(f"def f{i}(x):\n    return x + {i * i}\n{END}" for i in range(400))
    ids = np.array(tokenizer.encode(text), dtype=np.uint16)
    np.save(folder / "train.npy", ids[:-1500])
    np.save(folder / "valid.npy", ids[-1500:])
    return tokenizer


def tables(folder: Path, **over: dict[str, Any]) -> dict[str, Any]:
    """The configuration as TOML would give it."""
    base: dict[str, Any] = {
        "data": {name: str(folder / f"{name}.npy") for name in ("train", "valid")}
        | {"tokenizer": str(folder / "tokenizer.json")},
        "model": {"d_model": 32, "num_layers": 1, "num_heads": 2, "context_length": 16},
        "training": {
            "steps": 12,
            "batch_size": 4,
            "eval_interval": 4,
            "eval_batches": 2,
            "checkpoint_interval": 5,
            "device": "cpu",
            "num_threads": 1,
        },
        "logging": {"interval": 2, "sample_tokens": 5},
    }
    return config.merge(base, over)


def make_config(folder: Path, **over: dict[str, Any]) -> RunConfig:
    """The configuration, resolved."""
    return resolve(tables(folder, **over))


def write_toml(folder: Path, name: str = "config.toml", **over: dict[str, Any]) -> Path:
    """The configuration, as a file."""
    path = folder / name
    path.write_text(tomli_w.dumps(tables(folder, **over)))
    return path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, without what depends on the clock."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMING} for line in lines]


def compile_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torch.compile look at the code, and run it as it is."""
    compile_with = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: compile_with(f, backend="eager"))
    monkeypatch.setattr(loss, "_compile", torch.compile)


class StopAt:
    """A sink that sends a signal when a step is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, step: int) -> None:
        if step == self.step:
            signal.raise_signal(signal.SIGTERM)

    def log(self, record: dict[str, Any]) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing is open."""
