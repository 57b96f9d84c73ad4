"""Layers with a window keep no more than it shows, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from byteloom.generation import Decoder, generate_ids
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import MultiHeadConfig, NoPositionConfig, RotaryConfig
from byteloom.nn.attention.static_cache import StaticCache
from byteloom.nn.attention.window_cache import WindowCache
from byteloom.nn.position import ALiBiConfig, RelativeConfig
from byteloom.training.estimate.memory import cache_bytes
from cached import cached_logits, decoded_logits

CONTEXT, VOCAB = 14, 20
WINDOWS = [1, 2, 8, 40]


def config_of(window: int, context: int = CONTEXT, **over: Any) -> ModelConfig:
    settings = {"attention": MultiHeadConfig(window=window, num_kv_heads=2), **over}
    return ModelConfig(
        VOCAB, context_length=context, d_model=16, num_heads=4, **{"num_layers": 2, **settings}
    )


def make(window: int, **over: Any) -> tuple[TransformerLM, Tensor]:
    torch.manual_seed(1)
    return config_of(window, **over).build(0).eval(), torch.randint(VOCAB, (3, CONTEXT))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("position", [RotaryConfig(), ALiBiConfig(), RelativeConfig()])
@pytest.mark.parametrize("full_every", [None, 2])
@torch.no_grad()
def test_logits_are_those_of_the_whole(window: int, position: Any, full_every: int | None) -> None:
    """For prompts below and above the window, read at once and then token by token."""
    model, ids = make(window, position=position, full_every=full_every)
    want = model(ids)
    for first in (1, 5):
        assert_close(cached_logits(model, ids, first), want, rtol=1e-4, atol=1e-5)
        assert_close(decoded_logits(model, ids, first), want[:, first - 1 :], rtol=1e-4, atol=1e-5)


OPTIONS: dict[str, MultiHeadConfig] = {
    "written out": MultiHeadConfig(window=4, backend="reference"),
    "capped": MultiHeadConfig(window=4, soft_cap=0.5),
    "larger heads": MultiHeadConfig(window=4, d_head=6, num_kv_heads=1, bias=True),
}


@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_so_they_are_whatever_else_is_chosen(name: str) -> None:
    model, ids = make(4, attention=OPTIONS[name], position=NoPositionConfig())
    want = model(ids)
    assert_close(cached_logits(model, ids, 6), want, rtol=1e-4, atol=1e-5)
    assert_close(decoded_logits(model, ids, 6), want[:, 5:], rtol=1e-4, atol=1e-5)


@settings(max_examples=15)
@given(st.integers(1, 9), st.lists(st.integers(1, 6), min_size=1, max_size=5))
@torch.no_grad()
def test_pieces_of_any_size_make_the_whole(window: int, sizes: list[int]) -> None:
    model, _ = make(window, context=30, full_every=2)
    ids = torch.randint(VOCAB, (2, sum(sizes)))
    cache = model.new_cache()
    found = torch.cat([model(piece, cache=cache) for piece in ids.split(sizes, dim=1)], dim=1)
    assert_close(found, model(ids), rtol=1e-4, atol=1e-5)


def held(cache: Any) -> list[int]:
    """Bytes of the memory behind each layer's tensors, whatever part of it they show."""
    return [sum(t.untyped_storage().nbytes() for t in layer.tensors()) for layer in cache.layers]


@torch.no_grad()
def test_memory_does_not_grow_with_the_text() -> None:
    window, sizes = 5, {}
    token = 3 * 2 * 4 * 2 * 4  # texts, heads, their size, keys and values, bytes
    for context in (64, 1024):
        model = config_of(window, context, full_every=2).build(0).eval()
        ids = torch.randint(VOCAB, (3, context))
        for first in (1, 3, context - 10):
            cache = model.new_cache()
            model(ids[:, :first], cache=cache)
            for i in range(first, first + 9):
                model(ids[:, i : i + 1], cache=cache)
            sizes[context, first] = held(cache)
            assert held(cache) == [(window - 1) * token, context * token]
            static = StaticCache(cache)
            assert held(static) == [window * token, context * token]
    config = config_of(window, 1024, full_every=2)
    assert cache_bytes(config, 3, 1024) == sum(sizes[1024, 1])


def test_what_is_returned_is_what_the_window_shows() -> None:
    cache, keys = WindowCache(9, 4), torch.arange(9.0)[None, :, None].expand(2, 9, 3)
    places = []
    for piece in keys.split([2, 1, 3, 1, 2], dim=1):
        k, v = cache.append(piece, -piece)
        assert torch.equal(k, -v)
        assert k[0, :, 0].tolist() == cache.places(k).tolist()
        places.append(cache.places(k).tolist())
    assert places == [[0, 1], [0, 1, 2], [0, 1, 2, 3, 4, 5], [3, 4, 5, 6], [4, 5, 6, 7, 8]]
    with pytest.raises(ValueError, match="the cache holds 9 tokens; 10 are too many"):
        cache.append(keys[:, :1], keys[:, :1])


@torch.no_grad()
def test_compiled_it_is_the_same_and_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, mode, fullgraph: compile_with(
            f, backend="aot_eager", fullgraph=fullgraph
        )
    )  # fmt: skip
    torch._dynamo.reset()
    model, ids = make(4, full_every=2)
    decoder, want = Decoder(model, compiled=True), model(ids)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for first in (1, 2, 9):  # the memory of the first is used again
            found = [decoder.read(ids[:, :first])]
            found += [decoder.step(ids[:, i]) for i in range(first, CONTEXT)]
            assert_close(torch.stack(found, 1), want[:, first - 1 :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", [False, True])
def test_texts_are_the_same_with_and_without(prefix: bool) -> None:
    """Also when the context is full and its older half is forgotten."""
    model, ids = make(5, full_every=2)
    prompt, texts = ids[0, :9].tolist(), []
    for use_cache in (False, True):
        chance = {"max_new_tokens": 25, "seed": 0, "use_cache": use_cache}
        texts.append(list(generate_ids(model, prompt, **chance, prefix=prefix)))
    assert texts[0] == texts[1] and len(texts[0]) == 25


@torch.no_grad()
def test_a_decoder_reads_a_prefix_as_the_model_does() -> None:
    from byteloom.nn.attention import prefix_mask

    model, ids = make(5, full_every=2)
    decoder, mask = Decoder(model), prefix_mask(torch.tensor([6]), CONTEXT)
    found = [decoder.read(ids[:, :8], prefix=6)]
    found += [decoder.step(ids[:, i]) for i in range(8, CONTEXT)]
    want = model(ids, mask=mask)[:, 7:]
    assert_close(torch.stack(found, 1), want, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(ids)[:, 7:], want, atol=1e-4)


def test_what_reads_whole_texts_generates_none() -> None:
    model, _ = make(3, attention=MultiHeadConfig(causal=False))
    with pytest.raises(ValueError, match=r"attention\.causal is false.* cannot go on"):
        generate_ids(model, [1], use_cache=False)
    assert cache_bytes(model.config, 2, 8) == 0
