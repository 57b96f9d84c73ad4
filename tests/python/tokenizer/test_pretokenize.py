"""Splitting, against the ``regex`` module."""

from __future__ import annotations

import sys
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import END, NASTY_PIECES, PROSE, nasty_text

from byteloom import _rust
from oracles import slow_bpe


def changed_class(character: str) -> bool:
    """Not in this Python's Unicode: a newer one may have given it a class."""
    return unicodedata.category(character) == "Cn"


@pytest.mark.parametrize("preset", _rust.PRESETS)
@settings(max_examples=300)
@given(text=nasty_text)
def test_every_preset_splits_as_the_regex_module_does(preset: str, text: str) -> None:
    pattern = _rust.resolve_pattern(preset)[1]
    assert _rust.pretokenize(text, preset) == slow_bpe.pretokens(text, pattern)


@pytest.mark.parametrize("preset", _rust.PRESETS)
def test_every_code_point_between_a_letter_a_space_and_a_digit(preset: str) -> None:
    pattern = regex.compile(_rust.resolve_pattern(preset)[1])
    code_points = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    different = 0
    for start in range(0, len(code_points), 4096):
        characters = [chr(c) for c in code_points[start : start + 4096]]
        text = "".join(f"a{c} {c}1{c}{c}\n" for c in characters if not changed_class(c))
        got, want = (
            _rust.pretokenize(text, preset),
            [m.group().encode() for m in pattern.finditer(text)],
        )
        different += got != want
    assert different == 0


@given(text=nasty_text, pattern=st.sampled_from([r"\w+", r"[a-z]", r"x*", r"\S+|\n", "(?=a)"]))
def test_any_pattern_keeps_every_byte(text: str, pattern: str) -> None:
    assert b"".join(_rust.pretokenize(text, pattern)) == text.encode()


@given(st.binary(max_size=200))
def test_invalid_utf8_splits_like_the_replacement_character(data: bytes) -> None:
    pieces = _rust.pretokenize(data, "gpt2")
    assert b"".join(pieces) == data
    want = slow_bpe.pretokens(data.decode("utf-8", errors="replace"))
    assert [piece.decode("utf-8", errors="replace").encode() for piece in pieces] == want


@settings(max_examples=300)
@given(text=nasty_text, special=st.lists(st.sampled_from(NASTY_PIECES), unique=True, max_size=4))
def test_special_tokens_split_first_and_the_longest_wins(text: str, special: list[str]) -> None:
    want: list[bytes] = []
    for part, is_special in slow_bpe.split_special(text, special):
        want += [part.encode()] if is_special else slow_bpe.pretokens(part)
    assert _rust.pretokenize(text, "gpt2", special) == want


def test_lone_surrogates_become_the_replacement_character_as_in_tiktoken() -> None:
    assert _rust.pretokenize("a\ud800b", "gpt2") == [b"a", "\ufffd".encode(), b"b"]
    assert b"".join(_rust.pretokenize("\ud83d\ude00", "gpt2")) == "😀".encode()


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "pattern"), ("[z-a]", "pattern"), ("gpt-2 ", None)]
)
def test_a_pattern_that_does_not_compile_is_refused(pattern: str, message: str | None) -> None:
    if message is None:
        assert _rust.resolve_pattern(pattern) == (None, pattern)
    else:
        with pytest.raises(ValueError, match=message):
            _rust.resolve_pattern(pattern)


def test_runs_of_a_million_spaces_and_newlines() -> None:
    for run in (" " * 1_000_000, "\n" * 1_000_000):
        assert _rust.pretokenize(run, "gpt2") == [run.encode()]
        assert _rust.pretokenize(run + "x", "gpt2")[0] == run[:-1].encode()
    assert len(_rust.pretokenize(PROSE + END, "gpt2", [END])) == len(slow_bpe.pretokens(PROSE)) + 1
