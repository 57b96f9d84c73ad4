"""Tables that a Markdown reader and a terminal both show as tables."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byteloom.markdown import display_width, table

cell = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)


@given(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=5), st.integers(0, 3))
def test_cells_come_back_and_line_up(rows: list[tuple[str, str, str]], text_columns: int) -> None:
    lines = table(rows[0], rows[1:], text_columns).splitlines()
    assert len({display_width(line) for line in lines}) == 1
    for line, row in zip([lines[0], *lines[2:]], rows, strict=True):
        assert line.startswith("| ")
        assert line.endswith(" |")
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if "\\" not in "".join(row):
            read = [one.strip(" ").replace("\\|", "|") for one in cells]
            assert read == [one.strip(" ") for one in row]
    rule = lines[1].strip("| ").split(" | ")
    assert [one.endswith(":") for one in rule] == [i >= text_columns for i in range(3)]
    assert all(set(one) <= {"-", ":"} and len(one) >= 3 for one in rule)


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("中文", 4), ("ｱ", 1), ("Ａ", 2), ("한", 2), ("é", 1), ("ё", 1)],
)
def test_width(text: str, width: int) -> None:
    assert display_width(text) == width
    assert display_width(unicodedata.normalize("NFC", text)) == width
