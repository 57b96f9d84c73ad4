"""What a token is made of, and how it is written."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byteloom.tokenizer.study import KINDS, Token
from byteloom.tokenizer.study.token import show


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (" the", "word"),
        (" привет", "word"),
        (" नमस्ते", "word"),
        ("the", "letters"),
        ("中文", "letters"),
        ("\nthe", "mixed"),
        ("  the", "mixed"),
        ("'s", "mixed"),
        ("a1", "mixed"),
        ("42", "digits"),
        (" 42", "digits"),
        ("²", "digits"),
        (" ", "space"),
        ("\n\n\u3000", "space"),
        ("...", "symbols"),
        (" (", "symbols"),
        ("😀", "symbols"),
        ("\x00", "symbols"),
    ],
)
def test_kinds(token: str, kind: str) -> None:
    assert Token(0, token.encode()).kind == kind
    assert Token(0, token.encode(), special=True).kind == "special"


@given(st.binary(min_size=1))
def test_any_bytes_have_a_kind(token: bytes) -> None:
    assert Token(0, token).kind in KINDS
    try:
        token.decode()
    except UnicodeDecodeError:
        assert Token(0, token).kind == "partial"


@given(st.text(), st.integers(0, 50))
def test_characters_are_counted_once_wherever_bytes_are_cut(text: str, place: int) -> None:
    data = text.encode()
    assert Token(0, data).characters == len(text)
    parts = [Token(0, part).characters for part in (data[:place], data[place:])]
    assert sum(parts) == len(text)


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_what_is_shown_is_exact(token: bytes) -> None:
    shown = ast.literal_eval(show(token))
    assert (shown if isinstance(shown, bytes) else shown.encode()) == token


@given(st.text(), st.integers(3, 40))
def test_what_is_shown_fits(text: str, width: int) -> None:
    whole, shown = show(text.encode()), show(text.encode(), width)
    if len(whole) <= width:
        assert shown == whole
    else:
        assert len(shown) == width
        start, end = shown[: (width - 1) // 2], shown[-((width - 1) // 2) :]
        assert whole.startswith(start)
        assert whole.endswith(end)
