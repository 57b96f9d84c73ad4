"""The architectures, a file for each kind of names; the first that fits a model is taken.

A family is data: rules for the configuration, names for the weights.
"""

from byteloom.export.hf.families.cohere import COHERE, COHERE2
from byteloom.export.hf.families.experts import MIXTRAL, QWEN2_MOE, QWEN3_MOE
from byteloom.export.hf.families.gemma import GEMMA, GEMMA2
from byteloom.export.hf.families.gpt2 import GPT2
from byteloom.export.hf.families.llama import GRANITE, LLAMA, MINISTRAL, MISTRAL, SMOLLM3
from byteloom.export.hf.families.nanochat import NANOCHAT
from byteloom.export.hf.families.olmo2 import OLMO2
from byteloom.export.hf.families.qwen import QWEN2, QWEN3
from byteloom.export.hf.families.starcoder2 import STARCODER2
from byteloom.export.hf.family import Family

FAMILIES: tuple[Family, ...] = (
    LLAMA,
    MISTRAL,
    MINISTRAL,
    QWEN2,
    QWEN3,
    SMOLLM3,
    GRANITE,
    OLMO2,
    GEMMA,
    GEMMA2,
    COHERE,
    COHERE2,
    NANOCHAT,
    GPT2,
    STARCODER2,
    MIXTRAL,
    QWEN2_MOE,
    QWEN3_MOE,
)

__all__ = ["FAMILIES"]
