"""Published models by name: how each is built, as TOML files that can be read for themselves.

In a run's configuration, ``preset`` is where the table ``[model]`` begins; what stands beside it
overrides single keys::

    [model]
    preset = "llama3"
    num_layers = 4
    d_model = 512

Example:
    >>> from byteloom import presets
    >>> presets.load("llama3").attention.num_kv_heads
    8
    >>> presets.load("gpt2", num_layers=2, vocab_size=1000).num_layers
    2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from byteloom import config
from byteloom.model import ModelConfig


def names() -> list[str]:
    """All there are, in alphabetical order."""
    return ModelConfig.presets.names()


def path(name: str) -> Path:
    """The TOML file.

    Raises:
        ValueError: no such preset; the message lists those there are.
    """
    return ModelConfig.presets.path(name)


def load(name: str, **over: Any) -> ModelConfig:
    """The configuration of a published model.

    Args:
        name: one of :func:`names`.
        **over: keys that are to be otherwise; sections as nested tables, ``norm={"eps": 1e-6}``.

    Raises:
        ValueError: no such preset; what the configuration refuses.
    """
    return config.load(ModelConfig, {**over, "preset": name})
