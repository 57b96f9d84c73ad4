"""The operations that training takes, a token and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from byteloom.training.config import RunConfig
from byteloom.training.estimate.stand_in import tokens_of_text
from byteloom.training.estimate.trace import Trace
from byteloom.training.plan import Plan
from byteloom.training.throughput import training_flops

#: In the order of the model.
_ORDER = ("embeddings", "attention", "feed-forward", "norms", "head")


@dataclass(frozen=True)
class Part:
    """Floating-point operations a token of a part of the model, in all blocks."""

    name: str
    """attention, feed-forward, head ...; "attention scores" are apart from its linear maps."""
    forward: float
    """Forward."""
    backward: float
    """For the gradients."""
    recomputed: float
    """Done a second time, to save memory."""


@dataclass(frozen=True)
class Operations:
    """Floating-point operations; a multiplication and an addition are two."""

    parts: tuple[Part, ...]
    """A token, by part; scores of all tokens with all, as most formulas have them."""
    causal_scores: float
    """What is left of the scores, forward and backward, if only those before a token count."""
    token: float
    """A token, forward and backward, nothing twice, scores in full."""
    recomputed: float
    """A token, what is done a second time."""
    rule_of_thumb: float
    """By :func:`~byteloom.training.throughput.training_flops`, of a decoder 6 N + 12 L d T, which
    counts the embeddings, too: what a run's ``mfu`` is measured by."""
    tokens: int
    """Of the whole run."""
    run: float
    """In the whole run, without and with what is done twice."""
    run_executed: float
    """The same with what is done a second time."""


def count_operations(run_config: RunConfig, trace: Trace) -> Operations:
    """Counts them by what a step did."""
    model, training = run_config.model, run_config.training
    batch = training.batch_size * tokens_of_text(run_config)
    found: dict[str, Counter[str]] = {}
    for (phase, part, kind), count in trace.flops.items():
        of_part = found.setdefault(f"{part} scores" if kind == "scores" else part, Counter())
        if phase == "loss":
            # One product forward and two of the same size for the gradients, all on the way there.
            of_part += Counter({"forward": count // 3, "backward": count - count // 3})
        else:
            of_part[phase] += count
    names = sorted(
        found, key=lambda name: [i for i, n in enumerate(_ORDER) if name.startswith(n)] or [99]
    )
    parts = tuple(
        Part(name, *(found[name][p] / batch for p in ("forward", "backward", "recomputed")))
        for name in names
    )
    scores = sum(part.forward + part.backward for part in parts if part.name.endswith("scores"))
    token = sum(part.forward + part.backward for part in parts)
    recomputed = sum(part.recomputed for part in parts)
    plan = Plan(training.accumulation, min(training.accumulation_warmup, training.steps))
    tokens = plan.before(training.steps) * batch
    with torch.device("meta"):
        rule = training_flops(model.build(), run_config.task)
    return Operations(
        parts,
        scores * (model.context_length + 1) / (2 * model.context_length),
        token,
        recomputed,
        rule,
        tokens,
        token * tokens,
        (token + recomputed) * tokens,
    )
