"""A model's answers to questions, and how often they are right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from byteloom.evaluation.likelihood import encode_requests, log_likelihoods
from byteloom.evaluation.questions import Question
from byteloom.model import TransformerLM
from byteloom.tokenizer import Tokenizer


@dataclass(frozen=True)
class Judgement:
    """What a model thinks of the choices of a question."""

    question: Question
    log_likelihoods: tuple[float, ...]
    """Of each choice, in nats."""
    tokens: tuple[int, ...]
    """How many tokens each choice has, its delimiter included."""

    def chosen(self, score: str) -> int:
        """The choice with the highest score, the first of equals; names are those of SCORES."""
        return int(np.argmax(np.array(self.log_likelihoods) / np.array(SCORES[score](self))))

    def is_right(self, score: str) -> bool:
        """Whether that is the right one."""
        return self.chosen(score) == self.question.answer


#: Accuracies by what log-likelihoods are divided by; the first three names are lm-eval's.
SCORES: dict[str, Callable[[Judgement], Sequence[int]]] = {
    "acc": lambda one: [1] * len(one.tokens),
    "acc_norm": lambda one: [len(choice) for choice in one.question.choices],
    "acc_bytes": lambda one: [len(choice.encode()) for choice in one.question.choices],
    "acc_tokens": lambda one: one.tokens,
}


@dataclass(frozen=True)
class Mean:
    """A mean, and how far it may be from that of all questions that could be asked."""

    value: float
    error: float
    """Its standard error; not a number of one question."""


def judge(
    model: TransformerLM,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    contexts: Sequence[str],
    delimiter: str = " ",
    batch_size: int = 32,
) -> list[Judgement]:
    """Asks a model.

    Args:
        model: in evaluation mode.
        tokenizer: that of the model.
        questions: what is asked.
        contexts: what stands before the choices of each: see :func:`byteloom.evaluation.prompts`.
        delimiter: between it and a choice.
        batch_size: texts at a time.

    Raises:
        ValueError: a choice that has no token, or more than the model's context.
    """
    texts = [
        (context, delimiter + choice)
        for question, context in zip(questions, contexts, strict=True)
        for choice in question.choices
    ]
    requests = encode_requests(tokenizer, texts)
    limit = model.config.context_length
    for (_, continuation), request in zip(texts, requests, strict=True):
        if len(request.continuation) > limit:
            raise ValueError(
                f"the choice {continuation[:40]!r}... has {len(request.continuation)} tokens, more "
                f"than the model's context of {limit}"
            )
    found = iter(log_likelihoods(model, requests, batch_size))
    counts = iter(len(request.continuation) for request in requests)
    return [
        Judgement(
            question,
            tuple(next(found) for _ in question.choices),
            tuple(next(counts) for _ in question.choices),
        )
        for question in questions
    ]


def scores(judgements: Sequence[Judgement]) -> dict[str, Mean]:
    """How often a model is right, by each of SCORES."""
    return {name: mean([one.is_right(name) for one in judgements]) for name in SCORES}


def mean(values: Sequence[float]) -> Mean:
    """Of some of many possible values.

    Example:
        >>> mean([1.0, 0.0, 1.0, 0.0])
        Mean(value=0.5, error=0.28867513459481287)
    """
    n = len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Mean(float(np.mean(values)), error)
