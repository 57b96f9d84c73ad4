"""The picture of the engine is what its script draws, and shows what the engine does."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "engine_picture.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_the_picture_is_up_to_date(script: dict[str, Any]) -> None:
    assert script["PICTURE"].read_text(encoding="utf-8") == script["draw"]()


def test_the_starts_are_those_of_the_pattern(script: dict[str, Any]) -> None:
    regex = pytest.importorskip("regex")
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    expected = {match.start() for match in regex.finditer(pattern, script["TEXT"])}
    assert script["starts_of"](script["TEXT"]) == expected
    root = ET.fromstring(script["draw"]())
    shapes = [shape.get("class") for shape in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert shapes.count("start") == len(expected)


def test_nothing_reaches_beyond_the_page(script: dict[str, Any]) -> None:
    for shape in ET.fromstring(script["draw"]()).iter("{http://www.w3.org/2000/svg}rect"):
        right = float(shape.get("x", 0)) + float(shape.get("width", 0))
        bottom = float(shape.get("y", 0)) + float(shape.get("height", 0))
        assert right <= script["WIDTH"]
        assert bottom <= script["HEIGHT"]
