"""Run folders that no run made, and what a page of HTML is made of."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

#: Elements of HTML that have no end.
VOID = {"meta", "link", "br", "hr", "img", "input", "base", "col", "source", "wbr"}


def records(steps: int = 40, interval: int = 2, evaluate: int = 8) -> list[dict[str, float]]:
    """What a run of train-lm writes down."""
    found: list[dict[str, float]] = []
    for step in range(interval, steps + 1, interval):
        found.append(
            {
                "step": step,
                "loss": 2 + 5 * math.exp(-step / 10) + 0.1 * math.sin(step),
                "learning_rate": 1e-3 * step / steps,
                "grad_norm": 1 + 0.5 * math.cos(step),
                "tokens": 1024 * step,
                "epoch": step / 100,
                "tokens_per_second": 1000.0 + step % 7,
                "seconds": 0.5 * step,
            }
        )
        if evaluate and step % evaluate == 0:
            loss = 2.2 + (step - 24) ** 2 / 500
            found.append({"step": step, "valid_loss": loss, "seconds": 0.5 * step + 0.25})
    return found


def make_run(
    path: Path,
    lines: Sequence[dict[str, Any]] | None = None,
    toml: str = "[training]\nsteps = 40\nseed = 0\n",
    sample: str | None = None,
    tail: bytes = b"",
) -> Path:
    """A run folder; ``lines`` left out: no metrics yet."""
    path.mkdir(parents=True)
    (path / "config.toml").write_text(toml, "utf-8")
    if lines is not None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (path / "metrics.jsonl").write_bytes(text.encode() + tail)
    if sample is not None:
        (path / "sample.txt").write_text(sample, "utf-8")
    return path


def write_checkpoint(run: Path, step: int, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with zeros of these shapes."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    (run / "checkpoints").mkdir(exist_ok=True)
    path = run / "checkpoints" / f"step-{step:06d}.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


class Page(HTMLParser):
    """A page taken apart; complains where elements do not close as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        """Text, and the elements around it."""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self._open, f"<{tag}/> is no HTML"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))
        if {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str = "body") -> str:
        """All text inside elements of a name."""
        return "".join(data for around, data in self.texts if tag in around)

    def rows(self) -> dict[str, list[str]]:
        """Rows of all tables: what the first cell says -> the others."""
        return {row[0]: row[1:] for row in self._rows}
