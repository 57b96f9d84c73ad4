from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import recompute
from byteloom.nn.recompute import Recompute, Recomputing

CONFIG = ModelConfig(
    vocab_size=20, context_length=16, d_model=32, num_layers=3, num_heads=2, dropout=0.2
)


def make() -> TransformerLM:
    return CONFIG.build(seed=0)


def kept_and_gradients(what: Recompute) -> tuple[int, list[torch.Tensor]]:
    """Bytes kept for the gradients beside the weights, and the gradients."""
    model, kept = make(), dict[int, int]()
    model.recomputing = Recomputing(what)
    weights = {p.data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    ids = torch.randint(20, (4, 16))
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        sums = model.loss(ids, ids)
    sums.objective.backward()
    return sum(kept.values()), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("what", ["selective", "block"])
def test_the_gradients_are_the_same_to_the_bit_and_less_is_kept(what: Recompute) -> None:
    all_kept, expected = kept_and_gradients("none")
    kept, found = kept_and_gradients(what)
    assert len(found) == len(expected) > 10
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert kept < 0.6 * all_kept


def test_selective_does_no_product_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def products(what: Recompute) -> int:
        model, count = make(), 0
        model.recomputing = Recomputing(what)

        class Count(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(
                self, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                nonlocal count
                count += function is torch.ops.aten.mm.default
                return function(*args, **kwargs or {})

        ids = torch.zeros(2, 16, dtype=torch.long)
        with Count():
            model.loss(ids, ids).objective.backward()
        return count

    assert products("none") == products("selective") < products("block")


def test_what_waits_elsewhere_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "_SMALL", 0)
    ids = torch.arange(16)[None]
    found = []
    for hooks in (False, True):
        model = make().eval()
        moved = []

        def pack(tensor: torch.Tensor, moved: list[Any] = moved) -> Any:
            packed = recompute._pack(tensor)
            moved.append(packed[1] is not tensor)
            return packed

        with saved_tensors_hooks(pack, recompute._unpack) if hooks else torch.enable_grad():
            sums = model.loss(ids, ids)
        sums.objective.backward()
        found.append([p.grad for p in model.parameters()])
        assert not hooks or 0 < sum(moved) < len(moved), "weights stay, the rest moves"
    for a, b in zip(*found, strict=True):
        assert a is not None and b is not None and torch.equal(a, b)
