"""Text on disk -> token files -> batches.

``TokenFile``, ``Documents`` and ``sources`` belong to the tokenizer half and load without torch;
what makes tensors (``Batches`` and the rest) loads when first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from byteloom.data.documents import Documents
from byteloom.data.token_file import TokenFile

if TYPE_CHECKING:
    from byteloom.data.batches import Batches, random_batch, sequential_batches, validation_batches
    from byteloom.data.masking import MaskedBatches
    from byteloom.data.prefetching import prefetch
    from byteloom.data.prefixes import PrefixBatches
    from byteloom.data.span_corruption import SpanBatches

#: Name -> the module it loads from, with torch, when first asked for.
_LAZY = {
    "Batches": "batches",
    "MaskedBatches": "masking",
    "PrefixBatches": "prefixes",
    "SpanBatches": "span_corruption",
    "prefetch": "prefetching",
    "random_batch": "batches",
    "sequential_batches": "batches",
    "validation_batches": "batches",
}
__all__ = [
    "Batches",
    "Documents",
    "MaskedBatches",
    "PrefixBatches",
    "SpanBatches",
    "TokenFile",
    "prefetch",
    "random_batch",
    "sequential_batches",
    "validation_batches",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'byteloom.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"byteloom.data.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
