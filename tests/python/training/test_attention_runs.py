"""Runs whose models have other attention than the default: trained, kept, estimated, asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from byteloom.generation import generate_ids
from byteloom.training.build import build
from byteloom.training.estimate import Machine, estimate
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from tiny_run import make_config, make_data, read_metrics

ELSEWHERE = Machine("a GPU", "cuda", 80_000_000_000, 989e12, is_here=False)
GATED = {"kind": "linear", "decay": "gated", "output_gate": True, "norm": {"kind": "rmsnorm"}}
MEMBERS: dict[str, dict[str, Any]] = {
    "linear": {"attention": GATED | {"chunk": 5}},
    "linear and full": {"attention": {"kind": "linear"}, "full_every": 2, "num_layers": 2},
    "sparse": {"attention": {"kind": "sparse", "pattern": "fixed", "stride": 4}},
    "window": {"attention": {"window": 3}, "full_every": 2, "num_layers": 2},
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_run_learns_and_its_folder_tells_all(name: str, tmp_path: Path) -> None:
    """With documents apart, which each member does in its own way."""
    make_data(tmp_path)
    run_config = make_config(
        tmp_path,
        model=MEMBERS[name],
        data={"separate_documents": True},
        schedule={"max_lr": 0.01, "warmup_steps": 2},
        training={"recompute": "selective", "steps": 16},
    )
    run, folder = build(run_config), RunFolder.create(tmp_path / "run", run_config)
    train(run, folder)
    metrics = read_metrics(folder.path / "metrics.jsonl")
    losses = [line["valid_loss"] for line in metrics if "valid_loss" in line]
    assert losses[-1] < losses[0] - 0.3
    assert folder.load_config() == run_config
    model = folder.load_model()
    ids = torch.arange(12)[None] % 200
    assert torch.equal(model(ids), run.model.eval()(ids))
    texts = [
        list(generate_ids(model, [1, 2], max_new_tokens=20, seed=0, use_cache=c))
        for c in (True, False)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_run_is_estimated(name: str, tmp_path: Path) -> None:
    make_data(tmp_path)
    run_config = make_config(tmp_path, model=MEMBERS[name])
    found, model = estimate(run_config, ELSEWHERE), build(run_config).model
    assert found.memory.weights == sum(p.nbytes for p in model.parameters())
    cache = model.new_cache()
    model(torch.zeros(1, 16, dtype=torch.long), cache=cache)
    assert found.memory.cache == sum(t.nbytes for x in cache.layers for t in x.tensors())
