"""Rotary positions beyond those that training saw: a member is one file.

Each changes the angles a step of the pairs, and may scale cosines and sines.
"""

from typing import TypeAlias

from byteloom.nn.position.scaling.linear import LinearScaling
from byteloom.nn.position.scaling.llama3 import Llama3Scaling
from byteloom.nn.position.scaling.ntk import NTKScaling
from byteloom.nn.position.scaling.yarn import YaRNScaling

RotaryScaling: TypeAlias = LinearScaling | NTKScaling | YaRNScaling | Llama3Scaling

__all__ = ["LinearScaling", "Llama3Scaling", "NTKScaling", "RotaryScaling", "YaRNScaling"]
