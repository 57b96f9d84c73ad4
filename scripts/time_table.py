"""Logs of `/usr/bin/time -v` and of the commands' own figures -> a table in Markdown.

`time_table.py LOGS` reads NAME.time and NAME.json for every step of scripts/pipeline.sh in the
folder LOGS. `time_table.py --path ROLE FILE` prints the path of a text that `byteloom data --json`
reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

#: The steps in their order, and what they are called in the table.
STEPS = {
    "tokenizer": "train the tokenizer",
    "encode-train": "encode the training text",
    "encode-valid": "encode the validation text",
    "training": "train the model",
    "evaluation": "evaluate on the validation text",
}
NONE = "–"


@dataclass(frozen=True)
class Usage:
    """What GNU time measured of one process."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, in user and kernel mode together."""
    peak: int
    """Largest resident set, in bytes."""

    @classmethod
    def parse(cls, text: str, place: str = "the text") -> Self:
        """Reads what `/usr/bin/time -v` wrote.

        Raises:
            ValueError: it is something else; the message says what is missing.
        """
        # "Elapsed (wall clock) time (h:mm:ss or m:ss): 0:01.50" has colons in its name.
        rows = dict(line.strip().rsplit(": ", 1) for line in text.splitlines() if ": " in line)

        def value(name: str) -> str:
            if name not in rows:
                raise ValueError(f"{place} is not from `/usr/bin/time -v`: no line {name!r}")
            return rows[name]

        return cls(
            wall=_seconds(value("Elapsed (wall clock) time (h:mm:ss or m:ss)")),
            cpu=float(value("User time (seconds)")) + float(value("System time (seconds)")),
            peak=int(value("Maximum resident set size (kbytes)")) * 1024,
        )


def _seconds(clock: str) -> float:
    """``1:02:03`` or ``2:03.45`` -> seconds."""
    total = 0.0
    for part in clock.split(":"):
        total = total * 60 + float(part)
    return total


def row(name: str, usage: Usage, figures: Mapping[str, Any], resumed: bool) -> list[str]:
    """One line of the table."""
    text = figures.get("text_bytes", figures.get("bytes") if name.startswith("encode") else None)
    ratio = figures.get("bytes_per_token")
    speed = figures.get("tokens_per_second")
    loss = figures.get("valid_loss") if name == "training" else figures.get("loss")
    bits = figures.get("bits_per_byte")
    return [
        STEPS[name] + (" (the part after its interruption)" if resumed else ""),
        f"{usage.wall:,.1f}",
        f"{usage.cpu:,.1f}",
        f"{100 * usage.cpu / usage.wall:.0f}%" if usage.wall else NONE,
        f"{usage.peak / 1e6:,.0f}",
        f"{text / 1e6 / usage.wall:,.1f}" if text and usage.wall else NONE,
        f"{ratio:.3f}" if ratio else NONE,
        f"{speed:,.0f}" if speed else NONE,
        f"{loss:.3f}" if loss is not None and not name.startswith("encode") else NONE,
        f"{bits:.3f}" if bits is not None else NONE,
    ]


HEADER = [
    "step",
    "wall, s",
    "CPU, s",
    "CPU",
    "peak RSS, MB",
    "MB/s",
    "bytes/token",
    "tokens/s",
    "validation loss",
    "bits/byte",
]


def table(logs: Path) -> str:
    """The table of all steps that have logs."""
    rows = []
    for name in STEPS:
        log = logs / f"{name}.time"
        if log.exists():
            figures = json.loads((logs / f"{name}.json").read_text())
            resumed = (logs / f"{name}.resumed").exists()
            rows.append(row(name, Usage.parse(log.read_text(), str(log)), figures, resumed))
    if not rows:
        raise FileNotFoundError(f"no logs of any step in {logs}")
    return markdown(HEADER, rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns also line up as plain text; all but the first are numbers."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |"

    return "\n".join(map(line, [header, rule, *rows]))


def path_of(role: str, report: Path) -> str:
    """The path of the text with this role."""
    for file in json.loads(report.read_text())["files"]:
        if file["role"] == role:
            return str(file["path"])
    raise ValueError(f"{report}: this corpus has no {role} text")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("logs", type=Path, help="folder of logs, or the report for --path")
    parser.add_argument("--path", metavar="ROLE", help="train or valid")
    args = parser.parse_args(argv)
    try:
        print(path_of(args.path, args.logs) if args.path else table(args.logs))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
