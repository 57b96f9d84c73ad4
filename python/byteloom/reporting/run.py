"""A run folder as a report sees it: read without torch, and without trusting that it is whole."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byteloom.reporting.history import History
from byteloom.reporting.text import one_line, visible

#: Characters of a sample that are shown.
LONGEST_SAMPLE = 20_000


@dataclass(frozen=True)
class Run:
    """What a report needs of one run."""

    name: str
    """What the report calls it."""
    path: Path
    """Its folder."""
    toml: str
    """config.toml."""
    config: dict[str, Any]
    """The same, read."""
    history: History
    """metrics.jsonl."""
    sample: str | None
    """sample.txt, if there is one; a long one ends with an ellipsis."""
    parameters: int | None
    """Numbers in the model, if there is a checkpoint to count them in."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], name: str = "") -> Run:
        """Reads a run folder.

        Args:
            path: the folder.
            name: what to call it; by default as the folder is called.

        Raises:
            FileNotFoundError: no such folder, or no run in it.
            ValueError: config.toml or metrics.jsonl is damaged.
        """
        folder = Path(path)
        if not folder.exists():
            raise FileNotFoundError(f"no run folder {folder}")
        source = folder / "config.toml"
        if not source.is_file():
            raise FileNotFoundError(f"{folder} is no run: it lacks config.toml")
        try:
            toml = source.read_text(encoding="utf-8")
            config = tomllib.loads(toml)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} is not valid TOML: {error}") from None
        return cls(
            name=one_line(name or folder.absolute().name),
            path=folder,
            toml=toml,
            config=config,
            history=History(folder / "metrics.jsonl"),
            sample=_read_sample(folder / "sample.txt"),
            parameters=_count_parameters(folder / "checkpoints", config),
        )


def open_all(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Reads several runs, and gives them names that differ.

    Raises:
        FileNotFoundError, ValueError: as :meth:`Run.open`; the same folder twice.
    """
    whole = [Path(path).resolve() for path in paths]
    for index, path in enumerate(whole):
        if path in whole[:index]:
            raise ValueError(f"the run {paths[index]} is given twice")
    return [Run.open(path, name) for path, name in zip(paths, _names(whole), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths, of equal numbers of parts, that tell them apart."""
    longest = max(len(path.parts) for path in paths)
    for count in range(1, longest + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _read_sample(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(LONGEST_SAMPLE + 1)
    return visible(text if len(text) <= LONGEST_SAMPLE else text[:LONGEST_SAMPLE] + " …")


def _count_parameters(checkpoints: Path, config: dict[str, Any]) -> int | None:
    """The numbers to learn in the newest checkpoint, from the header of the file alone.

    That is JSON behind its length, so that neither torch nor safetensors is needed. What cannot be
    read is not counted: a report is not the place to complain about a checkpoint.
    """
    model = config.get("model")
    is_tied = isinstance(model, dict) and model.get("tie_embeddings") is True
    files = [p for p in checkpoints.glob("step-*.safetensors") if re.fullmatch(r"step-\d+", p.stem)]
    if not files:
        return None
    newest = max(files, key=lambda path: int(path.stem.removeprefix("step-")))
    try:
        with newest.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > newest.stat().st_size:
                return None
            header = json.loads(file.read(length))
        shapes = [
            value["shape"]
            for name, value in header.items()
            if name.startswith("model.")
            # The table of embeddings once more; and what no gradient moves.
            and not (is_tied and name == "model.lm_head.weight")
            and not name.endswith(".balance_bias")
        ]
        return int(sum(math.prod(shape) for shape in shapes))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
