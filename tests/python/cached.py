"""Logits as generating makes them: a few tokens at once, and then one after the other."""

from __future__ import annotations

import torch

from byteloom.generation import Decoder
from byteloom.model import TransformerLM


def cached_logits(model: TransformerLM, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Of all tokens, with a cache: the first so many are read together."""
    cache, pieces = model.new_cache(), [ids[:, :first], *ids[:, first:].split(1, dim=1)]
    return torch.cat([model(piece, cache=cache) for piece in pieces], dim=1)


def decoded_logits(model: TransformerLM, ids: torch.Tensor, first: int) -> torch.Tensor:
    """Of the tokens from ``first - 1`` on, by a decoder."""
    decoder = Decoder(model)
    found = [decoder.read(ids[:, :first])]
    found += [decoder.step(ids[:, i]) for i in range(first, ids.shape[1])]
    return torch.stack(found, dim=1)
