"""Generated ids against the plainest loop there is, with and without a cache."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch

from byteloom.generation import generate_ids, sample
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import LayerNormConfig, NoPositionConfig, SiLUFeedForwardConfig, SwiGLUConfig
from byteloom.nn.init import CourseInitConfig

VOCAB, CONTEXT = 23, 12
HOW: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "sampled": {"seed": 1},
    "narrow": {"seed": 2, "temperature": 0.7, "top_k": 5, "top_p": 0.9},
}


def make_model(**over: Any) -> TransformerLM:
    """Small, but sure of itself: what it writes is no noise around equal logits."""
    given: dict[str, Any] = {"context_length": CONTEXT, "ffn": SwiGLUConfig(d_ff=32)}
    given["init"] = CourseInitConfig()
    config = ModelConfig(
        vocab_size=VOCAB, d_model=16, num_layers=2, num_heads=2, **{**given, **over}
    )
    model = config.build(seed=0)
    with torch.no_grad():
        model.lm_head.weight *= 4
    return model


@pytest.fixture(scope="module")
def model() -> TransformerLM:
    return make_model()


def plain(
    model: TransformerLM, prompt: list[int], n: int, *, seed: int = 0, **how: Any
) -> Iterator[int]:
    """No cache: everything seen is read again for each id; half is forgotten when it is full."""
    context = model.config.context_length
    chance = torch.Generator().manual_seed(seed)
    seen = prompt[-context:]
    for _ in range(n):
        if len(seen) > context:
            seen = seen[-(context // 2 + 1) :]
        with torch.no_grad():
            logits = model(torch.tensor([seen]))[0, -1]
        token = int(sample(logits, generator=chance, **how))
        yield token
        seen = [*seen, token]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("use_cache", [False, True])
@pytest.mark.parametrize("length", [1, 5, CONTEXT - 1, CONTEXT, CONTEXT + 1, 3 * CONTEXT])
def test_it_is_the_plain_loop_also_past_the_context(
    model: TransformerLM, how: str, use_cache: bool, length: int
) -> None:
    prompt = [(7 * i + 3) % VOCAB for i in range(length)]
    n = 3 * CONTEXT
    got = list(generate_ids(model, prompt, max_new_tokens=n, use_cache=use_cache, **HOW[how]))
    assert got == list(plain(model, prompt, n, **HOW[how]))
    assert len(got) == n
    assert len(set(got)) > 1  # else equality would mean little


@pytest.mark.parametrize("context", [1, 2, 3])
@pytest.mark.parametrize("use_cache", [False, True])
def test_the_smallest_contexts(context: int, use_cache: bool) -> None:
    model = make_model(context_length=context)
    got = generate_ids(model, [1, 2, 3, 4], max_new_tokens=20, seed=3, use_cache=use_cache)
    assert list(got) == list(plain(model, [1, 2, 3, 4], 20, seed=3))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "over",
    [
        {"position": NoPositionConfig()},
        {"norm": LayerNormConfig(bias=True)},
        {"ffn": SiLUFeedForwardConfig()},
    ],
)
def test_a_cache_changes_no_id_of_any_model(how: str, over: dict[str, Any]) -> None:
    model = make_model(**over)
    cached, uncached = (
        list(generate_ids(model, [1, 2], max_new_tokens=30, use_cache=use_cache, **HOW[how]))
        for use_cache in (True, False)
    )
    assert cached == uncached


def test_only_the_end_of_a_long_prompt_is_read(model: TransformerLM) -> None:
    end = [(5 * i + 1) % VOCAB for i in range(CONTEXT)]
    short = list(generate_ids(model, end, max_new_tokens=9, seed=0))
    assert list(generate_ids(model, [4] * 50 + end, max_new_tokens=9, seed=0)) == short
    assert list(generate_ids(model, [4] * 50 + end[1:], max_new_tokens=9, seed=0)) != short


def test_stop_ids_end_it_before_they_come(model: TransformerLM) -> None:
    whole = list(generate_ids(model, [1], max_new_tokens=30, seed=4))
    for stop in sorted(set(whole)):
        got = list(generate_ids(model, [1], max_new_tokens=30, seed=4, stop_ids=[stop]))
        assert got == whole[: whole.index(stop)]
    stops = {whole[3], whole[9]}
    got = list(generate_ids(model, [1], max_new_tokens=30, seed=4, stop_ids=stops))
    assert got == whole[: min(whole.index(s) for s in stops)]
    unseen = set(range(VOCAB)) - set(whole)
    assert list(generate_ids(model, [1], max_new_tokens=30, seed=4, stop_ids=unseen)) == whole


def test_a_stop_id_in_the_prompt_stops_nothing(model: TransformerLM) -> None:
    whole = list(generate_ids(model, [1], max_new_tokens=5, temperature=0.0))
    stop = next(i for i in range(VOCAB) if i not in whole)
    got = generate_ids(model, [stop, 1], max_new_tokens=1, temperature=0.0, stop_ids=[stop])
    want = list(plain(model, [stop, 1], 1, temperature=0.0))
    assert list(got) == [t for t in want if t != stop]


def test_the_seed_alone_decides(model: TransformerLM) -> None:
    def ids(seed: int | None) -> list[int]:
        return list(generate_ids(model, [1], max_new_tokens=40, temperature=3.0, seed=seed))

    torch.manual_seed(0)
    first = ids(5)
    state = torch.get_rng_state()
    assert ids(5) == first != ids(6)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is training's"
    assert ids(None) != ids(None)


def test_two_streams_do_not_disturb_each_other(model: TransformerLM) -> None:
    alone = [list(generate_ids(model, [s], max_new_tokens=20, seed=s)) for s in (1, 2)]
    streams = [generate_ids(model, [s], max_new_tokens=20, seed=s) for s in (1, 2)]
    both = list(zip(*streams, strict=True))
    assert [list(column) for column in zip(*both, strict=True)] == alone


def test_ids_come_one_at_a_time() -> None:
    model, calls = make_model(), 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_hook(count)
    stream = generate_ids(model, [1, 2, 3], max_new_tokens=10**9, seed=0)
    assert calls == 0
    assert len(list(islice(stream, 3))) == 3
    assert calls == 3


def test_the_cache_reads_each_token_once() -> None:
    model = make_model()
    read: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
    list(generate_ids(model, [1, 2, 3], max_new_tokens=CONTEXT - 2, seed=0))
    assert read == [3] + [1] * (CONTEXT - 3)


@pytest.mark.parametrize("training", [False, True])
def test_the_models_mode_is_put_back(training: bool) -> None:
    model = make_model().train(training)
    modes: list[bool] = []
    model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    stream = generate_ids(model, [1], max_new_tokens=3, seed=0)
    for _ in range(3):
        next(stream)
        # Between two ids, too: whoever takes them may be training.
        assert all(part.training == training for part in model.modules())
    assert modes == [False] * 3


def test_the_models_mode_is_put_back_after_an_error() -> None:
    model = make_model().train()

    def fail(*_: Any) -> None:
        raise RuntimeError("no memory")

    model.layers[1].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory"):
        next(generate_ids(model, [1]))
    assert all(part.training for part in model.modules())


def test_no_gradients_are_kept() -> None:
    model = make_model()
    kept: list[bool] = []
    model.register_forward_hook(lambda _, __, logits: kept.append(logits.requires_grad))
    list(generate_ids(model, [1], max_new_tokens=2, seed=0))
    assert kept == [False, False]
    model(torch.tensor([[1]])).sum().backward()  # and afterwards they can be


@pytest.mark.parametrize("prompt", [(1, 2), range(1, 3)])
def test_any_sequence_is_a_prompt(model: TransformerLM, prompt: Any) -> None:
    want = list(generate_ids(model, [1, 2], max_new_tokens=5, seed=0))
    assert list(generate_ids(model, prompt, max_new_tokens=5, seed=0)) == want


def test_the_prompt_stays_as_it_is(model: TransformerLM) -> None:
    prompt = [1, 2]
    list(generate_ids(model, prompt, max_new_tokens=20, seed=0))
    assert prompt == [1, 2]


def test_none_are_generated_if_none_are_wanted(model: TransformerLM) -> None:
    assert list(generate_ids(model, [1], max_new_tokens=0)) == []


@pytest.mark.parametrize(
    ("prompt", "how", "message"),
    [
        ([], {}, "the prompt has no tokens"),
        ([1, VOCAB], {}, rf"token 1 of the prompt is {VOCAB}; .* 0 \.\. {VOCAB - 1}"),
        ([-1], {}, "token 0 of the prompt is -1"),
        ([99, *[1] * 2 * CONTEXT], {}, "token 0 of the prompt is 99"),
        ([1], {"max_new_tokens": -1}, "max_new_tokens is -1; it must be 0 or more"),
        ([1], {"temperature": -1.0}, r"temperature is -1\.0"),
        ([1], {"top_k": 0}, "top_k is 0"),
        ([1], {"top_p": 2.0}, r"top_p is 2\.0"),
    ],
)
def test_what_is_impossible_is_refused_at_once(
    model: TransformerLM, prompt: list[int], how: dict[str, Any], message: str
) -> None:
    """By the call itself, before an id is asked for."""
    with pytest.raises(ValueError, match=message):
        generate_ids(model, prompt, **how)
