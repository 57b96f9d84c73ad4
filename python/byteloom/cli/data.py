"""``byteloom data``: text to start from, made from this Python or downloaded."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from byteloom.cli.common import HelpFormatter, execute
from byteloom.data.sources import Patience, Source, TextFile, fetch, load_catalog, write_stdlib

DESCRIPTION = """\
Get a text to start from, as one file to train on and one to validate with.

`stdlib` is the source text of the Python that runs this: nothing is downloaded. The others come
from the addresses in a catalogue (`--list` shows it). A download that is cut is taken up again
where it stopped, within one call and by a second one; a file has its final name only when it is
complete and its size and checksum are right.

examples:
  byteloom data stdlib
  byteloom data tinystories -o /scratch/tinystories
  byteloom data owt --url https://mirror.example/owt-sample
  byteloom data mine --catalog mine.toml
"""

STDLIB = "stdlib"


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        "byteloom data", description=DESCRIPTION, formatter_class=HelpFormatter
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="stdlib, or a name of the list")
    parser.add_argument("--list", action="store_true", help="show what there is, and stop")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder to fill; default: data/NAME"
    )
    parser.add_argument("--force", action="store_true", help="make or load anew what is there")
    parser.add_argument(
        "--check", action="store_true", help="compute the checksums of what is there"
    )
    parser.add_argument(
        "--url", metavar="ADDRESS", help="take the same files from below this address (a mirror)"
    )
    parser.add_argument(
        "--catalog", type=Path, metavar="FILE", help="a catalogue (TOML) in place of byteloom's"
    )
    parser.add_argument(
        "--timeout",
        type=_positive(float),
        default=Patience.timeout,
        metavar="S",
        help="seconds of silence after which to connect anew",
    )
    parser.add_argument(
        "--attempts",
        type=_positive(int),
        default=Patience.attempts,
        metavar="N",
        help="failures in a row after which to give up",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not args.name and not args.list:
        parser.error("which text? give a NAME, or --list")
    if args.name == STDLIB and (args.url or args.catalog or args.check):
        parser.error("stdlib is made on this machine: --url, --catalog and --check do not apply")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Lists, or makes or loads, and says what is where."""
    catalog = load_catalog(args.catalog)
    if args.list:
        print_list(catalog, as_json=args.json)
        return
    folder = args.output or Path("data", args.name)
    if args.name == STDLIB:
        files = write_stdlib(folder, force=args.force, notify=_notify)
    else:
        source = find_source(catalog, args.name)
        files = fetch(
            source.at(args.url) if args.url else source,
            folder,
            force=args.force,
            check=args.check,
            patience=Patience(args.timeout, args.attempts),
            progress=True,
            notify=_notify,
        )
    print_files(files, as_json=args.json)


def find_source(catalog: dict[str, Source], name: str) -> Source:
    """The catalogue's entry of that name, or an error that says which names there are."""
    if name in catalog:
        return catalog[name]
    names = [STDLIB, *catalog]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise ValueError(f"no text called {name!r}; {hint}")


def print_list(catalog: dict[str, Source], *, as_json: bool) -> None:
    """What can be had."""
    if as_json:
        rows = {
            name: {
                "title": source.title,
                "page": source.page,
                "licence": source.licence,
                "files": {file.name: source.url(file) for file in source.files},
            }
            for name, source in catalog.items()
        }
        json.dump(rows, sys.stdout)
        print()
        return
    print(f"{STDLIB:<12} the source text of this Python, without any download")
    for name, source in catalog.items():
        print(f"{name:<12} {source.title}")
        if source.page:
            print(f"{'':<12} {source.page}")
        if source.licence:
            print(f"{'':<12} licence: {source.licence}")


def print_files(files: Sequence[TextFile], *, as_json: bool) -> None:
    """What is where now."""
    if as_json:
        rows = [
            {
                "role": file.role,
                "path": str(file.path),
                "bytes": file.size,
                "sha256": file.sha256,
                "reused": file.reused,
                **({"documents": file.documents} if file.documents is not None else {}),
            }
            for file in files
        ]
        json.dump({"files": rows}, sys.stdout)
        print()
        return
    for file in files:
        documents = f" in {file.documents:,} documents" if file.documents is not None else ""
        reused = ", reused" if file.reused else ""
        print(f"{file.role:<6} {file.path} ({file.size:,} bytes{documents}{reused})")


def _notify(message: str) -> None:
    """Messages go to stderr, and around a progress bar if there is one."""
    tqdm.write(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
