from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from byteloom.export import t5
from byteloom.generation import answer_ids
from byteloom.models import EncoderDecoder, EncoderDecoderConfig


@pytest.fixture(scope="module")
def both() -> tuple[Any, EncoderDecoder]:
    torch.manual_seed(0)
    settings = T5Config(
        vocab_size=60,
        d_model=16,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=10,
        decoder_start_token_id=0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    peer = T5ForConditionalGeneration(settings)
    # Tied as it begins, it would say the same again and again.
    peer.lm_head.weight = torch.nn.Parameter(torch.randn(60, 16))
    for parameter in peer.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    # Distances count, so that what comes next is never the same for long.
    peer.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.data *= 5
    model = t5.config_of(
        {**peer.config.to_dict(), "n_positions": 40, "tie_word_embeddings": False}
    ).build()
    model.load_state_dict(t5.from_transformers(model, peer.state_dict()))
    return peer.eval(), model.eval()


@pytest.mark.parametrize("seed", range(4))
def test_the_likeliest_ids_are_those_of_transformers(
    both: tuple[Any, EncoderDecoder], seed: int
) -> None:
    peer, model = both
    torch.manual_seed(seed)
    ids = torch.randint(2, 60, (1, 12))
    wanted = peer.generate(
        ids, max_new_tokens=30, do_sample=False, eos_token_id=None, use_cache=True
    )[0, 1:].tolist()
    assert len(wanted) == 30 and len(set(wanted)) > 3
    for use_cache in (True, False):
        found = answer_ids(model, ids[0].tolist(), max_new_tokens=30, use_cache=use_cache)
        assert list(found) == wanted


def test_it_ends_before_a_stop_and_writes_no_more_than_it_can(
    both: tuple[Any, EncoderDecoder],
) -> None:
    _, model = both
    everything = list(answer_ids(model, [5, 6, 7]))
    assert len(everything) == 40
    stop = everything[7]
    ended = list(answer_ids(model, [5, 6, 7], stop_ids=[stop]))
    assert ended == everything[: everything.index(stop)]
    assert len(list(answer_ids(model, [5, 6, 7], max_new_tokens=100))) == 40
    assert list(answer_ids(model, [5, 6, 7], max_new_tokens=0)) == []


def test_chance_is_seeded_and_the_mode_is_left_as_it_was(both: tuple[Any, EncoderDecoder]) -> None:
    _, model = both
    model.train()
    draws = [list(answer_ids(model, [5, 6], temperature=2.0, seed=s)) for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert model.training
    model.eval()


@pytest.mark.parametrize(
    ("ids", "how", "message"),
    [
        ([], {}, "no ids to read"),
        ([60], {}, "token id 60 is outside"),
        ([1] * 41, {}, "41 tokens are more"),
        ([1], {"max_new_tokens": -1}, "max_new_tokens is -1"),
        ([1], {"temperature": -1.0}, "temperature is -1.0"),
    ],
)
def test_what_cannot_be_is_refused(
    both: tuple[Any, EncoderDecoder], ids: list[int], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        answer_ids(both[1], ids, **how)


def test_without_a_start_it_is_refused() -> None:
    sizes = {"vocab_size": 9, "context_length": 8, "d_model": 8, "num_layers": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="start_id is left out"):
        answer_ids(EncoderDecoderConfig(**sizes).build(), [1])
