"""Texts that break tokenizers, for all tests of this folder."""

from __future__ import annotations

from hypothesis import strategies as st

END = "<|endoftext|>"

#: Pieces that meet each other's edges: contractions, kinds of space, scripts, marks, specials.
NASTY_PIECES = (
    *("'", "'s", "'ll", "'re", "'S", " '", "\t'", "\n's", "’s", "don't", "''ve"),
    *(" ", "  ", "\t", "\n", "\r\n", "\n\n", "\xa0", "\u3000", "\u2028", "\x0b", "\x1c", "\x85"),
    *("a", "Z", "the", " the", "é", "e\u0301", "ß", "Ω", "я", "中", "文。", "ひら", "한글", "ع"),
    *("0", "42", "½", "Ⅷ", "٣", "²", "१"),
    *("!", "...", "_", "#", "€", "😀", "👩\u200d👩\u200d👧", "\ufffd", "\ufeff", "\x00", "\x7f"),
    *(END, "<|endoftext", "|>", "<|", "<|endoftext|><|endoftext|>", "<"),
)

#: Any text, with the nasty pieces far more often than chance would have it.
#: Code points that this Python's Unicode does not know may have a class in a newer one: left out.
nasty_text = st.lists(
    st.one_of(
        st.sampled_from(NASTY_PIECES),
        st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=6),
    ),
    max_size=30,
).map("".join)

PROSE = (
    "It's a truth, isn't it? We'll see 12 ships in 1805, they've 300 guns — \u201cindeed\u201d.\n\n"
    "Σωκράτης είπε: «οὐδέν οἶδα». Он сказал: 'нет'.\tСнова?\r\n"
    "中文也要测试。日本語のテキストも、한국어도 있다.  \u3000 fin.   \n"
    "def f(x):\n    return {'a': x ** 2, 'b': [1, 2, 3]}\n\n\n"
)
