"""What `byteloom estimate` says beside what training takes: memory of tensors, operations, time.

For each size, type and way to recompute, a run with random tokens takes a few real steps. Its peak
memory is what allocators report: on a CPU torch's profiler, on a GPU torch.cuda. Operations are
those that torch's FlopCounterMode counts. Time is the median of the steps; with --rounds, said and
measured in turns, and the median of either: a machine may have other work for a while.

Prints a table, and exits with 1 if memory is further off than --tolerance, or an operation is.

Examples:
  python scripts/check_estimate.py --rounds 3             # three sizes on this machine
  python scripts/check_estimate.py --device cuda --sizes course 134m --dtypes bf16 --batch 32
  python scripts/check_estimate.py --compile --recompute none block
  python scripts/check_estimate.py --weights bf16 --rounding compensated --dtypes bf16
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# As the commands do, before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from byteloom import config
from byteloom.data.batches import Batch
from byteloom.markdown import table
from byteloom.training.build import build, pick_device
from byteloom.training.config import RunConfig
from byteloom.training.estimate import Estimate, estimate, machine_here
from byteloom.training.state import Run
from byteloom.training.step import train_step

#: Steps are timed for at least so long.
_SECONDS = 2.0
#: Steps a GPU is given before anyone waits for it.
_AHEAD = 10
#: Name -> layers, d_model, heads, context, vocabulary, batch.
SIZES = {
    "small": (3, 128, 4, 128, 2000, 4),
    "medium": (6, 256, 8, 256, 4000, 8),
    "large": (8, 384, 6, 512, 16_000, 4),
    "course": (4, 512, 16, 256, 10_000, 128),
    "134m": (12, 768, 12, 1024, 32_000, 16),
}


@dataclass(frozen=True)
class Measured:
    """Of one step."""

    peak: int
    """Bytes of tensors."""
    seconds: float
    """The median of several; on a GPU, of means of ten."""
    flops: int
    """Of products and attention, recomputing included; 0: not counted."""


def configuration(name: str, folder: Path, batch: int | None, **training: Any) -> RunConfig:
    layers, d_model, heads, context, vocab, usual = SIZES[name]
    tokens = np.random.default_rng(0).integers(0, vocab, 2_000_000, dtype=np.uint16)
    np.save(folder / "train.npy", tokens)
    model = {"num_layers": layers, "d_model": d_model, "num_heads": heads}
    model |= {"context_length": context, "vocab_size": vocab}
    tables = {"data": {"train": str(folder / "train.npy")}, "model": model}
    training |= {"batch_size": batch or usual}
    return config.load(RunConfig, {**tables, "training": training})


def measure(run_config: RunConfig, steps: int) -> Measured:
    run = build(run_config)
    count = run_config.training.accumulation
    batches = [run.batches.batch_at(i) for i in range(count)]
    batches = [(x.to(run.device), y.to(run.device)) for x, y in batches]
    train_step(run, batches)  # makes the optimizer's state, and compiles
    seconds: list[float] = []
    ahead = _AHEAD if run.device.type == "cuda" else 1
    # The first steps of a process are slower than all others.
    while len(seconds) < steps or sum(seconds) * ahead < _SECONDS:
        begin = time.perf_counter()
        for _ in range(ahead):  # nobody waits for each, as in training
            train_step(run, batches)
        if run.device.type == "cuda":
            torch.cuda.synchronize(run.device)
        seconds.append((time.perf_counter() - begin) / ahead)
    flops = 0 if run_config.training.compile else count_flops(run, batches)
    return Measured(measure_peak(run, batches), statistics.median(seconds), flops)


def count_flops(run: Run, batches: Sequence[Batch]) -> int:
    # It does not know `addmm_`, nor a CPU's attention kernel: that is counted as products.
    known: Any = {torch.ops.aten.addmm_: addmm_flops}
    math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with math, FlopCounterMode(display=False, custom_mapping=known) as counter:
        train_step(run, batches)
    return counter.get_total_flops()


def addmm_flops(_: Any, a: Sequence[int], b: Sequence[int], **kwargs: Any) -> int:
    return 2 * a[0] * a[1] * b[1]


def measure_peak(run: Run, batches: Sequence[Batch]) -> int:
    gc.collect()
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
        train_step(run, batches)
        torch.cuda.synchronize(run.device)
        return torch.cuda.max_memory_allocated(run.device)
    states = [x for state in run.optimizer.state.values() for x in state.values()]
    lost = [] if run.narrow is None else run.narrow.lost
    average = {} if run.average is None else run.average.average
    there = [
        *lost,
        *average.values(),
        *run.model.parameters(),
        *run.model.buffers(),
        *states,
        *(x for b in batches for x in b),
    ]
    peak = live = sum(x.nbytes for x in there if isinstance(x, torch.Tensor))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        train_step(run, batches)
    results: Any = seen.profiler
    events = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def row(
    names: Sequence[str], said: Estimate, seconds: float, found: Measured, batch_tokens: int
) -> list[str]:
    peak = said.memory.peak
    flops = (said.operations.token + said.operations.recomputed) * batch_tokens
    return [
        *names,
        f"{peak.bytes / 1e6:,.1f}",
        f"{found.peak / 1e6:,.1f}",
        f"{peak.bytes / found.peak - 1:+.1%}",
        f"{flops / 1e9:,.2f}",
        f"{found.flops / 1e9:,.2f}" if found.flops else "–",
        f"{seconds:,.3f}",
        f"{found.seconds:,.3f}",
        f"{seconds / found.seconds - 1:+.0%}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["small", "medium", "large"])
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--recompute", nargs="+", default=["none", "selective", "block"])
    parser.add_argument("--batch", type=int, help="windows a batch, in place of the size's own")
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--weights", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounding", default="stochastic", choices=["stochastic", "compensated"])
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=3, help="to time")
    parser.add_argument("--rounds", type=int, default=1, help="of estimates and of steps, in turns")
    parser.add_argument("--tolerance", type=float, default=0.1, help="of memory")
    args = parser.parse_args()
    rows, far_off = [], False
    for name in args.sizes:
        for dtype in args.dtypes:
            for recompute in args.recompute:
                with tempfile.TemporaryDirectory() as folder:
                    run_config = configuration(
                        name,
                        Path(folder),
                        args.batch,
                        dtype=dtype,
                        recompute=recompute,
                        compile=args.compile,
                        weights=args.weights,
                        rounding=args.rounding,
                        offload=args.offload,
                        accumulation=args.accumulation,
                        device=args.device,
                    )
                    seconds, taken = [], []
                    for _ in range(args.rounds):
                        said = estimate(run_config, machine_here(pick_device(args.device)))
                        found = measure(run_config, args.steps)
                        assert said.duration is not None
                        seconds.append(said.duration.step)
                        taken.append(found.seconds)
                    found = replace(found, seconds=statistics.median(taken))
                tokens = run_config.training.batch_size * run_config.model.context_length
                tokens *= args.accumulation
                names = [name, dtype, recompute]
                rows.append(row(names, said, statistics.median(seconds), found, tokens))
                far_off |= abs(said.memory.peak.bytes / found.peak - 1) > args.tolerance
                operations = (said.operations.token + said.operations.recomputed) * tokens
                far_off |= bool(found.flops) and round(operations) != found.flops
                print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["size", "dtype", "recompute", "peak, MB: said", "measured", "off", "GFLOP: said"]
    header += ["counted", "s a step: said", "measured", "off"]
    print(table(header, rows, text_columns=3))
    return int(far_off)


if __name__ == "__main__":
    sys.exit(main())
