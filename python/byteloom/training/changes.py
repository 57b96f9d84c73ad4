"""A configuration that was changed between two sessions of a run: what differs, and what may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from byteloom import config
from byteloom.config.dotted import flat
from byteloom.training.config import RunConfig

#: Keys of a model that say nothing about its weights or what it computes from them.
_FREE_IN_MODELS = {"backend", "balance_loss", "capacity", "dropout", "z_loss"}
#: What says which weights and moments there are, and which tokens a step learns from.
_FIXED = {
    "data.weights",
    "optimizer.kind",
    "training.rounding",
    "training.seed",
    "training.weights",
}
#: What says how many windows a step learns from; the windows' order does not depend on it.
_WINDOWS = ("training.accumulation", "training.accumulation_warmup", "training.batch_size")


@dataclass(frozen=True)
class Change:
    """A key with two values."""

    key: str
    """Dotted."""
    before: Any
    """As the checkpoint has it; ``None``: not there."""
    now: Any
    """As config.toml has it; ``None``: not there."""
    breaks: bool
    """Whether the run would not be the same one any more."""

    def __str__(self) -> str:
        before, now = ("none" if x is None else x for x in (self.before, self.now))
        return f"{self.key}: {before}, now {now}"


def changes(before: Mapping[str, Any], now: RunConfig) -> list[Change]:
    """What differs between a checkpoint's configuration and the run's, in the order of the keys.

    Defaults of keys that did not exist when the checkpoint was made are no difference.

    Args:
        before: the checkpoint's configuration, as tables.
        now: the run's.
    """
    try:
        former = flat(config.dump(config.load(RunConfig, before)))
    except ValueError:
        return []  # of another version, whose keys mean something else
    new = flat(config.dump(now))
    fixed = _FIXED if _windows(former) == _windows(new) else _FIXED.union(_WINDOWS)
    keys = [*former, *(key for key in new if key not in former)]
    return [
        Change(key, old, this, key in fixed or _breaks(key, old, this))
        for key in keys
        if (old := former.get(key)) != (this := new.get(key))
    ]


def accept_changes(
    before: Mapping[str, Any], now: RunConfig, name: object, notify: Callable[[str], None]
) -> None:
    """Lists what was changed since a checkpoint was made, and refuses what breaks the run.

    Args:
        before: the checkpoint's configuration, as tables.
        now: the run's.
        name: the file that has it, for messages.
        notify: told of the differences, if there are any.

    Raises:
        ValueError: with some of them it would be another run.
    """
    found = changes(before, now)
    if wrong := [change for change in found if change.breaks]:
        raise ValueError(
            f"{name} was changed since the checkpoint was made, and the run cannot go on with "
            f"another\n{_lines(wrong)}\nset them back, or begin a new run"
        )
    if found:
        notify(f"{name} was changed since the checkpoint was made:\n{_lines(found)}")


def _lines(found: list[Change]) -> str:
    return "\n".join(f"  {change}" for change in found)


def _windows(keys: Mapping[str, Any]) -> tuple[int, ...]:
    """What must stay the same for each step to learn from the same windows."""
    accumulation, warmup, batch_size = (int(keys[key]) for key in _WINDOWS)
    return (accumulation, warmup, batch_size) if warmup else (accumulation * batch_size,)


def _breaks(key: str, before: Any, now: Any) -> bool:
    """Whether a change of another key than those that are fixed does."""
    section, _, name = key.partition(".")
    last = key.rpartition(".")[2]
    if section == "model":
        return last not in _FREE_IN_MODELS and not name.startswith("init.")
    if section == "averaging":  # the average of the steps so far is there, or it is not
        return before is None and last == "decay"
    if key == "data.train":  # files may move, but not be more or fewer
        return _length(before) != _length(now)
    return section == "task"


def _length(train: Any) -> int:
    return len(train) if isinstance(train, list) else 1
