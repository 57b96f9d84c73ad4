from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from byteloom.data import sequential_batches
from byteloom.nn.loss import Sums, linear_cross_entropy
from byteloom.training.evaluate import Score, evaluate

CPU = torch.device("cpu")


class Bigram(nn.Module):
    """Logits that depend on the last id; noisy in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 10)
        self.noise = nn.Dropout(0.5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.noise(self.table(ids))


def loss_of(model: Bigram) -> Callable[[torch.Tensor, torch.Tensor], Sums]:
    def loss(inputs: torch.Tensor, targets: torch.Tensor) -> Sums:
        nats = nn.functional.cross_entropy(
            model(inputs).flatten(0, 1), targets.flatten(), reduction="sum"
        )
        return Sums(nats, nats.detach(), torch.tensor(float(targets.numel())))

    return loss


@pytest.fixture
def model() -> Bigram:
    torch.manual_seed(0)
    return Bigram()


def test_it_is_the_mean_over_tokens_whatever_the_batches(model: Bigram) -> None:
    ids = np.random.default_rng(0).integers(0, 10, 103).astype(np.uint16)
    logits = model.table(torch.from_numpy(ids[:-1].astype(np.int64)))
    targets = torch.from_numpy(ids[1:].astype(np.int64))
    expected = nn.functional.cross_entropy(logits, targets).item()
    sizes = np.arange(10)
    for batch_size, context in ((1, 1), (3, 7), (50, 200), (4, 16)):
        score = evaluate(
            model,
            loss_of(model),
            sequential_batches(ids, batch_size, context),
            CPU,
            nullcontext,
            sizes,
        )
        assert score is not None and score.tokens == 102
        assert score.loss == pytest.approx(expected, rel=1e-6)
        assert score.perplexity == pytest.approx(math.exp(expected), rel=1e-6)
        assert score.bytes == ids[1:].sum()
        assert score.bits_per_byte == pytest.approx(
            102 * expected / math.log(2) / int(ids[1:].sum()), rel=1e-6
        )
    assert model.training, "left in the mode it was in"
    model.eval()
    evaluate(model, loss_of(model), [], CPU, nullcontext)
    assert not model.training


def test_a_uniform_model_needs_log2_of_the_vocabulary_bits() -> None:
    model = Bigram()
    nn.init.zeros_(model.table.weight)
    ids = np.random.default_rng(0).integers(0, 10, 100).astype(np.uint16)
    score = evaluate(
        model,
        loss_of(model),
        sequential_batches(ids, 4, 8),
        CPU,
        nullcontext,
        np.ones(10, dtype=int),
    )
    assert score is not None and score.bits_per_byte == pytest.approx(math.log2(10))
    assert score.perplexity == pytest.approx(10)


def test_no_gradients_are_left(model: Bigram) -> None:
    ids = np.arange(10, dtype=np.uint16)
    evaluate(model, loss_of(model), sequential_batches(ids, 4, 8), CPU, nullcontext)
    assert model.table.weight.grad is None


def test_it_stops_when_asked(model: Bigram) -> None:
    asked = iter([False, False, True])
    batches = list(sequential_batches(np.arange(10, dtype=np.uint16), 1, 2))
    assert (
        evaluate(model, loss_of(model), batches, CPU, nullcontext, stopped=lambda: next(asked))
        is None
    )
    assert model.training


def test_a_hopeless_loss_has_infinite_perplexity() -> None:
    assert Score(nats=1e6, tokens=10).perplexity == math.inf
    assert Score(nats=1.0, tokens=1).bits_per_byte is None


def test_all_batches_come_in_one_shape_and_filled_up_places_count_for_nothing() -> None:
    ids = torch.arange(45) % 5
    batches = list(sequential_batches(ids.numpy().astype(np.uint16), 2, 8))
    assert len({inputs.shape for inputs, _ in batches}) == 3
    seen: list[torch.Size] = []
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))

    def loss(inputs: torch.Tensor, targets: torch.Tensor) -> Sums:
        seen.append(inputs.shape)
        return linear_cross_entropy(torch.eye(5)[inputs], logits.T, targets)

    found = evaluate(nn.Identity(), loss, batches, CPU, nullcontext)
    expected = nn.functional.cross_entropy(logits[ids[:-1]], ids[1:])
    assert set(seen) == {torch.Size((2, 8))}
    assert found is not None and found.tokens == 44
    assert found.loss == pytest.approx(expected.item(), rel=1e-6)
