"""Questions with several answers, one of them right, as lines of JSON."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Question:
    """What is asked, and what may be answered."""

    context: str
    """The text that stands before an answer."""
    choices: tuple[str, ...]
    """The answers."""
    answer: int
    """Which of them is right, counted from 0."""


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    r"""Reads a file with a JSON object a line; empty lines are passed over.

    Its keys, of which others are passed over:

    - ``context``: the text before the answer, as it stands; may be empty. Or
    - ``question``: it becomes ``Question: {question}\nAnswer:``; with a ``context`` too,
      ``{context}\nQuestion: {question}\nAnswer:``
    - ``choices``: a list of two texts or more, without the space before them
    - ``answer``: which of them is right, counted from 0

    Raises:
        FileNotFoundError: no such file.
        ValueError: no questions; a line that is none: the message names file and line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sky.jsonl"
        >>> line = '{"question": "What is blue?", "choices": ["grass", "the sky"], "answer": 1}'
        >>> _ = path.write_text(line)
        >>> read_questions(path)[0].context
        'Question: What is blue?\nAnswer:'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path} with questions")
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    found.append(parse_question(line))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None
    if not found:
        raise ValueError(f"{path} has no questions")
    return found


def parse_question(line: bytes) -> Question:
    """One line.

    Raises:
        ValueError: it is no question; the message is the reason.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"a question is an object in braces, not {shown(row)}")
    choices, answer = row.get("choices"), row.get("answer")
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"choices must be a list of two texts or more, not {shown(choices)}")
    for i, choice in enumerate(choices):
        if not isinstance(choice, str) or not choice:
            raise ValueError(f"choice {i} must be a text that is not empty, not {shown(choice)}")
    if type(answer) is not int or not 0 <= answer < len(choices):
        raise ValueError(
            f"answer must be the right choice's number, 0 .. {len(choices) - 1}, not "
            f"{shown(answer)}"
        )
    question = Question(context_of(row), tuple(choices), answer)
    for text in (question.context, *choices):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError("half of a surrogate pair (\\ud800 .. \\udfff) is no text")
    return question


def context_of(row: dict[str, Any]) -> str:
    """The text before the answer."""
    for key in ("context", "question"):
        if not isinstance(row.get(key, ""), str):
            raise ValueError(f"{key} must be a text, not {shown(row[key])}")
    if "question" in row:
        before = f"{row['context']}\n" if row.get("context") else ""
        return f"{before}Question: {row['question']}\nAnswer:"
    if "context" not in row:
        raise ValueError("there is neither a context nor a question")
    context: str = row["context"]
    return context


def shown(value: object) -> str:
    """A value in a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
