"""Where the time of a training step goes: kernels by kind, and those that take most of it.

Takes the configuration of a run, trains a few steps to warm up (and to compile), and lets torch's
profiler watch the next ones, data loading included. What the device does not spend in a kernel, it
waits. A kind's operations are counted from the configuration, so that the rate can be compared with
the device's peak.

Examples:
  python scripts/profile_step.py runs/mine/config.toml
  python scripts/profile_step.py scripts/tinystories.toml --top 30 --training.compile true
  python scripts/profile_step.py config.toml --trace step.json      # for https://ui.perfetto.dev
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from byteloom import config
from byteloom.cli.common import execute
from byteloom.data.prefetching import prefetch
from byteloom.markdown import table
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.step import train_step
from byteloom.training.throughput import peak_flops, training_flops

#: Kind -> what its kernels' (on a CPU, operations') names contain; the first that fits counts.
KINDS = {
    "attention": r"flash|fmha|attention|cudnn",
    "products of matrices": r"gemm|nvjet|cutlass|cublas|splitk|^aten::(mm|addmm|bmm)",
    "optimizer, clipping": r"multi_tensor|fused_adam|_foreach|_fused_adam|lpnorm",
    "copies": r"memcpy|memset|^aten::(copy_|_to_copy|clone)",
    "compiled": r"triton|inductor|cpp_fused|^graph_",
}


def kind_of(name: str) -> str:
    """What a kernel is for."""
    found = (kind for kind, words in KINDS.items() if re.search(words, name, re.IGNORECASE))
    return next(found, "other")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s CONFIG.toml [--KEY VALUE ...]",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("--warm-up", type=int, default=5, metavar="N", help="steps (5)")
    parser.add_argument("--steps", type=int, default=5, metavar="N", help="that are watched (5)")
    parser.add_argument("--top", type=int, default=15, metavar="N", help="kernels to list (15)")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="where all events go, as JSON")
    config.add_options(parser, RunConfig)
    args = parser.parse_args(argv)
    if args.steps < 1 or args.warm_up < 0:
        parser.error("--steps must be at least 1, and --warm-up not negative")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Trains, watches, and prints what was seen."""
    tables = config.merge(config.read(args.config), config.overrides(vars(args)))
    state = build(resolve(tables, args.config))
    device, plan = state.device, state.plan
    watched = [ProfilerActivity.CPU if device.type == "cpu" else ProfilerActivity.CUDA]
    last = plan.before(args.warm_up + args.steps)
    with prefetch(state.batches.batch_at, 0, last, device) as batches:

        def train(steps: int) -> float:
            begin = time.perf_counter()
            for _ in range(steps):
                taken = [next(batches) for _ in range(plan.batches_of(state.step))]
                train_step(state, taken, wait=False)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return time.perf_counter() - begin

        train(args.warm_up)
        with profile(activities=watched, acc_events=True) as seen:
            seconds = train(args.steps)
    if args.trace is not None:
        seen.export_chrome_trace(str(args.trace))

    wanted = DeviceType.CPU if device.type == "cpu" else DeviceType.CUDA
    times: defaultdict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    for event in seen.events():
        if event.device_type == wanted and not event.is_user_annotation:
            times[event.name] += (
                event.self_cpu_time_total if device.type == "cpu" else event.device_time_total
            )
            calls[event.name] += 1

    tokens = state.tokens / state.step
    step = seconds / args.steps
    print(f"{1e3 * step:,.2f} ms a step of {tokens:,.0f} tokens: {tokens / step:,.0f} tokens/s")
    peak, flops = peak_flops(device), training_flops(state.model, state.config.task)
    if peak is not None:
        mfu = tokens / step * flops / peak
        print(f"{mfu:.1%} of the peak of {peak / 1e12:,.0f} TFLOPS (MFU)")
    kinds: defaultdict[str, float] = defaultdict(float)
    for name, micros in times.items():
        kinds[kind_of(name)] += micros
    kinds["waiting"] = max(0.0, 1e6 * seconds - sum(times.values()))

    def row(micros: float) -> list[str]:
        return [f"{micros / 1e3 / args.steps:,.3f}", f"{micros / 1e6 / seconds:.1%}"]

    rows = [[kind, *row(micros)] for kind, micros in largest(kinds)]
    print("\n" + table(["kind", "ms a step", "of the step"], rows))
    rows = [
        [name[:80], kind_of(name), f"{calls[name] / args.steps:g}", *row(micros)]
        for name, micros in largest(times)[: args.top]
    ]
    print("\n" + table(["kernel", "kind", "calls", "ms a step", "of the step"], rows, 2))


def largest(times: dict[str, float]) -> list[tuple[str, float]]:
    """Those that take most time first."""
    return sorted(times.items(), key=lambda item: -item[1])


if __name__ == "__main__":
    sys.exit(main())
