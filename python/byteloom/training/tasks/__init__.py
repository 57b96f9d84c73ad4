"""What is learned instead of the next token: a member is one file, with its configuration.

A member makes batches of token files, and the loss that those are given to.
"""

from typing import TypeAlias

from byteloom.data.batches import Batches
from byteloom.data.masking import MaskedBatches
from byteloom.data.prefixes import PrefixBatches
from byteloom.data.span_corruption import SpanBatches
from byteloom.training.tasks.masked import MaskedConfig
from byteloom.training.tasks.prefix import PrefixConfig
from byteloom.training.tasks.spans import SpansConfig

TaskConfig: TypeAlias = MaskedConfig | SpansConfig | PrefixConfig
ChangedBatches: TypeAlias = MaskedBatches | SpanBatches | PrefixBatches
AnyBatches: TypeAlias = Batches | ChangedBatches

__all__ = [
    "AnyBatches",
    "ChangedBatches",
    "MaskedConfig",
    "PrefixConfig",
    "SpansConfig",
    "TaskConfig",
]
