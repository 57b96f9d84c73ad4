"""Experts in a model and in a run: caches, documents, steps, metrics, resuming, estimates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from byteloom import config
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import Experts, ExpertsConfig, SwiGLUConfig
from byteloom.nn.recompute import Recomputing, let_layers_note
from byteloom.optim import parameter_groups
from byteloom.training.build import build
from byteloom.training.estimate import Machine, estimate
from byteloom.training.loop import train
from byteloom.training.run_folder import RunFolder
from byteloom.training.state import Run
from byteloom.training.step import train_step
from cached import cached_logits, decoded_logits
from tiny_run import make_config, make_data, read_metrics

FFN: dict[str, Any] = {
    "kind": "experts",
    "num_experts": 4,
    "balance_rate": 0.01,
    "z_loss": 0.01,
    "expert": {"kind": "swiglu", "d_ff": 24},
    "shared": {"kind": "swiglu", "d_ff": 16},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_data(tmp_path)
    return tmp_path


def make(folder: Path, ffn: dict[str, Any] | None = None, **over: Any) -> Run:
    model = {"num_layers": 2, "ffn": FFN | (ffn or {})}
    return build(make_config(folder, **config.merge({"model": model}, over)))


def experts_of(model: TransformerLM) -> list[Experts]:
    return [part for part in model.modules() if isinstance(part, Experts)]


def make_model(**settings: Any) -> TransformerLM:
    ffn = ExpertsConfig(expert=SwiGLUConfig(d_ff=24), num_experts=4, **settings)
    model = ModelConfig(
        vocab_size=20, context_length=12, d_model=16, num_layers=3, num_heads=2, ffn=ffn
    )
    return model.build(seed=0)


# -- the model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"capacity": 0.5}, {"every": 2, "first_dense": 1}])
def test_with_a_cache_the_logits_are_the_same(settings: dict[str, Any]) -> None:
    model, ids = make_model(**settings).eval(), torch.randint(20, (3, 12))
    want = model(ids)
    assert_close(cached_logits(model, ids, 5), want, rtol=1e-5, atol=1e-5)
    assert_close(decoded_logits(model, ids, 5), want[:, 4:], rtol=1e-5, atol=1e-5)


def test_a_document_is_what_it_would_be_alone() -> None:
    model, ids = make_model().eval(), torch.randint(20, (1, 9))
    documents = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1]])
    together = model(ids, documents=documents)
    alone = torch.cat([model(ids[:, :4]), model(ids[:, 4:])], dim=1)
    assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_dense_layers_are_where_they_were_asked_for() -> None:
    model = make_model(every=2)
    assert [isinstance(layer.ffn, Experts) for layer in model.layers] == [False, True, False]
    assert not model.config.has_equal_layers() and make_model().config.has_equal_layers()
    names = {name for name in model.state_dict() if ".ffn." in name and "layers.1." in name}
    assert names == {
        "layers.1.ffn.router.weight",
        *(f"layers.1.ffn.experts.w{i}.weight" for i in (1, 2, 3)),
    }


def test_experts_that_cannot_be_built_are_refused_though_the_first_layer_has_none() -> None:
    with pytest.raises(ValueError, match="top_k is 5, but there are only 4 experts"):
        make_model(top_k=5, first_dense=1)


def test_matrices_of_experts_are_hidden_ones_and_their_biases_vectors() -> None:
    ffn = ExpertsConfig(expert=SwiGLUConfig(d_ff=24, bias=True), balance_rate=0.1)
    model = ModelConfig(vocab_size=20, d_model=16, num_layers=1, num_heads=2, ffn=ffn).build()
    names = {id(p): name for name, p in model.named_parameters()}
    groups = {g["name"]: [names[id(p)] for p in g["params"]] for g in parameter_groups(model, 0.1)}
    assert {f"layers.0.ffn.experts.w{i}.weight" for i in (1, 2, 3)} < set(groups["hidden"])
    assert {f"layers.0.ffn.experts.w{i}.bias" for i in (1, 2, 3)} < set(groups["vectors"])
    assert "layers.0.ffn.router.weight" in groups["hidden"]


# -- a step ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", ["none", 1.0])
@pytest.mark.parametrize("recompute", ["selective", "block"])
def test_computed_again_nothing_counts_twice(folder: Path, recompute: str, capacity: Any) -> None:
    ffn = {"capacity": capacity}
    runs = [make(folder, ffn), make(folder, ffn, training={"recompute": recompute})]
    for step in range(2):
        a, b = (train_step(run, [run.batches.batch_at(step)]) for run in runs)
        assert torch.equal(a.loss, b.loss) and torch.equal(a.grad_norm, b.grad_norm)
        for one, other in zip(a.notes, b.notes, strict=True):
            assert one["expert_tokens"].sum() == 4 * 16 * 2
            assert all(torch.equal(one[name], other[name]) for name in one)
    for one, other in zip(*(run.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("recompute", ["none", "selective", "block"])
def test_compiled_a_step_is_the_same_and_in_one_piece(
    recompute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    let_layers_note()
    torch._dynamo.reset()
    model, ids, found = make_model(balance_rate=0.1, every=3), torch.randint(20, (2, 12)), []
    model.recomputing = Recomputing(recompute)
    compiled = torch.compile(model.hidden, backend="aot_eager", fullgraph=True)
    for hidden in (model.hidden, compiled):
        loss = model.lm_head.loss(hidden(ids), ids).objective / 24 + model.penalty()
        loss.backward()
        notes = experts_of(model)[0].end_step(updated=False)
        found.append([loss, *notes.values(), *(p.grad for p in model.parameters())])
        model.zero_grad()
    for one, other in zip(*found, strict=True):
        assert_close(one, other)


def test_each_batch_of_a_step_adds_its_share_of_the_penalty(folder: Path) -> None:
    ffn = {"balance_loss": 0.5}
    parts, alone = make(folder, ffn, training={"accumulation": 2}), make(folder, ffn)
    batches = [parts.batches.batch_at(i) for i in range(2)]
    seen: list[list[torch.Tensor]] = []
    parts.optimizer.register_step_pre_hook(
        lambda *_: seen.append([p.grad.clone() for p in parts.model.parameters()])  # type: ignore[union-attr]
    )
    parts.config.training.__dict__["gradient_clip"] = None
    result = train_step(parts, batches)
    total: Any = 0
    for inputs, targets in batches:
        sums = alone.objective(inputs, targets)
        total = total + (sums.objective / sums.tokens + alone.model.penalty()) / 2
    want = torch.autograd.grad(total, list(alone.model.parameters()))
    for got, expected in zip(seen[0], want, strict=True):
        assert_close(got, expected, rtol=1e-5, atol=1e-6)
    load = [part.load for part in experts_of(alone.model)]
    assert [note["expert_tokens"].tolist() for note in result.notes] == [x.tolist() for x in load]


def test_a_step_that_is_left_out_moves_no_bias(folder: Path) -> None:
    for wait in (True, False):
        run = make(folder)
        train_step(run, [run.batches.batch_at(0)])
        before = [part.router.balance_bias.clone() for part in experts_of(run.model)]  # type: ignore[union-attr]
        assert any(bias.any() for bias in before)
        good = run.objective
        run.objective = lambda *batch, good=good: good(*batch)._replace(  # type: ignore[misc]
            objective=good(*batch).objective * float("nan")
        )
        assert not train_step(run, [run.batches.batch_at(1)], wait=wait).updated
        after = [part.router.balance_bias for part in experts_of(run.model)]
        for one, other in zip(before, after, strict=True):
            assert other is not None and torch.equal(one, other)


@pytest.mark.parametrize("kind", ["adamw", "sgd", "lion", "muon"])
def test_every_optimizer_trains_experts_in_bf16(folder: Path, kind: str) -> None:
    rate = {"sgd": 0.1, "lion": 1e-3}.get(kind, 1e-2)
    run = make(
        folder,
        optimizer={"kind": kind},
        schedule={"kind": "constant", "max_lr": rate, "warmup_steps": 0},
        training={"dtype": "bf16"},
    )
    batch = run.batches.batch_at(0)
    losses = [train_step(run, [batch]).loss.item() for _ in range(15)]
    assert losses[-1] < 0.95 * losses[0]


# -- a run -----------------------------------------------------------------------------------------


def test_metrics_tell_what_experts_did_and_a_resumed_run_is_the_same(folder: Path) -> None:
    over: dict[str, Any] = {"training": {"accumulation": 2}}
    whole = make(folder, **over)
    place = RunFolder.create(folder / "whole", whole.config)
    assert train(whole, place) is None
    records = [r for r in read_metrics(place.metrics_file) if "expert_tokens" in r]
    assert len(records) == 6
    for record in records:
        assert [sum(layer) for layer in record["expert_tokens"]] == [2 * 2 * 4 * 16] * 2  # type: ignore[attr-defined]
        assert record["expert_overload"] >= 0 and record["expert_dropped"] == 0
    # From the checkpoint of step 5 on, once more.
    again = make(folder, **over)
    other = RunFolder.create(folder / "again", again.config)
    for step, path in place.checkpoints():
        if step != 12:
            found = RunFolder(folder / "whole").checkpoint_at(step)
            (other.checkpoint_folder / found.name).write_bytes(path.read_bytes())
    newest = other.newest(print)
    assert newest is not None and newest.iteration < 12
    assert "layers.0.ffn.router.balance_bias" in newest.model
    other.metrics_file.write_bytes(place.metrics_file.read_bytes())
    again.restore(newest)
    train(again, other)
    assert read_metrics(other.metrics_file) == read_metrics(place.metrics_file)
    for (name, one), two in zip(
        whole.model.state_dict().items(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    assert experts_of(again.model)[0].router.balance_bias.any()  # type: ignore[union-attr]


# -- before a run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ffn", [{}, {"capacity": 1.0}, {"every": 2}])
def test_an_estimate_knows_experts(folder: Path, ffn: dict[str, Any]) -> None:
    run = make(folder, ffn, model={"num_layers": 6})
    model = run.model
    machine = Machine("a GPU", "cuda", 80_000_000_000, 989e12, is_here=False)
    said = estimate(run.config, machine)
    assert said.parameters.total == said.parameters.tree.count == model.num_parameters()
    idle = sum(p.numel() for part in experts_of(model) for p in part.experts.parameters()) // 2
    assert idle > 0
    assert (
        said.parameters.active == model.num_parameters() - idle == model.num_parameters(idle=False)
    )
    batch = run.batches.batch_at(0)
    with FlopCounterMode(display=False) as counter:
        train_step(run, [batch])
    parts = {part.name: part for part in said.operations.parts}
    found = parts["feed-forward"].forward + parts["feed-forward"].backward
    # Three products forward, six backward, of two experts and the shared one, and the router's.
    router = 3 * 2 * 32 * 4
    dense, both = 9 * 2 * 32 * 128, 9 * 2 * 32 * (2 * 24 + 16) + router
    with_experts = len(experts_of(model))
    if with_experts < 6:
        dense = 9 * 2 * 32 * model.layers[0].ffn.w1.weight.shape[0]
    assert found == pytest.approx(with_experts * both + (6 - with_experts) * dense, rel=1e-6)
    assert counter.get_total_flops() > 0
