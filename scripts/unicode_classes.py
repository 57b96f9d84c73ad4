"""Which code points two libraries put into different classes: their Unicode versions differ."""

from __future__ import annotations

import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import regex
import tokenizers

from byteloom import _rust

#: What the presets' patterns tell apart.
CLASSES = (r"\p{Lu}", r"\p{Lt}", r"\p{Ll}", r"\p{Lm}", r"\p{Lo}", r"\p{M}", r"\p{N}", r"\s")

#: All planes that have characters; the others are private or empty.
CODE_POINTS = [
    c for c in (*range(0x80, 0x40000), *range(0xE0000, 0xE1000)) if not 0xD800 <= c < 0xE000
]

Split = Callable[[str, str], Iterable[str]]
Members = Mapping[str, frozenset[str]]


def by_matching() -> Members:
    """The classes of the ``regex`` module."""
    text = "".join(map(chr, CODE_POINTS))
    return {name: frozenset(regex.findall(name, text)) for name in CLASSES}


def by_splitting(split: Split) -> Members:
    """The classes of a library that can split a text by a pattern and keeps what lies between.

    The text is a line for every code point, and each begins with ``#``. A pattern for a member and
    the newline behind it splits off the members, and leaves what begins with ``#``.
    """
    found: dict[str, frozenset[str]] = {}
    for name in CLASSES:
        members: set[str] = set()
        # In parts, for a library whose offsets take time that grows with the square of the length.
        for start in range(0, len(CODE_POINTS), 2048):
            text = "".join(f"#{chr(c)}\n" for c in CODE_POINTS[start : start + 2048])
            pieces = split(name + r"\n", text)
            members.update(piece[0] for piece in pieces if not piece.startswith("#"))
        found[name] = frozenset(members)
    return found


def differing(left: Members, right: Members) -> frozenset[str]:
    """Code points that belong to a class here and not there."""
    return frozenset().union(*(left[name] ^ right[name] for name in CLASSES))


@cache
def ours() -> Members:
    """The engine's classes."""
    return by_splitting(lambda p, text: (piece.decode() for piece in _rust.pretokenize(text, p)))


@cache
def from_regex() -> frozenset[str]:
    """Code points whose class is another in the `regex` module."""
    return differing(ours(), by_matching())


@cache
def from_huggingface() -> frozenset[str]:
    """Code points whose class is another in Hugging Face tokenizers, which run Oniguruma."""

    def split(pattern: str, text: str) -> Iterable[str]:
        splitter = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
        return (piece for piece, _ in splitter.pre_tokenize_str(text))

    return differing(ours(), by_splitting(split))


def byteloom_version() -> str:
    """The Unicode version of the engine's tables: the last whose characters it knows."""
    known = "unknown"
    for major in range(15, 30):
        try:
            _rust.resolve_pattern(rf"\p{{age={major}.0}}")
        except ValueError:
            continue
        known = f"{major}.0"
    return known


def regex_version() -> str:
    """The Unicode version that the ``regex`` module's description names."""
    metadata = importlib.metadata.metadata("regex")
    text = f"{metadata.get('Description') or ''}{metadata.get_payload()}"
    found = re.search(r"Unicode (\d+\.\d+)", text)
    return found[1] if found else "unknown"


def described(characters: Iterable[str], most: int = 5) -> str:
    """A few code points with their names, as far as this Python knows them."""
    ordered = sorted(characters)
    shown = [f"U+{ord(c):04X} {unicodedata.name(c, '(no name here)')}" for c in ordered[:most]]
    return ", ".join(shown) + (f" and {len(ordered) - most:,} more" if len(ordered) > most else "")


def summary(excused: frozenset[str] | set[str]) -> str:
    """The versions, how many code points changed between them, and those that came up."""
    mine, theirs = byteloom_version(), regex_version()
    return (
        f"Unicode: byteloom {mine}, regex {theirs}; the class of {len(from_regex()):,} code points "
        f"differs, and of {len(from_huggingface()):,} between byteloom and tokenizers.\n"
        f"Excused: {described(excused) if excused else 'none came up'}."
    )
