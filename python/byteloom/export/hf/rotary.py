"""Rotary positions in a ``config.json``: of transformers 5, ``rope_parameters``, and before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from byteloom.export.hf.rules import Flat, Settings


@dataclass(frozen=True)
class Rotary:
    """Theta and scaling; which numbers are a pair is the weights' business."""

    theta: float = 10_000.0
    """The family's, where it is not said."""
    layout: str = "half"
    """In which weights come to us."""

    def read(self, settings: Settings, found: Flat) -> None:
        """Either form; dynamic scaling only acts beyond the context, where byteloom never is."""
        said = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
        kind = said.get("rope_type", said.get("type", "default"))
        if any(isinstance(value, dict) for value in said.values()):
            raise ValueError("rope_parameters differ from layer to layer: byteloom has one scheme")
        fraction = said.get("partial_rotary_factor", settings.get("partial_rotary_factor"))
        if fraction not in (None, 1.0):
            raise ValueError(
                f"partial_rotary_factor is {fraction}, which this family does not have"
            )
        found["position.kind"] = "rotary"
        found["position.layout"] = self.layout
        theta = said.get("rope_theta", settings.get("rope_theta"))
        found["position.theta"] = float(self.theta if theta is None else theta)
        if kind in ("default", "dynamic"):
            return
        if kind not in ("linear", "llama3", "yarn"):
            raise ValueError(
                f"rope_type is {kind!r}: byteloom has default, linear, llama3 and yarn"
            )
        scaling: Flat = {"kind": kind, "factor": float(said["factor"])}
        if scaling["factor"] == 1 and (kind != "yarn" or _attention_factor(said) == 1):
            return  # which scales nothing
        if kind != "linear":
            original = said.get("original_max_position_embeddings")
            scaling["original_context"] = original or settings["max_position_embeddings"]
        if kind == "llama3":
            scaling["low_freq_factor"] = float(said["low_freq_factor"])
            scaling["high_freq_factor"] = float(said["high_freq_factor"])
        if kind == "yarn":
            if said.get("truncate") is False:
                raise ValueError("rope_parameters have truncate false: byteloom's yarn truncates")
            scaling["beta_fast"] = float(said.get("beta_fast") or 32)
            scaling["beta_slow"] = float(said.get("beta_slow") or 1)
            scaling["attention_factor"] = _attention_factor(said)
        found.update({f"position.scaling.{key}": value for key, value in scaling.items()})

    def write(self, config: Flat, settings: dict[str, Any]) -> None:
        """Both forms: what transformers before 5 read says nothing else."""
        kind = config.get("position.scaling.kind", "default")
        scaling: Flat = {"rope_type": kind}
        for theirs, ours in {
            "factor": "factor",
            "low_freq_factor": "low_freq_factor",
            "high_freq_factor": "high_freq_factor",
            "beta_fast": "beta_fast",
            "beta_slow": "beta_slow",
            "attention_factor": "attention_factor",
            "original_max_position_embeddings": "original_context",
        }.items():
            if (value := config.get(f"position.scaling.{ours}")) is not None:
                scaling[theirs] = value
        theta = config.get("position.theta", self.theta)
        settings["rope_theta"] = theta
        settings["rope_scaling"] = None if kind == "default" else scaling
        settings["rope_parameters"] = {**scaling, "rope_theta": theta}


def _attention_factor(said: Settings) -> float:
    """What YaRN multiplies cosines and sines by."""
    if (factor := said.get("attention_factor")) is not None:
        return float(factor)

    def grown(weight: float) -> float:
        return 0.1 * weight * math.log(said["factor"]) + 1 if said["factor"] > 1 else 1.0

    above, below = said.get("mscale"), said.get("mscale_all_dim")
    return grown(above) / grown(below) if above and below else grown(1.0)
