"""The feed-forward networks that every token goes through."""

from typing import TypeAlias

from byteloom.nn.ffn.geglu import GeGLUConfig
from byteloom.nn.ffn.gelu import GELUConfig
from byteloom.nn.ffn.glu import GLUConfig
from byteloom.nn.ffn.reglu import ReGLUConfig
from byteloom.nn.ffn.relu import ReLUConfig
from byteloom.nn.ffn.relu_squared import ReLUSquaredConfig
from byteloom.nn.ffn.silu import SiLUFeedForwardConfig
from byteloom.nn.ffn.swiglu import SwiGLUConfig

DenseConfig: TypeAlias = (
    SwiGLUConfig
    | GeGLUConfig
    | ReGLUConfig
    | GLUConfig
    | SiLUFeedForwardConfig
    | GELUConfig
    | ReLUConfig
    | ReLUSquaredConfig
)
