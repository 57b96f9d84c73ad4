"""One token: what it is made of, and how it is written for people and for scripts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

#: What a token can be, each token exactly one, and what that means.
KINDS = {
    "special": "special tokens",
    "word": "letters after a space: a word, or how it begins",
    "letters": "letters without a space: a word's later part, or a word after something else",
    "digits": "digits, with or without a space before them",
    "space": "white space",
    "symbols": "neither letters nor digits",
    "mixed": "letters or digits along with something else",
    "partial": "not UTF-8: some bytes of a character",
}


@dataclass(frozen=True, order=True)
class Token:
    """An id and the bytes it stands for."""

    id: int
    bytes: bytes
    special: bool = False

    @property
    def text(self) -> str:
        """The bytes as text; those that are no UTF-8 become U+FFFD."""
        return self.bytes.decode("utf-8", errors="replace")

    @property
    def characters(self) -> int:
        """Characters that begin in it; a character cut in two begins in its first part."""
        return sum(byte & 0xC0 != 0x80 for byte in self.bytes)

    @property
    def kind(self) -> str:
        r"""One of :data:`KINDS`.

        Example:
            >>> [Token(0, token).kind for token in (b" the", b"ing", b" 12", b" (", b"\xe4\xb8")]
            ['word', 'letters', 'digits', 'symbols', 'partial']
        """
        if self.special:
            return "special"
        try:
            text = self.bytes.decode()
        except UnicodeDecodeError:
            return "partial"
        if text.isspace():
            return "space"
        # L: letters, M: the marks that go with them, N: numbers.
        categories = {unicodedata.category(character)[0] for character in text.removeprefix(" ")}
        if categories <= {"L", "M"}:
            return "word" if text.startswith(" ") else "letters"
        if categories == {"N"}:
            return "digits"
        return "mixed" if categories & {"L", "N"} else "symbols"

    def figures(self) -> dict[str, Any]:
        """For JSON, which has no bytes: the text, and the exact bytes in hexadecimal."""
        return {"id": self.id, "text": self.text, "hex": self.bytes.hex(), "kind": self.kind}


def show(token: bytes, width: int | None = None) -> str:
    r"""A token as Python would write it: text in quotes, or ``b'...'`` where it is no UTF-8.

    Args:
        token: any bytes.
        width: longer ones lose their middle.

    Example:
        >>> show(b" the"), show("中".encode()), show(b"\xe4\xb8"), show(b"-" * 60, 11)
        ("' the'", "'中'", "b'\\xe4\\xb8'", "'----…----'")
    """
    try:
        shown = repr(token.decode())
    except UnicodeDecodeError:
        shown = repr(token)
    if width is None or len(shown) <= width:
        return shown
    half = (width - 1) // 2
    return f"{shown[: width - 1 - half]}…{shown[-half:]}"
