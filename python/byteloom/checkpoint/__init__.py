"""Checkpoints: everything a run is, in one .safetensors file, written whole or not at all.

Tensors lie in the file as tensors (``model.*``, ``optimizer.*``, ``state.*``); all else is JSON in
the header. Nothing in it is ever executed, and whatever opens safetensors opens it.

:func:`save` and :func:`load` are for any module and torch optimizer; :class:`Checkpoint` with
:func:`write` and :func:`read` also carries what a whole run needs: its configuration, its
tokenizer's identity, random generators.

Example:
    >>> import torch
    >>> model = torch.nn.Linear(3, 2)
    >>> optimizer = torch.optim.AdamW(model.parameters())
    >>> import io
    >>> file = io.BytesIO()
    >>> save(model, optimizer, 7, file)
    >>> _ = file.seek(0)
    >>> load(file, model, optimizer)
    7
"""

from __future__ import annotations

import torch
from torch import nn

from byteloom.checkpoint.contents import Checkpoint
from byteloom.checkpoint.file import Destination, Source, name_of, read, write

__all__ = ["Checkpoint", "load", "read", "save", "write"]


def save(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    iteration: int,
    out: Destination,
) -> None:
    """Writes a model, its optimizer and the iteration.

    Args:
        model: any module.
        optimizer: any torch optimizer.
        iteration: steps done.
        out: a path, which appears when complete, or a binary file object open for writing.

    Raises:
        OSError: it cannot be written; a file of that name stays as it was.
    """
    write(Checkpoint.of(model, optimizer, iteration), out)


def load(
    src: Source,
    model: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> int:
    """Reads what :func:`save` wrote into ``model`` and ``optimizer``; returns the iteration.

    Args:
        src: a path, or a binary file object open for reading.
        model: gets the weights.
        optimizer: gets its state.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: cut short, no checkpoint, or of another model or optimizer.
    """
    found = read(src, optimizer=optimizer is not None)
    found.restore(model, optimizer, name_of(src))
    return found.iteration
