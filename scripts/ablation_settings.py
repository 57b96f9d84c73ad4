"""What the ablations change: each is a list of variants of one configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from byteloom.model import ModelConfig
from byteloom.nn import SwiGLUConfig
from byteloom.training.config import RunConfig
from byteloom.training.estimate.parameters import count_parameters


@dataclass(frozen=True)
class Variant:
    """A configuration, as what it has other than the baseline."""

    label: str
    changes: Mapping[str, Any]
    """Tables, laid upon the baseline's."""


@dataclass(frozen=True)
class Ablation:
    """A question, and the variants that answer it."""

    question: str
    variants: Callable[[RunConfig], list[Variant]]
    """Of a baseline, which is not among them."""


def without_norm(base: RunConfig) -> list[Variant]:
    """No norm anywhere, at the baseline's learning rate and at a tenth of it."""
    none = {"model": {"norm": {"kind": "none"}}}
    lower = {"max_lr": base.schedule.max_lr / 10}
    if hasattr(base.schedule, "min_lr"):
        lower["min_lr"] = base.schedule.min_lr / 10
    return [
        Variant(f"no norm, lr {base.schedule.max_lr:g}", none),
        Variant(f"no norm, lr {lower['max_lr']:g}", {**none, "schedule": lower}),
    ]


def post_norm(base: RunConfig) -> list[Variant]:
    """Norms behind the sums; the last one makes a final norm needless."""
    return [Variant("post-norm", {"model": {"block": {"kind": "post"}, "final_norm": False}})]


def without_positions(base: RunConfig) -> list[Variant]:
    """Nothing says where a token is but the causal mask."""
    return [Variant("no positions", {"model": {"position": {"kind": "none"}}})]


def without_gate(base: RunConfig) -> list[Variant]:
    """SiLU between two maps, as wide as makes as many parameters as the baseline's three."""
    width = 3 * inner_size(base.model) // 2
    ratio = width / base.model.d_model
    return [
        Variant(f"SiLU, d_ff {ratio:.2f} d_model", {"model": {"ffn": ffn("silu", width)}}),
    ]


def inner_ratios(base: RunConfig) -> list[Variant]:
    """Wider or narrower feed-forward networks, in models narrower or wider to match."""
    model = base.model
    found = []
    for ratio in (1.0, 2.0, 4.0, 8.0):
        # A block has 4 d^2 parameters in its attention, and 3 d d_ff.
        here = inner_size(model) / model.d_model
        d_model = model.d_model * math.sqrt((4 + 3 * here) / (4 + 3 * ratio))
        changes = shaped(model, d_model, model.num_layers)
        shape = changes["model"]
        label = f"d_ff {shape['ffn']['d_ff'] / shape['d_model']:.2f} d_model"
        found.append(Variant(f"{label}, d_model {shape['d_model']}", changes))
    return found


def head_numbers(base: RunConfig) -> list[Variant]:
    """Few large heads to many small ones, in a model of the same width."""
    d_model, own = base.model.d_model, base.model.num_heads
    numbers = [n for n in (1, 4, 16, 64) if n != own and d_model % (2 * n) == 0]
    return [
        Variant(f"{n} head{'s' * (n > 1)} of {d_model // n}", {"model": {"num_heads": n}})
        for n in numbers
    ]


def depths(base: RunConfig) -> list[Variant]:
    """Wide and shallow to narrow and deep."""
    model = base.model
    found = []
    for factor in (0.25, 0.5, 2, 4):
        num_layers = int(model.num_layers * factor)
        if num_layers:
            d_model = model.d_model * math.sqrt(model.num_layers / num_layers)
            changes = shaped(model, d_model, num_layers)
            width = changes["model"]["d_model"]
            layers = f"{num_layers} layer{'s' * (num_layers > 1)}"
            found.append(Variant(f"{layers}, d_model {width}", changes))
    return found


def shaped(model: ModelConfig, d_model: float, num_layers: int) -> dict[str, Any]:
    """Tables of a model of about this width, with the baseline's parameters in its blocks.

    Heads keep their size, so that the width is a multiple of it; the inner size evens that out.
    """
    d_head = model.d_model // model.num_heads
    num_heads = max(1, round(d_model / d_head))
    width = num_heads * d_head
    wanted = count_parameters(model).without_embeddings

    def parameters(d_ff: int) -> int:
        shape = replace(model, d_model=width, num_heads=num_heads, num_layers=num_layers)
        return count_parameters(replace(shape, ffn=SwiGLUConfig(d_ff=d_ff))).without_embeddings

    one, two = parameters(8), parameters(16)
    d_ff = max(8, 8 * round(1 + (wanted - one) / (two - one)))
    shape = {"d_model": width, "num_heads": num_heads, "num_layers": num_layers}
    return {"model": {**shape, "ffn": ffn("swiglu", d_ff)}}


def ffn(kind: str, d_ff: int) -> dict[str, Any]:
    """The table of a network of that inner size, whatever the baseline said of it."""
    return {"kind": kind, "d_ff": d_ff, "ratio": "none"}


def inner_size(model: ModelConfig) -> int:
    """The baseline's d_ff.

    Raises:
        ValueError: it is no SwiGLU, which the ablations compare with.
    """
    if not isinstance(model.ffn, SwiGLUConfig):
        raise ValueError(f"model.ffn.kind is {model.ffn.kind}: the baseline must have a swiglu")
    with torch.device("meta"):
        return model.ffn.build(model.d_model).w1.weight.shape[0]


ABLATIONS = {
    "norm": Ablation("Does it train without norms?", without_norm),
    "post-norm": Ablation("Norms before what a block adds, or behind the sum?", post_norm),
    "positions": Ablation("Does it need to be told where tokens are?", without_positions),
    "gate": Ablation("What is SwiGLU's gate worth, at matched parameters?", without_gate),
    "ratio": Ablation("How wide should feed-forward networks be?", inner_ratios),
    "heads": Ablation("How many heads, in a model of the same width?", head_numbers),
    "depth": Ablation("Wide or deep, at matched parameters?", depths),
}
