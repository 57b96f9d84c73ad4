"""Log-likelihoods of continuations: against one text at a time, token by token."""

from __future__ import annotations

import math
import random

import pytest
import torch

import byteloom as bl
from byteloom.evaluation import (
    Judgement,
    Question,
    Request,
    encode_requests,
    judge,
    log_likelihoods,
    scores,
)
from byteloom.evaluation.judging import mean
from byteloom.model import ModelConfig, TransformerLM

BYTES = {i: bytes([i]) for i in range(256)}
LETTERS = bl.Tokenizer({**BYTES, 256: b"ab"}, [(b"a", b"b")], ["<|end|>"])


@pytest.fixture(scope="module")
def model() -> TransformerLM:
    config = ModelConfig(vocab_size=258, context_length=12, d_model=16, num_layers=2, num_heads=2)
    model = config.build(seed=0)
    for parameter in model.parameters():
        parameter.data *= 3  # far from the same for all tokens
    return model.eval()


@torch.no_grad()
def by_hand(model: TransformerLM, request: Request) -> float:
    ids = [*request.context, *request.continuation][-model.config.context_length - 1 :]
    logs = model(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
    wanted = range(len(ids) - len(request.continuation), len(ids))
    return sum(logs[i - 1, ids[i]].item() for i in wanted)


def test_any_lengths_in_any_batches(model: TransformerLM) -> None:
    chance = random.Random(0)

    def ids(least: int, most: int) -> list[int]:
        return [chance.randrange(258) for _ in range(chance.randint(least, most))]

    requests = [Request(ids(1, 20), ids(1, 12)) for _ in range(40)]
    # Choices of one token, one that is the beginning of another, and the same twice.
    requests += [Request([1, 2, 3], [i]) for i in range(9)]
    requests += [Request([1, 2, 3], [4, 5]), Request([1, 2, 3, 4], [5]), Request([1, 2, 3], [4, 5])]
    want = [by_hand(model, one) for one in requests]
    for batch_size in (1, 4, 100):
        assert log_likelihoods(model, requests, batch_size) == pytest.approx(want, rel=1e-5)
    assert log_likelihoods(model, []) == []


def test_pieces_of_the_logits(model: TransformerLM, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [Request([i], [i + 1, 5, 7, 9]) for i in range(9)]
    want = log_likelihoods(model, requests)
    monkeypatch.setattr("byteloom.evaluation.likelihood._PIECE", 3)
    assert log_likelihoods(model, requests) == pytest.approx(want, abs=1e-5)


def test_what_is_alike_goes_through_the_model_once(
    model: TransformerLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[torch.Size] = []
    hidden = model.hidden

    def counted(ids: torch.Tensor) -> torch.Tensor:
        read.append(ids.shape)
        return hidden(ids)

    monkeypatch.setattr(model, "hidden", counted)
    log_likelihoods(model, [Request([1, 2], [i]) for i in range(50)])
    assert read == [(1, 2)]


def test_bad_requests(model: TransformerLM) -> None:
    for request in (Request([], [1]), Request([1], []), Request([1], [2] * 13)):
        with pytest.raises(ValueError, match="request 1 has"):
            log_likelihoods(model, [Request([1], [2]), request])
    with pytest.raises(ValueError, match="batch_size is 0"):
        log_likelihoods(model, [], 0)


def test_spaces_and_what_is_joined() -> None:
    ids = [ord(letter) for letter in "c d"]
    assert encode_requests(LETTERS, [("c ", "d"), ("c", " d")]) == [(ids[:1], ids[1:])] * 2
    assert encode_requests(LETTERS, [("", "<|end|>c")]) == [([257], [ord("c")])]
    assert encode_requests(LETTERS, [(" ", "c")]) == [([257], [32, ord("c")])]
    with pytest.raises(ValueError, match="no token of its own"):
        encode_requests(LETTERS, [("a", "b")])
    bare = bl.Tokenizer(BYTES, [])
    with pytest.raises(ValueError, match="no special token"):
        encode_requests(bare, [("", "b")])


def test_scores_differ_in_what_they_divide_by() -> None:
    # Characters 1, 6 and 3, bytes 1, 6 and 12, tokens 2, 1 and 9.
    question = Question("q", ("a", "bbbbbb", "🙂🙂🙂"), 2)
    one = Judgement(question, (-2.0, -9.0, -4.0), (2, 1, 9))
    chosen = {name: one.chosen(name) for name in ("acc", "acc_norm", "acc_bytes", "acc_tokens")}
    assert chosen == {"acc": 0, "acc_norm": 2, "acc_bytes": 2, "acc_tokens": 2}
    one = Judgement(question, (-1.0, -5.0, -9.0), (1, 9, 9))
    assert [one.chosen(name) for name in chosen] == [0, 1, 2, 1]
    tied = Judgement(question, (-1.0, -1.0, -1.0), (1, 1, 1))
    assert tied.chosen("acc") == 0 and not tied.is_right("acc")
    found = scores([one, tied])
    assert found["acc_bytes"].value == 1.0 and found["acc"].value == 0.0
    assert mean([1, 0, 0, 1, 1]).error == pytest.approx(math.sqrt(0.3 / 5))
    assert math.isnan(mean([1]).error)


def test_a_choice_longer_than_the_context(model: TransformerLM) -> None:
    question = Question("q", ("a", "long" * 9), 0)
    with pytest.raises(ValueError, match="37 tokens, more than the model's context of 12"):
        judge(model, LETTERS, [question], ["q"])
    (found,) = judge(model, LETTERS, [Question("q" * 50, ("x", "abc"), 0)], ["q" * 50])
    assert found.tokens == (2, 3)
