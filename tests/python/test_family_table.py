"""The table of all choices: every key is in it, and every file and test that it names is there."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from byteloom.config.schema import hints_of, kind_of, members
from byteloom.export import TARGETS
from byteloom.models import AnyModelConfig
from byteloom.nn.attention import AttentionConfig
from byteloom.nn.block import BlockConfig
from byteloom.nn.ffn import DenseConfig, FeedForwardConfig
from byteloom.nn.init import InitConfig
from byteloom.nn.norm import NormConfig
from byteloom.nn.position import PositionConfig
from byteloom.nn.position.scaling import RotaryScaling
from byteloom.training.tasks import TaskConfig
from test_study_scripts import script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/family.md").read_text()
family_table = script("family_table")
COLUMNS = "choice", "set by", "held by", "shown by"
PEERS = "nanoGPT", "litgpt", "OLMo-core", "torchtitan", "transformers"


def rows_of(page: str) -> list[dict[str, str]]:
    """Those of the tables of choices, by the names of their columns."""
    found: list[dict[str, str]] = []
    names: list[str] = []
    for line in page.splitlines():
        if not line.startswith("|"):
            names = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not names:
            names = cells
        elif names[0] == "choice" and set(line) - set("|- "):
            found.append(dict(zip(names, cells, strict=True)))
    return found


ROWS = rows_of(PAGE)


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def settings(hint: Any, path: str, seen: set[type]) -> Iterator[str]:
    """All that can be set, and each value that is one of a few: ``norm.kind = "none"``.

    What the same member holds in several places (a norm of queries, an expert) is met once.
    """
    for member in members(hint):
        if member in seen:
            continue
        seen.add(member)
        if "kind" in hints_of(member):
            yield f'{path}kind = "{kind_of(member)}"'
        for field in dataclasses.fields(member):
            if field.name == "kind":
                continue
            where, type_ = f"{path}{field.name}", hints_of(member)[field.name]
            inner = list(settings(type_, f"{where}.", seen))
            if inner:
                yield from inner
            elif get_origin(type_) is Literal:
                yield from (f'{where} = "{value}"' for value in get_args(type_))
            elif path or not members(type_):
                yield where


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_walk_meets_every_member() -> None:
    seen: set[type] = set()
    list(settings(AnyModelConfig, "", seen))
    unions = [
        AttentionConfig, BlockConfig, DenseConfig, FeedForwardConfig, InitConfig, NormConfig,
        PositionConfig, RotaryScaling, AnyModelConfig,
    ]  # fmt: skip
    for union in unions:
        assert members(union) and set(members(union)) <= seen


def test_all_that_can_be_set_is_in_the_table() -> None:
    wanted = set(settings(AnyModelConfig, "", set())) | set(settings(TaskConfig, "task.", set()))
    told = {key for row in ROWS for key in code(row["set by"])}
    # Of tasks only which there are: how much they hide is no part of the model.
    wanted = {key for key in wanted if not key.startswith("task.") or ".kind" in key}
    assert wanted - told == set()
    of_a_run = {"optimizer.decayed", "z_loss"}
    assert told - wanted - of_a_run == set(TARGETS), "no such key or format, or one is missing"


@pytest.mark.parametrize("row", ROWS, ids=[row["choice"] for row in ROWS])
def test_files_and_tests_are_there(row: dict[str, str]) -> None:
    assert tuple(row) == COLUMNS + PEERS
    assert all(row.values()), "an empty cell says nothing"
    files = code(row["held by"])
    assert files and all((ROOT / "python/byteloom" / file).is_file() for file in files), files
    shown = code(row["shown by"])
    assert shown, "nothing shows it"
    for one in shown:
        file, name = one.split("::")
        [path] = (ROOT / "tests/python").rglob(file)
        assert name in names_in(path), one


def test_readme_has_the_same_rows() -> None:
    _, between, _ = family_table.split((ROOT / "README.md").read_text())
    assert between == family_table.made_of(PAGE), "run python scripts/family_table.py --write"
    rows = rows_of(between)
    assert [row["choice"] for row in rows] == [row["choice"] for row in ROWS]
    for row in rows:
        assert tuple(row) == (*COLUMNS[:-1], *PEERS)
        links = re.findall(r"\(([^)]+\.py)\)", row["held by"])
        assert links and all((ROOT / link).is_file() for link in links)


def test_what_is_wrong_would_be_noticed() -> None:
    page = "| choice | shown by |\n| --- | --- |\n| a | `x.py::y` |\n\n| other |\n| --- |\n| b |\n"
    assert rows_of(page) == [{"choice": "a", "shown by": "`x.py::y`"}]
    assert code("`a`, b and `c = 1`") == ["a", "c = 1"]
    assert "test_what_is_wrong_would_be_noticed" in names_in(Path(__file__))
    assert "test_of_nothing" not in names_in(Path(__file__))
