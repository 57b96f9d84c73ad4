"""Checkpoint <-> one .safetensors file; nothing in it is ever executed."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from byteloom import __version__
from byteloom.atomic import atomic_write
from byteloom.checkpoint.contents import Checkpoint

#: Grows when a reader of today could no longer read what is written.
FORMAT_VERSION = 1

Destination: TypeAlias = str | os.PathLike[str] | BinaryIO
Source: TypeAlias = str | os.PathLike[str] | BinaryIO


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
    header["crc32"] = {name: zlib.crc32(_data(tensor)) for name, tensor in tensors.items()}
    header["forms"] = {name: _form(tensor) for name, tensor in tensors.items()}
    text = json.dumps(header)
    metadata = {"format": "pt", "byteloom": text, "byteloom_crc32": str(zlib.crc32(text.encode()))}
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
    name = name_of(src)
    skip = () if optimizer else ("optimizer.",)
    try:
        metadata, tensors = _open(src, skip)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is cut short, damaged or no checkpoint: {error}") from None
    if "byteloom" not in metadata:
        raise ValueError(f"{name} is a safetensors file, but no checkpoint of byteloom")
    try:
        _check_text(metadata)
        header = json.loads(metadata["byteloom"])
        version = header["format_version"]
        if version > FORMAT_VERSION:
            raise ValueError(
                f"its format is {version}, this byteloom {__version__} reads up to "
                f"{FORMAT_VERSION}; it was written by {header['byteloom_version']}"
            )
        _check_tensors(header, tensors, skip)
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


def _form(tensor: Tensor) -> str:
    """What a tensor is besides its bytes."""
    return f"{_DTYPES[tensor.dtype]} {list(tensor.shape)}"


def _check_text(metadata: Mapping[str, str]) -> None:
    """Compares all that is no tensor with its checksum; files of former times have none.

    Raises:
        ValueError: it is another.
    """
    expected = metadata.get("byteloom_crc32")
    if expected not in (None, str(zlib.crc32(metadata["byteloom"].encode()))):
        raise ValueError("the checksum of its header is wrong: the file is damaged")


def _check_tensors(
    header: Mapping[str, Any], tensors: Mapping[str, Tensor], skip: tuple[str, ...]
) -> None:
    """Compares tensors, their types and shapes with what was written.

    Raises:
        ValueError: one is missing or another.
    """
    forms = header.get("forms", {})
    for name, checksum in header.get("crc32", {}).items():
        if name.startswith(skip):
            continue
        if name not in tensors:
            raise ValueError(f"{name} is missing: the file is damaged")
        tensor = tensors[name]
        if forms.get(name, _form(tensor)) != _form(tensor):
            raise ValueError(f"{name} is {_form(tensor)}, not {forms[name]}: the file is damaged")
        if zlib.crc32(_data(tensor)) != checksum:
            raise ValueError(f"the checksum of {name} is wrong: the file is damaged")


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
        file.write(_data(tensors[name]))


def _data(tensor: Tensor) -> memoryview:
    """A tensor's bytes, without a copy if it lies in main memory as it should."""
    plain = tensor.detach().cpu().contiguous().flatten()
    return plain.view(torch.uint8).numpy().data if plain.numel() else memoryview(b"")


def name_of(src: Source) -> str:
    """What messages call it."""
    if isinstance(src, str | os.PathLike):
        return os.fspath(src)
    return str(getattr(src, "name", "the file object"))


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
