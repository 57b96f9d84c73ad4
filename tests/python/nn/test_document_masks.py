"""Documents in one window that do not see each other: as if each were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import (
    LinearConfig,
    MultiHeadConfig,
    NoPositionConfig,
    Position,
    RotaryConfig,
    SparseConfig,
)
from byteloom.nn.attention import document_mask, document_places, prefix_mask
from byteloom.nn.position import LearnedConfig, SinusoidalConfig
from byteloom.nn.recompute import Recomputing

VOCAB, CONTEXT = 11, 16
#: The lengths of the documents in each window.
LENGTHS = [[5, 1, 7, 3], [16], [1] * 16, [8, 8], [2, 14]]


class Slopes(Position):
    """A bias that grows with the distance."""

    def bias(self, num_queries: int, num_keys: int, like: Tensor) -> Tensor:
        places = torch.arange(num_keys, device=like.device)
        return -0.3 * (places[:, None] - places).to(like.dtype).expand(2, -1, -1)


def make(backend: Any = "auto", position: Any = None, attention: Any = None) -> TransformerLM:
    torch.manual_seed(0)
    return ModelConfig(
        vocab_size=VOCAB,
        context_length=CONTEXT,
        d_model=16,
        num_layers=3,
        num_heads=2,
        position=position or RotaryConfig(),
        attention=attention or MultiHeadConfig(backend=backend),
    ).build()


def windows() -> tuple[Tensor, Tensor]:
    ids = torch.randint(VOCAB, (len(LENGTHS), CONTEXT), generator=torch.Generator().manual_seed(1))
    numbers = [torch.arange(len(n)).repeat_interleave(torch.tensor(n)) for n in LENGTHS]
    return ids, torch.stack(numbers)


def alone(model: TransformerLM, ids: Tensor) -> Tensor:
    """The logits of each document by itself, at places 0, 1, 2 ..., put together again."""
    return torch.stack(
        [
            torch.cat([model(part[None])[0] for part in row.split(lengths)])
            for row, lengths in zip(ids, LENGTHS, strict=True)
        ]
    )


def gradients(model: TransformerLM, logits: Tensor) -> list[Tensor]:
    upstream = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    return list(torch.autograd.grad((logits * upstream).sum(), list(model.parameters())))


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize("scheme", ["rotary", "none", "bias"])
def test_each_document_is_as_if_it_were_alone(backend: str, scheme: str) -> None:
    model = make(backend, NoPositionConfig() if scheme == "none" else None)
    if scheme == "bias":
        model.position = Slopes()
    ids, documents = windows()
    together, apart = model(ids, documents=documents), alone(model, ids)
    assert_close(together, apart, rtol=1e-5, atol=1e-5)
    # Without being told, they do see each other.
    assert not torch.allclose(model(ids)[0], apart[0], atol=1e-3)
    pairs = zip(gradients(model, together), gradients(model, apart), strict=True)
    for got, want in pairs:
        assert_close(got, want, rtol=1e-4, atol=1e-5)


BY_PLACE: dict[str, dict[str, Any]] = {
    "learned": {"position": LearnedConfig()},
    "sinusoidal": {"position": SinusoidalConfig()},
    "blocks of a fixed pattern": {"attention": SparseConfig(pattern="fixed", stride=3)},
    "both": {
        "position": LearnedConfig(),
        "attention": SparseConfig(pattern="fixed", stride=2, split=True),
    },
    "learned, linear": {"position": LearnedConfig(), "attention": LinearConfig(decay="fixed")},
}


@pytest.mark.parametrize("name", BY_PLACE)
def test_where_places_matter_they_begin_anew(name: str) -> None:
    model, (ids, documents) = make(**BY_PLACE[name]), windows()
    together, apart = model(ids, documents=documents), alone(model, ids)
    assert_close(together, apart, rtol=1e-5, atol=1e-5)
    pairs = zip(gradients(model, together), gradients(model, apart), strict=True)
    for got, want in pairs:
        assert_close(got, want, rtol=1e-4, atol=1e-5)
    # Who gives places has them.
    places = torch.arange(CONTEXT)[None]
    assert not torch.allclose(model(ids, places, documents=documents), apart, atol=1e-3)


def test_places_begin_anew_where_a_prefix_sees_itself() -> None:
    """The mask is another one then, and the places are the same."""
    model, (ids, documents) = make(position=LearnedConfig()), windows()
    mask = prefix_mask(torch.tensor([2]), CONTEXT)
    together = model(ids[3:4], documents=documents[3:4], mask=mask)
    first = model(ids[3:4, :8], mask=prefix_mask(torch.tensor([2]), 8))
    assert_close(together, torch.cat([first, model(ids[3:4, 8:])], 1), rtol=1e-5, atol=1e-5)


def test_a_single_document_is_the_plain_window() -> None:
    model, (ids, _) = make(), windows()
    assert_close(model(ids, documents=torch.zeros_like(ids)), model(ids), rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_the_mask_says_what_it_should(documents: list[int]) -> None:
    mask = document_mask(torch.tensor([documents, documents]))
    want = [
        [key <= query and documents[key] == documents[query] for key in range(len(documents))]
        for query in range(len(documents))
    ]
    assert mask.tolist() == [[want], [want]]
    places = [documents[:i].count(number) for i, number in enumerate(documents)]
    assert document_places(torch.tensor([documents])).tolist() == [places]


@pytest.mark.parametrize("what", ["selective", "block"])
def test_recomputing_keeps_them_apart(what: Any) -> None:
    model, (ids, documents) = make(), windows()
    want = gradients(model, model(ids, documents=documents))
    model.recomputing = Recomputing(what)
    for got, plain in zip(gradients(model, model(ids, documents=documents)), want, strict=True):
        assert torch.equal(got, plain)


def test_bfloat16_autocast_is_close() -> None:
    model, (ids, documents) = make(), windows()
    want = model(ids, documents=documents)
    with torch.autocast("cpu", torch.bfloat16):
        got = model(ids, documents=documents)
    assert_close(got.float(), want, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("position", [RotaryConfig(), LearnedConfig()])
def test_it_compiles(position: Any) -> None:
    model, (ids, documents) = make(position=position), windows()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    got, want = compiled(ids, documents=documents), model(ids, documents=documents)
    assert_close(got, want, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients(model, got), gradients(model, want), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_cache_cannot_tell_them_apart() -> None:
    model, (ids, documents) = make(), windows()
    with pytest.raises(ValueError, match="not with a cache"):
        model(ids, cache=model.new_cache(), documents=documents)
