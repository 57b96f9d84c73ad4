"""Weights <-> those of an architecture: names, orders of rows, matrices the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from byteloom.export.hf import stacks
from byteloom.export.hf.family import Family
from byteloom.export.hf.files import Pending, Weights
from byteloom.export.rotary_layout import change
from byteloom.model import ModelConfig, TransformerLM

#: What old files hold beside weights: tables that follow from the configuration.
_TABLES = re.compile(r"(\.attn\.(masked_)?bias|rotary_emb\.inv_freq)$")
#: Whose rows are numbers that rotary positions turn.
_TURNED = re.compile(r"\.attn\.[qk]_(proj|norm)\.")


def skeleton(config: ModelConfig) -> TransformerLM:
    """The model without memory."""
    with torch.device("meta"):
        return TransformerLM(config)


def pending(model: TransformerLM, family: Family, seen: ModelConfig) -> Iterator[Pending]:
    """The architecture's weights, in the order of ours.

    Args:
        model: ours.
        family: the architecture.
        seen: the configuration that it is there: it may have biases, say, where ours has none.
    """
    own = dict(model.state_dict())
    shapes = named(seen)
    dtype = model.token_embeddings.weight.dtype
    for theirs, parts in family.groups(list(shapes)):
        if "*" in theirs:
            yield from _experts(own[parts[0]], theirs)
            continue
        numbers = sum(shapes[name].numel() for name in parts)
        make = partial(_theirs, family, model.config, theirs, parts, own, shapes)
        yield Pending(theirs, numbers * dtype.itemsize, make)


def _experts(stack: Tensor, theirs: str) -> Iterator[Pending]:
    """Each expert's part of a stack."""
    for name, part in zip(stacks.of_each(theirs, len(stack)), stack, strict=True):
        yield Pending(name, part.numel() * part.dtype.itemsize, part.detach().cpu)


def named(config: ModelConfig) -> dict[str, Tensor]:
    """The weights that a file holds, without memory: a tied output map is no weight of its own."""
    found: dict[str, Tensor] = skeleton(config).state_dict()
    if config.tie_embeddings:
        del found["lm_head.weight"]
    return found


def _theirs(
    family: Family,
    config: ModelConfig,
    theirs: str,
    parts: list[str],
    own: dict[str, Tensor],
    shapes: dict[str, Tensor],
) -> Tensor:
    """One weight of theirs, of one or several of ours."""
    found = []
    for name in parts:
        tensor = own.get(name)
        if tensor is None:
            # A bias that adds nothing, a gain that changes nothing.
            neutral = torch.zeros if name.endswith(".bias") else torch.ones
            tensor = neutral(shapes[name].shape, dtype=own["token_embeddings.weight"].dtype)
        if config.position.kind == "rotary" and _TURNED.search(name):
            d_head = config.attention.head_size(config.d_model, config.num_heads)
            tensor = change(tensor, d_head, config.position.layout, family.layout)
        found.append(tensor.detach().cpu())
    joined = torch.cat(found)
    is_turned = joined.ndim == 2 and theirs.split(".")[-2] in family.transposed
    return joined.T if is_turned else joined


def load(config: ModelConfig, family: Family, weights: Weights) -> TransformerLM:
    """A model with the architecture's weights, in float32 and evaluation mode.

    Raises:
        ValueError: weights are missing, of other shapes, or more than the architecture has.
    """
    shapes = named(config)
    state: dict[str, Tensor] = {}
    used = set()
    for theirs, parts in family.groups(list(shapes)):
        there, tensor = stacks.find(weights, theirs, len(shapes[parts[0]]))
        used.update(there)
        state |= _ours(family, config, theirs, parts, tensor, shapes)
    more = sorted(name for name in weights.names if name not in used and not _TABLES.search(name))
    if config.tie_embeddings:
        more = [name for name in more if name != "lm_head.weight"]
    if more:
        raise ValueError(
            f"the weights have {', '.join(more[:3])}{' ...' if len(more) > 3 else ''}, "
            f"which byteloom's {family.architecture} lacks"
        )
    model = skeleton(config)
    with torch.random.fork_rng(devices=[]):
        # Its tables are made from the configuration.
        model.position = config.build_position()
    if config.tie_embeddings:
        state["lm_head.weight"] = state["token_embeddings.weight"]
    model.load_state_dict(state, assign=True)
    if config.tie_embeddings:
        model.lm_head.weight = model.token_embeddings.weight
    return model.eval()


def _ours(
    family: Family,
    config: ModelConfig,
    theirs: str,
    parts: list[str],
    tensor: Tensor,
    shapes: dict[str, Tensor],
) -> Iterator[tuple[str, Tensor]]:
    """Our weights, of one of theirs."""
    if tensor.ndim == 2 and theirs.split(".")[-2] in family.transposed:
        tensor = tensor.T
    rows = [shapes[name].shape[0] for name in parts]
    wanted = (sum(rows), *shapes[parts[0]].shape[1:])
    if tuple(tensor.shape) != wanted:
        raise ValueError(
            f"{theirs} has shape {tuple(tensor.shape)}; by config.json it has {wanted}"
        )
    for name, part in zip(parts, torch.split(tensor, rows), strict=True):
        turned = part.float()
        if config.position.kind == "rotary" and _TURNED.search(name):
            d_head = config.attention.head_size(config.d_model, config.num_heads)
            turned = change(turned, d_head, family.layout, config.position.layout)
        # Of its own memory: what is read lies in a mapped file, and parts lie in the whole.
        yield name, turned.contiguous().clone()
