"""What a configuration amounts to: equal for two exactly if they compute the same from the same."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

from byteloom import config
from byteloom.config.dotted import flat
from byteloom.export.hf.rules import Flat
from byteloom.model import ModelConfig
from byteloom.nn import ExpertsConfig, FeedForward
from byteloom.nn.layered import is_each

#: What decides how a model learns or how fast it is, but not what it computes.
_NO_MATTER = ("dropout", "attention.dropout", "attention.backend", "position.layout", "ffn.ratio")
#: What initial weights are, where a model can be told.
_INITIAL = "init."
#: The same of experts.
_NO_MATTER_OF_EXPERTS = ("balance_loss", "z_loss", "capacity", "first_dense", "every")


@functools.lru_cache(maxsize=64)
def canonical(model: ModelConfig) -> Flat:
    """A configuration with everything said that follows, and nothing that does not matter.

    Not to be changed: who asks again gets the same.

    ``layers.window``, ``layers.places`` and ``layers.experts`` say it layer by layer: what window
    there is, whether places are told, and whether there are experts.
    """
    keys, layers = flat(config.dump(model)), range(model.num_layers)
    for key in (*_NO_MATTER, *(key for key in keys if key.startswith(_INITIAL))):
        keys.pop(key, None)
    d_head = model.attention.head_size(model.d_model, model.num_heads)
    keys["attention.d_head"] = d_head
    keys.setdefault("attention.num_kv_heads", model.num_heads)
    keys.setdefault("attention.scale", 1 / math.sqrt(d_head))
    if keys.get("attention.qk_norm.kind", "none") == "none":
        for key in ("attention.qk_norm.kind", "attention.qk_norm_over"):  # of nothing
            keys.pop(key, None)
    with torch.device("meta"):
        ffn, head = model.build_block().ffn, model.build_head()
    keys["logit_scale"] = head.scale
    if isinstance(model.ffn, ExpertsConfig):
        _say_experts(keys, model, model.ffn)
    elif isinstance(ffn, FeedForward):
        keys["ffn.d_ff"] = ffn.w1.weight.shape[0]
    keys.setdefault("embedding_scale", 1.0)
    window = keys.pop("attention.window", None)
    if window is not None and window >= model.context_length:
        window = None
    every = keys.pop("full_every", None)
    keys["layers.window"] = tuple(None if is_each(i, every) else window for i in layers)
    every = keys.pop("positionless_every", None)
    told = [model.position.kind != "none" and not is_each(i, every) for i in layers]
    keys["layers.places"] = tuple(told)
    if model.position.kind in ("rotary", "none") and not any(told):
        keys = {key: value for key, value in keys.items() if not key.startswith("position.")}
    if keys.get("position.scaling.kind") == "ntk":
        # The same as another theta.
        factor = keys.pop("position.scaling.factor")
        keys["position.theta"] *= factor ** (d_head / max(1, d_head - 2))
        del keys["position.scaling.kind"]
    if keys.get("position.scaling.kind") == "yarn":
        grown = 0.1 * math.log(max(1.0, keys["position.scaling.factor"])) + 1
        keys.setdefault("position.scaling.attention_factor", grown)
    return keys


def _say_experts(keys: Flat, model: ModelConfig, ffn: ExpertsConfig) -> None:
    """The same for experts."""
    have = tuple(isinstance(ffn.at(i), ExpertsConfig) for i in range(model.num_layers))
    keys["layers.experts"] = have
    for key in _NO_MATTER_OF_EXPERTS:
        keys.pop(f"ffn.{key}", None)
    for part, network in {"expert": ffn.expert, "shared": ffn.shared, "dense": ffn.dense}.items():
        if network is None:
            continue
        if part == "dense" and all(have):  # nobody's
            for key in [key for key in keys if key.startswith("ffn.dense.")]:
                del keys[key]
            continue
        keys.pop(f"ffn.{part}.ratio", None)
        with torch.device("meta"):
            keys[f"ffn.{part}.d_ff"] = network.build(model.d_model).w1.weight.shape[0]
    if ffn.gate == "softmax_top_k":  # in other words
        keys["ffn.gate"] = "softmax"
    if ffn.top_groups == ffn.num_groups:
        keys |= {"ffn.num_groups": 1, "ffn.top_groups": 1}


def differences(wanted: Flat, found: Flat) -> list[str]:
    """The keys in which two canonical configurations differ, but for the last bits of numbers."""
    return [key for key in {**wanted, **found} if not _equal(wanted.get(key), found.get(key))]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, int | float) and not isinstance(b, bool):
        return math.isclose(a, b, rel_tol=1e-12)
    return bool(a == b)
