"""All benchmarks of the tokenizer, and one table at the end: `make bench`.

Each text that is given goes through training on one and two threads, encoding, documents one by
one, decoding and scaling; the texts without spaces and the one that is drawn from an inventory are
made here. A row shows the fastest peer that did the job; the tables above it show all.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import tokenizer_decoding
import tokenizer_documents
import tokenizer_encoding
import tokenizer_inventory
import tokenizer_one_pretoken
import tokenizer_scaling
import tokenizer_training
from harness import Race, Result, available_cores, parse, parser_for, scratch
from report import as_dict, machine, print_race, table

#: Name on the command line -> benchmark of each text.
OF_TEXTS: dict[str, ModuleType] = {
    "training": tokenizer_training,
    "encoding": tokenizer_encoding,
    "documents": tokenizer_documents,
    "decoding": tokenizer_decoding,
    "scaling": tokenizer_scaling,
}

#: Those that make their own texts.
OF_NONE: dict[str, ModuleType] = {
    "one-pretoken": tokenizer_one_pretoken,
    "inventory": tokenizer_inventory,
}

ALL = (*OF_TEXTS, *OF_NONE)


def jobs(args: argparse.Namespace) -> Iterator[tuple[ModuleType, argparse.Namespace]]:
    """Every benchmark and its options."""
    cores = len(available_cores())
    base = vars(args) | {"threads": 1, "tie_break": "", "tokenizer": None, "pattern": "gpt2"}
    base |= {"memory": False, "megabytes": 10.0, "bytes": 1_000_000, "gigabytes": 2.2}
    for text in args.text:
        for name in filter(args.only.__contains__, OF_TEXTS):
            options = base | {"text": text}
            if name == "scaling":
                yield OF_TEXTS[name], argparse.Namespace(**options | {"threads": cores})
                continue
            yield OF_TEXTS[name], argparse.Namespace(**options)
            if name == "training" and cores > 1:
                yield OF_TEXTS[name], argparse.Namespace(**options | {"threads": 2})
    base["text"] = args.text[0]
    if "one-pretoken" in args.only:
        limit = min(args.timeout, 20.0)
        yield tokenizer_one_pretoken, argparse.Namespace(**base | {"timeout": limit})
    if "inventory" in args.only:
        options = base | {"vocab_size": 10_000, "megabytes": args.drawn}
        yield tokenizer_inventory, argparse.Namespace(**options)


def row(race: Race) -> list[str]:
    """A race in the summary: byteloom, and the fastest of those who did the job."""
    ours, *others = race.results
    if not race.good:
        return [race.job, race.text, ours.failure or "WRONG, see above", "", "", "", ""]
    done = [one for one in others if one.runs and not one.failure]
    best = min(done, key=lambda one: one.seconds, default=None)
    return [
        race.job,
        race.text,
        _figures(ours, race.size),
        f"{best.name}: {_figures(best, race.size)}" if best else _why(others),
        f"{best.seconds / ours.seconds:.2f}" if best else "",
        f"{ours.peak / 1e6:,.0f}",
        f"{best.peak / 1e6:,.0f}" if best else "",
    ]


def _why(failed: Sequence[Result]) -> str:
    """Why no peer did the job."""
    reasons = sorted({one.failure[:40] for one in failed})
    return f"none: {'; '.join(reasons)}" if reasons else "none"


def _figures(result: Result, size: int) -> str:
    rate = size / 1e6 / result.seconds
    return f"{result.seconds:.3f} s, {rate:,.0f} MB/s"


def print_summary(races: Sequence[Race]) -> None:
    head = ["work", "text", "byteloom", "fastest peer", "times as fast", "RSS, MB", "peer's RSS"]
    print("### Summary\n")
    print(table([head, *map(row, races)]), end="\n\n")
    for race in races:
        if race.remark:
            print(f"- {race.job}, {race.text}: {race.remark}")
    seen = {one.name: one.contestant for race in races for one in race.results}
    versions = (f"{one.name} {one.version if one.installed else '-'}" for one in seen.values())
    print(f"- libraries: {', '.join(versions)} (-: not installed)")
    for key, value in machine().items():
        print(f"- {key}: {value}")


def main() -> int:
    modules = (*OF_TEXTS.values(), *OF_NONE.values())
    known = {one.name: one for module in modules for one in module.CONTESTANTS}
    peers = [*known][1:]
    parser = parser_for(__doc__.splitlines()[0], peers, several=True)
    parser.add_argument("--only", default=",".join(ALL), metavar="A,B", help="which benchmarks")
    parser.add_argument(
        "--inventory",
        type=Path,
        metavar="FILE",
        help="JSON: pretoken -> count, to draw a text from",
    )
    parser.add_argument("--drawn", type=float, default=200, metavar="N", help="megabytes of it")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="of a text in scaling")
    args = parse(parser, peers)
    args.only = args.only.split(",")
    if wrong := set(args.only) - set(ALL):
        parser.error(f"--only {min(wrong)}: there are {', '.join(ALL)}")
    races: list[Race] = []
    for module, options in jobs(args):
        with scratch() as name:
            found = module.compete(options, Path(name))
        races += found
        for race in found if not args.json else ():
            print_race(race, args.repeat)
    if args.json:
        figures = {"races": [as_dict(race) for race in races], "machine": machine()}
        print(json.dumps(figures, indent=2))
    else:
        print_summary(races)
    return 0 if all(race.good for race in races) else 1


if __name__ == "__main__":
    sys.exit(main())
