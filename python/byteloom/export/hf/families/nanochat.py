"""nanochat: norms without gains, and rotary positions that turn the other way round."""

from __future__ import annotations

from byteloom.export.hf.families.common import ATTENTION_BIAS, NAMES, RMS, sizes
from byteloom.export.hf.family import Family
from byteloom.export.hf.rotary import Rotary
from byteloom.export.hf.rules import Always, Choice, HeadSize, Same, activations

NANOCHAT = Family(
    "nanochat",
    "NanoChatForCausalLM",
    (
        *sizes(HeadSize(is_free=False)),
        RMS,
        # There, queries and keys are turned before they are normalised: without gains, it is
        # the same.
        Always(
            embedding_norm=True,
            norm__gain=False,
            attention__qk_norm__kind="rmsnorm",
            attention__qk_norm__gain=False,
        ),
        Same("rms_norm_eps", "norm.eps", "attention.qk_norm.eps", default=1e-6),
        Rotary(),
        ATTENTION_BIAS,
        Choice("hidden_act", activations(gated=False), "relu2"),
        Same("final_logit_softcapping", "logit_soft_cap", default=15.0),
    ),
    {
        **NAMES,
        "layers.#.ffn.w1": "model.layers.#.mlp.fc1",
        "layers.#.ffn.w2": "model.layers.#.mlp.fc2",
    },
    layout="swapped",
)
