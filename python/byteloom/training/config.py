"""The configuration of a whole run: what `train-lm CONFIG.toml` reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

import torch
from pydantic import Field

from byteloom import config
from byteloom.config.schema import kind_of
from byteloom.data.token_file import TokenFile
from byteloom.models import AnyModelConfig, EncoderDecoderConfig, ModelConfig
from byteloom.nn.recompute import Recompute
from byteloom.optim import (
    AdamWConfig,
    AveragingConfig,
    CosineConfig,
    OptimizerConfig,
    ScheduleConfig,
)
from byteloom.optim.narrow import Rounding
from byteloom.tokenizer import Tokenizer
from byteloom.training.data_config import DataConfig, require_train, separator_id, specials_of
from byteloom.training.effect import require_effect
from byteloom.training.tasks import MaskedConfig, PrefixConfig, SpansConfig, TaskConfig
from byteloom.training.tasks.prompt import check_prompt

AtLeastOne: TypeAlias = Annotated[int, Field(ge=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how much at once, on what, and what is kept."""

    steps: AtLeastOne = 1000
    """Optimizer steps in the whole run."""
    batch_size: AtLeastOne = 32
    """Windows of context_length tokens that go through the model at once."""
    accumulation: AtLeastOne = 1
    """Batches whose gradients are averaged for one step."""
    accumulation_warmup: Annotated[int, Field(ge=0)] = 0
    """Steps in which accumulation grows from 1 to what it will be: large batches help late."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the initial weights and the order of the data."""
    start: Path | None = None
    """Run whose newest weights this one begins with, such as an imported one; none: by chance."""
    eval_interval: AtLeastOne = 250
    """Steps between evaluations on data.valid; the last step always has one."""
    eval_batches: AtLeastOne | Literal["all"] = 20
    """Batches in an evaluation, the same ones every time; all: every token of data.valid."""
    eval_patience: AtLeastOne | None = None
    """Evaluations without a better validation loss after which the run ends; none: never."""
    checkpoint_interval: AtLeastOne = 500
    """Steps between checkpoints; the last step always has one."""
    checkpoint_minutes: Positive | None = 30.0
    """Minutes after which there is a checkpoint in any case; none: only after steps."""
    keep_checkpoints: AtLeastOne = 2
    """How many of the newest checkpoints are kept, beside the weights with the best validation."""
    gradient_clip: Positive | None = 1.0
    """Largest L2 norm of the whole gradient; none: no clipping."""
    z_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Weight of log(Z)^2 in what is minimised, which keeps logits from drifting; 1e-4 is usual."""
    dtype: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Type of products; the weights stay fp32. bf16, fp16: autocast, with fp16's loss scaled."""
    weights: Literal["fp32", "bf16"] = "fp32"
    """Type of the weights themselves; bf16, with dtype bf16, takes half the memory."""
    rounding: Rounding = "stochastic"
    """How updates of bf16 weights are rounded: by chance, or with what was lost kept for later."""
    compile: bool = False
    """Whether torch.compile makes the model faster, after a minute or so."""
    recompute: Recompute = "none"
    """What blocks compute again for the gradients, to save memory: none, selective, block."""
    offload: bool = False
    """Whether what a GPU keeps for the gradients waits in main memory; not with compile."""
    deterministic: bool = False
    """Whether a GPU gives the same bits every time, somewhat more slowly; a CPU always does."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where it runs; auto: the first there is of cuda, mps, cpu."""
    num_threads: AtLeastOne | None = None
    """CPU threads; none: as torch chooses. A resumed run keeps the number."""

    def __post_init__(self) -> None:
        if self.weights == "bf16" and self.dtype != "bf16":
            raise ValueError(f"weights bf16 go with dtype bf16, not {self.dtype}")
        if self.offload and self.compile:
            raise ValueError("offload does not go together with compile: choose one of them")


@dataclass(frozen=True)
class GuardConfig:
    """What happens when something goes wrong with the numbers."""

    non_finite: Literal["skip", "stop"] = "skip"
    """A step whose loss or gradient is not finite: its update is left out, or the run stops."""
    max_skipped: AtLeastOne = 10
    """Updates left out one after the other at which the run stops in any case."""
    spike: Positive | None = 6.0
    """Standard deviations above the mean at which a loss is put down as a spike; none: never."""

    @property
    def limit(self) -> int:
        """Updates left out one after the other that stop the run."""
        return 1 if self.non_finite == "stop" else self.max_skipped


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases."""

    mode: Literal["off", "online", "offline"] = "off"
    """Whether metrics also go to wandb; offline: into RUN/wandb, for `wandb sync`."""
    project: str = "byteloom"
    """Project there."""
    name: str | None = None
    """Name of the run there; none: the run folder's."""


@dataclass(frozen=True)
class LoggingConfig:
    """What is written down on the way."""

    interval: AtLeastOne = 10
    """Steps between records in metrics.jsonl."""
    sample_prompt: str = ""
    """What the sample at the end begins with; empty: with the first special token, if any. Other
    models than decoders answer it, or find what is hidden in it; empty: no sample."""
    sample_tokens: Annotated[int, Field(ge=0)] = 200
    """Tokens in the sample at the end; 0: no sample."""
    tensorboard: bool = False
    """Whether metrics also go to RUN/tensorboard, for `tensorboard --logdir RUN`."""
    wandb: WandbConfig = field(default_factory=WandbConfig)
    """Weights & Biases."""


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run computes, and what it leaves."""

    model: AnyModelConfig
    """The architecture."""
    data: DataConfig
    """What it learns from."""
    task: TaskConfig | None = None
    """What it learns; none: the next token, or what models of its kind usually do."""
    optimizer: OptimizerConfig = field(default_factory=AdamWConfig)
    """How gradients become updates."""
    schedule: ScheduleConfig = field(default_factory=CosineConfig)
    """The learning rate at each step."""
    averaging: AveragingConfig | None = None
    """A running mean of the weights, which is then what is evaluated and used; none: no mean."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How long, how much at once, on what."""
    guard: GuardConfig = field(default_factory=GuardConfig)
    """What happens when something goes wrong with the numbers."""
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    """What is written down on the way."""

    def __post_init__(self) -> None:
        init = None
        if isinstance(self.model, ModelConfig):
            init = self.model.init.kind
            if not self.model.attention.causal:
                raise ValueError(
                    "model.attention.causal is false: a decoder would see the tokens that it is to "
                    "predict; leave it true, or choose model.kind encoder"
                )
        if init == "mup" and self.optimizer.kind not in ("adamw", "lion"):
            raise ValueError(
                "model.init.kind mup has learning rates for steps that are as long for all "
                f"weights: choose optimizer.kind adamw or lion, not {self.optimizer.kind}"
            )
        if self.task is None:
            usual = {task.learner: task for task in (MaskedConfig, SpansConfig)}.get(
                type(self.model)
            )
            object.__setattr__(self, "task", usual and usual())
        if self.task is None:
            return
        if not isinstance(self.model, self.task.learner):
            raise ValueError(
                f"task.kind {self.task.kind} is nothing for model.kind {self.model.kind}, but for "
                f"{kind_of(self.task.learner)}"
            )
        if isinstance(self.task, PrefixConfig):
            self.task.require(self.decoder)
        if self.data.tokenizer is None and self.task.needs_tokenizer:
            raise ValueError(
                f"task.kind {self.task.kind} needs data.tokenizer, whose special tokens it uses"
            )
        if self.data.separate_documents and not isinstance(self.model, ModelConfig):
            raise ValueError("data.separate_documents is for decoders, and for nothing else")

    @property
    def decoder(self) -> ModelConfig:
        """The architecture, where only a decoder's will do.

        Raises:
            ValueError: it is another one's.
        """
        if not isinstance(self.model, ModelConfig):
            raise ValueError(f"model.kind is {self.model.kind}: this is for decoders alone")
        return self.model


def resolve(tables: Mapping[str, Any], source: str | os.PathLike[str] = "") -> RunConfig:
    """Tables of a configuration file -> a configuration in which nothing is left open.

    ``model.vocab_size`` comes from the tokenizer, or else from the preset, or else from the
    greatest id in the token files, where it is left out; paths become absolute, so that the run
    resumes from anywhere, and the number of threads becomes fixed, for it decides the last bits of
    every sum.

    Raises:
        ValueError: what :func:`byteloom.config.load` refuses; a tokenizer, token files and a
            model that contradict each other.
        FileNotFoundError: a file that is named does not exist.
    """
    run = resolve_model(tables, source)
    check_data(run)
    data = replace(
        run.data,
        train=tuple(path.absolute() for path in run.data.train)
        if isinstance(run.data.train, tuple)
        else run.data.train.absolute(),
        valid=run.data.valid and run.data.valid.absolute(),
        tokenizer=run.data.tokenizer and run.data.tokenizer.absolute(),
    )
    training = replace(
        run.training,
        num_threads=run.training.num_threads or torch.get_num_threads(),
        start=run.training.start and run.training.start.absolute(),
    )
    return replace(run, model=_with_start(run), data=data, training=training)


def resolve_model(tables: Mapping[str, Any], source: str | os.PathLike[str] = "") -> RunConfig:
    """The same as far as the model is concerned: with ``model.vocab_size``, no file is read.

    Raises:
        ValueError: see :func:`resolve`.
        FileNotFoundError: ``model.vocab_size`` is left out, and the files that tell it are missing.
    """
    model = tables.get("model", {})
    if isinstance(model, Mapping) and "vocab_size" not in model:
        # Any size will do to check everything else first, if it has the one id that can be named.
        start = model.get("start_id")
        size = 1 + max(0, start) if isinstance(start, int) else 1
        data = config.load(RunConfig, _with_vocab_size(tables, size), source).data
        # A preset's vocabulary is that of its own tokenizer, not of this one.
        if data.tokenizer is not None or "preset" not in model:
            tables = _with_vocab_size(tables, _vocab_size(data))
    run = config.load(RunConfig, tables, source)
    require_effect(run)
    return run


def _with_start(run: RunConfig) -> AnyModelConfig:
    """The model, with what its decoder begins with, if it has one and does not know it."""
    model, specials = run.model, specials_of(run.data)
    if not isinstance(model, EncoderDecoderConfig) or model.start_id is not None:
        return model
    assert isinstance(run.task, SpansConfig) and specials is not None
    return replace(model, start_id=run.task.start_id(specials))


def _with_vocab_size(tables: Mapping[str, Any], vocab_size: int) -> dict[str, Any]:
    return config.merge(tables, {"model": {"vocab_size": vocab_size}})


def _vocab_size(data: DataConfig) -> int:
    """What the data imply."""
    if data.tokenizer is not None:
        return Tokenizer.load(data.tokenizer).vocab_size
    require_train(data)
    files = [*data.sources, data.valid]
    return 1 + max(TokenFile(path).max_id for path in files if path is not None)


def check_data(run: RunConfig) -> None:
    """Makes sure that the model can learn from the data.

    Raises:
        ValueError: a tokenizer of another size or without the separator, token files that are too
            short or have ids that the model lacks.
        FileNotFoundError: a file is gone.
    """
    require_train(run.data)
    if run.data.tokenizer is not None:
        size = Tokenizer.load(run.data.tokenizer).vocab_size
        # Weights from elsewhere may have rows for more ids, which were never tokens.
        is_started = run.training.start is not None
        if size > run.model.vocab_size or (size < run.model.vocab_size and not is_started):
            raise ValueError(
                f"model.vocab_size is {run.model.vocab_size:,}, but the tokenizer "
                f"{run.data.tokenizer} has {size:,} tokens: leave model.vocab_size out"
            )
    separator_id(run.data)
    if run.task is not None:
        # Which task goes with which model was found to be right when both were put together.
        check = cast(Callable[..., None], run.task.check)
        check(run.model, specials_of(run.data))
        if run.logging.sample_prompt:
            check_prompt(run.logging.sample_prompt, run.task, run.model, specials_of(run.data))
    for path in (*run.data.sources, run.data.valid):
        if path is not None:
            TokenFile(path).check(run.model.vocab_size, run.model.context_length)
