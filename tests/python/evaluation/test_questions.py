"""Questions and the texts made of them: what is read, what is drawn, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byteloom.evaluation import Question, prompts, read_questions

FOUR = [Question(f"{i} + 1 =", ("1", "2", "3"), i) for i in range(3)] + [
    Question("x", ("a", "b"), 0)
]


def test_what_stands_before_a_choice(tmp_path: Path) -> None:
    rest = {"choices": [" a", "b"], "answer": 1, "id": "passed over"}
    rows = [
        {"context": "as it stands \n"},
        {"question": "why?"},
        {"context": "Rain.", "question": "why?"},
    ]
    rows += [{"context": "", "question": "why?"}, {"context": ""}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n\n".join(json.dumps({**row, **rest}) for row in rows))
    found = read_questions(path)
    assert [one.context for one in found] == [
        "as it stands \n",
        "Question: why?\nAnswer:",
        "Rain.\nQuestion: why?\nAnswer:",
        "Question: why?\nAnswer:",
        "",
    ]
    assert {(one.choices, one.answer) for one in found} == {((" a", "b"), 1)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\xff", "object"),
        ("[1]", "an object in braces, not [1]"),
        ('{"choices": ["a", "b"], "answer": 0}', "neither a context nor a question"),
        ('{"context": 1, "choices": ["a", "b"], "answer": 0}', "context must be a text, not 1"),
        ('{"question": null, "choices": ["a", "b"], "answer": 0}', "question must be a text"),
        ('{"context": "c", "choices": ["a"], "answer": 0}', "two texts or more"),
        ('{"context": "c", "choices": "ab", "answer": 0}', "two texts or more"),
        ('{"context": "c", "answer": 0}', "two texts or more, not null"),
        ('{"context": "c", "choices": ["a", ""], "answer": 0}', "choice 1 must be a text"),
        ('{"context": "c", "choices": ["a", 2], "answer": 0}', "choice 1 must be a text"),
        ('{"context": "c", "choices": ["a", "b"], "answer": 2}', "0 .. 1, not 2"),
        ('{"context": "c", "choices": ["a", "b"], "answer": -1}', "0 .. 1, not -1"),
        ('{"context": "c", "choices": ["a", "b"], "answer": true}', "0 .. 1, not true"),
        ('{"context": "c", "choices": ["a", "b"], "answer": "b"}', '0 .. 1, not "b"'),
        ('{"context": "c", "choices": ["a", "b"]}', "0 .. 1, not null"),
        ('{"context": "\\ud800", "choices": ["a", "b"], "answer": 0}', "surrogate"),
    ],
)
def test_bad_rows_are_named_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    good = '{"context": "c", "choices": ["a", "b"], "answer": 0}'
    path.write_bytes(f"{good}\n\n".encode() + line.encode("latin-1") + b"\n")
    with pytest.raises(ValueError, match=r"bad\.jsonl, line 3: ") as caught:
        read_questions(path)
    assert message in str(caught.value) or message == "object"


def test_no_questions(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(ValueError, match="has no questions"):
        read_questions(tmp_path / "empty.jsonl")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_questions(tmp_path / "nowhere.jsonl")
    with pytest.raises(FileNotFoundError):
        read_questions(tmp_path)


def test_shots_are_answered_and_come_before() -> None:
    assert prompts(FOUR) == [one.context for one in FOUR]
    (text,) = prompts([Question("q", ("a", "b"), 0)], 1, [FOUR[2]], delimiter="::")
    assert text == "2 + 1 =::3\n\nq"
    drawn = prompts(FOUR * 20, 2, FOUR, seed=5)
    assert drawn == prompts(FOUR * 20, 2, FOUR, seed=5) != prompts(FOUR * 20, 2, FOUR, seed=6)
    assert len(set(drawn)) > 20, "drawn for each question anew"


def test_a_question_is_no_example_of_its_own() -> None:
    for seed in range(20):
        for question, text in zip(FOUR, prompts(FOUR, 3, seed=seed), strict=True):
            parts = text.split("\n\n")
            others = {f"{one.context} {one.choices[one.answer]}" for one in FOUR if one != question}
            assert parts[-1] == question.context and set(parts[:-1]) == others
    twice = [FOUR[0], FOUR[0], FOUR[1], FOUR[2]]
    for text in prompts(twice, 2)[:2]:
        assert "0 + 1 = 1" not in text


def test_too_few_examples() -> None:
    with pytest.raises(ValueError, match="5 shots need as many examples; there are 4"):
        prompts(FOUR, 5, FOUR)
    with pytest.raises(ValueError, match="4 shots need as many other questions; there are 3"):
        prompts(FOUR, 4)
    with pytest.raises(ValueError, match="shots is -1"):
        prompts(FOUR, -1)
