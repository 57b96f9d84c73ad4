"""What other models than decoders learn: a member is one file, with its configuration.

A member makes batches of token files, and the loss that those are given to.
"""

from typing import TypeAlias

from byteloom.data.batches import Batches
from byteloom.data.masking import MaskedBatches
from byteloom.data.span_corruption import SpanBatches
from byteloom.training.tasks.masked import MaskedConfig
from byteloom.training.tasks.spans import SpansConfig

TaskConfig: TypeAlias = MaskedConfig | SpansConfig
AnyBatches: TypeAlias = Batches | MaskedBatches | SpanBatches

__all__ = ["AnyBatches", "MaskedConfig", "SpansConfig", "TaskConfig"]
