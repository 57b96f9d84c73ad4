"""Splitting, against the ``regex`` module and tiktoken."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from itertools import pairwise

import pytest
import regex
import tiktoken
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
@settings(max_examples=100)
@given(text=nasty_text)
def test_every_preset_splits_as_tiktoken_does(preset: str, text: str) -> None:
    """With what we split into, and neighbours joined, as tokens, tiktoken shows where it splits."""
    pieces = _rust.pretokenize(text, preset)
    tokens = [bytes([b]) for b in range(256)] + pieces + [a + b for a, b in pairwise(pieces)]
    ranks = {token: rank for rank, token in enumerate(dict.fromkeys(tokens))}
    pattern = _rust.resolve_pattern(preset)[1]
    peer = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert peer.encode_ordinary(text) == [ranks[piece] for piece in pieces]


@pytest.mark.parametrize(
    ("encoding", "preset"),
    [
        ("gpt2", "gpt2"),
        ("r50k_base", "gpt2"),
        ("p50k_base", "gpt2"),
        ("p50k_edit", "gpt2"),
        ("cl100k_base", "cl100k"),
        ("o200k_base", "o200k"),
        ("o200k_harmony", "o200k"),
    ],
)
def test_tiktokens_encodings_are_known_by_name_and_by_pattern(
    encoding: str, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiktoken_ext import openai_public

    # The vocabularies would have to be downloaded; the patterns stand beside them.
    for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
        monkeypatch.setattr(openai_public, loader, lambda *args, **kwargs: {})
    constructor = openai_public.ENCODING_CONSTRUCTORS.get(encoding)
    if constructor is None:
        pytest.skip(f"this tiktoken has no {encoding}")
    pattern = constructor()["pat_str"]
    assert _rust.resolve_pattern(pattern) == _rust.resolve_pattern(encoding)
    assert _rust.resolve_pattern(encoding)[0] == preset


@pytest.mark.parametrize(
    ("module", "preset"),
    [("qwen2.tokenization_qwen2", "qwen2"), ("qwen3_5.tokenization_qwen3_5", "qwen3_5")],
)
def test_qwens_patterns_are_those_of_transformers(module: str, preset: str) -> None:
    published = pytest.importorskip(f"transformers.models.{module}").PRETOKENIZE_REGEX
    assert _rust.resolve_pattern(published)[0] == preset


@pytest.mark.parametrize(
    ("name", "preset"), [("llama-bpe", "llama3"), ("gpt-4o", "o200k"), ("tekken", "tekken")]
)
def test_patterns_of_gguf_files_are_those_of_transformers(name: str, preset: str) -> None:
    module = "transformers.integrations.gguf.gguf_tokenizer_mapping"
    published = pytest.importorskip(module).GGUF_PRE_TOKENIZER_SPLITS[name]
    assert _rust.resolve_pattern(published)[0] == preset


@pytest.mark.parametrize("preset", _rust.PRESETS)
def test_every_code_point_next_to_letters_spaces_digits_and_apostrophes(preset: str) -> None:
    pattern = regex.compile(_rust.resolve_pattern(preset)[1])
    code_points = [c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    different = 0
    for start in range(0, len(code_points), 4096):
        characters = [chr(c) for c in code_points[start : start + 4096]]
        text = "".join(f"a{c}B {c}1{c}{c}'{c}'s\n" for c in characters if not changed_class(c))
        got, want = (
            _rust.pretokenize(text, preset),
            [m.group().encode() for m in pattern.finditer(text)],
        )
        different += got != want
    assert different == 0


@given(text=nasty_text, pattern=st.sampled_from([r"\w+", r"[a-z]", r"x*", r"\S+|\n", "(?=a)"]))
def test_any_pattern_keeps_every_byte(text: str, pattern: str) -> None:
    assert b"".join(_rust.pretokenize(text, pattern)) == text.encode()


broken_text = st.lists(
    st.one_of(
        st.sampled_from([piece.encode() for piece in NASTY_PIECES]),
        st.sampled_from([b"\x80", b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\xa6"]),
        st.binary(max_size=4),
    ),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("preset", _rust.PRESETS)
@given(data=broken_text)
def test_invalid_utf8_splits_like_the_replacement_character(preset: str, data: bytes) -> None:
    pieces = _rust.pretokenize(data, preset)
    assert b"".join(pieces) == data
    text = data.decode("utf-8", errors="replace")
    if any(map(changed_class, text)):
        return
    want = slow_bpe.pretokens(text, _rust.resolve_pattern(preset)[1])
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
        for preset in _rust.PRESETS:
            assert _rust.pretokenize(run, preset) == [run.encode()]
            joins_newlines = run[0] == "\n" and preset != "gpt2"
            first = run if joins_newlines else run[:-1]
            assert _rust.pretokenize(run + "x", preset)[0] == first.encode()
    assert len(_rust.pretokenize(PROSE + END, "gpt2", [END])) == len(slow_bpe.pretokens(PROSE)) + 1


def test_the_way_of_scanning_can_be_named() -> None:
    """In a fresh process each, for it is looked at once."""
    show = "from byteloom import _rust; print(_rust.simd())"

    def simd(**variables: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key != "BYTELOOM_SIMD"}
        command = [sys.executable, "-c", show]
        return subprocess.check_output(command, env=environment | variables, text=True).strip()

    best = simd()
    assert best in ("scalar", "avx2", "avx512", "neon")
    assert simd(BYTELOOM_SIMD="scalar") == "scalar"
    assert simd(BYTELOOM_SIMD=best) == best
    assert simd(BYTELOOM_SIMD="abacus") == best
