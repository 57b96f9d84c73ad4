"""Races -> tables in Markdown, with what is needed to understand them, or JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import (
    OURS,
    Contestant,
    Race,
    Result,
    available_cores,
    parse,
    run_worker,
    scratch,
)

import byteloom as bl
from byteloom import _rust

#: Flags of /proc/cpuinfo that decide which code of a text engine runs.
_SIMD = ("sse4_2", "avx", "avx2", "bmi2", "avx512f", "avx512bw", "avx512vbmi", "asimd", "sve")


def run(
    parser: argparse.ArgumentParser,
    contestants: Sequence[Contestant],
    compete: Callable[[argparse.Namespace, Path], Sequence[Race]],
) -> int:
    """A benchmark's whole life, in the parent and in the worker; returns the exit code."""
    args = parse(parser, [one.name for one in contestants if one.name != OURS])
    if args.worker:
        run_worker(args, contestants)
        return 0
    with scratch() as name:
        races = compete(args, Path(name))
    report(args, races)
    return 0 if all(race.good for race in races) else 1


def report(args: argparse.Namespace, races: Sequence[Race]) -> None:
    """Prints tables and what is needed to understand them, or everything as JSON."""
    if args.json:
        figures = {"races": [as_dict(race) for race in races], "machine": machine()}
        print(json.dumps(figures, indent=2))
        return
    for race in races:
        print_race(race, args.repeat)
    for key, value in machine().items():
        print(f"- {key}: {value}")


def print_race(race: Race, repeat: int) -> None:
    cores = available_cores()
    pinned = hasattr(os, "sched_setaffinity")
    where = f" on cores {cores[: race.threads]} of {len(cores)}" if pinned else ""
    print(f"### {race.job[0].upper()}{race.job[1:]}: {race.text}\n")
    print(
        f"{race.size / 1e6:,.1f} MB; {race.threads} thread(s) for each{where}; "
        f"median of {repeat} run(s) in turns, each in a fresh process\n"
    )
    ours = next((one.seconds for one in race.results if one.name == OURS and one.runs), None)
    rows = [["library", "seconds", "fastest to slowest", "MB/s", "peak RSS, MB", "byteloom is"]]
    rows += [row(one, race.size, ours) for one in race.results]
    print(table(rows))
    print()
    for note in race.notes:
        print(f"- {note}")
    print(end="\n" if race.notes else "", flush=True)


def as_dict(race: Race) -> dict[str, Any]:
    """A race as JSON has it."""
    results = [
        {
            "name": one.name,
            "version": one.contestant.version if one.contestant.installed else None,
            "failure": one.failure or None,
            "runs": one.runs,
        }
        for one in race.results
    ]
    rest = {key: value for key, value in vars(race).items() if key != "results"}
    return rest | {"results": results}


def row(result: Result, size: int, ours: float | None) -> list[str]:
    name = result.name
    if result.failure:
        return [name, result.failure.replace("|", "/")[:60], "", "", "", ""]
    seconds = [run["seconds"] for run in result.runs]
    ratio = f"{result.seconds / ours:.1f} times as fast" if ours and name != OURS else ""
    return [
        f"{name} {result.contestant.version}",
        f"{result.seconds:.2f}",
        f"{min(seconds):.2f} - {max(seconds):.2f}",
        f"{size / 1e6 / result.seconds:,.1f}",
        f"{result.peak / 1e6:,.0f}",
        ratio,
    ]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown whose columns also line up as plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |"

    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def machine() -> dict[str, str]:
    """Where, when and with what this was measured."""
    model, flags = platform.processor() or platform.machine(), ""
    try:
        info = Path("/proc/cpuinfo").read_text()
        named = re.search(r"model name\s*:\s*(.+)", info)
        model = named[1] if named else model
        listed = re.search(r"(?:flags|Features)\s*:\s*(.+)", info)
        have = set(listed[1].split()) if listed else set()
        flags = " ".join(flag for flag in _SIMD if flag in have)
    except OSError:
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            model = done.stdout.strip() or model
    return {
        "processor": f"{model}, {len(available_cores())} core(s)",
        "SIMD": f"byteloom scans with {_rust.simd()}; the processor has {flags or 'unknown'}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "byteloom": bl.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
