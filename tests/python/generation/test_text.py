"""Text as it is written: whole characters only, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import byteloom as bl
from byteloom.generation import generate, generate_ids, stream_text
from byteloom.generation.text import decode_stream
from byteloom.model import ModelConfig, TransformerLM
from byteloom.nn import SwiGLUConfig

END = "<|endoftext|>"
TEXT = "é 中文 😀 👩\u200d👩\u200d👧 naïve ß — “x” ½ \u0301 한글"


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    """All bytes, a special token, and merges that end in the middle of characters."""
    merges = [(b"\xe4", b"\xb8"), (b"\xf0", b"\x9f"), (b"\xf0\x9f", b"\x98"), (b"h", b"e")]
    vocab = {i: bytes([i]) for i in range(256)}
    vocab |= {256 + i: a + b for i, (a, b) in enumerate(merges)}
    return bl.Tokenizer(vocab, merges, [END])


@pytest.fixture(scope="module")
def model(tokenizer: bl.Tokenizer) -> TransformerLM:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=16,
        d_model=16,
        num_layers=1,
        num_heads=2,
        ffn=SwiGLUConfig(d_ff=32),
    )
    return config.build(seed=0)


def prefers(model: TransformerLM, ids: list[int]) -> None:
    """Makes the model write these ids in turn, over and over, whatever it reads."""
    step = 0

    def favour(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        nonlocal step
        wanted = torch.full_like(logits, -100.0)
        wanted[..., ids[step % len(ids)]] = 100.0
        step += 1
        return wanted

    model.register_forward_hook(favour)


@pytest.fixture
def scripted(model: TransformerLM) -> TransformerLM:
    """A model of the test's own, to be made to write something."""
    return model.config.build(seed=0)


ids_of_this = st.lists(st.integers(0, 260), max_size=40)


@given(ids=ids_of_this)
@example(ids=[0xE4, 0xB8])  # ends within a character
@example(ids=[0xF0, 0x9F, 0x98, 0x41])  # one cut off by another
@example(ids=[256, 0xAD, 258, 0x80])  # whole ones, of tokens that are halves
@example(ids=[0xE4, 260, 0xB8, 0xAD])  # a special token within a character
@example(ids=[0xC0, 0x80, 0xED, 0xA0, 0x80, 0xF5, 0xFF])  # what UTF-8 forbids
def test_pieces_joined_are_what_decode_gives(tokenizer: bl.Tokenizer, ids: list[int]) -> None:
    pieces = list(decode_stream(tokenizer, ids))
    assert "".join(pieces) == tokenizer.decode(ids)
    assert all(pieces), "no empty pieces"


@given(text=st.text(max_size=30))
@example(text=TEXT)
def test_a_character_is_never_cut(tokenizer: bl.Tokenizer, text: str) -> None:
    """Even byte by byte: what has come is always a start of the text, never a U+FFFD."""
    so_far = ""
    for piece in decode_stream(tokenizer, list(text.encode())):
        so_far += piece
        assert text.startswith(so_far)
    assert so_far == text


def test_a_character_comes_with_its_last_byte(tokenizer: bl.Tokenizer) -> None:
    asked: list[int] = []

    def source() -> Iterator[int]:
        for token in "a😀b".encode():
            asked.append(token)
            yield token

    seen = [(piece, len(asked)) for piece in decode_stream(tokenizer, source())]
    assert seen == [("a", 1), ("😀", 5), ("b", 6)]


@pytest.mark.parametrize("how", [{"temperature": 0.0}, {"seed": 1}, {"seed": 2, "top_k": 40}])
@pytest.mark.parametrize("prompt", ["a", TEXT, f"x{END}y"])
def test_text_is_the_ids_decoded(
    model: TransformerLM, tokenizer: bl.Tokenizer, how: dict[str, Any], prompt: str
) -> None:
    ids = list(generate_ids(model, tokenizer.encode(prompt), max_new_tokens=40, **how))
    pieces = list(stream_text(model, tokenizer, prompt, max_new_tokens=40, **how))
    assert "".join(pieces) == tokenizer.decode(ids)
    assert generate(model, tokenizer, prompt, max_new_tokens=40, **how) == "".join(pieces)


@pytest.mark.parametrize("use_cache", [False, True])
def test_half_characters_of_a_model_are_held_back(
    scripted: TransformerLM, tokenizer: bl.Tokenizer, use_cache: bool
) -> None:
    script = list(TEXT.encode())
    prefers(scripted, script)
    how: dict[str, Any] = {"max_new_tokens": len(script), "seed": 0, "use_cache": use_cache}
    pieces = list(stream_text(scripted, tokenizer, "a", **how))
    assert pieces == list(TEXT)


def test_it_ends_before_the_special_token(scripted: TransformerLM, tokenizer: bl.Tokenizer) -> None:
    script = tokenizer.encode(f"the end{END}and more")
    prefers(scripted, script)
    assert generate(scripted, tokenizer, "a", stop=END, max_new_tokens=99, seed=0) == "the end"


def test_without_a_stop_the_special_token_is_text(
    scripted: TransformerLM, tokenizer: bl.Tokenizer
) -> None:
    script = tokenizer.encode(f"the end{END}and more")
    prefers(scripted, script)
    got = generate(scripted, tokenizer, "a", max_new_tokens=len(script), seed=0)
    assert got == f"the end{END}and more"


def test_a_stop_within_a_character_leaves_a_replacement(
    scripted: TransformerLM, tokenizer: bl.Tokenizer
) -> None:
    prefers(scripted, [*b"a\xe4\xb8", tokenizer.special_tokens[END]])
    assert generate(scripted, tokenizer, "a", stop=END, max_new_tokens=99, seed=0) == "a\ufffd"


@pytest.mark.parametrize("stop", ["the", "", "<|end", "<|other|>"])
def test_a_stop_that_is_no_special_token_is_refused_at_once(
    model: TransformerLM, tokenizer: bl.Tokenizer, stop: str
) -> None:
    with pytest.raises(ValueError, match="is no special token of this tokenizer"):
        stream_text(model, tokenizer, "a", stop=stop)


def test_an_empty_prompt_is_refused_at_once(model: TransformerLM, tokenizer: bl.Tokenizer) -> None:
    with pytest.raises(ValueError, match="the prompt has no tokens"):
        stream_text(model, tokenizer, "")


def test_a_tokenizer_of_another_model_is_refused(tokenizer: bl.Tokenizer) -> None:
    small = ModelConfig(vocab_size=100, context_length=8, d_model=16, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match="is the tokenizer the one it was trained with"):
        stream_text(small.build(seed=0), tokenizer, "é")


def test_unknown_settings_are_refused(model: TransformerLM, tokenizer: bl.Tokenizer) -> None:
    with pytest.raises(TypeError, match="temprature"):
        stream_text(model, tokenizer, "a", temprature=0.5)
