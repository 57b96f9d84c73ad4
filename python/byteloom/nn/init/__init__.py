"""Initial weights: a member is one file, a rule for the weights of each role in the model."""

from typing import TypeAlias

from byteloom.nn.init.base import InitBase
from byteloom.nn.init.course import CourseInitConfig
from byteloom.nn.init.gpt2 import GPT2InitConfig
from byteloom.nn.init.mup import MuPInitConfig, require_weights_only
from byteloom.nn.init.normal import NormalInitConfig
from byteloom.nn.init.roles import Role, weights_by_role
from byteloom.nn.init.truncated_normal import TruncatedNormalInitConfig

InitConfig: TypeAlias = (
    CourseInitConfig | NormalInitConfig | TruncatedNormalInitConfig | GPT2InitConfig | MuPInitConfig
)

__all__ = [
    "CourseInitConfig",
    "GPT2InitConfig",
    "InitBase",
    "InitConfig",
    "MuPInitConfig",
    "NormalInitConfig",
    "Role",
    "TruncatedNormalInitConfig",
    "require_weights_only",
    "weights_by_role",
]
