"""The text before an answer: examples that are answered, then the question."""

from __future__ import annotations

import random
from collections.abc import Sequence

from byteloom.evaluation.questions import Question

#: Between an example and what comes next.
BETWEEN = "\n\n"


def prompts(
    questions: Sequence[Question],
    shots: int = 0,
    examples: Sequence[Question] | None = None,
    seed: int = 1234,
    delimiter: str = " ",
) -> list[str]:
    r"""What stands before the answers of each question.

    With examples, each of them is ``{context}{delimiter}{right choice}\n\n``. They are drawn for
    each question anew, in the order of the questions, as lm-eval draws them with the same seed.

    Args:
        questions: whose answers are to be judged.
        shots: how many examples come first.
        examples: what they are drawn from; ``None``: the other questions.
        seed: of the draws.
        delimiter: between a context and a choice.

    Raises:
        ValueError: a negative number of shots, or fewer examples than that.

    Example:
        >>> one = Question("1 + 1 =", ("2", "3"), 0)
        >>> two = Question("1 + 2 =", ("2", "3"), 1)
        >>> prompts([one, two], shots=1)
        ['1 + 2 = 3\n\n1 + 1 =', '1 + 1 = 2\n\n1 + 2 =']
    """
    if shots < 0:
        raise ValueError(f"shots is {shots}; it must be 0 or more")
    if shots == 0:
        return [question.context for question in questions]
    # random.Random, not numpy: lm-eval has it too.
    chance, found = random.Random(seed), []
    for question in questions:
        drawn = draw(chance, question, questions if examples is None else examples, shots,
                     is_among_them=examples is None)  # fmt: skip
        before = [f"{one.context}{delimiter}{one.choices[one.answer]}{BETWEEN}" for one in drawn]
        found.append("".join([*before, question.context]))
    return found


def draw(
    chance: random.Random,
    question: Question,
    examples: Sequence[Question],
    shots: int,
    is_among_them: bool,
) -> list[Question]:
    """Some of the examples, without the question itself where it is one of them."""
    if not is_among_them:
        if len(examples) < shots:
            raise ValueError(f"{shots} shots need as many examples; there are {len(examples)}")
        return chance.sample(examples, shots)
    if shots < len(examples):
        drawn = [one for one in chance.sample(examples, shots + 1) if one != question][:shots]
        if len(drawn) == shots:
            return drawn
    # There are questions twice: more than one of those drawn was this one.
    others = [one for one in examples if one != question]
    if len(others) < shots:
        raise ValueError(
            f"{shots} shots need as many other questions; there are {len(others)}: give examples "
            "of their own"
        )
    return chance.sample(others, shots)
