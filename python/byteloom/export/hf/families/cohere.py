"""Command R, and Command R7B (arXiv:2504.00698), which has layers of two kinds."""

from __future__ import annotations

from byteloom.export.hf.families.common import ATTENTION_BIAS, GATED, NAMES, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.layers import Windows
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, HeadSize, Only, Same

_SHARED = (
    *sizes(HeadSize(is_free=False), tied=True, context=8192),
    Always(norm__kind="layernorm", block__kind="parallel"),
    Same("layer_norm_eps", "norm.eps", default=1e-5),
    ATTENTION_BIAS,
    GATED,
    Same("logit_scale", "logit_scale", default=0.0625),
)

COHERE = Family(
    "cohere",
    "CohereForCausalLM",
    (
        *_SHARED,
        Rotary(theta=500_000.0, layout="interleaved"),
        # Command R+ has gains of its own for every head.
        Only("use_qk_norm", False),
    ),
    NAMES,
    layout="interleaved",
)

COHERE2 = Family(
    "cohere2",
    "Cohere2ForCausalLM",
    (*_SHARED, Rotary(layout="interleaved"), Windows(every=4, without_places=True)),
    NAMES,
    layout="interleaved",
)
