"""Texts that have broken tokenizers before, for check_exactness.py."""

from __future__ import annotations

import random
from collections.abc import Iterator

END = "<|endoftext|>"

#: Special tokens that begin alike, contain each other and overlap.
OVERLAPPING = (END, "<|endoftext|><|endoftext|>", "<|end", "text|>", "|><|")

CONTRACTIONS = (
    "'s",
    "'d",
    "'m",
    "'t",
    "'ll",
    "'ve",
    "'re",
    "'S",
    "'LL",
    "'Ve",
    "'l",
    "'v",
    "'",
    "''",
)
SPACES = tuple(" \t\n\x0b\x0c\x1c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000\u200b\ufeff")
SPACES += ("  ", "\r\n", "\n\n", " \n")
#: A character or two of each class and script that the patterns tell apart; some of several.
CHARACTERS = tuple("aZéßſǅİʰªΩЖ日한ع𐐀½Ⅷ२²𝟘0!/_’€😀\u0301\ufffd\x00\x7f\ufe0f\U0010ffff\ue000")
CHARACTERS += ("e\u0301", "क\u094d", "12", "1234567", "...", "👩\u200d🚀")

#: What is no UTF-8: surrogates' bytes, overlong forms, numbers too large, sequences cut short.
INVALID = (
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xc0\x80",
    b"\xe0\x80\x80",
)
INVALID += (b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff", b"\xfe\xff")
INVALID += (b"\x80", b"\xbf\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\xa6", b"\xe2\x28\xa1")


def documents(seed: int = 0, run: int = 1_000_000) -> Iterator[bytes]:
    """The texts.

    Args:
        seed: of the random ones.
        run: characters in the longest runs of spaces and newlines.
    """
    yield b""
    for space in (" ", "\n", "\t", "\xa0", "\u3000", "\r\n", " \n"):
        yield (space * (run // len(space.encode()))).encode()
        yield ("x" + space * (run // 10) + "y").encode()
    # Long runs of one class are one pretoken, and the encoder's longest work.
    yield from (c.encode() * (run // 10) for c in ("a", "7", "!", "é", "日", "'"))
    yield from (b"ab" * (run // 20), b"'s" * (run // 20), b"a'" * (run // 20))
    # Contractions behind and before everything.
    for before in (*SPACES, *CHARACTERS):
        for contraction in CONTRACTIONS:
            yield "".join(
                f"{before}{contraction}{after}" for after in (*SPACES, *CHARACTERS)
            ).encode()
    # Kinds of space in every order, between characters of every class.
    for character in CHARACTERS:
        for first in SPACES:
            yield "".join(
                f"{character}{first}{second}{other}"
                for second in SPACES
                for other in (character, "x", "1", "/", "\n")
            ).encode()
    # Everything at every distance from the borders of blocks of 64 bytes.
    for filler in ("x", " ", "é", ",", "1"):
        for length in range(56, 74):
            parts = [(filler * length + c + " 'tis " + c).encode() for c in (*SPACES, *CHARACTERS)]
            yield b"".join(part + b"." * (-len(part) % 64) for part in parts)
    for bad in INVALID:
        for good in (*SPACES, *CHARACTERS):
            plain = good.encode()
            yield b"".join((plain, bad, plain, bad, bad, b"'s", bad, b" ", bad, plain, b"\n", bad))
    # Special tokens that overlap, and parts of them.
    pieces = (
        *OVERLAPPING,
        "<",
        "|",
        ">",
        "<|",
        "|>",
        "end",
        "text",
        "endoftext",
        " ",
        "\n",
        "a",
        "'s",
    )
    rng = random.Random(seed)
    for _ in range(500):
        yield "".join(rng.choices(pieces, k=rng.randint(1, 12))).encode()
    # Anything beside anything, and any bytes at all.
    pool = [piece.encode() for piece in (*CONTRACTIONS, *SPACES, *CHARACTERS, "the", " of")]
    for _ in range(500):
        yield b"".join(rng.choices(pool, k=rng.randint(1, 80)))
        yield b"".join(rng.choices([*pool, *INVALID], k=rng.randint(1, 40)))
        yield rng.randbytes(rng.randint(1, 200))
