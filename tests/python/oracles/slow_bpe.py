"""Byte-pair encoding as one would explain it on a blackboard: slow, obvious, recounting always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import regex

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

Pair = tuple[bytes, bytes]
Word = tuple[bytes, ...]


def split_special(text: str, special_tokens: Sequence[str]) -> list[tuple[str, bool]]:
    """Parts of a text and whether each is a special token; the longest match wins."""
    if not special_tokens:
        return [(text, False)] if text else []
    longest_first = sorted(special_tokens, key=len, reverse=True)
    parts = regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)
    return [(part, i % 2 == 1) for i, part in enumerate(parts) if part]


def pretokens(text: str, pattern: str = GPT2_PATTERN) -> list[bytes]:
    """The pattern's matches, and what lies between them."""
    out, end = [], 0
    for match in regex.finditer(pattern, text):
        if match.start() > end:
            out.append(text[end : match.start()].encode())
        if match.group():
            out.append(match.group().encode())
        end = match.end()
    if end < len(text):
        out.append(text[end:].encode())
    return out


def count(texts: Iterable[str], special_tokens: Sequence[str] = ()) -> Counter[bytes]:
    """Pretokens of texts, special tokens left out."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        for part, special in split_special(text, special_tokens):
            if not special:
                counts.update(pretokens(part))
    return counts


def merge_word(word: Word, pair: Pair) -> Word:
    """Joins every occurrence of the pair, from the left, without overlap."""
    out: list[bytes] = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def train(
    counts: Counter[bytes], vocab_size: int, special_tokens: Sequence[str] = ()
) -> list[Pair]:
    """Merges, greatest count first and then greatest pair, until the vocabulary is full."""
    words = {tuple(bytes([b]) for b in word): n for word, n in counts.items()}
    tokens = {bytes([b]) for b in range(256)}
    merges: list[Pair] = []
    while len(tokens) + len(special_tokens) < vocab_size:
        pairs: Counter[Pair] = Counter()
        for word, n in words.items():
            for pair in pairwise(word):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        tokens.add(best[0] + best[1])
        merged: Counter[Word] = Counter()
        for word, n in words.items():
            merged[merge_word(word, best)] += n
        words = dict(merged)
    return merges


def encode(
    text: str, vocab: dict[int, bytes], merges: Sequence[Pair], special_tokens: Sequence[str] = ()
) -> list[int]:
    """In every pretoken, the pair that was merged first in training, until there is none."""
    ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
    ids = {token: i for i, token in sorted(vocab.items(), reverse=True)}
    out: list[int] = []
    for part, special in split_special(text, special_tokens):
        if special:
            out.append(ids[part.encode()])
            continue
        for pretoken in pretokens(part):
            word: Word = tuple(bytes([b]) for b in pretoken)
            while mergeable := [pair for pair in pairwise(word) if pair in ranks]:
                word = merge_word(word, min(mergeable, key=ranks.__getitem__))
            out.extend(ids[token] for token in word)
    return out
