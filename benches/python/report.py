"""A race's results -> a table in Markdown, with what is needed to understand it, or JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness import OURS, Result, available_cores

#: Flags of /proc/cpuinfo that decide which code of a text engine runs.
_SIMD = ("sse4_2", "avx", "avx2", "bmi2", "avx512f", "avx512bw", "avx512vbmi", "asimd", "sve")


def report(
    title: str, args: argparse.Namespace, results: Sequence[Result], notes: Sequence[str]
) -> None:
    """Prints the table and what is needed to understand it, or everything as JSON."""
    size = args.text.stat().st_size
    if args.json:
        rows = [
            {
                "name": one.contestant.name,
                "version": one.contestant.version if one.contestant.installed else None,
                "failure": one.failure or None,
                "runs": one.runs,
            }
            for one in results
        ]
        figures = {"title": title, "text": str(args.text), "bytes": size, "results": rows}
        print(json.dumps(figures | {"notes": list(notes), "machine": machine(args)}, indent=2))
        return
    print(f"### {title}\n")
    print(
        f"{args.text.name}, {size / 1e6:,.1f} MB; {args.threads} thread(s) for each; "
        f"median of {args.repeat} run(s) in turns, each in a fresh process\n"
    )
    ours = next((one.seconds for one in results if one.contestant.name == OURS and one.runs), None)
    rows = [["library", "seconds", "fastest to slowest", "MB/s", "peak RSS, MB", "byteloom is"]]
    rows += [row(one, size, ours) for one in results]
    print(table(rows))
    print()
    for note in notes:
        print(f"- {note}")
    for key, value in machine(args).items():
        print(f"- {key}: {value}")


def row(result: Result, size: int, ours: float | None) -> list[str]:
    name = result.contestant.name
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


def machine(args: argparse.Namespace) -> dict[str, str]:
    """Where and when this was measured."""
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
    cores = available_cores()
    pinned = f"pinned to {cores[: args.threads]} of {cores}"
    return {
        "processor": f"{model}, {pinned if hasattr(os, 'sched_setaffinity') else 'not pinned'}",
        "SIMD": flags or "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
    }
