"""The tokenizer within a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass, field

from byteloom.export.source import Source
from byteloom.tokenizer import Tokenizer

#: A preset's pattern -> llama.cpp's name for its own.
_PRE = {
    "gpt2": "gpt-2",
    "llama3": "llama-bpe",
    "qwen2": "qwen2",
    "qwen3_5": "qwen35",
    "cl100k": "dbrx",
    "o200k": "gpt-4o",
    "tekken": "tekken",
}
#: The same pattern as llama-bpe's, without the rule below.
_BY_MERGES = "dbrx"
#: Names with the rule that a pretoken that is a token is that token, whatever merges make of it.
_WHOLE_FIRST = {"llama-bpe", "tekken"}
_INEXACT = {
    "cl100k": "splits a text that ends in spaces after a newline before those spaces",
    "o200k": "takes letters outside of ASCII to be of both cases, and no marks for letters",
    "tekken": "takes letters outside of ASCII to be of both cases, and no marks for letters",
}


@dataclass
class Vocabulary:
    """What the file says."""

    pre: str
    """How text is split."""
    tokens: list[str] = field(default_factory=list)
    """By id: bytes in GPT-2's alphabet, special tokens as they are."""
    types: list[int] = field(default_factory=list)
    """1: normal, 3: special, 5: an id of the model that the tokenizer lacks."""
    merges: list[str] = field(default_factory=list)
    """Pairs, with a space between, first merge first."""
    remarks: list[str] = field(default_factory=list)
    """Where llama.cpp is not exact."""


def vocabulary(source: Source) -> Vocabulary | None:
    """The tokenizer as llama.cpp reads it; ``None`` if there is none.

    Raises:
        ValueError: a pattern that llama.cpp has no name for.
    """
    tokenizer = source.tokenizer
    if tokenizer is None:
        return None
    preset = tokenizer.preset
    if preset not in _PRE:
        raise ValueError(
            f"llama.cpp has no name for the tokenizer's pattern {tokenizer.pattern!r}; it has for "
            f"those of the presets {', '.join(_PRE)}"
        )
    found = Vocabulary(_PRE[preset])
    if preset in _INEXACT:
        found.remarks.append(f"llama.cpp's form of the pattern {preset} {_INEXACT[preset]}")
    if found.pre in _WHOLE_FIRST and (unmade := _not_made_by_merges(tokenizer)):
        if preset == "llama3":
            found.pre = _BY_MERGES
        else:
            found.remarks.append(f"llama.cpp takes {unmade} tokens that merges never make")
    alphabet = byte_alphabet()
    special = {token: text for text, token in tokenizer.special_tokens.items()}
    vocab = tokenizer.vocab
    for token in range(source.config.vocab_size):
        if token in special:
            text, kind = special[token], 3
        elif token in vocab:
            text, kind = _spelled(vocab[token], alphabet), 1
        else:
            text, kind = f"[PAD{token}]", 5
        found.tokens.append(text)
        found.types.append(kind)
    for pair in tokenizer.merges:
        found.merges.append(" ".join(_spelled(part, alphabet) for part in pair))
    return found


def byte_alphabet() -> list[str]:
    """GPT-2's character for each byte: itself if it can be seen, else one from U+0100 on.

    Example:
        >>> byte_alphabet()[ord("a")], byte_alphabet()[ord(" ")]
        ('a', 'Ġ')
    """
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]


def _spelled(token: bytes, alphabet: list[str]) -> str:
    return "".join(alphabet[byte] for byte in token)


def _not_made_by_merges(tokenizer: Tokenizer) -> int:
    """How many tokens' own bytes get other ids."""
    special = set(tokenizer.special_tokens.values())
    plain = [(t, text) for t, text in tokenizer.vocab.items() if t not in special]
    ids = tokenizer.encode_batch([text for _, text in plain], "none")
    return sum(found.tolist() != [token] for (token, _), found in zip(plain, ids, strict=True))
