"""The table that check_exactness.py prints, and how it shows a difference."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

SHOWN = 5  # differences that are printed for each row of the table


@dataclass
class Row:
    """What was compared with one peer."""

    what: str
    peer: str
    documents: int = 0
    bytes: int = 0
    items: int = 0
    """Pretokens, ids, merges or distinct pretokens."""
    different: int = 0
    unicode: int = 0
    """Documents that differ only by code points whose class differs."""
    gave_up: int = 0
    """Documents that the peer refused."""
    messages: list[str] = field(default_factory=list)
    """The first differences."""

    def saw(self, document: bytes, items: int) -> None:
        """Notes a document that is compared."""
        self.documents += 1
        self.bytes += len(document)
        self.items += items

    def add(self, other: Row) -> None:
        """Adds up."""
        for name in ("documents", "bytes", "items", "different", "unicode", "gave_up"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Report:
    """The table, and the code points that were excused."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    prints: bool = False
    """Whether differences are printed as they come."""

    def row(self, what: str, peer: str) -> Row:
        """The row of a comparison, made when it is first asked for."""
        return self.rows.setdefault((what, peer), Row(what, peer))

    def differs(self, row: Row, message: str) -> None:
        """Notes a difference, and keeps the first few."""
        row.different += 1
        self._show(row, message)

    def _show(self, row: Row, message: str) -> None:
        if len(row.messages) < SHOWN:
            row.messages.append(message)
            if self.prints:
                tqdm.write(f"DIFFERENT {row.what} against {row.peer}: {message}", file=sys.stderr)

    def add(self, other: Report) -> None:
        """Adds a part of the table."""
        self.excused |= other.excused
        for theirs in other.rows.values():
            row = self.row(theirs.what, theirs.peer)
            row.add(theirs)
            for message in theirs.messages:
                self._show(row, message)

    @property
    def different(self) -> int:
        """All differences."""
        return sum(row.different for row in self.rows.values())

    def table(self) -> str:
        """The rows in Markdown, in columns that line up as plain text."""
        header = [
            "compared",
            "against",
            "documents",
            "MB",
            "items",
            "different",
            "Unicode",
            "gave up",
        ]
        lines = [header] + [
            [row.what, row.peer, f"{row.documents:,}", f"{row.bytes / 1e6:,.1f}", f"{row.items:,}"]
            + [f"{n:,}" for n in (row.different, row.unicode, row.gave_up)]
            for row in self.rows.values()
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = ["-" * width for width in widths[:2]] + [
            "-" * (width - 1) + ":" for width in widths[2:]
        ]

        def line(cells: Sequence[str]) -> str:
            left = [cell.ljust(width) for cell, width in zip(cells[:2], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
            return f"| {' | '.join(left + right)} |"

        return "\n".join(map(line, [lines[0], rule, *lines[1:]]))


def shown(data: bytes, most: int = 60) -> str:
    """A document in few characters."""
    return f"{data[:most]!r}{'...' if len(data) > most else ''} ({len(data):,} bytes)"


def first_difference(left: Sequence[Any], right: Sequence[Any]) -> tuple[int, Any, Any]:
    """Where two lists first differ, and what stands there."""
    pairs = itertools.zip_longest(left, right, fillvalue="the end")
    return next((i, a, b) for i, (a, b) in enumerate(pairs) if a != b)
