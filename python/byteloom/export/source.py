"""What is exported: a model with its tokenizer, and what is known of how it came to be."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from byteloom import checkpoint, config
from byteloom.checkpoint import Checkpoint
from byteloom.export import chat
from byteloom.export.hf import roles
from byteloom.export.hf.roles import Roles, resolved
from byteloom.model import ModelConfig, TransformerLM
from byteloom.models import AnyModel
from byteloom.tokenizer import Tokenizer
from byteloom.training.config import RunConfig
from byteloom.training.run_folder import CHAT, ROLES, RunFolder

#: Which checkpoint of a run: a step's, or one of these; "averaged" is the newest, refused if the
#: run averages no weights.
Which: TypeAlias = int | Literal["best", "newest", "averaged"]


@dataclass(frozen=True)
class AnySource:
    """A model of any kind, for the formats that have them all."""

    model: AnyModel
    """In evaluation mode, on the CPU."""
    tokenizer: Tokenizer | None = None
    """The one it was trained with; ``None``: it was trained on ids alone."""
    name: str = "byteloom"
    """What the model is called."""
    iteration: int = 0
    """Optimizer steps done."""
    figures: dict[str, float] = field(default_factory=dict)
    """What is known of it: ``iteration``, ``best_valid_loss`` and so on."""
    run: dict[str, Any] = field(default_factory=dict)
    """The run's configuration, as nested tables."""
    kept: Roles | None = None
    """What special tokens are for, where the model came from; ``None``: their names tell."""
    chat_template: str = ""
    """What makes one text of a conversation; empty: nothing does."""

    @property
    def roles(self) -> Roles:
        """What special tokens are for."""
        return resolved(self.kept, self.tokenizer)


@dataclass(frozen=True)
class Source(AnySource):
    """What an exporter is given."""

    model: TransformerLM
    """In evaluation mode, on the CPU."""

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config


def open_run(path: str | os.PathLike[str], which: Which = "newest") -> Source:
    """The same as :func:`open_any_run`, where only a decoder will do.

    Raises:
        FileNotFoundError: no run, or no such checkpoint.
        ValueError: a damaged checkpoint, or an encoder's; "averaged" of a run without averages.
    """
    found = _open(path, which, only_decoders=True)
    assert isinstance(found, Source)
    return found


def open_any_run(path: str | os.PathLike[str], which: Which = "newest") -> AnySource:
    """Opens a run's folder, or one checkpoint of a run.

    Args:
        path: a folder that train-lm made, or a checkpoint file within or outside of one.
        which: the checkpoint, if it is a folder. If the run averages its weights, the average is
            taken, as everywhere.

    Raises:
        FileNotFoundError: no run, or no such checkpoint.
        ValueError: a damaged checkpoint; "averaged" of a run without averages.
    """
    return _open(path, which)


def _open(path: str | os.PathLike[str], which: Which, *, only_decoders: bool = False) -> AnySource:
    path = Path(path)
    if path.is_file():
        found, folder = checkpoint.read(path, optimizer=False), path.absolute().parent.parent
        tables, file = found.config, path
        if not tables:
            raise ValueError(f"{path} does not say of what model it is: give a run's folder")
    else:
        run = RunFolder.open(path)
        step = which if isinstance(which, int) else None
        file = run.best_file if which == "best" else run.checkpoint_at(step)
        found, folder = checkpoint.read(file, optimizer=False), run.path
        tables = config.dump(run.load_config())
    described = config.load(RunConfig, tables, file).model
    if only_decoders and not isinstance(described, ModelConfig):
        raise ValueError(f"{path} has an {described.kind}: only decoders are exported")
    model = described.build()
    average = found.state.get("average")
    if average:
        found = replace(found, model=found.model | average["average"])
    elif which == "averaged":
        raise ValueError(f"{path} averages no weights: there is no averaged checkpoint")
    found.restore(model, name=str(file))
    tokenizer_file = folder / "tokenizer.json"
    tokenizer = Tokenizer.load(tokenizer_file) if tokenizer_file.exists() else None
    if tokenizer is not None and found.tokenizer not in ("", tokenizer.fingerprint):
        raise ValueError(f"{tokenizer_file} is not the tokenizer that {file} was trained with")
    name = folder.resolve().name
    kept = roles.read(folder / ROLES) if (folder / ROLES).exists() else None
    template = chat.read(folder / CHAT) if (folder / CHAT).exists() else ""
    more = (tokenizer, name, found.iteration, _figures(found), tables, kept, template)
    if isinstance(model, TransformerLM):
        return Source(model.eval(), *more)
    return AnySource(model.eval(), *more)


def _figures(found: Checkpoint) -> dict[str, float]:
    figures: dict[str, float] = {"iteration": found.iteration}
    best = found.state.get("best", [math.inf])[0]
    if math.isfinite(best):
        figures["best_valid_loss"] = best
    if seconds := found.state.get("seconds"):
        figures["seconds"] = seconds
    return figures
