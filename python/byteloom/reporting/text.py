"""Text that others wrote, as a page can hold it."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Text in which no character is one that a page or a plot cannot hold.

    Control characters become their pictures, lone surrogates (bytes of a name that are not UTF-8)
    the replacement character.

    Example:
        >>> visible("a\x00b\x1b[0m\tc\udcff")
        'a␀b␛[0m\tc�'
    """
    return text.translate(_PICTURES)


def one_line(text: str) -> str:
    r"""The same, without ends of lines and tabs.

    Example:
        >>> one_line("two\nlines")
        'two␊lines'
    """
    return visible(text).replace("\n", "␊").replace("\t", "␉")


_PICTURES = (
    {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
    | {0x7F: 0x2421}
    | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD)
)
