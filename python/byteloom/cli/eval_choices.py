"""``byteloom eval --choices``: how often a model finds the right answer."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byteloom.markdown import table

if TYPE_CHECKING:
    from byteloom.evaluation import Judgement


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The arguments about multiple-choice questions."""
    group = parser.add_argument_group(
        "multiple-choice questions",
        "A file has a JSON object a line: {\"question\": ..., \"choices\": [...], \"answer\": 0}. "
        "What stands before a choice is `Question: ...`, a line end and `Answer:`; or give "
        "\"context\", the text itself, in place of or before \"question\". Choices are scored by "
        "their log-likelihood, and by that divided by characters (acc_norm), bytes and tokens.",
    )  # fmt: skip
    group.add_argument(
        "--choices", type=Path, nargs="+", metavar="FILE", help="answer these, in place of DATA"
    )
    group.add_argument(
        "--shots", type=int, default=0, metavar="N", help="examples with answers come first"
    )
    group.add_argument(
        "--examples", type=Path, metavar="FILE", help="to draw them from; default: other questions"
    )
    group.add_argument(
        "--seed", type=int, default=1234, metavar="N", help="of the draws, which are lm-eval's"
    )
    group.add_argument(
        "--delimiter", default=" ", metavar="TEXT", help="between context and choice"
    )


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuses arguments that do not go together."""
    if bool(args.data) == bool(args.choices):
        parser.error("give either DATA or --choices")
    if args.shots < 0:
        parser.error(f"--shots {args.shots}: must be 0 or more")
    if args.examples and not args.shots:
        parser.error("--examples without --shots: say how many come first")
    if args.shots and not args.choices:
        parser.error("--shots are for --choices")
    if args.by_document and args.choices:
        parser.error("--by-document is for DATA")


def run(args: argparse.Namespace) -> None:
    """Asks, and says what came out."""
    from byteloom.evaluation import judge, prompts, read_questions
    from byteloom.training.build import pick_device
    from byteloom.training.run_folder import RunFolder

    folder = RunFolder.open(args.run)
    tokenizer = folder.load_tokenizer()
    if tokenizer is None:
        raise ValueError(f"{args.run} has no tokenizer to read questions with")
    if (task := folder.load_config().task) is not None:
        raise ValueError(
            f"the run in {args.run} has task.kind {task.kind}: --choices asks models that learned "
            "the next token, and sees a question as they do"
        )
    # All files are read before the model is asked anything.
    files = [(path, read_questions(path)) for path in args.choices]
    examples = read_questions(args.examples) if args.examples else None
    asked = [
        (path, questions, prompts(questions, args.shots, examples, args.seed, args.delimiter))
        for path, questions in files
    ]
    model = folder.load_model(args.checkpoint, pick_device(args.device))
    found = []
    for path, questions, contexts in asked:
        try:
            judged = judge(model, tokenizer, questions, contexts, args.delimiter, args.batch_size)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        found.append((str(path), judged))
    if args.json:
        rows = [{"file": name, "shots": args.shots, **figures(one)} for name, one in found]
        print(json.dumps(rows[0] if len(rows) == 1 else {"files": rows}))
        return
    show(found, args.shots)


def figures(judged: list[Judgement]) -> dict[str, Any]:
    """The scores of a file and of each question, for scripts."""
    from byteloom.evaluation import SCORES, scores

    found: dict[str, Any] = {"questions": len(judged), "chance": chance(judged)}
    for name, mean in scores(judged).items():
        found[name] = mean.value
        found[f"{name}_stderr"] = None if math.isnan(mean.error) else mean.error
    found["answers"] = [
        {
            "answer": one.question.answer,
            "log_likelihoods": one.log_likelihoods,
            "tokens": one.tokens,
            "chosen": {name: one.chosen(name) for name in SCORES},
        }
        for one in judged
    ]
    return found


def chance(judged: list[Judgement]) -> float:
    """How often somebody is right who draws lots."""
    return sum(1 / len(one.tokens) for one in judged) / len(judged)


def show(found: list[tuple[str, list[Judgement]]], shots: int) -> None:
    """A table for people."""
    from byteloom.evaluation import SCORES, scores

    rows = []
    for name, judged in found:
        cells = [
            f"{100 * one.value:.2f}"
            + ("" if math.isnan(one.error) else f" ± {100 * one.error:.2f}")
            for one in scores(judged).values()
        ]
        rows.append([name, f"{len(judged):,}", str(shots), f"{100 * chance(judged):.2f}", *cells])
    print(table(["file", "questions", "shots", "chance", *(f"{name}, %" for name in SCORES)], rows))
