"""Each key that is changed changes what a run computes, or is refused; or it is said why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from byteloom import config
from byteloom.config.dotted import nested
from byteloom.config.schema import hints_of, kind_of, members
from byteloom.models import EncoderDecoder
from byteloom.training.build import build
from byteloom.training.config import RunConfig, resolve
from byteloom.training.step import train_step
from test_combinations import pool
from tiny_run import make_data

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(3))]
MODEL = {"d_model": 16, "num_layers": 2, "num_heads": 2, "context_length": 16}
#: Configurations from which one key at a time is changed.
BASES: dict[str, dict[str, Any]] = {
    "default": {"model": {"attention": {"window": 4}}, "averaging": {}},
    "experts, tied": {
        "model": {"ffn": {"kind": "experts", "num_experts": 4}, "tie_embeddings": True},
        "optimizer": {"kind": "sgd"},
        "schedule": {"kind": "wsd", "decay_fraction": 0.7, "warmup_steps": 0},
    },
    "experts of the chosen, no norms": {
        "model": {
            "ffn": {"kind": "experts", "num_experts": 4, "gate": "softmax_top_k"},
            "norm": {"kind": "none"},
            "position": {"scaling": {"kind": "llama3", "factor": 4.0, "original_context": 8}},
        },
        "optimizer": {"weight_decay": 0.0},
    },
}  # fmt: skip
#: Of these, the keys that are changed.
LOOKED_AT = {
    "default": ("",),
    "experts, tied": ("model.ffn.", "model.init.", "optimizer.", "schedule."),
    "experts of the chosen, no norms": (
        *("model.ffn.gate", "model.ffn.normalise", "model.position.", "model.final_norm"),
        *("model.embedding_norm", "optimizer."),
    ),
}
#: Where runs are written to and how they are watched, kept, and computed, as far as it is the same.
ELSEWHERE = (
    *("data.", "logging.", "guard.", "task", "training.eval_", "training.checkpoint_"),
    *("training.keep_checkpoints", "training.compile", "training.offload", "training.recompute"),
    *("training.deterministic", "training.device", "training.num_threads", "training.start"),
)
#: The same said in another way, or on this machine.
EQUAL: dict[str, str] = {
    "model.attention.backend": "kernels agree, and on a CPU these are one",
    "model.attention.qk_norm": "of kind none, it is what there is without",
    "model.attention.num_kv_heads": "as many as there are heads",
    "model.attention.d_head": "what heads have in any case",
    "optimizer.fused": "the kernel that auto takes",
    "training.dtype": "tf32 is for GPUs",
    "model.final_norm": "no norm is none",
    "optimizer.decayed": "groups that decay in any case",
    "schedule.warmup_steps": "of one step there is none",
    "schedule.decay_steps": "as decay_fraction says",
    "training.gradient_clip": "gradients are smaller",
}


def result(tables: dict[str, Any]) -> list[torch.Tensor]:
    """All that a short run leaves."""
    torch.manual_seed(0)
    run = build(resolve(tables))
    found = [p.clone() for p in run.model.state_dict().values()]
    for _ in range(3):
        first = run.plan.before(run.step)
        batches = [run.batches.batch_at(first + i) for i in range(run.plan.batches_of(run.step))]
        found.append(train_step(run, batches).loss.float())
    found += run.model.state_dict().values()
    ids = run.batches.batch_at(50)[0]
    with torch.no_grad(), run.averaged():
        model = run.model.eval()
        found.append(model(ids, ids) if isinstance(model, EncoderDecoder) else model(ids))
    return found


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key, type and value of all that a configuration holds."""
    for field in dataclasses.fields(tree):
        key, value = f"{path}{field.name}", getattr(tree, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{key}.")
        elif field.name != "kind" and key != "model.vocab_size":
            yield key, hints_of(type(tree))[field.name], value


def changes(hint: Any, value: Any) -> list[Any]:
    """What a key may be instead."""
    if options := members(hint):
        return [{"kind": kind_of(one)} for one in options if "kind" in hints_of(one)] or [{}]
    if isinstance(value, tuple):
        return [[0.5, 0.6]]
    return [one for one in pool(hint, value) if one != value]


@pytest.mark.parametrize("name", BASES)
def test_each_key_changes_something_or_is_refused(name: str, tmp_path: Path) -> None:
    make_data(tmp_path, SPECIAL)
    data = {key: str(tmp_path / f"{key}.npy") for key in ("train", "valid")}
    base: dict[str, Any] = config.merge(
        {
            "data": {**data, "tokenizer": str(tmp_path / "tokenizer.json")},
            "model": MODEL,
            "training": {"steps": 3, "batch_size": 2, "device": "cpu", "num_threads": 1},
            "schedule": {"warmup_steps": 2},
        },
        BASES[name],
    )
    wanted = result(base)
    assert same(wanted, result(base)), "otherwise nothing can be told"
    idle, refused = [], 0
    run_config: RunConfig = resolve(base)
    for key, hint, value in leaves(run_config):
        if key.startswith(ELSEWHERE) or not key.startswith(LOOKED_AT[name]):
            continue
        for change in changes(hint, value):
            try:
                found = result(config.merge(base, nested({key: change})))
            except ValueError:
                refused += 1
                continue
            if same(wanted, found) and key not in EQUAL:
                idle.append((key, change))
            break
    assert idle == []
    assert refused > 3
