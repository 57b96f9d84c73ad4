"""What a run leaves on the disk.

- ``config.toml``: the whole configuration, defaults written out
- ``tokenizer.json``: the tokenizer, so that the folder is all one needs
- ``metrics.jsonl``: one JSON object a line
- ``checkpoints/step-000500.safetensors``: the last few
- ``checkpoints/best.safetensors``: the weights with the best validation loss
- ``batches-000500.safetensors``: what a step learned from whose loss was not finite
- ``sample.txt``: what the model writes in the end
- ``special_tokens.json``, ``chat_template.jinja``: of a model from elsewhere, for exports
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch

from byteloom import checkpoint, config
from byteloom.atomic import atomic_folder, atomic_write
from byteloom.checkpoint import Checkpoint
from byteloom.data.batches import AnyBatch
from byteloom.models import AnyModel, TransformerLM
from byteloom.tokenizer import Tokenizer
from byteloom.training.config import RunConfig
from byteloom.training.data_config import DataConfig
from byteloom.training.tasks import TaskConfig

#: Of a model from elsewhere: what special tokens are for, and what makes a text of a conversation.
BESIDE = ROLES, CHAT = "special_tokens.json", "chat_template.jinja"
_NAME = re.compile(r"step-(\d+)\.safetensors")


class RunFolder:
    """The folder of one run.

    Args:
        path: the folder; :meth:`create` makes it, :meth:`open` finds it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.toml"
        self.tokenizer_file = self.path / "tokenizer.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.checkpoint_folder = self.path / "checkpoints"
        self.best_file = self.checkpoint_folder / "best.safetensors"
        self.sample_file = self.path / "sample.txt"

    @classmethod
    def create(cls, path: str | os.PathLike[str], run_config: RunConfig) -> RunFolder:
        """Makes the folder of a new run and writes down its configuration.

        Raises:
            ValueError: a run, or something else, is there already.
        """
        folder = cls(path)
        folder.refuse_existing()
        folder.checkpoint_folder.mkdir(parents=True, exist_ok=True)
        if run_config.data.tokenizer is not None:
            Tokenizer.load(run_config.data.tokenizer).save(folder.tokenizer_file)
        if run_config.training.start is not None:
            folder._take_over(cls(run_config.training.start))
        # Last: a folder with a configuration is a run.
        with atomic_write(folder.config_file) as file:
            file.write(config.to_toml(run_config).encode())
        return folder

    def _take_over(self, other: RunFolder) -> None:
        """What belongs to the same tokenizer in the run that this one begins with."""
        tokenizer = self.load_tokenizer()
        if tokenizer is None or tokenizer != other.load_tokenizer():
            return
        for name in BESIDE:
            if (other.path / name).exists():
                with atomic_write(self.path / name) as file:
                    file.write((other.path / name).read_bytes())

    @classmethod
    def imported(
        cls,
        path: str | os.PathLike[str],
        model: AnyModel,
        tokenizer: Tokenizer | None,
        beside: Mapping[str, str] | None = None,
        task: TaskConfig | None = None,
    ) -> RunFolder:
        """Makes the folder of a model that comes from elsewhere, at step 0: whole or not at all.

        It can generate and be scored, and another run can begin with its weights.

        Args:
            path: the folder to make.
            model: with its weights.
            tokenizer: the one it was trained with, if there is one; only decoders can do without.
            beside: those of ``BESIDE`` that there are, and what is in them.
            task: what it learned; ``None``: what models of its kind usually do.

        Raises:
            ValueError: something is there already.
        """
        folder = cls(path)
        # Tasks of other models than decoders take their special tokens from it in any case.
        fits = tokenizer is not None and (
            not isinstance(model, TransformerLM) or tokenizer.vocab_size == model.config.vocab_size
        )
        data = DataConfig((), tokenizer=folder.tokenizer_file.absolute() if fits else None)
        run_config = RunConfig(model.config, data, task)
        state = Checkpoint.of(
            model,
            None,
            0,
            config=config.dump(run_config),
            tokenizer="" if tokenizer is None else tokenizer.fingerprint,
        )
        with atomic_folder(path) as unfinished:
            made = cls(unfinished)
            made.checkpoint_folder.mkdir()
            if tokenizer is not None:
                tokenizer.save(made.tokenizer_file)
            for name, text in (beside or {}).items():
                (made.path / name).write_text(text, "utf-8")
            made.save(state, keep=1)
            made.config_file.write_text(config.to_toml(run_config), "utf-8")
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Finds the folder of a run.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = cls(path)
        if not folder.path.exists():
            raise FileNotFoundError(f"no run folder {folder.path}")
        if not folder.is_run():
            raise FileNotFoundError(
                f"{folder.path} is no run: it lacks config.toml or the folder checkpoints"
            )
        return folder

    def is_run(self) -> bool:
        """Whether a run began here."""
        return self.config_file.exists() and self.checkpoint_folder.is_dir()

    def refuse_existing(self) -> None:
        """Makes sure that a new run can begin here.

        Raises:
            ValueError: a run is here, and what to do about it; or something else is.
        """
        if self.is_run():
            steps, found = self.load_config().training.steps, self.checkpoints()
            done = found[-1][0] if found else 0
            if done >= steps:
                raise ValueError(
                    f"the run in {self.path} is finished ({done:,} steps): try "
                    f'`byteloom generate {self.path} --prompt "..."`, or give another -o'
                )
            raise ValueError(
                f"{self.path} holds a run of {done:,} of {steps:,} steps: continue it with "
                f"`train-lm --resume {self.path}`, or give another -o"
            )
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file, not a folder for a run")
        known = {self.tokenizer_file.name, self.checkpoint_folder.name, *BESIDE}
        if self.path.exists() and any(p.name not in known for p in self.path.iterdir()):
            raise ValueError(f"{self.path} holds other files, and no run: give another -o")

    def load_config(self) -> RunConfig:
        """The configuration that the run began with."""
        return config.load(RunConfig, config.read(self.config_file), self.config_file)

    def load_tokenizer(self) -> Tokenizer | None:
        """The run's tokenizer, if it has one."""
        return Tokenizer.load(self.tokenizer_file) if self.tokenizer_file.exists() else None

    def load_model(
        self, step: int | Literal["best"] | None = None, device: torch.device | str = "cpu"
    ) -> TransformerLM:
        """The same as :meth:`load_any_model`, where only a decoder will do.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: it is another model's, or damaged.
        """
        kind = self.load_config().model.kind
        if kind != "decoder":
            raise ValueError(f"the run in {self.path} has an {kind}: this is for decoders alone")
        model = self.load_any_model(step, device)
        assert isinstance(model, TransformerLM)
        return model

    def load_any_model(
        self, step: int | Literal["best"] | None = None, device: torch.device | str = "cpu"
    ) -> AnyModel:
        """The model of a step's checkpoint, by default the newest, in evaluation mode.

        If the run averages its weights, it has the average.

        Args:
            step: "best" is that of the best validation loss.
            device: where it goes.

        Raises:
            FileNotFoundError: no such checkpoint.
            ValueError: it is damaged, or of another model than config.toml describes.
        """
        path = self.best_file if step == "best" else self.checkpoint_at(step)
        model = self.load_config().model.build()
        found = checkpoint.read(path, optimizer=False)
        if average := found.state.get("average"):
            found = replace(found, model=found.model | average["average"])
        found.restore(model, name=str(path))
        return model.to(device).eval()

    # -- checkpoints -----------------------------------------------------------------------------

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Steps and files of the checkpoints, oldest first."""
        if not self.checkpoint_folder.is_dir():
            return []
        found = ((_NAME.fullmatch(p.name), p) for p in self.checkpoint_folder.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def checkpoint_at(self, step: int | None = None) -> Path:
        """The file of a step's checkpoint; by default of the newest.

        Raises:
            FileNotFoundError: there is none; the message lists those there are.
        """
        found = dict(self.checkpoints())
        if not found:
            raise FileNotFoundError(f"{self.path} has no checkpoint yet")
        if step is None:
            return found[max(found)]
        if step not in found:
            there = ", ".join(map(str, found))
            raise FileNotFoundError(f"{self.path} has no checkpoint of step {step}, but of {there}")
        return found[step]

    def save(self, state: Checkpoint, keep: int) -> Path:
        """Writes a checkpoint, then deletes all but the newest ``keep``.

        Raises:
            OSError: it could not be written; the former ones are untouched.
        """
        path = self.checkpoint_folder / f"step-{state.iteration:06d}.safetensors"
        checkpoint.write(state, path)
        # Later ones are damaged: a run that went on from one before them comes by again.
        kept = [old for step, old in self.checkpoints() if step <= state.iteration]
        for old in kept[:-keep]:
            old.unlink(missing_ok=True)
        return path

    def save_best(self, state: Checkpoint) -> None:
        """Writes the weights with the best validation loss.

        Raises:
            OSError: it could not be written; the former ones are untouched.
        """
        checkpoint.write(state, self.best_file)

    def save_batches(self, step: int, batches: Sequence[AnyBatch]) -> Path:
        """Writes what a step learned from, to be studied; returns the file."""
        path = self.path / f"batches-{step:06d}.safetensors"
        tensors = {
            f"{name}.{i}": tensor
            for i, batch in enumerate(batches)
            for name, tensor in named(batch).items()
        }
        with atomic_write(path) as file:
            file.write(safetensors.torch.save({k: t.cpu() for k, t in tensors.items()}))
        return path

    def newest(self, notify: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that can be read; ``None`` if there is none at all.

        Args:
            notify: told of those that cannot.

        Raises:
            ValueError: there are some, and all are damaged.
        """
        for unfinished in self.checkpoint_folder.glob(".*.part"):
            unfinished.unlink(missing_ok=True)  # what a killed process was writing
        problem = None
        for _, path in reversed(self.checkpoints()):
            try:
                return checkpoint.read(path)
            except ValueError as error:
                problem = error
                notify(f"{error}; trying the one before")
        if problem is not None:
            raise ValueError(f"no checkpoint in {self.checkpoint_folder} can be read: {problem}")
        return None


def named(batch: AnyBatch) -> dict[str, torch.Tensor]:
    """A batch's tensors by names: of several inputs, the second is ``inputs.1``, and so on.

    Example:
        >>> list(named((torch.zeros(1), torch.zeros(1), torch.zeros(1))))
        ['inputs', 'inputs.1', 'targets']
    """
    *inputs, targets = batch
    names = ["inputs", *(f"inputs.{i}" for i in range(1, len(inputs)))]
    return dict(zip(names, inputs, strict=True)) | {"targets": targets}
