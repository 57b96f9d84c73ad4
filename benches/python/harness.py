"""What the benchmarks share: fresh processes on the same cores, in turns, and the median.

A benchmark is a table of contestants, each a function that does the job in a process of its own
and returns what it measured; the parent process starts them in turns, so that whatever else the
machine does meets all alike. What comes of it is a `Race`, which `report.py` prints.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byteloom.data.sources import write_stdlib

OURS = "byteloom"
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Contestant:
    """A library that can do the job."""

    name: str
    package: str
    job: Callable[[argparse.Namespace], dict[str, Any]]
    """Does the work and returns ``seconds`` and whatever else it found; runs in a worker."""

    @property
    def installed(self) -> bool:
        """Whether it can be imported here."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """Of the package, if it says."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return "?"


@dataclass
class Result:
    """All runs of one contestant."""

    contestant: Contestant
    runs: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    @property
    def name(self) -> str:
        """The contestant's."""
        return self.contestant.name

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run["seconds"] for run in self.runs)

    @property
    def peak(self) -> float:
        """The median of the peak resident set, in bytes."""
        return statistics.median(run["peak"] for run in self.runs)


@dataclass
class Race:
    """What one job came to, for all contestants."""

    job: str
    """As the summary names it: "train 32,000, 1 thread"."""
    text: str
    """What the job was done on."""
    size: int
    """Bytes of text that were gone through."""
    threads: int
    results: list[Result]
    """Ours is the first."""
    notes: list[str] = field(default_factory=list)
    equal: bool = True
    """Whether all output that must be equal is."""
    remark: str = ""
    """What the summary should say of it beside the figures."""

    @property
    def good(self) -> bool:
        """Whether byteloom did the job, and as it must."""
        return self.equal and not self.results[0].failure


def parser_for(
    description: str, peers: Sequence[str], *, several: bool = False
) -> argparse.ArgumentParser:
    """The options that all benchmarks have; `several` texts or one."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "text",
        nargs="*" if several else "?",
        type=Path,
        help="any UTF-8 text; default: Python's own source",
    )
    parser.add_argument("--vocab-size", type=int, default=32_000, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="and cores, for each")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="of whose runs: median")
    parser.add_argument(
        "--peers", default=",".join(peers), metavar="A,B", help="whom to compare with"
    )
    parser.add_argument(
        "--timeout", type=float, default=900, metavar="S", help="seconds after which a run is ended"
    )
    parser.add_argument("--json", action="store_true", help="print all runs as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser, known: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; makes the default text if none is given."""
    args = parser.parse_args()
    args.peers = [name for name in args.peers.split(",") if name]
    for name in args.peers:
        if name not in known:
            parser.error(f"--peers {name}: there are {', '.join(known)}")
    if args.threads < 1 or args.repeat < 1:
        parser.error("--threads and --repeat must be at least 1")
    if args.threads > len(available_cores()):
        parser.error(f"--threads {args.threads}: {len(available_cores())} core(s) are available")
    several = isinstance(args.text, list)
    texts = args.text if several else [args.text] if args.text else []
    texts = texts or [write_stdlib(Path("data", "stdlib"))[0].path]
    for text in texts:
        if not text.is_file() or not text.stat().st_size:
            parser.error(f"{text}: no such file, or an empty one")
    args.text = texts if several else texts[0]
    return args


# -- in the worker ---------------------------------------------------------------------------------


def available_cores() -> list[int]:
    """Numbers of the cores that this process may run on; the second halves of cores come last."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    cores = sorted(os.sched_getaffinity(0))
    return sorted(cores, key=lambda core: (len([n for n in siblings(core) if n < core]), core))


def siblings(core: int) -> list[int]:
    """The numbers under which the system has one core: several, if it runs several threads."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        parts = [list(map(int, part.split("-"))) for part in path.read_text().strip().split(",")]
    except (OSError, ValueError):
        return [core]
    return [n for part in parts for n in range(part[0], part[-1] + 1)]


def peak_bytes() -> int:
    """The most memory this process ever held."""
    try:
        # Not ru_maxrss, which on Linux begins with what the parent held.
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Does the work; what it took in wall time, CPU time and memory."""
    cpu, begin = time.process_time(), time.perf_counter()
    result = work()
    return result, {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - cpu,
        "peak": peak_bytes(),
    }


def run_worker(args: argparse.Namespace, contestants: Sequence[Contestant]) -> None:
    """The worker's whole life: pin, work, report."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, available_cores()[: args.threads])
    (chosen,) = (one for one in contestants if one.name == args.worker)
    print(json.dumps(chosen.job(args)))


# -- in the parent ---------------------------------------------------------------------------------


def threads_in_words(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def start_worker(
    script: Path, args: argparse.Namespace, name: str, folder: Path, *extra: str
) -> dict[str, Any]:
    """Runs one contestant once.

    Raises:
        RuntimeError: it took too long; or it failed, and the message is its exception.
    """
    environment = {
        "RAYON_NUM_THREADS": str(args.threads),
        "TOKENIZERS_PARALLELISM": "true" if args.threads > 1 else "false",
        "OMP_NUM_THREADS": str(args.threads),
    }
    options = ["--worker", name, "--folder", str(folder), "--threads", str(args.threads)]
    command = [sys.executable, str(script), str(args.text), "--vocab-size", str(args.vocab_size)]
    try:
        done = subprocess.run(
            [*command, *options, *extra],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=args.timeout,
        )
    except subprocess.TimeoutExpired as late:
        raise RuntimeError(f"not done after {args.timeout:g} s") from late
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        # An exception's message may have lines of its own.
        named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        raise RuntimeError((named or lines)[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def race(
    script: Path,
    args: argparse.Namespace,
    contestants: Sequence[Contestant],
    folder: Path,
    *extra: str,
) -> list[Result]:
    """Runs all of them in turns, each time in another order."""
    chosen = [one for one in contestants if one.name in (OURS, *args.peers)]
    results = [Result(one, failure="" if one.installed else "not installed") for one in chosen]
    with args.text.open("rb") as file:  # into the page cache, for all alike
        while file.read(1 << 24):
            pass
    for turn in range(args.repeat):
        for result in results[:: -1 if turn % 2 else 1]:
            if result.failure:
                continue
            name = result.name
            print(f"run {turn + 1} of {args.repeat}: {name} ...", file=sys.stderr, flush=True)
            try:
                result.runs.append(start_worker(script, args, name, folder, *extra))
            except RuntimeError as error:
                result.failure = str(error)
    return results


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what the workers hand over."""
    return tempfile.TemporaryDirectory(prefix="byteloom-bench-")
