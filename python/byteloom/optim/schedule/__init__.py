"""Learning rate by step: a member is one file with its configuration and its function."""

from collections.abc import Callable
from typing import TypeAlias

from byteloom.optim.schedule.constant import ConstantConfig
from byteloom.optim.schedule.cosine import CosineConfig, cosine_schedule
from byteloom.optim.schedule.inverse_sqrt import InverseSqrtConfig, inverse_sqrt_schedule
from byteloom.optim.schedule.linear import LinearConfig, linear_schedule
from byteloom.optim.schedule.wsd import WSDConfig, wsd_schedule

#: Steps done -> learning rate of the next one.
Schedule: TypeAlias = Callable[[int], float]
ScheduleConfig: TypeAlias = (
    CosineConfig | ConstantConfig | LinearConfig | WSDConfig | InverseSqrtConfig
)

__all__ = [
    "ConstantConfig",
    "CosineConfig",
    "InverseSqrtConfig",
    "LinearConfig",
    "Schedule",
    "ScheduleConfig",
    "WSDConfig",
    "cosine_schedule",
    "inverse_sqrt_schedule",
    "linear_schedule",
    "wsd_schedule",
]
