"""Checkpoints: everything a run is, in one .safetensors file, written whole or not at all.

Tensors lie in the file as tensors (``model.*``, ``optimizer.*``, ``state.*``); all else is JSON in
the header. Nothing in it is ever executed, and whatever opens safetensors opens it.

:func:`save` and :func:`load` are for any module and torch optimizer; :class:`Checkpoint` with
:func:`write` and :func:`read` also carries what a whole run needs: its configuration, its
tokenizer's identity, random generators.

Example:
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

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from byteloom import __version__
from byteloom.atomic import atomic_write

#: Grows when a reader of today could no longer read what is written.
FORMAT_VERSION = 1

Destination: TypeAlias = str | os.PathLike[str] | BinaryIO
Source: TypeAlias = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True)
class Checkpoint:
    """What one file holds."""

    iteration: int
    """Optimizer steps done."""
    model: dict[str, Tensor]
    """The model's state dict."""
    optimizer: dict[str, Any] | None = None
    """The optimizer's state dict; ``None`` if it was not saved, or not read."""
    optimizer_class: str = ""
    """Name of the optimizer's class."""
    config: dict[str, Any] = field(default_factory=dict)
    """The run's configuration, as nested tables."""
    tokenizer: str = ""
    """The tokenizer's fingerprint."""
    state: dict[str, Any] = field(default_factory=dict)
    """All else, nested at will: tensors, numbers, strings, lists, tuples, dicts."""
    version: str = __version__
    """byteloom's version that wrote it."""

    @classmethod
    def of(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        iteration: int,
        **rest: Any,
    ) -> Checkpoint:
        """A view of a model and its optimizer: tensors are shared, not copied."""
        return cls(
            iteration=iteration,
            model=_plain_module(model).state_dict(),
            optimizer=None if optimizer is None else optimizer.state_dict(),
            optimizer_class="" if optimizer is None else type(optimizer).__name__,
            **rest,
        )

    def restore(
        self,
        model: nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        name: str = "the checkpoint",
    ) -> None:
        """Copies the weights and the optimizer's state into these, on their devices.

        Args:
            model: with exactly the weights' names and shapes.
            optimizer: of the class and over the parameters that it was saved with.
            name: the file, for messages.

        Raises:
            ValueError: it is of another model or optimizer; the message says what differs.
        """
        if model is not None:
            model = _plain_module(model)
            _compare(self.model, model.state_dict(), name)
            model.load_state_dict(self.model)
        if optimizer is None:
            return
        wanted = type(optimizer).__name__
        if self.optimizer is None:
            raise ValueError(f"{name} holds no optimizer state")
        if self.optimizer_class != wanted:
            raise ValueError(f"{name} holds the state of {self.optimizer_class}, not of {wanted}")
        _compare_moments(self.optimizer, optimizer, name)
        try:
            # A copy: torch takes tensors as they are, and these may lie in the mapped file.
            optimizer.load_state_dict(copy.deepcopy(self.optimizer))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{name} is of another optimizer: {error}") from None


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
    found.restore(model, optimizer, _name(src))
    return found.iteration


# -- the file -----------------------------------------------------------------------------------


def write(checkpoint: Checkpoint, out: Destination) -> None:
    """Writes a checkpoint to a path, atomically, or to a binary file object.

    Raises:
        OSError: it cannot be written, the disk is full, say; the old file stays.
        TypeError: ``state`` or ``optimizer`` holds something that is no plain value or tensor.
    """
    tensors: dict[str, Tensor] = {}
    for key, tensor in checkpoint.model.items():
        _pack(tensor, f"model.{key}", tensors)
    header = {
        "format_version": FORMAT_VERSION,
        "byteloom_version": checkpoint.version,
        "iteration": checkpoint.iteration,
        "config": checkpoint.config,
        "tokenizer": checkpoint.tokenizer,
        "optimizer_class": checkpoint.optimizer_class,
        "optimizer": _pack(checkpoint.optimizer, "optimizer", tensors),
        "state": _pack(checkpoint.state, "state", tensors),
    }
    metadata = {"format": "pt", "byteloom": json.dumps(header)}
    if isinstance(out, str | os.PathLike):
        if not Path(out).parent.is_dir():
            raise FileNotFoundError(f"no folder {Path(out).parent} to write {Path(out).name} into")
        with atomic_write(out) as file:
            _stream(tensors, metadata, file)
    else:
        _stream(tensors, metadata, out)


def read(src: Source, optimizer: bool = True) -> Checkpoint:
    """Reads a checkpoint into main memory.

    Args:
        src: a path, or a binary file object open for reading.
        optimizer: whether to read the optimizer's state, often twice as large as the model.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: cut short, or no checkpoint; the message names the file.
    """
    name = _name(src)
    try:
        metadata, tensors = _open(src, skip=() if optimizer else ("optimizer.",))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is cut short, damaged or no checkpoint: {error}") from None
    if "byteloom" not in metadata:
        raise ValueError(f"{name} is a safetensors file, but no checkpoint of byteloom")
    try:
        header = json.loads(metadata["byteloom"])
        version = header["format_version"]
        if version > FORMAT_VERSION:
            raise ValueError(
                f"its format is {version}, this byteloom {__version__} reads up to "
                f"{FORMAT_VERSION}; it was written by {header['byteloom_version']}"
            )
        prefix = "model."
        return Checkpoint(
            iteration=header["iteration"],
            model={n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)},
            optimizer=_unpack(header["optimizer"], tensors) if optimizer else None,
            optimizer_class=header["optimizer_class"],
            config=header["config"],
            tokenizer=header["tokenizer"],
            state=_unpack(header["state"], tensors),
            version=header["byteloom_version"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as a checkpoint: {error}") from None


def _open(src: Source, skip: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """A safetensors file's metadata and tensors, but for those whose names begin with ``skip``."""
    if isinstance(src, str | os.PathLike):
        path = Path(src)
        if path.is_dir():
            raise ValueError(f"{path} is a folder, not a checkpoint")
        if not path.exists():
            raise FileNotFoundError(f"no checkpoint {path}")
        with safetensors.safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith(skip)]  # noqa: SIM118
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    data = src.read()
    tensors = safetensors.torch.load(data)
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata, {n: t for n, t in tensors.items() if not n.startswith(skip)}


#: torch's types and their names in a safetensors header.
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def _stream(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], file: BinaryIO) -> None:
    """Writes the safetensors format tensor by tensor.

    The library's own writer would hold a second copy of all tensors, refuses weights that share
    memory (a tied head), and writes to a path of its own opening only.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    # Widest types first, so that every tensor lies at a multiple of its element's size.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].numel() * tensors[name].element_size()
        header[name] = {
            "dtype": _DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        plain = tensors[name].detach().cpu().contiguous().flatten()
        if plain.numel():
            file.write(plain.view(torch.uint8).numpy().data)


# -- nested values <-> JSON with the tensors beside it --------------------------------------------


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A nested value as JSON can hold it; its tensors go into ``tensors`` under ``name``."""
    if isinstance(value, Tensor) and value.dtype in _DTYPES:
        tensors[name] = value
        return {"$tensor": name}
    if isinstance(value, tuple | list):
        items = [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, dict):
        # As pairs: JSON would turn the keys, an optimizer's numbers, into strings.
        pairs = [[key, _pack(item, f"{name}.{key}", tensors)] for key, item in value.items()]
        return {"$dict": pairs}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    what = value.dtype if isinstance(value, Tensor) else type(value).__name__
    raise TypeError(f"{name}: a checkpoint cannot hold {what}")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`_pack`."""
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(_unpack(item, tensors) for item in value["$tuple"])
    return {key: _unpack(item, tensors) for key, item in value["$dict"]}


# -- does it fit? ---------------------------------------------------------------------------------


def _plain_module(model: nn.Module) -> nn.Module:
    """The module inside one made by ``torch.compile``, whose names have no prefix."""
    inner = getattr(model, "_orig_mod", model)
    assert isinstance(inner, nn.Module)
    return inner


def _compare(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str) -> None:
    """Refuses weights of other names or shapes than the model's, saying which."""
    lacks = [f"lacks {key}" for key in wanted if key not in found]
    extra = [f"has {key}, which the model lacks" for key in found if key not in wanted]
    other = [
        f"{key} has shape {tuple(found[key].shape)}, the model's {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    differences = other + lacks + extra
    if differences:
        more = f" ... and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ValueError(
            f"{name} is a checkpoint of another model: {'; '.join(differences[:5])}{more}"
        )


def _compare_moments(state: dict[str, Any], optimizer: torch.optim.Optimizer, name: str) -> None:
    """Refuses an optimizer state whose tensors have other shapes than the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    order = [i for group in state["param_groups"] for i in group["params"]]
    if len(order) != len(parameters):
        raise ValueError(
            f"{name} holds the optimizer state of {len(order)} parameters, not {len(parameters)}"
        )
    for index, parameter in zip(order, parameters, strict=True):
        for key, value in state["state"].get(index, {}).items():
            is_scalar = not isinstance(value, Tensor) or value.numel() == 1
            if not is_scalar and value.shape != parameter.shape:
                raise ValueError(
                    f"{name}: the optimizer's {key} of parameter {index} has shape "
                    f"{tuple(value.shape)}, the parameter {tuple(parameter.shape)}"
                )


def _name(src: Source) -> str:
    if isinstance(src, str | os.PathLike):
        return os.fspath(src)
    return str(getattr(src, "name", "the file object"))
