"""What a format can express: which keys of a model's configuration must have which values there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from byteloom.model import ModelConfig

#: Keys that matter to no format: sizes all can say, and what matters in training only.
_NEUTRAL = frozenset(
    {
        *("kind", "vocab_size", "context_length", "d_model", "num_layers", "num_heads", "dropout"),
        *("attention.backend", "attention.dropout", "ffn.d_ff", "ffn.ratio", "init.*"),
        *("ffn.balance_loss", "ffn.z_loss", "ffn.capacity"),
    }
)


def differences(
    config: ModelConfig, fixed: Mapping[str, Any], free: frozenset[str] = frozenset()
) -> list[str]:
    """Why a format cannot express a model, key by key; empty if it can.

    A key that the format does not know of must have its default: so that what is added to models
    later is refused, not left out in silence.

    Args:
        config: the model's.
        fixed: key -> what it must be; a tuple allows each of its values.
        free: keys that may be anything, or with ``.*`` behind, all below them.

    Example:
        >>> config = ModelConfig(vocab_size=10, logit_scale=2.0)
        >>> kinds = {"norm": "rmsnorm", "position": "rotary", "attention": "multi_head"}
        >>> kinds |= {"ffn": "plain", "block": "pre"}
        >>> differences(config, {f"{key}.kind": kind for key, kind in kinds.items()})
        ["ffn.kind is 'swiglu', not 'plain'", 'logit_scale is 2.0, not 1.0']
    """
    found = {key: (value, default) for key, value, default in _leaves(config, "")}
    problems = []
    for key, (value, default) in found.items():
        if key in fixed:
            allowed = fixed[key] if isinstance(fixed[key], tuple) else (fixed[key],)
            if value not in allowed:
                problems.append(f"{key} is {value!r}, not {' or '.join(map(repr, allowed))}")
        elif not _is_among(key, free | _NEUTRAL) and value != default:
            problems.append(f"{key} is {value!r}, not {default!r}")
    problems += [f"{key} is missing" for key in fixed if key not in found]
    factor = config.init.logit_factor(config.d_model)
    if factor != 1 and "logit_scale" not in free:
        problems.append(f"init.kind is {config.init.kind!r}, which multiplies logits by {factor}")
    # Of a part that is of another kind, its keys say nothing.
    wrong = {
        problem.split(" ")[0].removesuffix("kind") for problem in problems if ".kind is " in problem
    }
    return [
        problem
        for problem in problems
        if ".kind is " in problem or not problem.startswith(tuple(wrong))
    ]


def refuse(what: str, problems: list[str]) -> None:
    """Raises an error that names what stands in the way, if anything does.

    Raises:
        ValueError: there are problems.
    """
    if problems:
        raise ValueError(f"{what} cannot express this model: {'; '.join(problems)}")


def _is_among(key: str, free: frozenset[str]) -> bool:
    return key in free or any(f.endswith(".*") and key.startswith(f[:-1]) for f in free)


def _leaves(config: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Key, value and default of all that a tree of dataclasses holds."""
    for field in dataclasses.fields(config):
        key, value = f"{prefix}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{key}.")
        elif field.name == "kind":
            yield key, value, None  # which of a family it is, each format must say
        else:
            yield key, value, _default(field)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return None if dataclasses.is_dataclass(made) else made
    return None if field.default is dataclasses.MISSING else field.default
