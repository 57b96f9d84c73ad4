"""How likely a model holds continuations of texts to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from byteloom.model import TransformerLM
from byteloom.tokenizer import Tokenizer

#: Logits of so many tokens exist at once.
_PIECE = 512


class Request(NamedTuple):
    """A text in two parts, as ids; the question is how likely the second is after the first."""

    context: list[int]
    continuation: list[int]


def encode_requests(tokenizer: Tokenizer, texts: Sequence[tuple[str, str]]) -> list[Request]:
    """Contexts and continuations -> ids, exactly as lm-eval makes them.

    Both are encoded together, and cut where the context encoded alone would end; white space at
    the end of a context counts as the continuation's, whose first token it is part of. Where there
    is no context, the tokenizer's first special token stands for it, unless the continuation begins
    with that.

    Args:
        tokenizer: that of the model.
        texts: (context, continuation) each.

    Raises:
        ValueError: a continuation without a token of its own; no context and no special token.

    Example:
        >>> letters = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|end|>"])
        >>> encode_requests(letters, [("a ", "b"), ("", "b")])
        [Request(context=[97], continuation=[32, 98]), Request(context=[256], continuation=[98])]
    """
    pairs = []
    for context, continuation in texts:
        stripped = context.rstrip()
        # Nothing but white space: lm-eval would have no token before the continuation.
        pairs.append((stripped, context[len(stripped) :] + continuation))
    wholes = tokenizer.encode_batch([context + rest for context, rest in pairs])
    # The choices of a question share its context.
    known = list(dict.fromkeys(context for context, _ in pairs if context))
    lengths = dict(zip(known, map(len, tokenizer.encode_batch(known)), strict=True))
    found = []
    for (context, continuation), whole in zip(pairs, wholes, strict=True):
        ids = whole.tolist()
        cut = lengths[context] if context else 0
        if not context:
            special = next(iter(tokenizer.special_tokens.values()), None)
            if special is None:
                raise ValueError(
                    f"nothing stands before {continuation!r}, and the tokenizer has no special "
                    "token that could: give a context"
                )
            ids, cut = [special] * (ids[:1] != [special]) + ids, 1
        if len(ids) <= cut:
            raise ValueError(
                f"{continuation!r} has no token of its own behind {context[-40:]!r}: the tokenizer "
                "joins them"
            )
        found.append(Request(ids[:cut], ids[cut:]))
    return found


@torch.inference_mode()
def log_likelihoods(
    model: TransformerLM, requests: Sequence[Request], batch_size: int = 32
) -> list[float]:
    """The sum of the log-probabilities of each continuation's tokens, in nats.

    Of a text that is longer than the model's context, the end is read. Texts go through the model
    from the longest to the shortest, so that little is padded, and those that are alike but for
    their last token, as where all choices are one token, only once.

    Args:
        model: in evaluation mode.
        requests: of any lengths.
        batch_size: texts at a time.

    Raises:
        ValueError: a continuation without tokens, or with more than the model's context; a batch
            size below 1.

    Example:
        >>> from byteloom.model import ModelConfig
        >>> model = ModelConfig(vocab_size=10, context_length=8, d_model=16, num_heads=2).build(0)
        >>> found = log_likelihoods(model.eval(), [Request([1, 2], [3]), Request([1, 2], [4, 5])])
        >>> logs = model(torch.tensor([[1, 2, 4]])).log_softmax(-1)[0]
        >>> abs(found[1] - (logs[1, 4] + logs[2, 5]).item()) < 1e-5
        True
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    limit = model.config.context_length
    # What is read -> the requests that it answers.
    rows: dict[tuple[int, ...], list[int]] = {}
    for number, (context, continuation) in enumerate(requests):
        if not context or not 0 < len(continuation) <= limit:
            raise ValueError(
                f"request {number} has {len(context)} and {len(continuation)} tokens: each part "
                f"needs one, and the second has at most the model's context, {limit}"
            )
        rows.setdefault((*context, *continuation)[-limit - 1 : -1], []).append(number)
    ordered = sorted(rows, key=len, reverse=True)
    owners: list[int] = []
    parts: list[Tensor] = []
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        answered = [[(i, requests[i].continuation) for i in rows[ids]] for ids in batch]
        found, of = _batch(model, batch, answered)
        parts.append(found)
        owners += of
    sums = np.zeros(len(requests))
    if parts:
        np.add.at(sums, owners, torch.cat(parts).double().numpy(force=True))
    result: list[float] = sums.tolist()
    return result


def _batch(
    model: TransformerLM,
    rows: Sequence[tuple[int, ...]],
    answered: Sequence[Sequence[tuple[int, list[int]]]],
) -> tuple[Tensor, list[int]]:
    """The log-probabilities of all tokens asked for, and the request that each belongs to."""
    device = model.lm_head.weight.device
    inputs = torch.zeros(len(rows), len(rows[0]), dtype=torch.long)
    for row, ids in enumerate(rows):
        inputs[row, : len(ids)] = torch.tensor(ids)
    hidden = model.hidden(inputs.to(device))
    # Each token that somebody asks about has logits once, however many ask.
    places: list[Tensor] = []
    wanted: list[tuple[int, int, int]] = []  # place among those, id, request
    count = 0
    for row, (ids, requests) in enumerate(zip(rows, answered, strict=True)):
        longest = max(len(continuation) for _, continuation in requests)
        places.append(hidden[row, len(ids) - longest : len(ids)])
        count += longest
        for number, continuation in requests:
            first = count - len(continuation)
            wanted += [(first + i, token, number) for i, token in enumerate(continuation)]
    wanted.sort()
    tokens = torch.cat(places)
    index, ids_of, owners = (list(column) for column in zip(*wanted, strict=True))
    found = []
    for start in range(0, count, _PIECE):
        a, b = np.searchsorted(index, [start, start + _PIECE])
        logs = model.lm_head(tokens[start : start + _PIECE]).float().log_softmax(-1)
        at = torch.tensor([index[a:b], ids_of[a:b]], device=device)
        found.append(logs[at[0] - start, at[1]])
    return torch.cat(found), owners
