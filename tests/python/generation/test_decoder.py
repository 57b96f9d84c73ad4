"""Token after token for a batch, against reading everything again each time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from byteloom.generation import Decoder, generate_ids
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import MultiHeadConfig, NoPositionConfig
from byteloom.nn.attention.static_cache import StaticCache

CONTEXT = 12


def make_model(**over: Any) -> TransformerLM:
    return ModelConfig(
        vocab_size=23, context_length=CONTEXT, d_model=16, num_layers=2, num_heads=2, **over
    ).build(seed=0).eval()  # fmt: skip


MODELS: dict[str, dict[str, Any]] = {
    "default": {},
    "no positions": {"position": NoPositionConfig()},
    "written out": {"attention": MultiHeadConfig(backend="reference")},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_each_step_gives_the_logits_of_the_whole(name: str, batch: int) -> None:
    model = make_model(**MODELS[name])
    decoder, ids = Decoder(model), torch.randint(23, (batch, CONTEXT))
    for length in (1, 5, 5, CONTEXT):  # the memory of the second is used again
        found = [decoder.read(ids[:, :length])]
        found += [decoder.step(ids[:, i]) for i in range(length, CONTEXT)]
        with torch.no_grad():
            expected = model(ids)[:, length - 1 :]
        assert torch.allclose(torch.stack(found, dim=1), expected, atol=1e-5)


def test_compiled_it_is_the_same_and_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, mode, fullgraph: compile_with(
            f, backend="aot_eager", fullgraph=fullgraph
        )
    )  # fmt: skip
    torch._dynamo.reset()
    model = make_model()
    plain, compiled = Decoder(model), Decoder(model, compiled=True)
    ids = torch.randint(23, (2, CONTEXT))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for length in (3, 7):
            assert torch.equal(plain.read(ids[:, :length]), compiled.read(ids[:, :length]))
            for i in range(length, CONTEXT):
                a, b = plain.step(ids[:, i]), compiled.step(ids[:, i])
                assert torch.allclose(a, b, atol=1e-5)
    prompt = [1, 2, 3]
    expected = list(generate_ids(model, prompt, max_new_tokens=30, seed=0))
    found = list(generate_ids(model, prompt, max_new_tokens=30, seed=0, compiled=True))
    assert found == expected and len(found) == 30


def test_a_long_text_is_seen_to_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("byteloom.generation.decoder._FEWEST_PLACES", 2)
    model, looked_at = make_model(), []
    plain = StaticCache.look_at

    def look_at(cache: StaticCache, places: int) -> None:
        looked_at.append(places)
        plain(cache, places)

    monkeypatch.setattr(StaticCache, "look_at", look_at)
    decoder, ids = Decoder(model), torch.randint(23, (2, CONTEXT))
    for length in (1, 3):
        looked_at.clear()
        found = [decoder.read(ids[:, :length])]
        found += [decoder.step(ids[:, i]) for i in range(length, CONTEXT)]
        with torch.no_grad():
            expected = model(ids)[:, length - 1 :]
        assert torch.allclose(torch.stack(found, dim=1), expected, atol=1e-5)
        assert sorted(set(looked_at)) == ([2, 4, 8, 16] if length == 1 else [4, 8, 16])


def test_in_bf16_tables_stay_exact() -> None:
    model = make_model()
    decoder = Decoder(model, dtype=torch.bfloat16)
    assert {b.dtype for b in decoder.model.buffers()} == {torch.float32}
    assert {p.dtype for p in decoder.model.parameters()} == {torch.bfloat16}


def test_in_bf16_the_model_stays_as_it_was() -> None:
    model = make_model()
    decoder, ids = Decoder(model, dtype=torch.bfloat16), torch.randint(23, (2, 6))
    decoder.read(ids[:, :4])
    logits = decoder.step(ids[:, 4])
    assert logits.dtype == torch.bfloat16
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with torch.no_grad():
        expected = model(ids[:, :5])[:, -1]
    assert torch.allclose(logits.float(), expected, atol=0.1)


def test_a_full_context_is_refused() -> None:
    decoder = Decoder(make_model())
    decoder.read(torch.zeros(1, CONTEXT, dtype=torch.long))
    with pytest.raises(ValueError, match="context of 12 tokens is full"):
        decoder.step(torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="13 tokens are more than"):
        decoder.read(torch.zeros(1, CONTEXT + 1, dtype=torch.long))
