"""The weights alone: one .safetensors file, with the model's configuration in its header."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from byteloom import __version__, config
from byteloom.atomic import atomic_write
from byteloom.export.source import AnySource
from byteloom.models import AnyModel, AnyModelConfig

#: By their kinds.
_CONFIGS = {cls.kind: cls for cls in typing.get_args(AnyModelConfig)}
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def write(source: AnySource, destination: Path, dtype: str = "fp32") -> list[str]:
    """Writes the file: tensors by the names that the course gives them.

    The header's ``byteloom`` is JSON with ``config``, the model's configuration, ``figures``,
    ``tokenizer``, the tokenizer's fingerprint, and ``version``.
    """
    header = {
        "config": config.dump(source.model.config),
        "figures": source.figures,
        "tokenizer": "" if source.tokenizer is None else source.tokenizer.fingerprint,
        "version": __version__,
    }
    # Copies, as the format lets no two tensors share memory: a tied output map is there twice.
    tensors = {
        name: tensor.detach().to(_DTYPES[dtype], copy=True).contiguous()
        for name, tensor in source.model.state_dict().items()
    }
    metadata = {"format": "pt", "byteloom": json.dumps(header)}
    with atomic_write(destination) as file:
        file.write(safetensors.torch.save(tensors, metadata))
    return []


def read(path: Path) -> AnyModel:
    """The model of a file that :func:`write` wrote, in evaluation mode.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: damaged, or without a model's configuration.
    """
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("byteloom", "{}"))
            if "vocab_size" not in header.get("config", {}):
                raise ValueError(f"{path} has no model's configuration in its header")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is cut short, damaged or no safetensors file: {error}") from None
    described = header["config"]
    model: AnyModel = config.load(
        _CONFIGS[described.get("kind", "decoder")], described, path
    ).build()
    model.load_state_dict(tensors)
    return model.eval()
