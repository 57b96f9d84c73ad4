"""OLMo 2 (arXiv:2501.00656): norms behind the parts, queries and keys normalised."""

from __future__ import annotations

from byteloom.export.hf.families.common import ATTENTION_BIAS, GATED, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, HeadSize, Same

OLMO2 = Family(
    "olmo2",
    "Olmo2ForCausalLM",
    (
        *sizes(HeadSize(is_free=False)),
        RMS,
        Always(
            block__kind="reordered",
            attention__qk_norm__kind="rmsnorm",
            attention__qk_norm_over="all",
        ),
        Same("rms_norm_eps", "norm.eps", "attention.qk_norm.eps", default=1e-5),
        Rotary(),
        ATTENTION_BIAS,
        GATED,
    ),
    {
        **NAMES,
        "layers.#.ln1": "model.layers.#.post_attention_layernorm",
        "layers.#.ln2": "model.layers.#.post_feedforward_layernorm",
    },
)
