"""Span corruption and whole words, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence

import byteloom as bl


def slow_corrupt(
    ids: Sequence[int], is_cut: Sequence[bool], sentinels: Sequence[int], end: int
) -> tuple[list[int], list[int]]:
    """Inputs and targets, as the paper tells it: a sentinel where a span begins."""
    inputs: list[int] = []
    targets: list[int] = []
    unused = list(sentinels)
    for place, token in enumerate(ids):
        begins = is_cut[place] and (place == 0 or not is_cut[place - 1])
        if begins:
            sentinel = unused.pop(0)
            inputs.append(sentinel)
            targets.append(sentinel)
        (targets if is_cut[place] else inputs).append(token)
    return [*inputs, end], [*targets, end]


def restore(inputs: Sequence[int], targets: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """The text, from inputs and targets without their ends."""
    spans: dict[int, list[int]] = {}
    for token in targets:
        if token in sentinels:
            assert token not in spans
            spans[token] = []
        else:
            spans[list(spans)[-1]].append(token)
    text = []
    for token in inputs:
        text += spans.pop(token) if token in sentinels else [token]
    assert not spans
    return text


def slow_word_starts(tokenizer: bl.Tokenizer, text: str) -> list[bool]:
    """Where pretokens begin among the tokens of a text: each pretoken is encoded by itself."""
    from byteloom._rust import pretokenize

    found = []
    for piece in pretokenize(text, tokenizer.pattern, list(tokenizer.special_tokens)):
        found += [True] + [False] * (len(tokenizer.encode(piece)) - 1)
    return found
