"""What a run of ``train-lm`` came to, and where one that broke off can go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from byteloom.cli.common import peak_megabytes

if TYPE_CHECKING:
    from byteloom.training.run_folder import RunFolder
    from byteloom.training.state import Run


def report(state: Run, folder: RunFolder, as_json: bool) -> None:
    """Prints the figures of a finished run."""
    # Of the last step that was logged: one that ended early may have logged none.
    last: dict[str, float] = {}
    for line in folder.metrics_file.read_text().splitlines():
        record = json.loads(line)
        last |= {"step of loss": record["step"]} if "loss" in record else {}
        last |= record
    speed = state.tokens / max(state.seconds, 1e-9)
    figures = {
        "run": str(folder.path),
        "steps": state.step,
        "tokens": state.tokens,
        "loss": last.get("loss"),
        "valid_loss": last.get("valid_loss"),
        "seconds": round(state.seconds, 2),
        "tokens_per_second": round(speed, 1),
        "peak_megabytes": peak_megabytes(),
    }
    if as_json:
        print(json.dumps(figures))
        return
    rows = {"run": f"{folder.path} ({state.step:,} steps, {state.tokens:,} tokens)"}
    if "loss" in last:
        at = last["step of loss"]
        where = "the last step" if at == state.step else f"step {at:,}"
        rows["loss"] = f"{last['loss']:.4f} in {where}"
    rows["time"] = f"{state.seconds:,.1f} s ({speed:,.0f} tokens/s, evaluations included)"
    rows["peak memory"] = f"{peak_megabytes():,.0f} MB"
    if "valid_loss" in last:
        rows["validation loss"] = f"{last['valid_loss']:.4f}"
    if folder.sample_file.exists():
        rows["sample"] = str(folder.sample_file)
    for name, value in rows.items():
        print(f"{name:<18}{value}")


def what_is_kept(folder: RunFolder) -> str:
    """Where a run that broke off can go on."""
    there = folder.checkpoints()
    if not there:
        return "there is no checkpoint yet"
    step, path = there[-1]
    return (
        f"the last checkpoint, {path}, is of step {step:,}; continue with "
        f"`train-lm --resume {folder.path}`"
    )


def is_lack_of_memory(error: RuntimeError) -> bool:
    """Whether it is torch's word for that, which has a type for GPUs only."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
