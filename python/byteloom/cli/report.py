"""``byteloom report``: one or several runs as a page with figures, plots and samples."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.cli.common import HelpFormatter, add_json, execute
from byteloom.markdown import table
from byteloom.reporting import AXES, Report, write_report
from byteloom.reporting.figures import rows

DESCRIPTION = """\
Make a page about one or several runs, finished or not: headline figures, plots of all that
metrics.jsonl holds, samples, configuration. The page is one file that needs no other; the plots
also lie beside it, in report/, as .png.

examples:
  byteloom report runs/tiny                                # runs/tiny/report.html
  byteloom report runs/slow runs/fast -o compared          # compared/report.html, both in each plot
  byteloom report runs/* -o compared --x seconds           # by time in place of steps
  byteloom report runs/tiny --json | jq '.runs[0].best_valid_loss'
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom report", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folder that train-lm made"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where report.html and report/ go; default: into the run's folder",
    )
    parser.add_argument("--x", choices=AXES, default="step", help="horizontal axis of the plots")
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if len(args.runs) > 1 and args.output is None:
        parser.error("several runs share a report: give -o FOLDER for it")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Writes the report, and says what is in it."""
    report = write_report(args.runs, args.output, args.x)
    if args.json:
        print(json.dumps(report.as_json()))
    else:
        print_report(report)


def print_report(report: Report) -> None:
    """The headline figures for people, and where the rest is."""
    header = ["figure", *(run.name for run in report.runs)]
    print(table(header, [[name, *cells] for name, cells in rows(report.figures)]))
    print(f"\nreport            {report.page}")
    if report.plots:
        print(f"plots             {report.plots[0].parent} ({len(report.plots)} files)")


if __name__ == "__main__":
    sys.exit(main())
