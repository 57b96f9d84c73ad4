"""Learning rate by step: a member is one file with its configuration and its function."""

from collections.abc import Callable
from typing import TypeAlias

from byteloom.optim.schedule.constant import ConstantConfig
from byteloom.optim.schedule.cosine import CosineConfig, cosine_schedule

#: Steps done -> learning rate of the next one.
Schedule: TypeAlias = Callable[[int], float]
ScheduleConfig: TypeAlias = CosineConfig | ConstantConfig

__all__ = ["ConstantConfig", "CosineConfig", "Schedule", "ScheduleConfig", "cosine_schedule"]
