"""Who may see whom: True where a query may attend to a key. For all heads alike."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def causal_mask(
    q: Float[Tensor, "... q d_k"], k: Float[Tensor, "... k d_k"]
) -> Bool[Tensor, "q k"]:
    """True where a key is not after the query; the last query stands at the last key."""
    queries, keys = q.shape[-2], k.shape[-2]
    return torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)


def document_mask(
    documents: Int[Tensor, "*batch seq"], causal: bool = True
) -> Bool[Tensor, "*batch 1 seq seq"]:
    """True where a key is of the query's document and, if causal, not after the query.

    Example:
        >>> document_mask(torch.tensor([0, 0, 1])).int()
        tensor([[[1, 0, 0],
                 [1, 1, 0],
                 [0, 0, 1]]], dtype=torch.int32)
    """
    same = documents[..., :, None] == documents[..., None, :]
    return (same.tril() if causal else same).unsqueeze(-3)


def document_places(documents: Int[Tensor, "*batch seq"]) -> Int[Tensor, "*batch seq"]:
    """Where each token stands in its document: how many of that are before it.

    Example:
        >>> document_places(torch.tensor([0, 0, 1]))
        tensor([0, 1, 0])
    """
    return document_mask(documents).squeeze(-3).sum(-1) - 1


def prefix_mask(prefix: Int[Tensor, "*batch"], seq: int) -> Bool[Tensor, "*batch 1 seq seq"]:
    """True where a key is not after the query, or is one of the first ``prefix``.

    So a prefix sees itself in both directions, and what follows is causal (T5's prefix LM,
    arXiv:1910.10683).

    Args:
        prefix: tokens of it, for each text.
        seq: tokens of the texts.

    Example:
        >>> prefix_mask(torch.tensor([2]), 3).int()
        tensor([[[[1, 1, 0],
                  [1, 1, 0],
                  [1, 1, 1]]]], dtype=torch.int32)
    """
    places = torch.arange(seq, device=prefix.device)
    in_prefix = places < prefix[..., None]
    return (in_prefix[..., None, :] | (places <= places[:, None])).unsqueeze(-3)


def padding_mask(real: Bool[Tensor, "*batch keys"]) -> Bool[Tensor, "*batch 1 1 keys"]:
    """True where a key is a token, and no padding; for all queries alike.

    It knows nothing of order: for texts that are seen in both directions, and for memories.

    Example:
        >>> padding_mask(torch.tensor([[True, True, False]])).shape
        torch.Size([1, 1, 1, 3])
    """
    return real[..., None, None, :]
