"""Tables in Markdown whose columns also line up in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    r"""A table of cells that are text already.

    Args:
        header: the columns' names.
        rows: as many cells each.
        text_columns: so many columns from the left are text, set to the left; the others are
            numbers, set to the right.

    Example:
        >>> print(table(["corpus", "bytes"], [["books", "1,000"], ["a|b", "2"]]))
        | corpus | bytes |
        | ------ | ----: |
        | books  | 1,000 |
        | a\|b   |     2 |
    """
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(display_width, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = []
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            padding = " " * (width - display_width(cell))
            padded.append(cell + padding if column < text_columns else padding + cell)
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if column < text_columns else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(lines[0]), line(rule), *map(line, lines[1:])])


def display_width(text: str) -> int:
    r"""Places that a text takes in a terminal: two for a wide character, none for a mark.

    The widths are those of Unicode Standard Annex 11.

    Example:
        >>> display_width("abc"), display_width("中文"), display_width("e\u0301")
        (3, 4, 1)
    """
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
