"""README's tables of choices, made of those of docs/family.md: all columns but the tests.

Prints them; with --write they are put into README.md, between the two lines that mark them.

Examples:
  python scripts/family_table.py
  python scripts/family_table.py --write
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from byteloom.atomic import atomic_write

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs/family.md", ROOT / "README.md"
BEGIN = "<!-- made of docs/family.md by scripts/family_table.py -->"
END = "<!-- end of what is made -->"
#: What README leaves out.
LEFT_OUT = "shown by"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put them into README.md")
    args = parser.parse_args(argv)
    tables = made_of(PAGE.read_text())
    if not args.write:
        print(tables)
        return 0
    before, _, after = split(README.read_text())
    with atomic_write(README) as file:
        file.write(f"{before}{BEGIN}\n{tables}\n{END}{after}".encode())
    return 0


def split(readme: str) -> tuple[str, str, str]:
    """What is before, between and behind the lines that mark the tables.

    Raises:
        ValueError: they are not there.
    """
    found = re.fullmatch(f"(.*){re.escape(BEGIN)}\n(.*)\n{re.escape(END)}(.*)", readme, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md: no line {BEGIN!r}, or behind it none {END!r}")
    return found[1], found[2], found[3]


def made_of(page: str) -> str:
    """A folded table for each heading under which there are choices."""
    found = []
    for part in page.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        rows = [line for line in lines if line.startswith("|")]
        if not rows or not rows[0].startswith("| choice |"):
            continue
        names = _cells(rows[0])
        kept = [i for i, name in enumerate(names) if name != LEFT_OUT]
        table = "\n".join(
            f"| {' | '.join(_linked(names[i], cells[i]) for i in kept)} |"
            for cells in map(_cells, rows)
        )
        summary = f"<summary>{title}: {len(rows) - 2} choices</summary>"
        found.append(f"<details>\n{summary}\n\n{table}\n\n</details>")
    return "\n".join(found)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def _linked(column: str, cell: str) -> str:
    """Files as links."""
    if column != "held by":
        return cell
    return re.sub(r"`([^`]+\.py)`", r"[\1](python/byteloom/\1)", cell)


if __name__ == "__main__":
    sys.exit(main())
