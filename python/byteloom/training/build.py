"""A configuration -> a run at its beginning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch

from byteloom.checkpoint import Checkpoint
from byteloom.data.batches import AnyBatch, Batches, sequential_batches, validation_batches
from byteloom.data.token_file import TokenFile
from byteloom.models import AnyModel, TransformerLM
from byteloom.nn.loss import Sums
from byteloom.nn.recompute import Recomputing
from byteloom.optim.narrow import NarrowWeights
from byteloom.training.config import RunConfig
from byteloom.training.data_config import separator_id, specials_of
from byteloom.training.objective import Objective
from byteloom.training.plan import Plan
from byteloom.training.scaling import LossScale
from byteloom.training.spikes import Spikes
from byteloom.training.state import Run
from byteloom.training.tasks import (
    AnyBatches,
    ChangedBatches,
    MaskedConfig,
    PrefixConfig,
    SpansConfig,
)
from byteloom.training.tasks.base import Reading
from byteloom.training.tasks.prefix import PrefixObjective


def build(run_config: RunConfig, start: AnyModel | None = None) -> Run:
    """Makes a run at step 0: fresh weights from the seed, token files opened.

    Args:
        run_config: all that decides what it computes.
        start: whose weights it has instead of fresh ones.

    Raises:
        ValueError: a device that this machine lacks, or a type that the device lacks; token files
            too short for the context; weights of another model.
    """
    run, data = assemble(run_config, start), run_config.data
    files = [TokenFile(path) for path in data.sources]
    run.batches = batches(run_config, files, data.weights)
    run.validation = validation(run_config)
    return run


def assemble(
    run_config: RunConfig,
    start: AnyModel | None = None,
    make_objective: Callable[[RunConfig, AnyModel], Callable[..., Sums]] | None = None,
) -> Run:
    """Makes a run without its token files, which has no batches; otherwise as :func:`build`.

    Args:
        run_config: all that decides what it computes.
        start: whose weights it has instead of fresh ones.
        make_objective: in place of :func:`objective`, which may need the tokenizer.

    Raises:
        ValueError: a device that this machine lacks, or a type that the device lacks; weights of
            another model.
    """
    training = run_config.training
    device = pick_device(training.device)
    require_dtype(training.dtype, device)
    if training.num_threads is not None:
        torch.set_num_threads(training.num_threads)
    set_precision(training.dtype, training.deterministic)
    torch.manual_seed(training.seed)
    model = run_config.model.build()
    if device.type != "cpu":  # where it is made
        model = model.to(device)
    if start is not None:
        Checkpoint.of(start, None, 0).restore(model, name="training.start")
    model.recomputing = Recomputing(training.recompute)
    optimizer = run_config.optimizer.build(model)
    is_narrow = training.weights == "bf16"
    return Run(
        config=run_config,
        device=device,
        model=model,
        objective=(make_objective or objective)(run_config, model),
        optimizer=optimizer,
        schedule=run_config.schedule.build(training.steps),
        batches=None,  # type: ignore[arg-type]
        validation=None,
        plan=Plan(training.accumulation, min(training.accumulation_warmup, training.steps)),
        spikes=None if run_config.guard.spike is None else Spikes(run_config.guard.spike),
        narrow=NarrowWeights(model, training.rounding) if is_narrow else None,
        average=run_config.averaging.build(model) if run_config.averaging else None,
        loss_scale=LossScale() if training.dtype == "fp16" else LossScale(1.0),
    )


def batches(
    run_config: RunConfig, files: Sequence[TokenFile], weights: Sequence[float] | None = None
) -> AnyBatches:
    """Makes the batches of token files.

    Raises:
        ValueError: a token file too short for the context.
    """
    if run_config.task is not None:
        return corrupted(run_config, files, weights)
    training, context = run_config.training, run_config.model.context_length
    return Batches(files, training.batch_size, context, training.seed, weights)


def corrupted(
    run_config: RunConfig, files: Sequence[TokenFile], weights: Sequence[float] | None = None
) -> ChangedBatches:
    """The same for models that learn something else than the next token."""
    training, specials = run_config.training, specials_of(run_config.data)
    assert run_config.task is not None
    reading = Reading(files, training.batch_size, training.seed, weights)
    make = cast(Callable[..., ChangedBatches], run_config.task.batches)
    return make(run_config.model, specials, reading)


def objective(run_config: RunConfig, model: AnyModel) -> Callable[..., Sums]:
    """Makes the loss: what a batch consists of -> sums over its targets."""
    training, specials = run_config.training, specials_of(run_config.data)
    if isinstance(model, TransformerLM):
        return of_a_decoder(run_config, model, separator_id(run_config.data))
    task = run_config.task
    assert isinstance(task, MaskedConfig | SpansConfig) and specials is not None
    make = cast(Callable[..., Callable[..., Sums]], task.objective)
    return make(model, specials, training.z_loss, training.compile)


def of_a_decoder(run_config: RunConfig, model: TransformerLM, separator: int | None) -> Objective:
    """The loss of tokens that follow, of texts that a separator ends or none does."""
    kind = PrefixObjective if isinstance(run_config.task, PrefixConfig) else Objective
    return kind(model, run_config.training.z_loss, run_config.training.compile, separator)


def everything(run_config: RunConfig, tokens: TokenFile) -> tuple[Iterable[AnyBatch], int]:
    """All that a token file has to be scored on, in order, and how many batches it is.

    Every target is scored once. The last window of other tasks is whole, and has some ids of the
    one before it.

    Raises:
        ValueError: it is too short.
    """
    size, context = run_config.training.batch_size, run_config.model.context_length
    if run_config.task is None:
        return sequential_batches(tokens, size, context), -(-(len(tokens) - 1) // (context * size))
    made = corrupted(run_config, [tokens])
    return made.evenly(), -(-len(made.sources[0].in_order()) // size)


def validation(run_config: RunConfig) -> Callable[[], Iterable[AnyBatch]] | None:
    """Makes the batches of an evaluation, the same ones every time; ``None``: there are none.

    Raises:
        ValueError: a token file too short for the context.
    """
    training, context = run_config.training, run_config.model.context_length
    if run_config.data.valid is None:
        return None
    tokens, count = TokenFile(run_config.data.valid), training.eval_batches
    if count == "all":
        return lambda: everything(run_config, tokens)[0]
    some: Sequence[AnyBatch]
    if run_config.task is None:
        some = validation_batches(tokens, training.batch_size, context, count)
    else:
        some = list(corrupted(run_config, [tokens]).evenly(count))
    return lambda: some


def set_precision(dtype: str, deterministic: bool) -> None:
    """Tells torch how exact products of float32 are to be, and whether always the same."""
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        # cuBLAS reads this when it starts: without it, it may sum in another order.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def require_dtype(dtype: str, device: torch.device) -> None:
    """Refuses a GPU that would only imitate the type of the products, many times more slowly.

    Raises:
        ValueError: it lacks bf16.
    """
    if dtype != "bf16" or device.type != "cuda":
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(
            f"training.dtype bf16: {torch.cuda.get_device_name(device)} does not have it, only "
            "GPUs of compute capability 8.0 and later do: choose fp16 or fp32"
        )


def pick_device(name: str) -> torch.device:
    """A device by name; "auto" is the first there is of cuda, mps, cpu.

    Raises:
        ValueError: this machine, or this build of torch, has none of that name.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there.get(name, False):
        usable = ", ".join(device for device, available in there.items() if available)
        raise ValueError(f"device {name}: not available here, only {usable}")
    return torch.device(name)
