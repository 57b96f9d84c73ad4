"""A folder's ``.safetensors``: one, or several with an index of what is where."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from byteloom.atomic import atomic_path

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Weights of more than so many bytes are put into several files.
SHARD_BYTES = 5 * 10**9


class Weights:
    """The tensors in a folder by name; each is read when it is asked for.

    Args:
        folder: where they are.

    Raises:
        FileNotFoundError: there are none, or one of several files is missing.
        ValueError: a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        files = [folder / ONE]
        if (folder / INDEX).exists():
            named = read_json(folder / INDEX).get("weight_map", {})
            files = [folder / name for name in sorted(set(named.values()))]
        elif not files[0].exists():
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
            why = "; byteloom does not read pickled weights, which can execute code"
            raise FileNotFoundError(f"{folder} has no {ONE}{why if pickled else ''}")
        self._stack = ExitStack()
        self._where: dict[str, Any] = {}
        for path in files:
            if not path.exists():
                raise FileNotFoundError(f"{folder / INDEX} names {path.name}, which is missing")
            try:
                file = self._stack.enter_context(safetensors.safe_open(path, framework="pt"))
            except safetensors.SafetensorError as error:
                raise ValueError(f"{path} is damaged: {error}") from None
            self._where |= dict.fromkeys(file.keys(), file)

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """All there are."""
        return list(self._where)

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._where[name].get_tensor(name)
        return tensor


@dataclass(frozen=True)
class Pending:
    """A tensor that is made when its file is written."""

    name: str
    size: int
    """In bytes."""
    make: Callable[[], Tensor]


def pending(tensors: Mapping[str, Tensor]) -> list[Pending]:
    """Those that are there already, each copied when its file is written."""
    return [
        Pending(name, tensor.numel() * tensor.element_size(), tensor.detach().cpu().clone)
        for name, tensor in tensors.items()
    ]


def write(tensors: Sequence[Pending], folder: Path, shard_bytes: int) -> None:
    """Writes them, into several files and an index if they are more than ``shard_bytes``."""
    shards: list[list[Pending]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(t.size for t in shards[-1]) + tensor.size > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    n = len(shards)
    where: dict[str, str] = {}
    for i, shard in enumerate(shards, 1):
        name = ONE if n == 1 else f"model-{i:05d}-of-{n:05d}.safetensors"
        where |= {tensor.name: name for tensor in shard}
        made = {tensor.name: tensor.make().contiguous() for tensor in shard}
        with atomic_path(folder / name) as path:
            safetensors.torch.save_file(made, path, {"format": "pt"})
    if n > 1:
        total = sum(tensor.size for tensor in tensors)
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no JSON, or no object.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path.parent} has no {path.name}")
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes it as transformers does."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
