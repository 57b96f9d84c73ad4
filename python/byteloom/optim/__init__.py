"""Gradients -> new weights: optimizers, schedules, clipping, and how parameters are grouped."""

from typing import TypeAlias

from byteloom.optim.adamw import AdamW, AdamWConfig
from byteloom.optim.clip import clip_grad_norm
from byteloom.optim.groups import parameter_groups
from byteloom.optim.schedule import (
    ConstantConfig,
    CosineConfig,
    Schedule,
    ScheduleConfig,
    cosine_schedule,
)

#: One member so far; more make it a union.
OptimizerConfig: TypeAlias = AdamWConfig

__all__ = [
    "AdamW",
    "AdamWConfig",
    "ConstantConfig",
    "CosineConfig",
    "OptimizerConfig",
    "Schedule",
    "ScheduleConfig",
    "clip_grad_norm",
    "cosine_schedule",
    "parameter_groups",
]
