"""The numbers that a model learns, module by module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from byteloom.model import ModelConfig, TransformerLM


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
    tree: Node
    """The model."""


def count_parameters(config: ModelConfig) -> Parameters:
    """Counts, without making a single number."""
    # Blocks are alike: one is made.
    model = skeleton(config, 1)
    tree = _node("model", model, config.num_layers, seen=set())
    block = sum(p.numel() for p in model.layers.parameters())
    more = (config.num_layers - 1) * block
    return Parameters(
        model.num_parameters() + more, model.num_parameters(embeddings=False) + more, tree
    )


def skeleton(config: ModelConfig, num_layers: int) -> TransformerLM:
    """The model, with so many blocks, without memory."""
    with torch.device("meta"):
        return TransformerLM(replace(config, num_layers=num_layers))


def _node(
    name: str, module: nn.Module, blocks: int, copies: int = 1, *, seen: set[nn.Parameter]
) -> Node:
    # What is tied counts where it comes first.
    new = [(key, p) for key, p in module.named_parameters(recurse=False) if p not in seen]
    seen.update(p for _, p in new)
    own = [Node(key, p.numel() * copies, tuple(p.shape)) for key, p in new]
    within = []
    for key, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            block = _node("block", child[0], blocks, copies * blocks, seen=seen)
            within.append(Node(key, block.count, (), blocks, block.children))
        else:
            within.append(_node(key, child, blocks, copies, seen=seen))
    children = tuple(node for node in (*own, *within) if node.count)
    return Node(name, sum(node.count for node in children), (), 1, children)
