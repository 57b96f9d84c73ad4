"""Rotary positions against multiplication of complex numbers, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from byteloom.nn import NoPositionConfig, Position, RotaryConfig, RotaryEmbedding


def turn(x: torch.Tensor, positions: torch.Tensor, theta: float) -> torch.Tensor:
    """The definition: pairs are complex numbers, multiplied by e^(i angle), in doubles."""
    d = x.shape[-1]
    frequencies = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = positions[..., None].double() * frequencies
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("d_k", [2, 8, 64])
@pytest.mark.parametrize("theta", [2.0, 10_000.0, 500_000.0])
def test_it_is_multiplication_of_complex_numbers(d_k: int, theta: float) -> None:
    rope, x = RotaryEmbedding(d_k, theta, 5000), randn(3, 7, d_k)
    assert_close(rope(x), turn(x, torch.arange(7), theta).float())
    for positions in (
        torch.tensor([4999, 0, 17, 17, 2500, 1, 4998]),
        torch.arange(21).reshape(3, 7) * 200,
        torch.tensor([[6, 5, 4, 3, 2, 1, 0]]),
    ):
        assert_close(rope(x, positions), turn(x, positions, theta).float())


def test_its_gradient_is_that_of_the_definition() -> None:
    rope, upstream, positions = RotaryEmbedding(8, 100.0, 50), randn(4, 8, seed=1), torch.arange(4)
    a, b = (randn(4, 8).requires_grad_() for _ in range(2))
    rope(a).backward(upstream)
    turn(b, positions, 100.0).float().backward(upstream)
    assert_close(a.grad, b.grad)


@given(
    near=st.integers(0, 1500),
    far=st.integers(0, 1500),
    shift=st.integers(0, 2500),
    seed=st.integers(0, 2**32),
)
def test_scores_depend_only_on_the_distance(near: int, far: int, shift: int, seed: int) -> None:
    rope = RotaryEmbedding(16, 10_000.0, 4001)
    q, k = randn(2, 1, 16, seed=seed)

    def score(place_of_q: int, place_of_k: int) -> torch.Tensor:
        turned_q = rope(q, torch.tensor([place_of_q]))
        turned_k = rope(k, torch.tensor([place_of_k]))
        return (turned_q * turned_k).sum()

    assert_close(score(near, far), score(near + shift, far + shift), rtol=1e-4, atol=1e-4)


def test_lengths_stay_and_place_0_changes_nothing() -> None:
    rope, x = RotaryEmbedding(8, 10_000.0, 100), randn(100, 8)
    assert_close(rope(x).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rope(x)[0], x[0])
    assert not torch.allclose(rope(x)[1:], x[1:])


def test_far_positions_keep_their_digits() -> None:
    # In float32, 100000 * frequency would be wrong in the third digit.
    rope, x, positions = (
        RotaryEmbedding(64, 10_000.0, 100_001),
        randn(1, 64),
        torch.tensor([100_000]),
    )
    assert_close(rope(x, positions), turn(x, positions, 10_000.0).float(), rtol=1e-6, atol=1e-6)


def test_bfloat16_is_turned_in_single_precision() -> None:
    rope, x = RotaryEmbedding(16, 10_000.0, 2000), randn(2000, 16).bfloat16()
    y = rope(x)
    assert y.dtype == torch.bfloat16
    want = turn(x, torch.arange(2000), 10_000.0).bfloat16()
    # Doubles and singles may round to neighbours, which lie 2^-8 apart; rarely do they.
    assert_close(y, want, rtol=2**-7, atol=1e-6)
    assert float((y == want).float().mean()) > 0.999
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rope(x.float()), rope(x.float().clone()))
        assert rope(x.float()).dtype == torch.float32


def test_half_tables_would_be_noticed() -> None:
    """What the precision test above guards against: tables rounded to bfloat16 are far off."""
    rope = RotaryEmbedding(16, 10_000.0, 2000)
    x = randn(2000, 16)
    rounded = RotaryEmbedding(16, 10_000.0, 2000)
    rounded.cos, rounded.sin = rope.cos.bfloat16(), rope.sin.bfloat16()
    assert float((rounded(x) - rope(x)).abs().max()) > 1e-3


def test_rotate_turns_all_heads_alike_and_each_text_by_its_own_places() -> None:
    rope, x = RotaryEmbedding(4, 100.0, 50), randn(2, 3, 5, 4)
    positions = torch.tensor([[0, 1, 2, 3, 4], [10, 11, 12, 40, 49]])
    assert_close(rope.rotate(x, positions), turn(x, positions[:, None], 100.0).float())
    assert_close(rope.rotate(x, positions[:1]), rope(x, positions[0]))
    assert torch.equal(rope.rotate(x, None), rope(x))


@pytest.mark.parametrize("d_k", [1, 7, 33])
def test_an_odd_head_size_is_refused(d_k: int) -> None:
    with pytest.raises(ValueError, match=rf"head size must be even, not {d_k}"):
        RotaryEmbedding(d_k, 10_000.0, 8)


@pytest.mark.parametrize("place", [8, 10_000])
def test_a_place_that_the_table_lacks_is_refused(place: int) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        RotaryEmbedding(4, 10_000.0, 8)(torch.zeros(1, 4), torch.tensor([place]))


@pytest.mark.parametrize("max_seq_len", [1, 8])  # a table of one place must not be broadcast
def test_more_vectors_than_places_are_refused(max_seq_len: int) -> None:
    with pytest.raises(ValueError, match=f"9 vectors do not fit: max_seq_len is {max_seq_len}"):
        RotaryEmbedding(4, 10_000.0, max_seq_len)(torch.zeros(9, 4))


def test_it_has_no_state_to_save_and_moves_with_the_model() -> None:
    rope = RotaryEmbedding(4, 10_000.0, 8)
    assert rope.state_dict() == {}
    assert list(rope.parameters()) == []
    assert rope.to("meta").cos.device.type == "meta"
    assert RotaryEmbedding(4, 10_000.0, 8, device="meta").sin.device.type == "meta"


def test_the_configuration_builds_for_a_head() -> None:
    rope = RotaryConfig(theta=100.0).build(d_model=24, num_heads=3, context_length=10)
    assert rope.cos.shape == (10, 8)
    assert_close(rope(torch.ones(10, 8)), turn(torch.ones(10, 8), torch.arange(10), 100.0).float())


@pytest.mark.parametrize("theta", [0.0, -1.0, math.nan])
def test_an_impossible_theta_is_refused(theta: float) -> None:
    with pytest.raises(ValueError, match=rf"theta is {theta}; it must be above 0"):
        RotaryConfig(theta=theta).build(8, 2, 16)


def test_no_positions_do_nothing() -> None:
    none = NoPositionConfig().build(16, 2, 8)
    assert type(none) is Position
    x = randn(1, 2, 3, 4)
    assert none.rotate(x, torch.arange(3)[None]) is x
    assert none.embed(x[0], None) is not None and not none.has_bias
