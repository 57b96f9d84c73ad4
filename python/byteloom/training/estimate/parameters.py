"""The numbers that a model learns, module by module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from byteloom.models import AnyModelConfig


@dataclass(frozen=True)
class Node:
    """A module or a parameter."""

    name: str
    """Within its module."""
    count: int
    """Numbers to learn, in all copies."""
    shape: tuple[int, ...] = ()
    """Of a parameter; empty: a module."""
    copies: int = 1
    """How many alike there are: blocks."""
    children: tuple[Node, ...] = ()
    """What it consists of."""

    def rows(self, depth: int, level: int = 0) -> Iterator[tuple[int, Node]]:
        """(level, node) from the top, down to ``depth``; a lone parameter is its module."""
        for child in self.children:
            only = child
            while len(only.children) == 1 and not only.children[0].children:
                only = Node(child.name, child.count, only.children[0].shape, child.copies)
            yield level, only
            if level + 1 < depth:
                yield from only.rows(depth, level + 1)


@dataclass(frozen=True)
class Parameters:
    """How many there are."""

    total: int
    """All."""
    without_embeddings: int
    """Without the token embeddings and the output map."""
    active: int
    """Without those that have no part in what becomes of a token: experts it does not go to."""
    tree: Node
    """The model."""


def count_parameters(config: AnyModelConfig) -> Parameters:
    """Counts, without making a single number."""
    with torch.device("meta"):
        model = config.build()
    return Parameters(
        model.num_parameters(),
        model.num_parameters(embeddings=False),
        model.num_parameters(idle=False),
        _node("model", model, seen=set()),
    )


def _node(name: str, module: nn.Module, copies: int = 1, *, seen: set[nn.Parameter]) -> Node:
    # What is tied counts where it comes first.
    new = [(key, p) for key, p in module.named_parameters(recurse=False) if p not in seen]
    seen.update(p for _, p in new)
    own = [Node(key, p.numel() * copies, tuple(p.shape)) for key, p in new]
    within = []
    for key, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            within += _alike(key, child, copies, seen)
        else:
            within.append(_node(key, child, copies, seen=seen))
    children = tuple(node for node in (*own, *within) if node.count)
    return Node(name, sum(node.count for node in children), (), 1, children)


def _alike(name: str, blocks: nn.ModuleList, copies: int, seen: set[nn.Parameter]) -> list[Node]:
    """One node for all blocks that have the same, named by its first if there are several."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for i, block in enumerate(blocks):
        shapes = tuple((key, p.shape) for key, p in block.named_parameters())
        kinds.setdefault(shapes, []).append(i)
    nodes = []
    for first, *others in kinds.values():
        n = 1 + len(others)
        node = _node("block", blocks[first], copies * n, seen=seen)
        where = name if len(kinds) == 1 else f"{name}.{first}"
        nodes.append(Node(where, node.count, (), n, node.children))
    return nodes
