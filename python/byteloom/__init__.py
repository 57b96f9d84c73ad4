"""byteloom: from text to a language model's words.

The tokenizer half (``Tokenizer``, ``train_bpe``, ``PretokenCounts``) needs numpy and tqdm only. The
model half (``TransformerLM``, ``generate``, ``byteloom.nn`` ...) is imported when first asked for,
and needs the extra ``train``: ``pip install 'byteloom[train]'``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from byteloom.tokenizer import EncodeStats, PretokenCounts, ShardStats, Tokenizer, train_bpe

if TYPE_CHECKING:
    from byteloom import checkpoint, data, export, nn, optim, presets
    from byteloom.generation import generate
    from byteloom.model import ModelConfig, TransformerLM

__version__ = "0.1.0"

__all__ = [
    "EncodeStats",
    "ModelConfig",
    "PretokenCounts",
    "ShardStats",
    "Tokenizer",
    "TransformerLM",
    "__version__",
    "checkpoint",
    "data",
    "export",
    "generate",
    "nn",
    "optim",
    "presets",
    "train_bpe",
]

#: Name -> (module, attribute or None for the module itself): what needs torch comes on demand.
_LAZY = {
    "ModelConfig": ("byteloom.model", "ModelConfig"),
    "TransformerLM": ("byteloom.model", "TransformerLM"),
    "generate": ("byteloom.generation", "generate"),
    "checkpoint": ("byteloom.checkpoint", None),
    "data": ("byteloom.data", None),
    "export": ("byteloom.export", None),
    "nn": ("byteloom.nn", None),
    "optim": ("byteloom.optim", None),
    "presets": ("byteloom.presets", None),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'byteloom' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    try:
        value = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "byteloom":
            raise
        raise ImportError(
            f"byteloom.{name} needs {error.name}: pip install 'byteloom[train]'"
        ) from error
    return value if attribute is None else getattr(value, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
