"""Feed-forward networks: a member is one file with its configuration.

Those that every token goes through (``dense``) are one of two modules, with a gate (``gated``) or
without (``plain``). Of ``experts`` each token goes through a few.
"""

from typing import TypeAlias

from byteloom.nn.ffn.dense import DenseConfig
from byteloom.nn.ffn.experts import Experts, ExpertsConfig
from byteloom.nn.ffn.gated import GatedFeedForward
from byteloom.nn.ffn.geglu import GeGLUConfig
from byteloom.nn.ffn.gelu import GELUConfig
from byteloom.nn.ffn.glu import GLUConfig
from byteloom.nn.ffn.plain import FeedForward
from byteloom.nn.ffn.reglu import ReGLUConfig
from byteloom.nn.ffn.relu import ReLUConfig
from byteloom.nn.ffn.relu_squared import ReLUSquaredConfig
from byteloom.nn.ffn.silu import SiLUFeedForwardConfig
from byteloom.nn.ffn.swiglu import SwiGLU, SwiGLUConfig

FeedForwardConfig: TypeAlias = DenseConfig | ExpertsConfig

__all__ = [
    "DenseConfig",
    "Experts",
    "ExpertsConfig",
    "FeedForward",
    "FeedForwardConfig",
    "GELUConfig",
    "GLUConfig",
    "GatedFeedForward",
    "GeGLUConfig",
    "ReGLUConfig",
    "ReLUConfig",
    "ReLUSquaredConfig",
    "SiLUFeedForwardConfig",
    "SwiGLU",
    "SwiGLUConfig",
]
