"""Gradients -> new weights: optimizers, schedules, clipping, averages, groups of parameters."""

from typing import TypeAlias

from byteloom.optim.adamw import AdamW, AdamWConfig
from byteloom.optim.averaging import AveragingConfig, WeightAverage
from byteloom.optim.clip import clip_grad_norm
from byteloom.optim.groups import LearningRateScale, parameter_groups
from byteloom.optim.lion import Lion, LionConfig
from byteloom.optim.muon import Muon, MuonConfig, newton_schulz
from byteloom.optim.schedule import (
    ConstantConfig,
    CosineConfig,
    InverseSqrtConfig,
    LinearConfig,
    Schedule,
    ScheduleConfig,
    WSDConfig,
    cosine_schedule,
    inverse_sqrt_schedule,
    linear_schedule,
    wsd_schedule,
)
from byteloom.optim.sgd import SGD, SGDConfig

OptimizerConfig: TypeAlias = AdamWConfig | SGDConfig | LionConfig | MuonConfig

__all__ = [
    "SGD",
    "AdamW",
    "AdamWConfig",
    "AveragingConfig",
    "ConstantConfig",
    "CosineConfig",
    "InverseSqrtConfig",
    "LearningRateScale",
    "LinearConfig",
    "Lion",
    "LionConfig",
    "Muon",
    "MuonConfig",
    "OptimizerConfig",
    "SGDConfig",
    "Schedule",
    "ScheduleConfig",
    "WSDConfig",
    "WeightAverage",
    "clip_grad_norm",
    "cosine_schedule",
    "inverse_sqrt_schedule",
    "linear_schedule",
    "newton_schulz",
    "parameter_groups",
    "wsd_schedule",
]
