"""A folder as ``save_pretrained`` makes it: ``config.json`` and the weights."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from byteloom import config
from byteloom.atomic import atomic_path
from byteloom.config.dotted import flat
from byteloom.export.hf import files
from byteloom.export.hf.files import SHARD_BYTES, Weights, read_json
from byteloom.nn.attention import AttentionConfig
from byteloom.nn.ffn import FeedForward, FeedForwardConfig
from byteloom.nn.ffn.base import FeedForwardBase

Settings = dict[str, Any]
State = dict[str, Tensor]


def read(folder: str | os.PathLike[str], model_type: str) -> tuple[Settings, State]:
    """The settings and the weights.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: damaged, or of another type of model.
    """
    folder = Path(folder)
    settings = read_json(folder / "config.json")
    if (found := settings.get("model_type")) != model_type:
        raise ValueError(f"{folder / 'config.json'}: model_type is {found!r}, not {model_type!r}")
    with Weights(folder) as weights:
        return settings, {name: weights[name] for name in weights.names}


def write(
    folder: str | os.PathLike[str],
    settings: Settings,
    state: Mapping[str, Tensor],
    generation: Settings | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes them; the weights first, so that a folder with settings is whole.

    Args:
        folder: where to; it is made.
        settings: what ``config.json`` is to say.
        state: the weights, by their names there.
        generation: what ``generation_config.json`` is to say; ``None``: there is none.
        shard_bytes: weights of more are put into several files.

    Raises:
        ValueError: there are settings already.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a model already: give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    files.write(files.pending(state), folder, shard_bytes)
    if generation is not None:
        with atomic_path(folder / "generation_config.json") as path:
            files.write_json(path, generation)
    with atomic_path(folder / "config.json") as path:
        files.write_json(path, settings)


def with_width(ffn: FeedForwardConfig, layers: nn.ModuleList) -> tuple[FeedForwardConfig, int]:
    """A feed-forward network that says its inner size, and that size.

    Args:
        ffn: its configuration, where the size may be left out.
        layers: blocks that have it.
    """
    made = layers[0].ffn
    if not isinstance(ffn, FeedForwardBase) or not isinstance(made, FeedForward):
        return ffn, 1  # none of those that can be written
    width = made.w1.weight.shape[0]
    return replace(ffn, d_ff=width, ratio=None), width


def with_keys_of(found: AttentionConfig, ours: AttentionConfig, *keys: str) -> AttentionConfig:
    """An attention whose keys, which change no logits, are as ours are, where it has them."""
    return replace(found, **{key: getattr(ours, key) for key in keys if hasattr(ours, key)})


def renamed(name: str, names: Mapping[str, str]) -> str:
    """A weight's name among ours -> among theirs.

    Args:
        name: a module's path, and the parameter.
        names: our modules' paths to theirs, with # in place of a layer's number.

    Example:
        >>> renamed("layers.7.attn.q_proj.bias", {"layers.#.attn.q_proj": "h.#.q"})
        'h.7.q.bias'
    """
    module, _, parameter = name.rpartition(".")
    number = re.search(r"\.(\d+)\.", f"{module}.")
    key = module if number is None else module.replace(f".{number[1]}.", ".#.", 1)
    theirs = names[key] if number is None else names[key].replace("#", number[1], 1)
    return f"{theirs}.{parameter}"


def require_same(wanted: object, found: object, architecture: str) -> None:
    """Refuses a configuration that an architecture does not compute; what it began as is no matter.

    Args:
        wanted: a dataclass.
        found: what remains of it when it was written and read again.
        architecture: which it was written for.

    Raises:
        ValueError: naming a key that differs.
    """
    ours, theirs = flat(config.dump(wanted)), flat(config.dump(found))
    for key in [*ours, *theirs]:
        if ours.get(key) != theirs.get(key) and not key.startswith("init."):
            raise ValueError(
                f"{architecture} has model.{key} {theirs.get(key, 'none')}; here it is "
                f"{ours.get(key, 'none')}"
            )


def setting(settings: Settings, key: str, *default: Any) -> Any:
    """A setting, or its default.

    Raises:
        ValueError: missing, and without one.
    """
    if key not in settings and not default:
        raise ValueError(f"config.json lacks {key}")
    return settings.get(key, *default)
